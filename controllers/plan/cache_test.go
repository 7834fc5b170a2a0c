// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-dev/understudy/controllers/plan"
)

// A type is compiled once for all plans, until it changes.
func TestTypesAreCompiledOnce(t *testing.T) {
	g := NewWithT(t)
	compiled := 0
	in := input()
	in.Checked = plan.CountingTypes(&compiled)
	volume := in.Types["volume"]
	volume.UID, volume.Generation = "uid-volume", 1
	build := func() {
		t.Helper()
		_, problems := plan.Build(in)
		g.Expect(problems).To(BeEmpty())
	}
	build()
	build()
	g.Expect(compiled).To(Equal(1))
	volume.Generation = 2
	build()
	build()
	g.Expect(compiled).To(Equal(2), "another generation")
	volume.UID = "uid-again"
	build()
	build()
	g.Expect(compiled).To(Equal(3), "another type of the same name")
	in.Checked.Forget("volume")
	g.Expect(in.Checked.Len()).To(BeZero())
	build()
	g.Expect(compiled).To(Equal(4))
}

// What is kept is bounded.
func TestTypesAreBounded(t *testing.T) {
	g := NewWithT(t)
	var checked plan.TypeCache
	for n := range plan.MaxCheckedTypes + 3 {
		one := resourceType(fmt.Sprintf("t%d", n))
		one.UID, one.Spec.PropertiesSchema = types.UID(one.Name), nil
		_, problems := checked.Check(one)
		g.Expect(problems).To(BeEmpty())
	}
	g.Expect(checked.Len()).To(Equal(plan.MaxCheckedTypes))
}
