// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"path/filepath"
	"testing"

	"github.com/understudy-dev/understudy/provider/conformance"
)

// TestConformance: a subtest for each rule of the protocol.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of programs; make test-unit runs it without -short")
	}
	config, err := conformance.Load(filepath.Join("testdata", "conformance.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config.Command = []string{self(t), "serve"}
	conformance.Test(t, config)
}
