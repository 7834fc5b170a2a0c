// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/conformance"
)

// The test binary is also the provider.
func TestMain(m *testing.M) {
	if os.Getenv("LINK") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestConformance: a subtest for each rule of the protocol.
func TestConformance(t *testing.T) {
	config, err := conformance.Load("conformance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config.Command, config.Environment = []string{self}, []string{"LINK=1"}
	conformance.Test(t, config)
}

func TestLink(t *testing.T) {
	properties, err := structpb.NewStruct(map[string]any{"path": filepath.Join(t.TempDir(), "here"), "target": "/there"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(t.Context(), provider.OpenArgs{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	state := func() provider.State {
		s, err := r.(provider.Prober).Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if state() != provider.StateOffline || r.IsAlive(t.Context()) == nil {
		t.Error("there before it was brought online")
	}
	if _, err := r.Online(t.Context(), provider.OnlineArgs{Properties: properties}); err != nil {
		t.Fatal(err)
	}
	if err := r.IsAlive(t.Context()); err != nil || state() != provider.StateOnline {
		t.Errorf("not there: %v", err)
	}
	for range 2 {
		if err := r.Terminate(t.Context()); err != nil || state() != provider.StateOffline {
			t.Errorf("still there: %v", err)
		}
	}
}
