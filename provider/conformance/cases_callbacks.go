// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// heard judges every callback of a kind; without any, there is nothing to judge.
func heard[M proto.Message](t *trial, judge func(m M, e *event)) {
	n := 0
	events, _ := t.journal.all()
	for i := range events {
		if m, ok := events[i].req.(M); ok && events[i].callback {
			n++
			judge(m, &events[i])
		}
	}
	if n == 0 {
		var m M
		t.skip("the provider never called %s", strings.TrimSuffix(string(m.ProtoReflect().Descriptor().Name()), "Request"))
	}
}

// blame fails the case for a callback.
func (t *trial) blame(e *event, format string, args ...any) {
	start := e.begun
	if e.trial != nil {
		events := t.journal.some(func(o *event) bool { return o.trial == e.trial })
		start = events[0].begun
		t.story = append(t.story, "in "+e.trial.title())
	}
	t.story = append(t.story, e.line(start))
	t.fail(format, args...)
}

// handleOf is the handle of the resource that a message is about, by any id that Open
// ever answered.
func (t *trial) handleOf(m proto.Message) string {
	var handle string
	t.monitor.set(func() {
		if n, ok := m.(named); ok {
			handle = t.monitor.opened[n.GetResourceId()]
		}
	})
	return handle
}

func (t *trial) knows(handle string) bool {
	var known bool
	t.monitor.set(func() { known = t.monitor.handles[handle] })
	return known
}

// callback is a case about all callbacks of a kind.
func callback(name, rule string, judge func(t *trial)) Case {
	return Case{Name: "Callbacks/" + name, Rule: rule, provider: true, judge: judge}
}

// period is one pending or finished Online or Offline in the life of a resource.
type period struct {
	kind    pb.ResourceState
	reports []event
	// told: an answer left it pending, or unknown, so that reports are in order.
	told bool
	over bool
}

// history is what was under way when, for each resource.
type history struct {
	ids     map[string]string // handles by id
	periods map[string][]*period
}

// current is the last operation of a resource; nil if there was none.
func (h *history) current(handle string) *period {
	all := h.periods[handle]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

func (h *history) add(handle string, p *period) *period {
	h.periods[handle] = append(h.periods[handle], p)
	return p
}

// begin notes an Online or Offline and its answer. A repeated one continues.
func (h *history) begin(e *event, handle string, kind pb.ResourceState, status uint32) {
	p := h.current(handle)
	if p == nil || p.over || p.kind != kind {
		p = h.add(handle, &period{kind: kind})
	}
	switch {
	case e.err != nil, status == ioPending:
		p.told = true
	case !p.told:
		p.over = true
	}
}

// take notes an event.
func (h *history) take(e *event) {
	switch r := e.req.(type) {
	case *pb.OpenRequest:
		resp, ok := e.resp.(*pb.OpenResponse)
		if !ok || e.err != nil {
			return
		}
		h.ids[resp.GetResourceId()] = r.GetResourceHandle()
		if p := h.current(r.GetResourceHandle()); p != nil && underWay(resp.GetState()) {
			p.told = true
		}
	case *pb.OnlineRequest:
		resp, _ := e.resp.(*pb.OnlineResponse)
		h.begin(e, h.ids[r.GetResourceId()], stateOnline, resp.GetStatus())
	case *pb.OfflineRequest:
		resp, _ := e.resp.(*pb.OfflineResponse)
		h.begin(e, h.ids[r.GetResourceId()], stateOffline, resp.GetStatus())
	case *pb.TerminateRequest:
		h.finish(h.ids[r.GetResourceId()])
	case *pb.CloseRequest:
		h.finish(h.ids[r.GetResourceId()])
	case handled:
		st, ok := reportOf(e.req)
		if !ok {
			return
		}
		p := h.current(r.GetResourceHandle())
		if p == nil {
			p = h.add(r.GetResourceHandle(), &period{})
		}
		p.reports = append(p.reports, *e)
		p.over = p.over || !underWay(st.state)
	}
}

func (h *history) finish(handle string) {
	if p := h.current(handle); p != nil {
		p.over = true
	}
}

// eachPeriod goes through all operations that something was reported of.
func eachPeriod(t *trial, judge func(p *period)) {
	h := &history{ids: map[string]string{}, periods: map[string][]*period{}}
	events, _ := t.journal.all()
	for i := range events {
		h.take(&events[i])
	}
	n := 0
	for handle, r := range t.suite.resources {
		if r.wild {
			continue
		}
		for _, p := range h.periods[handle] {
			if len(p.reports) > 0 {
				n++
				judge(p)
			}
		}
	}
	if n == 0 {
		t.skip("the provider never reported a status")
	}
}

var callbackCases = []Case{
	callback("HandlesAreThoseOfOpen",
		"The handle of a callback is exactly the one that Open brought (RA 1.0).",
		func(t *trial) {
			n := 0
			events, _ := t.journal.all()
			for i := range events {
				e := &events[i]
				h, ok := e.req.(handled)
				if !e.callback || !ok {
					continue
				}
				n++
				if !t.knows(h.GetResourceHandle()) {
					t.blame(e, "%s: the handle %q was never given to Open", e.method, cut(h.GetResourceHandle(), 100))
				}
			}
			if n == 0 {
				t.skip("the provider made no callback with a handle")
			}
		}),
	callback("NoneAfterClose",
		"A handle is good until Close: nothing is called with it afterwards (RA 2.1).",
		func(t *trial) {
			closed := map[string]time.Time{}
			n := 0
			events, _ := t.journal.all()
			for i := range events {
				e := &events[i]
				switch r := e.req.(type) {
				case *pb.OpenRequest:
					delete(closed, r.GetResourceHandle())
				case *pb.CloseRequest:
					resp, ok := e.resp.(*pb.CloseResponse)
					if h := t.handleOf(r); ok && e.err == nil && resp.GetStatus() == success && h != "" {
						closed[h] = e.ended
					}
				case handled:
					n++
					if at, gone := closed[r.GetResourceHandle()]; gone && e.begun.Sub(at) > 5*slack {
						t.blame(e, "%s came %v after Close", e.method, e.begun.Sub(at).Round(time.Millisecond))
					}
				}
			}
			if n == 0 {
				t.skip("the provider made no callback with a handle")
			}
		}),
	callback("MessagesAreBounded",
		"Sentences for people, in callbacks and in answers, have at most 1 024 bytes and are UTF-8 (proto).",
		func(t *trial) {
			events, _ := t.journal.all()
			for i := range events {
				e := &events[i]
				from := e.resp
				if e.callback {
					from = e.req
				}
				switch from.(type) {
				case *pb.LogEventRequest, nil: // of which 500 characters count, whatever comes
					continue
				}
				if text, bad := sentence(from.ProtoReflect()); bad {
					t.blame(e, "%s: expected a message of at most 1024 bytes, got %d", e.method, len(text))
				}
			}
		}),
	callback("SetResourceStatus/HasAState",
		"A report's state is ONLINE_PENDING, OFFLINE_PENDING, ONLINE, OFFLINE, FAILED or a "+
			"CANNOT_COME_ONLINE (proto; RA 3.1).",
		func(t *trial) {
			eachReport(t, func(st report, e *event) {
				switch st.state {
				case stateOnlinePending, stateOfflinePending, stateOnline, stateOffline, stateFailed,
					stateNotHere, stateNotAnywhere:
				default:
					t.blame(e, "%s: no state for a report: %s", e.method, st.state)
				}
			})
		}),
	callback("SetResourceStatus/OnlyWhilePending",
		"Status is reported after Online or Offline answered 997, and at no other time (RA 1.1).",
		func(t *trial) {
			eachPeriod(t, func(p *period) {
				if !p.told {
					t.blame(&p.reports[0], "a report although no Online or Offline was pending")
				}
			})
		}),
	callback("SetResourceStatus/CheckPointsGrow",
		"The checkpoint is larger in each report of an operation (RA 1.1, RA 2.2).",
		func(t *trial) {
			eachPeriod(t, func(p *period) {
				for i := 1; i < len(p.reports); i++ {
					before, _ := reportOf(p.reports[i-1].req)
					now, _ := reportOf(p.reports[i].req)
					// What got no answer comes again as it was.
					again := proto.Equal(p.reports[i].req, p.reports[i-1].req)
					if now.checkPoint <= before.checkPoint && !again {
						t.blame(&p.reports[i], "checkpoint %d after %d", now.checkPoint, before.checkPoint)
					}
				}
			})
		}),
	callback("SetResourceStatus/SaysWhatIsUnderWay",
		"Online reports ONLINE_PENDING and ends ONLINE or failed; Offline reports OFFLINE_PENDING "+
			"and ends OFFLINE or FAILED (RA 1.1).",
		func(t *trial) {
			eachPeriod(t, func(p *period) {
				for i := range p.reports {
					st, _ := reportOf(p.reports[i].req)
					wrong := st.state == stateOnline || st.state == stateOnlinePending ||
						st.state == stateNotHere || st.state == stateNotAnywhere
					if p.kind == stateOnline {
						wrong = st.state == stateOffline || st.state == stateOfflinePending
					}
					if wrong {
						t.blame(&p.reports[i], "%s while it was to be %s", st.state, p.kind)
					}
				}
			})
		}),
	callback("SetResourceStatus/EndsOnce",
		"The final report ends an operation: it comes once, and nothing after it (RA 2.2).",
		func(t *trial) {
			eachPeriod(t, func(p *period) {
				for i := 1; i < len(p.reports); i++ {
					before, _ := reportOf(p.reports[i-1].req)
					answered := p.reports[i-1].err == nil && !p.reports[i-1].ended.IsZero()
					if !underWay(before.state) && answered {
						t.blame(&p.reports[i], "a report after the final one, which was answered")
					}
				}
			})
		}),
	callback("SetResourceStatus/EventHandleComesWithOnline",
		"EventHandle comes with the final report of a pending Online, not with others (proto).",
		func(t *trial) {
			eachReport(t, func(st report, e *event) {
				if st.eventHandle && st.state != stateOnline {
					t.blame(e, "event_handle with %s", st.state)
				}
			})
		}),
	callback("SignalFailure/OfWhatWasBroughtOnline",
		"SignalFailure is about a running instance: one that Online was called for (RA 1.3).",
		func(t *trial) {
			heard(t, func(m *pb.SignalFailureRequest, e *event) {
				online := t.journal.some(func(o *event) bool {
					r, ok := o.req.(*pb.OnlineRequest)
					return ok && o.begun.Before(e.begun) && t.handleOf(r) == m.GetResourceHandle()
				})
				if len(online) == 0 {
					t.blame(e, "SignalFailure of what Online was never called for")
				}
			})
		}),
	callback("SignalFailure/HasAKnownType",
		"FailureType is GENERAL, EMBEDDED or NETWORK_LOSS, or not said (proto; RA 1.3).",
		func(t *trial) {
			heard(t, func(m *pb.SignalFailureRequest, e *event) { t.wantKnown(e, m.GetFailureType()) })
		}),
	callback("SignalFailure/OncePerFailure",
		"A failure that the monitor took is not signalled again: each life of a resource fails once (RA 1.3).",
		func(t *trial) {
			taken := map[string]int{}
			heard(t, func(m *pb.SignalFailureRequest, e *event) {
				switch m.GetFailureType() {
				case pb.FailureType_FAILURE_TYPE_EMBEDDED, pb.FailureType_FAILURE_TYPE_NETWORK_LOSS:
					return // of which the resource itself does not die
				}
				lives := t.journal.some(func(o *event) bool {
					r, ok := o.req.(*pb.OnlineRequest)
					return ok && o.begun.Before(e.begun) && t.handleOf(r) == m.GetResourceHandle()
				})
				if taken[m.GetResourceHandle()] >= len(lives) {
					t.blame(e, "SignalFailure more often than Online was called")
				}
				if answer, ok := e.resp.(*pb.SignalFailureResponse); ok && e.err == nil && answer.GetStatus() == success {
					taken[m.GetResourceHandle()]++
				}
			})
		}),
	callback("LogEvent/HasAKnownLevel",
		"LogLevel is INFORMATION, WARNING, ERROR or SEVERE, or not said (proto; RA 1.4).",
		func(t *trial) { heard(t, func(m *pb.LogEventRequest, e *event) { t.wantKnown(e, m.GetLogLevel()) }) }),
	callback("EndControlCall/OfACallThatIsOpen",
		"EndControlCall names the context of a Begin that returned asynchronously (RA 1.5).",
		func(t *trial) {
			heard(t, func(m *pb.EndControlCallRequest, e *event) { t.wantContext(e, m.GetContext(), false) })
		}),
	callback("EndControlCall/OnceAnswered",
		"An end that the monitor answered is not sent again (RA 1.5).",
		func(t *trial) {
			done := map[int64]bool{}
			heard(t, func(m *pb.EndControlCallRequest, e *event) { t.wantFirst(e, m.GetContext(), done) })
		}),
	callback("EndControlCall/OutputIsBounded",
		"OutBuffer has at most 64 KiB, and bytes_returned is its size unless status is 234 (proto; RA 1.5).",
		func(t *trial) { heard(t, func(m *pb.EndControlCallRequest, e *event) { t.wantBuffer(e, m) }) }),
	callback("EndTypeControlCall/OfACallThatIsOpen",
		"EndTypeControlCall names the context of a Begin that returned asynchronously (RA 1.6).",
		func(t *trial) {
			heard(t, func(m *pb.EndTypeControlCallRequest, e *event) { t.wantContext(e, m.GetContext(), true) })
		}),
	callback("EndTypeControlCall/OnceAnswered",
		"An end that the monitor answered is not sent again (RA 1.6).",
		func(t *trial) {
			done := map[int64]bool{}
			heard(t, func(m *pb.EndTypeControlCallRequest, e *event) { t.wantFirst(e, m.GetContext(), done) })
		}),
	callback("EndTypeControlCall/OutputIsBounded",
		"OutBuffer has at most 64 KiB, and bytes_returned is its size unless status is 234 (proto; RA 1.6).",
		func(t *trial) { heard(t, func(m *pb.EndTypeControlCallRequest, e *event) { t.wantBuffer(e, m) }) }),
	callback("ExtendControlCall/OfACallThatIsOpen",
		"ExtendControlCall lengthens a call in progress, by a new timeout from now (RA 1.7).",
		func(t *trial) {
			heard(t, func(m *pb.ExtendControlCallRequest, e *event) {
				t.wantContext(e, m.GetContext(), false)
				if m.GetNewTimeoutInMs() == 0 {
					t.blame(e, "ExtendControlCall with no time")
				}
			})
		}),
	callback("ExtendResTypeControlCall/OfACallThatIsOpen",
		"ExtendResTypeControlCall lengthens a call in progress, by a new timeout from now (RA 1.8).",
		func(t *trial) {
			heard(t, func(m *pb.ExtendResTypeControlCallRequest, e *event) {
				t.wantContext(e, m.GetContext(), true)
				if m.GetNewTimeoutInMs() == 0 {
					t.blame(e, "ExtendResTypeControlCall with no time")
				}
			})
		}),
	callback("QuorumResourceLost/OnlyAfterArbitrate",
		"QuorumResourceLost is called after a successful Arbitrate and before Release (RA 1.9).",
		func(t *trial) {
			heard(t, func(m *pb.QuorumResourceLostRequest, e *event) {
				defended := false
				for _, o := range t.journal.some(func(o *event) bool { return !o.callback && o.begun.Before(e.begun) }) {
					if _, ok := o.req.(named); !ok || t.handleOf(o.req) != m.GetResourceHandle() {
						continue
					}
					switch o.req.(type) {
					case *pb.ArbitrateRequest:
						defended = true
					case *pb.ReleaseRequest:
						defended = o.ended.IsZero() || e.begun.Sub(o.ended) < slack
					}
				}
				if !defended {
					t.blame(e, "QuorumResourceLost of what was not defended")
				}
			})
		}),
	callback("SetResourceLockedModeEx/HasKnownFlags",
		"LockedModeFlags has one bit, 0x1 DONT_REMOVE_FROM_MOVE_QUEUE (RA 1.19).",
		func(t *trial) {
			heard(t, func(m *pb.SetResourceLockedModeExRequest, e *event) {
				if m.GetLockedModeFlags()&^0x1 != 0 {
					t.blame(e, "unknown flags %#x", m.GetLockedModeFlags())
				}
			})
		}),
	callback("SetResourceLockedMode/OfAResourceThatIsOpen",
		"Locked mode is of a resource in its present state: one that is open (RA 1.10).",
		func(t *trial) {
			heard(t, func(m *pb.SetResourceLockedModeRequest, e *event) {
				if !t.knows(m.GetResourceHandle()) {
					t.blame(e, "the handle %q was never given to Open", cut(m.GetResourceHandle(), 100))
				}
			})
		}),
	callback("SetResourceInMemoryNodeLocalProperties/AreBounded",
		"The property list has at most 16 KiB, as JSON (proto; RA 1.11).",
		func(t *trial) {
			heard(t, func(m *pb.SetResourceInMemoryNodeLocalPropertiesRequest, e *event) {
				text, err := m.GetPropertyList().MarshalJSON()
				if err != nil || len(text) > 16<<10 {
					t.blame(e, "a property list of %d bytes of JSON, %v", len(text), err)
				}
			})
		}),
	callback("SetInternalState/HasAKnownState",
		"The state is UNKNOWN, OS_HEARTBEAT or READY (proto; RA 1.12).",
		func(t *trial) {
			heard(t, func(m *pb.SetInternalStateRequest, e *event) {
				t.wantKnown(e, m.GetStateType())
				if m.GetStateType() == 0 {
					t.blame(e, "SetInternalState without a state")
				}
			})
		}),
	callback("RaiseResTypeNotification/OfItsOwnTypeAndBounded",
		"A notification is of a type that the provider serves, and its payload has at most 4 KiB (proto; RA 1.13).",
		func(t *trial) {
			heard(t, func(m *pb.RaiseResTypeNotificationRequest, e *event) {
				t.wantType(e, m.GetResourceType())
				if n := len(m.GetPayload()); n > 4<<10 {
					t.blame(e, "a payload of %d bytes", n)
				}
			})
		}),
	callback("ChangeResourceProcessForDumps/NamesAProcess",
		"A process is named by a name of at most 63 bytes, its id, or both (proto; RA 1.14).",
		func(t *trial) {
			heard(t, func(m *pb.ChangeResourceProcessForDumpsRequest, e *event) {
				if n := len(m.GetProcessName()); n > 63 || n == 0 && m.GetProcessId() == 0 {
					t.blame(e, "a name of %d bytes, and id %d", n, m.GetProcessId())
				}
			})
		}),
	callback("ChangeResTypeProcessForDumps/NamesAProcess",
		"A process of a type that the provider serves is named by a name of at most 63 bytes, its "+
			"id, or both (proto; RA 1.15).",
		func(t *trial) {
			heard(t, func(m *pb.ChangeResTypeProcessForDumpsRequest, e *event) {
				t.wantType(e, m.GetResourceTypeName())
				if n := len(m.GetProcessName()); n > 63 || n == 0 && m.GetProcessId() == 0 {
					t.blame(e, "a name of %d bytes, and id %d", n, m.GetProcessId())
				}
			})
		}),
	callback("EnumResources/LeavesItselfOut",
		"EnumResources names itself by its handle, or by none (RA 1.16).",
		func(t *trial) {
			heard(t, func(m *pb.EnumResourcesRequest, e *event) {
				if m.GetSelfHandle() != "" && !t.knows(m.GetSelfHandle()) {
					t.blame(e, "the handle %q was never given to Open", cut(m.GetSelfHandle(), 100))
				}
			})
		}),
	callback("EnumResources/OfTheNamespaceNamesAType",
		"EnumResources of the namespace is of one type, which it names (proto).",
		func(t *trial) {
			heard(t, func(m *pb.EnumResourcesRequest, e *event) {
				if m.GetScope() == pb.EnumScope_ENUM_SCOPE_NAMESPACE && m.GetResourceType() == "" {
					t.blame(e, "EnumResources of the namespace without a type")
				}
			})
		}),
	callback("RequestDump/OfAResourceThatIsOpen",
		"A dump is requested for a resource that is open (RA 1.19).",
		func(t *trial) {
			heard(t, func(m *pb.RequestDumpRequest, e *event) {
				if !t.knows(m.GetResourceHandle()) {
					t.blame(e, "the handle %q was never given to Open", cut(m.GetResourceHandle(), 100))
				}
			})
		}),
	callback("AreNotAFlood",
		"What is not answered is repeated with a pause, and nothing is reported without end (RA 1.1, RA 2.2).",
		func(t *trial) {
			t.journal.mu.Lock()
			lost := t.journal.lost
			t.journal.mu.Unlock()
			if lost > 0 {
				t.fail("%d calls and callbacks came after the first %d", lost, maxEvents)
			}
		}),
}

// sentence is the message field of an answer or a callback, and whether it is bad.
func sentence(m protoreflect.Message) (string, bool) {
	if !m.IsValid() {
		return "", false
	}
	for _, name := range []protoreflect.Name{"message", "resource_status"} {
		f := m.Descriptor().Fields().ByName(name)
		switch {
		case f == nil:
		case f.Kind() == protoreflect.MessageKind:
			if m.Has(f) {
				return sentence(m.Get(f).Message())
			}
		case f.Kind() == protoreflect.StringKind:
			text := m.Get(f).String()
			return text, len(text) > 1024 || !utf8.ValidString(text)
		}
	}
	return "", false
}

// eachReport judges every status report, of either form.
func eachReport(t *trial, judge func(st report, e *event)) {
	n := 0
	events, _ := t.journal.all()
	for i := range events {
		if st, ok := reportOf(events[i].req); ok && events[i].callback {
			n++
			judge(st, &events[i])
		}
	}
	if n == 0 {
		t.skip("the provider never reported a status")
	}
}

// wantKnown wants a value that the protocol names.
func (t *trial) wantKnown(e *event, value protoreflect.Enum) {
	if value.Descriptor().Values().ByNumber(value.Number()) == nil {
		t.blame(e, "%s: %d is no %s", e.method, value.Number(), value.Descriptor().Name())
	}
}

// wantType wants a type that the provider serves.
func (t *trial) wantType(e *event, name string) {
	for _, typ := range t.types {
		if strings.EqualFold(typ.Name, name) {
			return
		}
	}
	t.blame(e, "%s: the type %q is not one that the provider serves", e.method, cut(name, 100))
}

// wantContext wants a context that a Begin brought which returned asynchronously, or
// had no answer yet.
func (t *trial) wantContext(e *event, id int64, ofType bool) {
	begins := t.journal.some(func(o *event) bool {
		req, ok := o.req.(interface{ GetContext() int64 })
		if o.callback || !ok || req.GetContext() != id || o.begun.After(e.begun) {
			return false
		}
		switch o.req.(type) {
		case *pb.BeginResourceControlRequest, *pb.BeginResourceControlAsUserRequest:
			if ofType {
				return false
			}
		default:
			if !ofType {
				return false
			}
		}
		answer, _ := o.resp.(interface{ GetReturnedAsynchronously() bool })
		return o.err != nil || o.ended.IsZero() || answer != nil && answer.GetReturnedAsynchronously()
	})
	if len(begins) == 0 {
		t.blame(e, "%s: no call with context %d returned asynchronously", e.method, id)
	}
}

// wantFirst wants no end of a call that was ended before, and answered.
func (t *trial) wantFirst(e *event, id int64, done map[int64]bool) {
	if done[id] {
		t.blame(e, "%s: context %d was ended before", e.method, id)
	}
	done[id] = e.err == nil && !e.ended.IsZero()
}

// wantBuffer wants an output of a legal size.
func (t *trial) wantBuffer(e *event, m ended) {
	n := len(m.GetOutBuffer())
	if n > maxBuffer || m.GetStatus() != moreData && int(m.GetBytesReturned()) != n {
		t.blame(e, "%s: a buffer of %d bytes, bytes_returned %d, status %d", e.method, n, m.GetBytesReturned(), m.GetStatus())
	}
}
