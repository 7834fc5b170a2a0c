// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// Why a provider does not come up is told in the log, as an Event, and beside the
// reason why the host is not ready, until it is up.
func TestWhyAProviderIsMissing(t *testing.T) {
	r := newRig(t, "a")
	a := r.hosts[0]
	a.provider = false
	a.start()
	r.run()
	m := a.mark()
	want := func(reason, message string) {
		t.Helper()
		if h := r.status.Hosts["a"]; h.Reason != reason || h.Message != message {
			t.Fatalf("%+v, want %q %q", h, reason, message)
		}
	}
	a.input(core.Input{ProviderAbsent: &core.ProviderAbsent{Container: "main", Reason: "it speaks another version"}})
	want("ProviderMissing", "container main: it speaks another version")
	told := count(a.since(m), func(e core.Effect) bool {
		return e.Log != nil && e.Log.Event && e.Log.Level == engine.LevelWarning && e.Log.Reason == "ProviderMissing" &&
			e.Log.Text == "container main: it speaks another version"
	})
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	a.provider = true
	a.providerUp()
	r.run()
	want("", "")
}
