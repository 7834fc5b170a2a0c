// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	// unknownCode is user-defined, RA 6.2, with a function that nobody has.
	unknownCode uint32 = 0x01BFFFFD
	// setPrivateProperties is SET_PRIVATE_PROPERTIES, RA 6.4.
	setPrivateProperties uint32 = 0x01400086
	maxBuffer                   = 64 << 10
)

// contexts are never given twice in a run.
var contexts atomic.Int64

// begun is a control call that was begun, of whatever form.
type begun struct {
	context int64
	output  *pb.ControlOutput
	later   bool
	err     error
}

// beginner begins a control call: each form of it.
type beginner func(t *trial, r *resource, input *pb.ControlInput, id int64) begun

var user = &pb.UserIdentity{Username: "jane", Uid: "42", Groups: []string{"system:authenticated"}}

func beginResource(t *trial, r *resource, input *pb.ControlInput, id int64) begun {
	resp, err := t.provider.BeginResourceControl(t.ctx, &pb.BeginResourceControlRequest{
		ResourceId: r.id, Input: input, Context: id,
	})
	return begun{id, resp.GetOutput(), resp.GetReturnedAsynchronously(), err}
}

func beginType(t *trial, _ *resource, input *pb.ControlInput, id int64) begun {
	resp, err := t.provider.BeginResourceTypeControl(t.ctx, &pb.BeginResourceTypeControlRequest{
		ResourceTypeName: t.typ.Name, Input: input, Context: id,
	})
	return begun{id, resp.GetOutput(), resp.GetReturnedAsynchronously(), err}
}

func beginResourceAsUser(t *trial, r *resource, input *pb.ControlInput, id int64) begun {
	resp, err := t.provider.BeginResourceControlAsUser(t.ctx, &pb.BeginResourceControlAsUserRequest{
		ResourceId: r.id, User: user, Input: input, Context: id,
	})
	return begun{id, resp.GetOutput(), resp.GetReturnedAsynchronously(), err}
}

func beginTypeAsUser(t *trial, _ *resource, input *pb.ControlInput, id int64) begun {
	resp, err := t.provider.BeginResourceTypeControlAsUser(t.ctx, &pb.BeginResourceTypeControlAsUserRequest{
		ResourceTypeName: t.typ.Name, User: user, Input: input, Context: id,
	})
	return begun{id, resp.GetOutput(), resp.GetReturnedAsynchronously(), err}
}

// ends are the ends of a control call so far.
func (t *trial) ends(id int64) []proto.Message {
	var out []proto.Message
	for _, e := range t.journal.some(func(e *event) bool { return e.callback }) {
		switch r := e.req.(type) {
		case *pb.EndControlCallRequest:
			if r.GetContext() == id {
				out = append(out, r)
			}
		case *pb.EndTypeControlCallRequest:
			if r.GetContext() == id {
				out = append(out, r)
			}
		}
	}
	return out
}

// ended is what both ends of control calls say.
type ended interface {
	proto.Message
	GetStatus() uint32
	GetOutBuffer() []byte
	GetBytesReturned() uint32
}

// finish is what a control call ended in, at once or later.
func (t *trial) finish(b begun) ended {
	t.answered("the control call", b.err)
	if !b.later {
		if b.output == nil {
			t.fail("the control call: expected an output, got none")
		}
		return b.output
	}
	if s := b.output.GetStatus(); s != success && s != ioPending {
		t.fail("a control call that returned asynchronously: expected status 0 or 997, got %d", s)
	}
	t.await("the end of a control call", func([]event) bool { return len(t.ends(b.context)) > 0 })
	e, _ := t.ends(b.context)[0].(ended)
	return e
}

func (c Control) input(size uint32) *pb.ControlInput {
	return &pb.ControlInput{ControlCode: c.Code, InBuffer: []byte(c.Input), OutBufferSize: size}
}

// wantOutput wants the answer that the configuration says.
func (t *trial) wantOutput(c Control, out ended) {
	switch {
	case out.GetStatus() != success:
		t.fail("code %#x: expected status 0, got %d", c.Code, out.GetStatus())
	case int(out.GetBytesReturned()) != len(out.GetOutBuffer()):
		t.fail("code %#x: expected bytes_returned %d, the size of the buffer, got %d", c.Code, len(out.GetOutBuffer()),
			out.GetBytesReturned())
	case c.Output != nil && string(out.GetOutBuffer()) != *c.Output:
		t.fail("code %#x: expected the output %q, got %q", c.Code, cut(*c.Output, 100), cut(string(out.GetOutBuffer()), 100))
	}
}

// notServed wants a code that nobody has to be refused.
func (t *trial) notServed(b begun) {
	switch {
	case unimplemented(b.err):
	case b.err != nil:
		t.answered("the control call", b.err)
	case b.later:
		if s := t.finish(b).GetStatus(); s != invalidFunction {
			t.fail("an unknown code: expected status 1 or UNIMPLEMENTED, got %d", s)
		}
	case b.output.GetStatus() != invalidFunction:
		t.fail("an unknown code: expected status 1 or UNIMPLEMENTED, got %d", b.output.GetStatus())
	}
}

// each makes the resource that a form of control call needs, and goes through its codes.
func (t *trial) each(codes []Control, f func(r *resource, c Control)) {
	r := t.makeOnline(nil)
	for _, c := range codes {
		f(r, c)
	}
	r.mustBeUp("after control calls")
}

// controlSuite are the rules that all forms of control calls share.
func controlSuite(topic string, begin beginner, codes func(*Type) []Control, can, have Need) []Case {
	return []Case{
		{Name: topic + "/UnknownCodeIsNotServed", Needs: []Need{can},
			Rule: "A code that the provider does not serve answers 1, or UNIMPLEMENTED (proto; RA 2.1).",
			run: func(t *trial) {
				r := t.makeOnline(nil)
				t.notServed(begin(t, r, &pb.ControlInput{ControlCode: unknownCode, OutBufferSize: 100}, contexts.Add(1)))
				r.mustBeUp("after a control call")
			}},
		{Name: topic + "/WithoutInputIsAnswered", Needs: []Need{can},
			Rule: "Every call gets an answer; one without code and buffers does no harm (RA 2.0).",
			run: func(t *trial) {
				r := t.makeOnline(nil)
				if b := begin(t, r, nil, contexts.Add(1)); unknownOutcome(b.err) {
					t.answered("a control call without input", b.err)
				}
				r.mustBeUp("after a control call")
			}},
		{Name: topic + "/OversizedInputIsAnswered", Needs: []Need{can},
			Rule: "InBuffer has at most 64 KiB; more is answered somehow, and does no harm (proto).",
			run: func(t *trial) {
				r := t.makeOnline(nil)
				in := &pb.ControlInput{ControlCode: unknownCode, InBuffer: make([]byte, maxBuffer+1), OutBufferSize: 100}
				if b := begin(t, r, in, contexts.Add(1)); unknownOutcome(b.err) {
					t.answered("a control call with 64 KiB and a byte", b.err)
				}
				r.mustBeUp("after a control call")
			}},
		{Name: topic + "/AnswersWithItsOutput", Needs: []Need{can, have},
			Rule: "A code answers at once, or later by its end, with status, output and its size (RA 2.1, RA 1.5).",
			run: func(t *trial) {
				t.each(codes(t.typ), func(r *resource, c Control) {
					t.wantOutput(c, t.finish(begin(t, r, c.input(maxBuffer), contexts.Add(1))))
				})
			}},
		{Name: topic + "/EndsExactlyOnce", Needs: []Need{can, have},
			Rule: "A call that returned asynchronously is ended exactly once; one that did not, never (RA 1.5).",
			run: func(t *trial) {
				var all []begun
				t.each(codes(t.typ), func(r *resource, c Control) {
					b := begin(t, r, c.input(maxBuffer), contexts.Add(1))
					t.finish(b)
					all = append(all, b)
				})
				t.later(func() {
					for _, b := range all {
						want := 0
						if b.later {
							want = 1
						}
						if n := len(t.ends(b.context)); n != want {
							t.fail("context %d: expected %d ends, got %d", b.context, want, n)
						}
					}
				})
			}},
		{Name: topic + "/GivesTheContextBack", Needs: []Need{can, have},
			Rule: "The context is any signed 64-bit number, given back by the end as it was (RA 1.5).",
			run: func(t *trial) {
				t.each(codes(t.typ), func(r *resource, c Control) {
					for _, id := range []int64{math.MaxInt64 - contexts.Add(1), math.MinInt64 + contexts.Add(1), -contexts.Add(1)} {
						t.wantOutput(c, t.finish(begin(t, r, c.input(maxBuffer), id)))
					}
				})
			}},
		{Name: topic + "/RespectsTheSizeOfTheOutput", Needs: []Need{can, have},
			Rule: "OutBuffer has at most out_buffer_size bytes; if that is too little, 234 and " +
				"bytes_returned say how many it takes (RA 2.1).",
			run: func(t *trial) {
				judged := false
				t.each(codes(t.typ), func(r *resource, c Control) {
					whole := t.finish(begin(t, r, c.input(maxBuffer), contexts.Add(1)))
					n := len(whole.GetOutBuffer())
					if n == 0 {
						return
					}
					judged = true
					small := t.finish(begin(t, r, c.input(uint32(n)-1), contexts.Add(1)))
					if small.GetStatus() != moreData || int(small.GetBytesReturned()) < n || len(small.GetOutBuffer()) >= n {
						t.fail("code %#x with room for %d of %d bytes: expected status 234, bytes_returned %d and no more output "+
							"than there is room for, got {%s}", c.Code, n-1, n, n, brief(small))
					}
					t.wantOutput(c, t.finish(begin(t, r, c.input(uint32(n)), contexts.Add(1))))
				})
				if !judged {
					t.skip("no configured code has an output")
				}
			}},
		{Name: topic + "/RepeatedWhileOpenEndsOnce", Needs: []Need{can, have},
			Rule: "A repeated Begin continues where it was: the call is ended exactly once (proto; RA 1.5).",
			run:  func(t *trial) { t.repeatWhileOpen(begin, codes(t.typ)) }},
		{Name: topic + "/ManyAtOnce", Needs: []Need{can, have},
			Rule: "Each control call has its context: many at once each get their own answer (RA 1.5).",
			run: func(t *trial) {
				t.each(codes(t.typ), func(r *resource, c Control) {
					all := make([]begun, 0, 16)
					for range 16 {
						all = append(all, begin(t, r, c.input(maxBuffer), contexts.Add(1)))
					}
					for _, b := range all {
						t.wantOutput(c, t.finish(b))
					}
				})
			}},
		{Name: topic + "/EndSurvivesTheMonitor", Needs: []Need{can, have},
			Rule: "An end that got no answer is sent again until a monitor answers (proto: CANCELLED, " +
				"DEADLINE_EXCEEDED and UNAVAILABLE leave the outcome unknown).",
			run: func(t *trial) {
				r := t.makeOnline(nil)
				var all []begun
				t.without(func() {
					for _, c := range codes(t.typ) {
						all = append(all, begin(t, r, c.input(maxBuffer), contexts.Add(1)))
					}
					time.Sleep(slack) // the ends fall into the absence
				})
				for i, b := range all {
					t.wantOutput(codes(t.typ)[i], t.finish(b))
				}
			}},
	}
}

// repeatWhileOpen begins a call again while its end waits for its answer.
func (t *trial) repeatWhileOpen(begin beginner, codes []Control) {
	judged := false
	t.each(codes, func(r *resource, c Control) {
		release := make(chan struct{})
		t.monitor.script(func(ctx context.Context, m proto.Message) (proto.Message, error) {
			switch m.(type) {
			case *pb.EndControlCallRequest, *pb.EndTypeControlCallRequest:
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return nil, nil
		})
		id := contexts.Add(1)
		b := begin(t, r, c.input(maxBuffer), id)
		if !b.later {
			close(release)
			t.monitor.script(nil)
			return
		}
		judged = true
		t.await("the end of a control call", func([]event) bool { return len(t.ends(id)) > 0 })
		begin(t, r, c.input(maxBuffer), id)
		begin(t, r, c.input(maxBuffer), id)
		close(release)
		t.monitor.script(nil)
		t.later(func() {
			if n := len(t.ends(id)); n != 1 {
				t.fail("context %d, begun three times: expected one end, got %d", id, n)
			}
		})
	})
	if !judged {
		t.skip("no configured code returns asynchronously")
	}
}

func resourceCodes(t *Type) []Control { return t.Controls }
func typeCodes(t *Type) []Control     { return t.TypeControls }

var controlCases = append(controlSuite("Control", beginResource, resourceCodes, controls, code),
	Case{Name: "Control/OfAnUnknownResourceIsRefused", Needs: []Need{controls},
		Rule: "BeginResourceControl of an id that Open never answered is refused, by 5007 or another error (RA 2.1).",
		run: func(t *trial) {
			codes := append([]Control{{Code: unknownCode}}, t.typ.Controls...)
			for _, c := range codes {
				resp, err := t.provider.BeginResourceControl(t.ctx, &pb.BeginResourceControlRequest{
					ResourceId: "no-such-resource", Context: contexts.Add(1), Input: c.input(100),
				})
				t.refused("BeginResourceControl", resp.GetOutput().GetStatus(), err)
			}
		}},
	Case{Name: "Control/OfWhatIsOfflineIsAnswered", Needs: []Need{controls, code},
		Rule: "Control calls come at any time after Open, also while the resource is offline (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			for _, c := range t.typ.Controls {
				t.finish(beginResource(t, r, c.input(maxBuffer), contexts.Add(1)))
			}
			r.online()
			r.mustBeUp("after control calls and Online")
		}},
	Case{Name: "Control/ContextsOfTwoResourcesDoNotMix", Needs: []Need{controls, code, several},
		Rule: "A context denotes one call of one resource (RA 1.5).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOnline(nil)
			for _, c := range t.typ.Controls {
				one := beginResource(t, a, c.input(maxBuffer), contexts.Add(1))
				two := beginResource(t, b, c.input(maxBuffer), contexts.Add(1))
				t.wantOutput(c, t.finish(two))
				t.wantOutput(c, t.finish(one))
			}
		}},
	Case{Name: "Control/TerminateMeanwhile", Needs: []Need{controls, code},
		Rule: "Terminate may overlap control calls; each call that was begun is still ended once (RA 2.0, RA 1.5).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			all := make([]begun, 0, len(t.typ.Controls))
			for _, c := range t.typ.Controls {
				all = append(all, beginResource(t, r, c.input(maxBuffer), contexts.Add(1)))
			}
			r.terminate()
			for _, b := range all {
				t.finish(b)
			}
			r.mustBeDown("after Terminate")
		}},
	Case{Name: "Control/NewPropertiesAreAnswered", Needs: []Need{controls},
		Rule: "SET_PRIVATE_PROPERTIES answers 0, 5024 or 1, or an error, and the resource goes on working (RA 6.4).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			text, err := r.properties.MarshalJSON()
			if err != nil {
				t.skip("%v", err)
			}
			in := &pb.ControlInput{ControlCode: setPrivateProperties, InBuffer: text}
			for range 2 {
				b := beginResource(t, r, in, contexts.Add(1))
				if unknownOutcome(b.err) {
					t.answered("SET_PRIVATE_PROPERTIES", b.err)
				}
			}
			r.mustBeUp("after SET_PRIVATE_PROPERTIES with the properties that it has")
		}},
	Case{Name: "Control/BadPropertiesAreRefused", Needs: []Need{controls},
		Rule: "SET_PRIVATE_PROPERTIES takes nothing over of what it cannot read, and does not answer 0 (RA 6.4).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for _, text := range []string{"", "{", "[]", "\x00\xff", strings.Repeat("[", 10_000)} {
				in := &pb.ControlInput{ControlCode: setPrivateProperties, InBuffer: []byte(text)}
				b := beginResource(t, r, in, contexts.Add(1))
				if b.later {
					t.refused("SET_PRIVATE_PROPERTIES", t.finish(b).GetStatus(), nil)
					continue
				}
				t.refused("SET_PRIVATE_PROPERTIES", b.output.GetStatus(), b.err)
			}
			r.mustBeUp("after SET_PRIVATE_PROPERTIES with what are none")
		}},
	Case{Name: "Control/OldFormIsAnsweredOrUnimplemented",
		Rule: "ResourceControl, the form of older versions, answers in the same call, or UNIMPLEMENTED (proto; RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			resp, err := t.provider.ResourceControl(t.ctx, &pb.ResourceControlRequest{
				ResourceId: r.id, Input: &pb.ControlInput{ControlCode: unknownCode, OutBufferSize: 100},
			})
			t.notServed(begun{0, resp.GetOutput(), false, err})
			r.mustBeUp("after ResourceControl")
		}},
	Case{Name: "Control/OldFormAnswersInTheSameCall", Needs: []Need{code},
		Rule: "ResourceControl answers in the same call: 1, or status and output (RA 2.1).",
		run: func(t *trial) {
			t.each(t.typ.Controls, func(r *resource, c Control) {
				resp, err := t.provider.ResourceControl(t.ctx, &pb.ResourceControlRequest{
					ResourceId: r.id, Input: c.input(maxBuffer),
				})
				if unimplemented(err) {
					t.skip("the provider does not serve ResourceControl")
				}
				if resp.GetOutput().GetStatus() == invalidFunction {
					return // a code of the newer form alone
				}
				t.wantOutput(c, t.finish(begun{0, resp.GetOutput(), false, err}))
			})
		}},
)

var typeControlCases = append(controlSuite("TypeControl", beginType, typeCodes, typeControls, typeCode),
	Case{Name: "TypeControl/OfAnUnknownTypeIsRefused", Needs: []Need{typeControls},
		Rule: "A control call of a type that the provider does not serve is refused (RA 2.1).",
		run: func(t *trial) {
			for _, c := range append([]Control{{Code: unknownCode}}, t.typ.TypeControls...) {
				resp, err := t.provider.BeginResourceTypeControl(t.ctx, &pb.BeginResourceTypeControlRequest{
					ResourceTypeName: "no-such-type", Context: contexts.Add(1), Input: c.input(100),
				})
				t.refused("BeginResourceTypeControl", resp.GetOutput().GetStatus(), err)
			}
		}},
	Case{Name: "TypeControl/EndsByEndTypeControlCall", Needs: []Need{typeControls, typeCode},
		Rule: "A type's control call is ended by EndTypeControlCall, a resource's by EndControlCall (RA 1.6).",
		run: func(t *trial) {
			judged := false
			for _, c := range t.typ.TypeControls {
				b := beginType(t, nil, c.input(maxBuffer), contexts.Add(1))
				t.finish(b)
				for _, m := range t.ends(b.context) {
					judged = true
					if _, ok := m.(*pb.EndTypeControlCallRequest); !ok {
						t.fail("context %d of a type's call: expected EndTypeControlCall, got EndControlCall", b.context)
					}
				}
			}
			if !judged {
				t.skip("no configured code returns asynchronously")
			}
		}},
	Case{Name: "TypeControl/NeedsNoResource", Needs: []Need{typeControls, typeCode},
		Rule: "A type's control call is about no instance, and needs none (RA 2.1).",
		run: func(t *trial) {
			for _, c := range t.typ.TypeControls {
				t.wantOutput(c, t.finish(beginType(t, nil, c.input(maxBuffer), contexts.Add(1))))
			}
		}},
	Case{Name: "TypeControl/OldFormIsAnsweredOrUnimplemented",
		Rule: "ResourceTypeControl, the form of older versions, answers in the same call, or " +
			"UNIMPLEMENTED (proto; RA 2.0).",
		run: func(t *trial) {
			resp, err := t.provider.ResourceTypeControl(t.ctx, &pb.ResourceTypeControlRequest{
				ResourceTypeName: t.typ.Name, Input: &pb.ControlInput{ControlCode: unknownCode, OutBufferSize: 100},
			})
			t.notServed(begun{0, resp.GetOutput(), false, err})
		}},
)

var userCases = []Case{
	{Name: "AsUser/UnknownCodeIsNotServed", Needs: []Need{asUser},
		Rule: "The forms as a user answer as the others: 1 or UNIMPLEMENTED for a code that is not served (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			in := &pb.ControlInput{ControlCode: unknownCode, OutBufferSize: 100}
			t.notServed(beginResourceAsUser(t, r, in, contexts.Add(1)))
			t.notServed(beginTypeAsUser(t, r, in, contexts.Add(1)))
		}},
	{Name: "AsUser/AnswersWithItsOutput", Needs: []Need{asUser, code},
		Rule: "BeginResourceControlAsUser does as BeginResourceControl under the caller's identity (RA 2.1).",
		run: func(t *trial) {
			t.each(t.typ.Controls, func(r *resource, c Control) {
				b := beginResourceAsUser(t, r, c.input(maxBuffer), contexts.Add(1))
				if unimplemented(b.err) {
					t.fail("code %#x: the provider says CAPABILITY_AS_USER, but answers UNIMPLEMENTED", c.Code)
				}
				t.finish(b)
			})
		}},
	{Name: "AsUser/EndsExactlyOnce", Needs: []Need{asUser, code},
		Rule: "A call that returned asynchronously is ended exactly once (RA 1.5).",
		run: func(t *trial) {
			t.each(t.typ.Controls, func(r *resource, c Control) {
				b := beginResourceAsUser(t, r, c.input(maxBuffer), contexts.Add(1))
				t.finish(b)
				if b.later {
					t.later(func() {
						if n := len(t.ends(b.context)); n != 1 {
							t.fail("context %d: expected one end, got %d", b.context, n)
						}
					})
				}
			})
		}},
	{Name: "AsUser/OfAnUnknownResourceIsRefused", Needs: []Need{asUser},
		Rule: "A control call of an id that Open never answered is refused (RA 2.1).",
		run: func(t *trial) {
			r := &resource{t: t, id: "no-such-resource"}
			for _, c := range append([]Control{{Code: unknownCode}}, t.typ.Controls...) {
				b := beginResourceAsUser(t, r, c.input(100), contexts.Add(1))
				t.refused("BeginResourceControlAsUser", b.output.GetStatus(), b.err)
			}
		}},
	{Name: "AsUser/TypeCodeAnswers", Needs: []Need{asUser, typeCode},
		Rule: "BeginResourceTypeControlAsUser does as BeginResourceTypeControl under the caller's identity (RA 2.1).",
		run: func(t *trial) {
			for _, c := range t.typ.TypeControls {
				b := beginTypeAsUser(t, nil, c.input(maxBuffer), contexts.Add(1))
				if unimplemented(b.err) {
					t.fail("code %#x: the provider says CAPABILITY_AS_USER, but answers UNIMPLEMENTED", c.Code)
				}
				t.finish(b)
			}
		}},
	{Name: "AsUser/WithoutAUserIsAnswered", Needs: []Need{asUser},
		Rule: "Every call gets an answer; one that names no user does no harm (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, err := t.provider.BeginResourceControlAsUser(t.ctx, &pb.BeginResourceControlAsUserRequest{
				ResourceId: r.id, Context: contexts.Add(1), Input: &pb.ControlInput{ControlCode: unknownCode},
			})
			if unknownOutcome(err) {
				t.answered("BeginResourceControlAsUser without a user", err)
			}
			r.mustBeUp("after a control call")
		}},
}

var cancelCases = []Case{
	{Name: "Cancel/OfNothingIsAnswered", Needs: []Need{cancels},
		Rule: "Cancel answers 0 or why nothing was cancelled, and leaves what is online alone (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, err := t.provider.Cancel(t.ctx, &pb.CancelRequest{ResourceId: r.id})
			t.answered("Cancel", err)
			r.mustBeUp("after Cancel with nothing pending")
		}},
	{Name: "Cancel/MayBeRepeated", Needs: []Need{cancels},
		Rule: "Every call may be repeated with the same arguments (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			for range 3 {
				_, err := t.provider.Cancel(t.ctx, &pb.CancelRequest{ResourceId: r.id})
				t.answered("Cancel", err)
			}
			r.online()
			r.mustBeUp("after Cancel and Online")
		}},
	{Name: "Cancel/OfAnUnknownResourceIsRefused", Needs: []Need{cancels},
		Rule: "0 means cancelled: of an id that Open never answered nothing can be (RA 2.1).",
		run: func(t *trial) {
			resp, err := t.provider.Cancel(t.ctx, &pb.CancelRequest{ResourceId: "no-such-resource"})
			t.refused("Cancel", resp.GetStatus(), err)
		}},
	{Name: "Cancel/OfAPendingOnline", Needs: []Need{cancels, pending},
		Rule: "Cancel cancels a pending operation: if it answers 0, the resource does not come online (RA 2.1).",
		run: func(t *trial) {
			r := t.makePending()
			resp, err := t.provider.Cancel(t.ctx, &pb.CancelRequest{ResourceId: r.id})
			t.answered("Cancel", err)
			if resp.GetStatus() != success {
				t.skip("Cancel answered %d: not cancelled", resp.GetStatus())
			}
			at := time.Now()
			r.wild = true
			r.forgetAtEnd()
			process := t.process
			t.later(func() {
				all, when := r.reports()
				for i, st := range all {
					if st.state == stateOnline && when[i].Sub(at) > slack {
						t.fail("Cancel answered 0, but the resource reported ONLINE afterwards")
					}
				}
				if t.process != process {
					return // another case has ended it since, with all that it had
				}
				r.terminate()
				r.close()
			})
		}},
}

func (t *trial) arbitrate(r *resource) uint32 {
	resp, err := t.provider.Arbitrate(t.ctx, &pb.ArbitrateRequest{ResourceId: r.id, Epoch: r.epoch})
	t.answered("Arbitrate", err)
	return resp.GetStatus()
}

func (t *trial) mustArbitrate(r *resource) {
	if s := t.arbitrate(r); s != success {
		t.fail("Arbitrate: expected status 0, with nobody else there, got %d", s)
	}
}

func (t *trial) release(r *resource) {
	resp, err := t.provider.Release(t.ctx, &pb.ReleaseRequest{ResourceId: r.id})
	t.answered("Release", err)
	if resp.GetStatus() != success {
		t.fail("Release: expected status 0, got %d", resp.GetStatus())
	}
}

var quorumCases = []Case{
	{Name: "Quorum/ArbitrateWinsAlone", Needs: []Need{quorum},
		Rule: "Arbitrate answers 0 if it won, and defends what it won until Release (RA 2.1, RA 8).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			t.mustArbitrate(r)
			t.release(r)
		}},
	{Name: "Quorum/ArbitrateMayBeRepeated", Needs: []Need{quorum},
		Rule: "Every call may be repeated: who has won has won (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			t.mustArbitrate(r)
			t.mustArbitrate(r)
			t.release(r)
		}},
	{Name: "Quorum/ReleaseMayBeRepeated", Needs: []Need{quorum},
		Rule: "Every call may be repeated: 0 means no longer defended (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			t.mustArbitrate(r)
			t.release(r)
			t.release(r)
		}},
	{Name: "Quorum/ArbitrateAgainAfterRelease", Needs: []Need{quorum},
		Rule: "What was released can be won again, also under a larger epoch (RA 8).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			for range 3 {
				t.mustArbitrate(r)
				t.release(r)
				r.epoch++
			}
		}},
	{Name: "Quorum/OnlineWhileDefended", Needs: []Need{quorum},
		Rule: "The order is Arbitrate, Online, Offline, Release (RA 2.0, RA 8).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			t.mustArbitrate(r)
			r.online()
			r.mustBeUp("while it is defended")
			r.offline()
			t.release(r)
			r.mustBeDown("after Release")
		}},
	{Name: "Quorum/OfAnUnknownResourceIsRefused", Needs: []Need{quorum},
		Rule: "Arbitrate comes after Open: an id that Open never answered wins nothing (RA 2.0).",
		run: func(t *trial) {
			resp, err := t.provider.Arbitrate(t.ctx, &pb.ArbitrateRequest{ResourceId: "no-such-resource", Epoch: 1})
			t.refused("Arbitrate", resp.GetStatus(), err)
		}},
	{Name: "Quorum/TerminateAndCloseWhileDefended", Needs: []Need{quorum},
		Rule: "Terminate and Close may come in any state, and leave nothing (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			t.mustArbitrate(r)
			r.online()
			r.terminate()
			r.mustBeDown("after Terminate")
			r.close()
		}},
}
