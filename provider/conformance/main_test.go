// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/understudy-dev/understudy/internal/testprovider/wrong"
	"github.com/understudy-dev/understudy/provider/conformance"
)

// The test binary is also the wrong provider, in a process of its own.
func TestMain(m *testing.M) {
	if breaks, ok := os.LookupEnv("WRONG"); ok {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		p := &wrong.Provider{Breaks: strings.FieldsFunc(breaks, func(r rune) bool { return r == ';' })}
		_ = p.Serve(ctx, os.Getenv("UNDERSTUDY_PROVIDER_SOCKET"), os.Getenv("UNDERSTUDY_MONITOR_SOCKET"))
		stop()
		return
	}
	os.Exit(m.Run())
}

// inProcess has the suite start the provider in a process of its own.
func inProcess(t *testing.T, c conformance.Config, breaks ...string) conformance.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Serve, c.Command = nil, []string{self}
	c.Environment = []string{"WRONG=" + strings.Join(breaks, ";"), "GORACE=atexit_sleep_ms=0"}
	return c
}

func text(s string) *string { return &s }

// configOf is all that the suite can know about the wrong provider, which breaks some rules.
func configOf(run []string, breaks ...string) conformance.Config {
	path := "$(DIR)/file-$(N)"
	c := conformance.Config{
		Serve: (&wrong.Provider{Breaks: breaks}).Serve,
		Types: []conformance.Type{{
			Name:              wrong.TypeName,
			Properties:        map[string]any{"path": path},
			OtherProperties:   map[string]any{"path": path, "other": true},
			PendingProperties: map[string]any{"path": path, "steps": 5},
			FailingProperties: map[string]any{"path": path, "fail": true},
			RefusedProperties: map[string]any{"path": path, "refuse": true},
			Running:           "test -e " + path,
			Fail:              "rm " + path,
			Controls: []conformance.Control{
				{Code: wrong.Echo, Input: "now", Output: text("now")}, {Code: wrong.EchoLater, Input: "later", Output: text("later")},
			},
			TypeControls: []conformance.Control{
				{Code: wrong.TypeEcho, Input: "now", Output: text("now")},
				{Code: wrong.TypeEchoLater, Input: "later", Output: text("later")},
			},
		}},
		Limits: conformance.Limits{CallMilliseconds: 5000, PendingMilliseconds: 800, QuietMilliseconds: 50},
	}
	if run != nil {
		var parts []string
		for _, name := range run {
			parts = append(parts, "^"+regexp.QuoteMeta(name)+"$")
		}
		c.Run = regexp.MustCompile(strings.Join(parts, "|"))
	}
	return c
}

// failures are the names of the cases that failed.
func failures(t *testing.T, c conformance.Config) []string {
	t.Helper()
	report, err := conformance.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range report.Results {
		if r.Outcome == conformance.Failed {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestRight: a provider that breaks nothing and serves everything passes.
func TestRight(t *testing.T) {
	t.Parallel()
	c := configOf(nil)
	c.Limits.PendingMilliseconds = 20_000
	report, err := conformance.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		switch r.Outcome {
		case conformance.Failed:
			t.Errorf("%s\n%s", r.Name, r.Details())
		case conformance.Skipped:
			t.Logf("skipped %s: %s", r.Name, r.Reason)
		case conformance.Passed:
		}
	}
	t.Log(report.Summary())
}
