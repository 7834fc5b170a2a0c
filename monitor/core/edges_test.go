// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"encoding/json"
	"strconv"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// carryOut does at once what the edges would: API server, disk, init, provider.
func (h *host) carryOut(e core.Effect) {
	r := h.rig
	switch {
	case e.Put != nil:
		h.put(*e.Put)
	case e.Get != nil:
		o := &ownership.Observed{Get: e.Get.ID, Failed: h.cut, Lease: r.lease}
		if h.cut {
			o.Lease = nil
		}
		h.answer("get", core.Input{Observed: o})
	case e.Journal != nil && e.Journal.ID != 0:
		h.answer("disk", core.Input{Persisted: &ownership.Persisted{ID: e.Journal.ID}})
	case e.Guard != nil:
		h.setGuard(*e.Guard)
	case e.Kill != nil && h.connected:
		h.kill()
	case e.Exit != nil && h.connected:
		h.connected, h.known, h.guard = false, false, core.Guard{}
		h.letGo()
		clear(h.online)
		h.post(core.Input{InitGone: &core.InitGone{Container: "main"}})
	case e.Expect != nil:
		h.providerUp()
	case e.Call != nil:
		h.call(*e.Call)
	case e.Tick != nil:
		h.answer("tick", core.Input{Tick: e.Tick})
	case e.FetchPlan != nil && e.FetchPlan.Revision != "":
		text, err := json.Marshal(r.plan)
		must(r.t, err)
		p := &planv1.Plan{}
		must(r.t, json.Unmarshal(text, p))
		h.answer("plan", core.Input{Plan: &core.Plan{Revision: e.FetchPlan.Revision, Plan: p}})
	case e.Write != nil:
		h.write(*e.Write)
	case e.Arm != nil:
		h.arm = e.Arm.At
	case e.Done != nil:
		h.done = true
	}
}

func (r *rig) commit(l leasev1.Lease) *leasev1.Lease {
	r.version++
	l.UID, l.ResourceVersion = "lease", strconv.Itoa(r.version)
	r.lease = &l
	for _, h := range r.hosts {
		if !h.cut {
			h.post(core.Input{Observed: &ownership.Observed{Lease: r.lease}})
		}
	}
	return r.lease
}

// takeAway has a host that is not here take the group.
func (r *rig) takeAway() {
	record, err := leasev1.Decode(*r.lease)
	must(r.t, err)
	record.HolderUID, record.HolderName, record.Epoch, record.Inc = "uid-z", "z", record.Epoch+5, "z-0"
	r.commit(leasev1.Encode(record, *r.lease))
}

func (h *host) put(p ownership.Put) {
	w := &ownership.Wrote{Seq: p.Seq}
	switch l := h.rig.lease; {
	case h.cut:
		w.Outcome = ownership.Unknown
	case l.ResourceVersion != p.Record.ResourceVersion:
		w.Outcome = ownership.Conflict
	default:
		w.Outcome, w.Lease = ownership.Committed, h.rig.commit(leasev1.Encode(p.Record, *l))
		if h.loseAnswers > 0 {
			h.loseAnswers--
			w.Outcome, w.Lease = ownership.Unknown, nil
		}
	}
	h.answer("put", core.Input{Wrote: w})
}

func (h *host) nonceText() string { return h.name + "-n" + strconv.Itoa(h.nonce) }

func (h *host) connect() {
	h.connected = true
	h.held["emptied"], h.held["guarded"] = nil, nil // of the connection before
	hello := &core.Hello{Container: "main", Nonce: h.nonceText(), Fresh: !h.known}
	if h.known {
		hello.Epoch, hello.G1, hello.G2 = h.guard.Epoch, h.guard.G1, h.guard.G2
	}
	h.post(core.Input{Hello: hello})
	if !h.known {
		h.known = true
		h.empty() // as init does upon its first welcome
	}
}

func (h *host) setGuard(g core.Guard) {
	switch {
	case !h.connected || g.Epoch < h.guard.Epoch:
	case g.G2 != 0 && g.G2 <= h.rig.now.Boot:
		h.kill()
	default:
		h.guard = g
		h.answer("guarded", core.Input{Guarded: &core.Guarded{
			Container: "main", Nonce: h.nonceText(), Epoch: g.Epoch, G2: g.G2,
		}})
	}
}

// kill is what init does at the end of the guard, or when it is asked to.
func (h *host) kill() {
	if h.hold["kill"] {
		return
	}
	h.kills++
	h.empty()
}

func (h *host) empty() {
	h.nonce++
	h.guard.G1, h.guard.G2 = 0, 0
	h.letGo()
	clear(h.online)
	if h.connected {
		h.answer("emptied", core.Input{Emptied: &core.Emptied{Container: "main", Nonce: h.nonceText()}})
	}
}

func (h *host) providerUp() {
	if h.provider {
		up := &engine.ProviderUp{Container: "main", Nonce: h.nonceText(), Capabilities: []string{
			"CAPABILITY_RESOURCE_CONTROL", "CAPABILITY_RESOURCE_TYPE_CONTROL", "CAPABILITY_CANCEL", "CAPABILITY_AS_USER",
		}}
		if !h.plain {
			up.Capabilities = append(up.Capabilities, engine.CapabilityQuorum)
		}
		h.post(core.Input{ProviderUp: up})
	}
}

func (h *host) call(c engine.Call) {
	a := engine.Returned{Call: c.ID}
	switch {
	case c.Nonce != h.nonceText():
		a.Outcome = engine.Unavailable
	case c.Op == engine.OpOpen:
		a.State, a.ResourceID = engine.ReportedOffline, "id"
		switch {
		case h.dumb:
			a.State = 0
		case h.online[c.Resource]:
			a.State = engine.ReportedOnline
		}
	case c.Op == engine.OpOnline:
		if h.guard.G2 == 0 || h.guard.Epoch != c.Epoch {
			h.rig.t.Errorf("host %s: Online in epoch %d under guard %+v", h.name, c.Epoch, h.guard)
		}
		if h.rig.quorum() && h.rig.arbiter != h.name {
			h.rig.t.Errorf("host %s: Online although %q is the arbiter", h.name, h.rig.arbiter)
		}
		for _, other := range h.rig.hosts {
			if other != h && len(other.online) > 0 {
				h.rig.t.Errorf("host %s: Online while %s is", h.name, other.name)
			}
		}
		if h.online[c.Resource] {
			h.rig.t.Errorf("host %s: Online of what runs already: it runs twice", h.name)
		}
		h.online[c.Resource], a.EventHandle = true, true
		if h.pending {
			a.Status = engine.CodeIOPending
		}
	case c.Op == engine.OpOffline || c.Op == engine.OpTerminate:
		delete(h.online, c.Resource)
	case c.Op == engine.OpArbitrate:
		if h.guard.Epoch != c.Epoch || h.isOnline() {
			h.rig.t.Errorf("host %s: Arbitrate in epoch %d under guard %+v, online %v", h.name, c.Epoch, h.guard, h.online)
		}
		if h.loses || h.rig.arbiter != "" && h.rig.arbiter != h.name {
			a.Status, a.Message = engine.CodeResourceNotAvailable, "it is another's"
		} else {
			h.rig.arbiter = h.name
		}
	case c.Op == engine.OpRelease:
		if h.isOnline() {
			h.rig.t.Errorf("host %s: Release while %v is online", h.name, h.online)
		}
		h.letGo()
	case c.Op == engine.OpLooksAlive || c.Op == engine.OpIsAlive:
		a.Alive = h.alive
	case c.Op == engine.OpCancel:
		h.cancels++
	case c.Control != nil:
		h.lastContext = c.Control.Context
		if a.Async = h.async; !h.async {
			a.Output, a.Status, a.BytesReturned = c.Control.Input, h.takes, 70000
		}
	}
	h.answer(string(c.Op), core.Input{Returned: &a})
}

func (h *host) write(w core.Write) {
	r := h.rig
	if h.flying[w.Key]++; h.flying[w.Key] > 1 {
		r.t.Errorf("host %s: two writes of %s under way", h.name, w.Key)
	}
	done := &core.Written{Key: w.Key, Seq: w.Seq, Outcome: core.WriteDone}
	switch {
	case h.cut:
		done.Outcome = core.WriteFailed
	case h.outcome != nil && h.outcome(w) != "":
		done.Outcome = h.outcome(w)
	case w.Host != nil:
		if r.status.Hosts == nil {
			r.status.Hosts = map[string]v1alpha1.HostStatus{}
		}
		r.status.Hosts[w.Host.Name] = w.Host.Host
		r.tell()
	case w.Group != nil:
		if o := r.status.Owner; o != nil && o.Epoch > w.Group.Owner.Epoch {
			done.Outcome = core.WriteSuperseded
			break
		}
		if !core.Continues(r.status.Types, w.Group.Types) {
			done.Outcome = core.WriteStale
			h.seeGroup()
			break
		}
		r.status.Owner, r.status.Types = w.Group.Owner.DeepCopy(), w.Group.Types
		if h.loseWrites > 0 {
			h.loseWrites--
			done.Outcome = core.WriteFailed
		}
		r.tell()
	case w.Resource != nil:
		r.docs[w.Resource.Name] = *w.Resource
	case w.Endpoint != nil:
		r.endpoint = w.Endpoint
	case w.Call != nil:
		done.Outcome = r.writeCall(*w.Call)
	}
	h.answerWritten(done)
}

func (h *host) answerWritten(w *core.Written) {
	if h.hold["write"] {
		h.held["write"] = append(h.held["write"], core.Input{Written: w})
		return
	}
	h.flying[w.Key]--
	h.post(core.Input{Written: w})
}

// releaseWrites lets writes be answered again.
func (h *host) releaseWrites() {
	clear(h.flying)
	h.release("write")
}

func (r *rig) tell() {
	for _, h := range r.hosts {
		h.seeGroup()
	}
}

func (r *rig) writeCall(d core.CallDocument) core.WriteOutcome {
	k := r.calls[d.Name]
	switch {
	case k == nil || k.Finished:
		return core.WriteSuperseded
	case (d.Finish == nil || d.Unclaimed) && k.Owner != nil && *k.Owner != d.Owner:
		return core.WriteSuperseded
	}
	if k.Owner == nil {
		k.Owner = &d.Owner
	}
	r.queued[d.Name] = d.Queued
	if d.Finish != nil {
		k.Finished, r.finish[d.Name] = true, d.Finish
	}
	r.tellCall(d.Name)
	return core.WriteDone
}

func (r *rig) tellCall(name string) {
	for _, h := range r.hosts {
		if !h.cut {
			k := *r.calls[name]
			h.post(core.Input{ControlCall: &k})
		}
	}
}
