// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the project on real kubelets: the scenes of the demonstration,
// and what must hold whatever happens. It needs root; `make test-e2e` runs it.
//
// A test has a namespace of its own. It waits for conditions, never for time to
// pass, and reads times from where they are true: the status, a client in the
// cluster, the process table of this machine.
package e2e
