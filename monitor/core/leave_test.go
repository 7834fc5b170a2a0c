// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// end asks the monitor itself to end, as kubelet does with SIGTERM.
func (h *host) end() { h.input(core.Input{End: &core.End{Reason: "Test"}}) }

// A monitor that alone is replaced, for a new image, moves nothing.
func TestReplacedMonitor(t *testing.T) {
	t.Run("an owner goes just after a renewal", func(t *testing.T) {
		r, a := up(t, "a", "b")
		r.pass(time.Second) // half of R is over
		epoch, online, asked := r.status.Owner.Epoch, a.mark(), r.now.Boot
		if a.end(); a.done {
			t.Fatal("it leaves with half of its guard used up")
		}
		r.pass(2 * time.Second)
		if !a.done || !a.isOnline() || !a.connected || r.host("b").isOnline() {
			t.Fatalf("done %v, online %v, connected %v", a.done, a.isOnline(), a.connected)
		}
		if left := time.Duration(a.guard.G1 - asked); left < 4200*time.Millisecond {
			t.Errorf("the guard that it leaves ends %s after the request", left)
		}
		a.stop()
		r.pass(3 * time.Second) // kubelet takes its time
		a.start()
		r.pass(10 * time.Second)
		if now := r.status.Owner; !a.isOnline() || now.Epoch != epoch || now.PodName != "a" {
			t.Errorf("online %v, owner %s of epoch %d, it was %d", a.isOnline(), now.PodName, now.Epoch, epoch)
		}
		if n := count(a.since(online), calls(engine.OpOnline)) + count(a.since(online), calls(engine.OpOffline)) +
			count(a.since(online), calls(engine.OpTerminate)); n != 0 {
			t.Errorf("%d calls of Online, Offline or Terminate", n)
		}
	})
	t.Run("a standby goes at once", func(t *testing.T) {
		r, a := up(t, "a", "b")
		b := r.host("b")
		if b.end(); !b.done || !b.connected || !a.isOnline() {
			t.Errorf("done %v, connected %v, a online %v", b.done, b.connected, a.isOnline())
		}
	})
	t.Run("not while the API server is away", func(t *testing.T) {
		// The next one could not go on without it.
		r, a := up(t, "a", "b")
		a.cut = true
		a.end()
		if r.pass(3 * time.Second); a.done {
			t.Error("it leaves what the next one cannot adopt")
		}
	})
	t.Run("without a container the host goes away", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.initDies()
		a.end()
		if r.pass(10 * time.Second); !a.done || !r.host("b").isOnline() {
			t.Errorf("done %v, b online %v", a.done, r.host("b").isOnline())
		}
	})
	t.Run("a control call ends first, within reason", func(t *testing.T) {
		for _, answered := range []bool{true, false} {
			r, a := up(t, "a", "b")
			a.async = true
			r.ask(core.ControlCall{Name: "backup", ResourceName: "store", Code: "BACKUP"})
			a.end()
			if r.pass(5 * time.Second); a.done {
				t.Fatal("it leaves in the middle of a control call")
			}
			if answered {
				a.input(core.Input{Callback: &engine.Callback{
					ID: 9, Container: "main", Handle: "u1", EndControlCall: &engine.EndControlCall{Context: a.lastContext},
				}})
				r.finished("backup", "Succeeded")
				r.pass(3 * time.Second)
			} else {
				r.pass(8 * time.Second)
			}
			if !a.done {
				t.Errorf("answered %v: it does not leave", answered)
			}
		}
	})
	t.Run("a pod that ends meanwhile is handed over", func(t *testing.T) {
		r, a := up(t, "a", "b")
		a.end()
		a.input(core.Input{Stopping: &core.Stopping{Container: "main"}})
		if r.pass(5 * time.Second); !a.done || a.connected || !r.host("b").isOnline() {
			t.Errorf("done %v, connected %v, b online %v", a.done, a.connected, r.host("b").isOnline())
		}
	})
}
