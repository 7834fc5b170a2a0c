// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/understudy-dev/understudy/controllers/builtin"
	"github.com/understudy-dev/understudy/controllers/plan"
)

func TestTypesAreAccepted(t *testing.T) {
	g := NewWithT(t)
	for _, one := range builtin.Types() {
		_, problems := plan.CheckType(&one)
		g.Expect(problems).To(BeEmpty(), one.Name)
	}
}
