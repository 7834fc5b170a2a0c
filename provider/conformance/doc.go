// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance judges a provider, in any language, against the provider
// protocol: it drives one provider process over its socket as a monitor would, serves
// the callbacks that it calls, and says case by case which rules it keeps.
//
// The command is "provider conformance". A test of a provider in Go:
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, conformance.Config{
//			Command: []string{"./provider-link"},
//			Types: []conformance.Type{{
//				Name:       "link",
//				Properties: map[string]any{"path": "$(DIR)/link-$(N)", "target": "/there"},
//				Running:    "test -L $(DIR)/link-$(N)",
//			}},
//		})
//	}
//
// A case judges only what the protocol or RA says; what a provider does not have, or
// what the configuration does not show how to do, is skipped with the reason.
package conformance
