// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

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

// The codes do what link.yaml says of them.
func TestControl(t *testing.T) {
	text, err := os.ReadFile("link.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var declared struct {
		Spec struct {
			ControlCodes []struct {
				Name string
				Code uint32
			}
		}
	}
	if err := yaml.Unmarshal(text, &declared); err != nil {
		t.Fatal(err)
	}
	codes := map[string]uint32{}
	for _, c := range declared.Spec.ControlCodes {
		codes[c.Name] = c.Code
	}
	properties, err := structpb.NewStruct(map[string]any{"path": filepath.Join(t.TempDir(), "here"), "target": "/there"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(t.Context(), provider.OpenArgs{Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(name, input, want string, code provider.Code) {
		t.Helper()
		out, work, err := r.(provider.Controller).Control(t.Context(), provider.ControlCall{Code: codes[name], In: []byte(input)})
		if work != nil {
			out, err = work(t.Context())
		}
		var e *provider.Error
		if errors.As(err, &e) != (code != 0) || e != nil && e.Code != code || string(out) != want {
			t.Errorf("%s: %s, %v, want %s and code %d", name, out, err, want, code)
		}
	}
	ask("SHOW", "", `{"exists":false}`, 0)
	ask("POINT", `{"target":"/else"}`, "", provider.ErrorResourceNotOnline)
	ask("NONE", "", "", provider.ErrorInvalidFunction)
	if _, err := r.Online(t.Context(), provider.OnlineArgs{Properties: properties}); err != nil {
		t.Fatal(err)
	}
	ask("POINT", `{"target":"/else"}`, "", 0)
	ask("SHOW", "", `{"exists":true,"target":"/else"}`, 0)
	if err := r.IsAlive(t.Context()); err != nil {
		t.Errorf("what POINT did is a failure: %v", err)
	}
	if err := r.Terminate(t.Context()); err != nil {
		t.Error(err)
	}
	ask("POINT", `{"target":"/else"}`, "", provider.ErrorResourceNotOnline)
	ask("SHOW", "", `{"exists":false}`, 0)
}
