// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// set gives a running resource other properties and returns the answer.
func (h *host) set(change map[string]any) uint32 {
	h.t.Helper()
	props := h.props.AsMap()
	maps.Copy(props, change)
	text, err := structOf(h.t, props).MarshalJSON()
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.BeginResourceControl(h.within(10*time.Second), &pb.BeginResourceControlRequest{
		ResourceId: h.id, Context: 1, Input: &pb.ControlInput{ControlCode: 0x01400086, InBuffer: text},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.GetOutput().GetStatus()
}

// How a program is checked and stopped changes while it runs; what it was started with
// does not.
func TestLiveProperties(t *testing.T) {
	dir := t.TempDir()
	polled := map[string]any{"exec": map[string]any{"command": command(t, "exit", "0")}, "timeoutMilliseconds": 10000}
	h := start(t, map[string]any{"command": command(t, "stubborn", "--pid", filepath.Join(dir, "pid")), "looksAlive": polled})
	if resp := h.online(); resp.GetStatus() != 0 {
		t.Fatalf("Online: %v", resp)
	}
	if a := h.isAlive(); !a.GetAlive() {
		t.Fatalf("IsAlive: %v", a)
	}
	bad := map[string]any{"exec": map[string]any{"command": command(t, "exit", "4")}, "timeoutMilliseconds": 10000}
	for what, c := range map[string]struct {
		change map[string]any
		want   uint32
	}{
		"command":           {map[string]any{"command": []any{"other"}}, 5024},
		"working directory": {map[string]any{"workingDirectory": dir}, 5024},
		"environment":       {map[string]any{"environment": []any{map[string]any{"name": "A", "value": "b"}}}, 5024},
		"both":              {map[string]any{"isAlive": bad, "workingDirectory": dir}, 5024},
		"wrong":             {map[string]any{"isAlive": map[string]any{}}, 13},
	} {
		if code := h.set(c.change); code != c.want {
			t.Errorf("%s: %d, want %d", what, code, c.want)
		}
		if a := h.isAlive(); !a.GetAlive() {
			t.Fatalf("%s was taken over: %v", what, a)
		}
	}
	if code := h.set(map[string]any{"isAlive": bad, "looksAlive": bad, "stopGraceMilliseconds": 1}); code != 0 {
		t.Fatalf("checks: %d", code)
	}
	if a := h.isAlive(); a.GetAlive() || !strings.Contains(a.GetMessage(), "code 4") {
		t.Errorf("IsAlive: %v", a)
	}
	a, err := h.LooksAlive(h.within(10*time.Second), &pb.LooksAliveRequest{ResourceId: h.id})
	if err != nil || a.GetAlive() {
		t.Errorf("LooksAlive: %v, %v", a, err)
	}
	if code := h.set(map[string]any{"looksAlive": map[string]any{"process": map[string]any{}}}); code != 0 {
		t.Errorf("no poll: %d", code)
	}
	// With the grace of before, ten seconds, this would not end in time: it ignores TERM.
	before := time.Now()
	h.set(map[string]any{"looksAlive": polled, "stopGraceMilliseconds": 1})
	h.set(map[string]any{"looksAlive": map[string]any{"process": map[string]any{}}, "stopGraceMilliseconds": 1})
	h.mustOffline()
	if took := time.Since(before); took > 9*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

// What Online has not asked to be polled cannot be checked quickly before the next one.
func TestQuickCheckOfWhatIsNotPolled(t *testing.T) {
	h := start(t, map[string]any{"command": command(t, "stubborn")})
	h.mustOnline()
	if code := h.set(map[string]any{"looksAlive": map[string]any{"tcp": map[string]any{"port": 1}}}); code != 5024 {
		t.Errorf("a check that nobody asks for: %d", code)
	}
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
		t.Errorf("Terminate: %v", resp)
	}
}
