// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// An object covers what is wanted if it has all of it; lists match as a whole.
func TestCovers(t *testing.T) {
	for _, test := range []struct {
		have, want string
		covered    bool
	}{
		{`{a: 1, b: 2}`, `{a: 1}`, true},
		{`{a: 1}`, `{a: 2}`, false},
		{`{a: 1}`, `{b: 1}`, false},
		{`{a: {b: {c: x, d: y}}}`, `{a: {b: {c: x}}}`, true},
		{`{a: [{b: 1, c: 2}]}`, `{a: [{b: 1}]}`, true},
		{`{a: [{b: 1}, {b: 2}]}`, `{a: [{b: 1}]}`, false},
		{`{a: [{b: 1}]}`, `{a: [{b: 1}, {b: 2}]}`, false},
		{`{a: x}`, `{a: {b: 1}}`, false},
		{`{}`, `{}`, true},
	} {
		var have, want any
		g := NewWithT(t)
		g.Expect(yaml.Unmarshal([]byte(test.have), &have)).To(Succeed())
		g.Expect(yaml.Unmarshal([]byte(test.want), &want)).To(Succeed())
		g.Expect(covers(have, want)).To(Equal(test.covered), "%s in %s", test.want, test.have)
	}
}
