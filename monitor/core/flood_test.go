// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// flood makes mischief for a while, and returns when each document was written.
func (h *host) flood(d, every time.Duration, mischief func(n int)) (times map[string][]int64) {
	h.rig.t.Helper()
	times = map[string][]int64{}
	mark := h.mark()
	for n := range int(d / every) {
		mischief(n)
		for _, e := range h.since(mark) {
			if w := e.Write; w != nil {
				times[w.Key] = append(times[w.Key], h.rig.now.Boot)
			}
		}
		mark = h.mark()
		h.rig.pass(every)
	}
	return times
}

// bounded checks that in no span of time there are more writes than one a second
// beyond a burst of 5.
func bounded(t *testing.T, key string, times []int64) {
	t.Helper()
	for i := range times {
		for j := i + 5; j < len(times); j++ {
			if most := 5 + (times[j]-times[i])/int64(time.Second); int64(j-i+1) > most {
				t.Fatalf("%s: %d writes in %v", key, j-i+1, time.Duration(times[j]-times[i]))
			}
		}
	}
}

func (h *host) report(state int32, n int) {
	h.rig.t.Helper()
	h.callback(engine.Callback{SetResourceStatus: &engine.SetResourceStatus{
		Ex: true, State: state, CheckPoint: uint32(n), Flags: uint32(n) % 3, ApplicationErrorCode: uint32(n),
	}})
}

// TestAProviderCannotFloodTheAPI: whatever a provider does, the API server sees at most
// one write a second of each status beyond a burst, and hears of the end.
// Shows: SetResourceStatusEx, SignalFailure.
func TestAProviderCannotFloodTheAPI(t *testing.T) {
	flap := func(h *host, n int) {
		// Online as soon as it is asked to be, and failed as soon as it is online.
		h.report(engine.ReportedOnline, n)
		h.callback(engine.Callback{SignalFailure: &engine.SignalFailure{Exited: true, Message: "exit status 1"}})
	}
	for name, mischief := range map[string]func(*host, int){
		"progress":                    func(h *host, n int) { h.report(engine.ReportedOnlinePending, n) },
		"fails while it comes online": func(h *host, n int) { h.report(engine.ReportedFailed, n) },
		"comes online and fails":      flap,
		"fails, and its writes fail": func(h *host, n int) {
			h.outcome = func(core.Write) core.WriteOutcome { return core.WriteFailed }
			flap(h, n)
		},
		"fails, and somebody else writes, too": func(h *host, n int) {
			h.outcome = func(core.Write) core.WriteOutcome { return core.WriteStale }
			flap(h, n)
		},
		"loses its process over and over": func(h *host, n int) {
			h.input(core.Input{ProviderDown: &engine.ProviderDown{Container: "main", Reason: "crashed"}})
			flap(h, n)
		},
		"everything changes all the time": func(h *host, n int) {
			h.callback(engine.Callback{SetLockedMode: &engine.SetLockedMode{Enabled: n%2 == 0}})
			h.callback(engine.Callback{SetInternalState: &engine.SetInternalState{State: 3, Active: n%2 == 0}})
			h.callback(engine.Callback{SetNodeLocalProperties: &engine.SetNodeLocalProperties{
				Properties: json.RawMessage(fmt.Sprintf(`{"Data1":"%d"}`, n)),
			}})
			h.callback(engine.Callback{ChangeProcessForDumps: &engine.ChangeProcessForDumps{Name: "db", PID: 7, Add: n%2 == 0}})
			h.callback(engine.Callback{RequestDump: &engine.RequestDump{}})
			h.input(core.Input{Callback: &engine.Callback{
				ID: 1, Container: "main", TypeName: "test", RaiseNotification: &engine.RaiseNotification{Payload: []byte{byte(n)}},
			}})
			flap(h, n)
		},
		"another failure each time": func(h *host, n int) {
			h.callback(engine.Callback{SignalFailure: &engine.SignalFailure{
				Type: []engine.FailureType{engine.FailureEmbedded, engine.FailureNetworkLoss, engine.FailureGeneral}[n%3],
			}})
			flap(h, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "a")
			r.plan.Resources[0].RestartThreshold, r.plan.Resources[0].RestartAction = 1000, "RestartNoNotify"
			a := r.hosts[0]
			a.start()
			r.pass(6 * time.Second)
			if !a.isOnline() {
				t.Fatal("not online")
			}
			a.pending = true
			a.signalFailure()
			r.pass(6 * time.Second)
			times := a.flood(8*time.Second, 60*time.Millisecond, func(n int) { mischief(a, n) })
			for key, all := range times {
				bounded(t, key, all)
			}
			if n := len(times[resourceDoc]); n < 6 {
				t.Errorf("%d writes in 8 s: it is not told what goes on", n)
			}
			// The newest counts in the end.
			a.outcome = nil
			r.pass(6 * time.Second)
			want := a.core.State(r.now).Engine.Resources[0]
			if d, _ := a.told(); string(d.Owner.State) != string(want.State) || d.Owner.CheckPoint != int64(want.CheckPoint) {
				t.Errorf("told %s %d, is %s %d", d.Owner.State, d.Owner.CheckPoint, want.State, want.CheckPoint)
			}
		})
	}
}

// TestWhatIsUrgentGoesAtOnce: the first few changes are written in the step in which
// they happen, however shortly one follows the other.
func TestWhatIsUrgentGoesAtOnce(t *testing.T) {
	r, a := up(t, "a")
	r.change(func(p *planv1.Plan) { p.Resources[0].EmbeddedFailureAction = "LogOnly" })
	r.pass(6 * time.Second)
	for n, what := range []engine.FailureType{engine.FailureEmbedded, engine.FailureNetworkLoss} {
		mark := a.mark()
		a.callback(engine.Callback{SignalFailure: &engine.SignalFailure{Type: what}})
		if got := count(a.since(mark), isWrite(resourceDoc)); got != 1 {
			t.Errorf("%d writes of change %d", got, n)
		}
	}
}

// TestProgressCostsLittle: no report of progress is worth a write to the disk, and what
// is not due to be written goes with what is newer.
func TestProgressCostsLittle(t *testing.T) {
	r, a := up(t, "a")
	a.pending = true
	a.signalFailure()
	r.pass(6 * time.Second)
	a.report(engine.ReportedOnlinePending, 1)
	mark := a.mark()
	for n := range 100 {
		a.report(engine.ReportedOnlinePending, n+2)
		a.callback(engine.Callback{LogEvent: &engine.LogEvent{Text: "x"}})
	}
	for _, e := range a.since(mark) {
		if e.Journal != nil || e.Write != nil {
			t.Fatalf("%+v", e)
		}
	}
	r.pass(2 * time.Second)
	if d, _ := a.told(); d.Owner.CheckPoint != 101 {
		t.Errorf("checkpoint %d was written last", d.Owner.CheckPoint)
	}
}
