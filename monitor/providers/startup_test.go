// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"testing"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// Shows: Startup.
func TestStartupComesOnceBeforeOpen(t *testing.T) {
	for name, c := range map[string]struct {
		answer   *pb.StartupResponse
		startups int
		status   engine.Code
	}{
		"not known":       {nil, 1, 0},
		"version 4":       {&pb.StartupResponse{Version: 0x400}, 1, 0},
		"version 1":       {&pb.StartupResponse{Version: 0x100}, 1, 0},
		"none fits":       {&pb.StartupResponse{Status: 1306}, 3, 1306}, // tried again, as Open is
		"out of range":    {&pb.StartupResponse{Version: 0x500}, 3, 1306},
		"no such type":    {&pb.StartupResponse{Status: 5080}, 3, 5080},
		"no version said": {&pb.StartupResponse{}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := good()
			p.startup = c.answer
			r.listen(p)
			r.client.Expect("n1")
			r.up("n1")
			for range 3 {
				a := r.client.Call(engine.Call{
					Nonce: "n1", Op: engine.OpOpen, TypeName: "Test", Resource: "u", Deadline: in(patience),
				})
				if a.Outcome != engine.Answered || a.Status != c.status || (a.ResourceID == "id") != (c.status == 0) {
					t.Fatalf("%+v", a)
				}
			}
			if p.startups != c.startups {
				t.Errorf("Startup was called %d times, want %d", p.startups, c.startups)
			}
		})
	}
}

// Another process has to be prepared anew.
func TestStartupOfTheNextProcess(t *testing.T) {
	r := newRig(t)
	for _, nonce := range []string{"n1", "n2"} {
		p := good()
		p.startup = &pb.StartupResponse{Version: 0x300}
		die := r.listen(p)
		r.client.Expect(nonce)
		for e := r.event(); e.Up == nil || e.Up.Nonce != nonce; e = r.event() {
			if e.Up != nil {
				t.Fatalf("%+v", e)
			}
		}
		r.client.Call(engine.Call{Nonce: nonce, Op: engine.OpOpen, TypeName: "Test", Deadline: in(patience)})
		if p.startups != 1 {
			t.Errorf("%s: Startup was called %d times", nonce, p.startups)
		}
		die()
	}
}

func (p *provider) ResourceControl(_ context.Context, r *pb.ResourceControlRequest) (*pb.ResourceControlResponse, error) {
	return &pb.ResourceControlResponse{Output: &pb.ControlOutput{OutBuffer: []byte("at once " + r.GetResourceId())}}, nil
}

func (p *provider) ResourceTypeControl(
	_ context.Context, r *pb.ResourceTypeControlRequest,
) (*pb.ResourceTypeControlResponse, error) {
	return &pb.ResourceTypeControlResponse{Output: &pb.ControlOutput{Status: 234, BytesReturned: 7}}, nil
}

// Shows: ResourceControl, ResourceTypeControl.
func TestAProviderOfVersion1AnswersControlsAtOnce(t *testing.T) {
	r := newRig(t)
	p := good()
	p.startup = &pb.StartupResponse{Version: 0x200}
	r.listen(p)
	r.client.Expect("n1")
	r.up("n1")
	call := func(c engine.Call) engine.Returned {
		c.Nonce, c.TypeName, c.Deadline = "n1", "Test", in(patience)
		return r.client.Call(c)
	}
	call(engine.Call{Op: engine.OpOpen})
	args := &engine.ControlArgs{Context: 1, Code: 7}
	a := call(engine.Call{Op: engine.OpBeginResourceControl, ResourceID: "id", Control: args})
	if a.Async || string(a.Output) != "at once id" {
		t.Errorf("%+v", a)
	}
	a = call(engine.Call{Op: engine.OpBeginResourceTypeControl, Control: args})
	if a.Async || a.Status != engine.CodeMoreData || a.BytesReturned != 7 {
		t.Errorf("of the type: %+v", a)
	}
	if a := call(engine.Call{Op: engine.OpBeginResourceControlAsUser, Control: args}); a.Status != engine.CodeNotImplemented {
		t.Errorf("as a user: %+v", a)
	}
}
