// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
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
		"no version said": {&pb.StartupResponse{}, 3, 1306},
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
