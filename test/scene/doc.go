// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scene sets and watches the stage for whoever shows or tests the project
// on real kubelets: hack/demo and test/e2e.
//
// It holds the means (a cluster, the product in it, faults, a client outside the
// group, a view of the machine's processes), and the scenes that demonstration and
// tests have in common. What is only asserted is in test/e2e, what is only told in
// hack/demo.
package scene
