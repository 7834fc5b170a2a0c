// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

var openCases = []Case{
	{Name: "Open/NewResourceIsOffline",
		Rule: "Open answers 0, an id, and the state that the resource has: a new one is OFFLINE (proto; RA 2.1).",
		run: func(t *trial) {
			r := t.newResource(nil)
			if resp := r.reopen(0); resp.GetState() != stateOffline {
				t.fail("Open: expected state OFFLINE, got %s", resp.GetState())
			}
			r.mustBeDown("after Open")
		}},
	{Name: "Open/RepeatedAnswersTheSame",
		Rule: "Every call may be repeated with the same arguments: Open answers the same id and state (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			a := r.reopen(0)
			b := r.reopen(0)
			if a.GetResourceId() != b.GetResourceId() || a.GetState() != b.GetState() {
				t.fail("Open: expected {%s} again, got {%s}", brief(a), brief(b))
			}
		}},
	{Name: "Open/RepeatedWhileOnlineSaysWhatIsSo",
		Rule: "Open answers the state that the resource has: ONLINE if it works, OFFLINE only if nothing of it is left (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			switch resp := r.reopen(0); resp.GetState() {
			case stateOnline:
				r.mustBeUp("after Open said ONLINE")
			case stateOffline:
				r.mustBeDown("after Open said OFFLINE")
			default:
				t.fail("Open: expected state ONLINE or OFFLINE, got %s", resp.GetState())
			}
		}},
	{Name: "Open/DifferentResourcesHaveDifferentIds",
		Rule: "The id that Open answers is given back in every later call: it tells resources apart (RA 2.0).",
		run: func(t *trial) {
			if a, b := t.makeOpen(nil), t.makeOpen(nil); a.id == b.id {
				t.fail("Open: expected two ids for two handles, got %q for both", a.id)
			}
		}},
	{Name: "Open/ComparesTypesWithoutCase",
		Rule: "The resource type is chosen by name, without case (RA 2.1).",
		run: func(t *trial) {
			r := t.newResource(nil)
			req := r.request(0)
			req.ResourceType = strings.ToUpper(t.typ.Name)
			resp, err := t.provider.Open(t.ctx, req)
			t.answered("Open", err)
			if resp.GetStatus() != success {
				t.fail("Open of %q: expected status 0, got %d: %s", req.GetResourceType(), resp.GetStatus(), resp.GetMessage())
			}
			r.id = resp.GetResourceId()
		}},
	{Name: "Open/RefusesAnUnknownType",
		Rule: "A provider opens resources of the types that it serves: Open of another one is refused (RA 2.1).",
		run: func(t *trial) {
			r := t.newResource(nil)
			req := r.request(0)
			req.ResourceType = "no-such-type"
			resp, err := t.provider.Open(t.ctx, req)
			t.refused("Open", resp.GetStatus(), err)
		}},
	{Name: "Open/RefusedOpenCanBeMadeGood",
		Rule: "An Open that was refused made nothing: the same handle can be opened as it should be (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			req := r.request(0)
			req.ResourceType = "no-such-type"
			_, _ = t.provider.Open(t.ctx, req)
			r.reopen(0)
			r.online()
			r.mustBeUp("after Open and Online")
		}},
	{Name: "Open/RefusesAnEmptyHandle",
		Rule: "The handle is the resource's UID, with which it calls back: Open without one is refused (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			req := r.request(0)
			req.ResourceHandle = ""
			resp, err := t.provider.Open(t.ctx, req)
			t.refused("Open", resp.GetStatus(), err)
		}},
	{Name: "Open/AcceptsDontDeleteTempDisk",
		Rule: "OpenFlags has 0x2 DONT_DELETE_TEMP_DISK besides RECOVER_MONITOR_STATE (RA 2.4).",
		run:  func(t *trial) { t.newResource(nil).reopen(0x2) }},
	{Name: "Open/AcceptsTheLongestName",
		Rule: "The name is namespace/name, for logs and for people: Kubernetes has up to 63 and 253 characters (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			req := r.request(0)
			req.ResourceName = strings.Repeat("n", 63) + "/" + strings.Repeat("m", 253)
			resp, err := t.provider.Open(t.ctx, req)
			t.answered("Open", err)
			if resp.GetStatus() != success {
				t.fail("Open: expected status 0, got %d: %s", resp.GetStatus(), resp.GetMessage())
			}
			r.id = resp.GetResourceId()
		}},
	{Name: "Open/SameNameAnotherHandleIsAnotherResource",
		Rule: "The handle says which resource it is; the name is for logs and for people (proto).", Needs: []Need{several},
		run: func(t *trial) {
			a := t.makeOnline(nil)
			b := t.newResource(nil)
			req := b.request(0)
			req.ResourceName = a.request(0).GetResourceName()
			resp, err := t.provider.Open(t.ctx, req)
			t.answered("Open", err)
			b.id = resp.GetResourceId()
			if resp.GetState() != stateOffline || b.id == a.id {
				t.fail("Open: expected another id and OFFLINE, got {%s}", brief(resp))
			}
			a.mustBeUp("after Open of another")
		}},
	{Name: "Open/RefusedPropertiesAreRefused",
		Rule: "Properties that cannot work are refused by Open or by Online, with a status (proto).", Needs: []Need{refusing},
		run: func(t *trial) {
			r := t.newResource(t.typ.RefusedProperties)
			resp, err := r.tryOpen(0)
			if err == nil && resp.GetStatus() == success {
				answer, err := r.callOnline()
				t.refused("Open answered 0, then Online", answer.GetStatus(), err)
				return
			}
			t.refused("Open", resp.GetStatus(), err)
		}},
	{Name: "Open/RefusalIsSaidInASentence",
		Rule: "A refusal comes with a sentence for people, of at most 1 024 bytes (proto).", Needs: []Need{refusing},
		run: func(t *trial) {
			r := t.newResource(t.typ.RefusedProperties)
			resp, err := r.tryOpen(0)
			message := resp.GetMessage()
			if err == nil && resp.GetStatus() == success {
				var answer *pb.OnlineResponse
				answer, err = r.callOnline()
				message = answer.GetMessage()
			}
			if err != nil {
				t.skip("it was refused by a gRPC status")
			}
			t.wantMessage("the refusal", message)
		}},
	{Name: "Open/WithoutPropertiesIsAnswered",
		Rule: "Every call gets an answer; properties that are missing do no harm to the provider (RA 2.0).",
		run: func(t *trial) {
			r := t.newResource(nil)
			r.properties = nil
			_, err := r.tryOpen(0)
			if unknownOutcome(err) {
				t.answered("Open without properties", err)
			}
			t.survives()
		}},
	{Name: "Open/StrangePropertiesAreAnswered",
		Rule: "Every call gets an answer; properties of no known kind do no harm to the provider (RA 2.0).",
		run: func(t *trial) {
			for _, v := range []*structpb.Value{
				structpb.NewNullValue(), structpb.NewNumberValue(-1e308), structpb.NewStringValue(strings.Repeat("x", 100_000)),
				structpb.NewListValue(&structpb.ListValue{}), nested(50), {},
			} {
				r := t.newResource(map[string]any{})
				r.properties = &structpb.Struct{Fields: map[string]*structpb.Value{}}
				for name := range t.typ.Properties {
					r.properties.Fields[name] = v
				}
				r.properties.Fields["strange"] = v
				if _, err := r.tryOpen(0); unknownOutcome(err) {
					t.answered("Open with strange properties", err)
				}
			}
			t.survives()
		}},
	{Name: "Open/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			resp, err := t.provider.Open(t.ctx, withUnknown(r.request(0)))
			t.answered("Open", err)
			if resp.GetStatus() != success {
				t.fail("Open: expected status 0, got %d: %s", resp.GetStatus(), resp.GetMessage())
			}
			r.id = resp.GetResourceId()
		}},
	{Name: "Open/TwiceAtOnceMakesOne",
		Rule: "Every call may be repeated: two Opens of a handle at once make one resource (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { _, _ = t.provider.Open(t.ctx, r.request(0)) })
			}
			wg.Wait()
			r.reopen(0)
			a := r.id
			r.reopen(0)
			if a != r.id {
				t.fail("Open: expected one id, got %q and %q", a, r.id)
			}
			r.online()
			r.mustBeUp("after Online")
		}},
	{Name: "Open/AfterTerminateSaysOffline",
		Rule: "Open answers the state that the resource has (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.terminate()
			if resp := r.reopen(0); resp.GetState() != stateOffline {
				t.fail("Open: expected state OFFLINE, got %s", resp.GetState())
			}
		}},
}

// nested is a list in a list in a list.
func nested(depth int) *structpb.Value {
	v := structpb.NewNullValue()
	for range depth {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	return v
}

// wantMessage wants a sentence for people.
func (t *trial) wantMessage(what, message string) {
	if message == "" || len(message) > 1024 {
		t.fail("expected a sentence of 1 to 1024 bytes with %s, got %d bytes", what, len(message))
	}
}
