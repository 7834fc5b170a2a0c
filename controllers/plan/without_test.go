// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// Resources are left out of a plan if nothing that stays depends on them; all
// else of the plan stays as it is.
func TestWithout(t *testing.T) {
	// web depends on disk; cache on disk or web.
	full, problems := plan.Build(input(func(in *plan.Input) {
		cache := resource("cache")
		cache.Spec.Dependencies = []understudyv1alpha1.Dependency{{AnyOf: []string{"disk", "web"}}}
		in.Resources = append(in.Resources, cache)
	}))
	NewWithT(t).Expect(problems).To(BeEmpty())
	for name, test := range map[string]struct{ gone, left []string }{
		"nothing":                  {[]string{"uid-other"}, nil},
		"what nothing depends on":  {[]string{"uid-cache"}, []string{"disk", "web"}},
		"what one depends on":      {[]string{"uid-disk"}, nil},
		"one of two to depend on":  {[]string{"uid-web"}, nil},
		"with all that depends":    {[]string{"uid-web", "uid-cache"}, []string{"disk"}},
		"with a part of what does": {[]string{"uid-disk", "uid-web"}, nil},
		"everything":               {[]string{"uid-web", "uid-cache", "uid-disk"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := plan.Encode(full.Plan)
			got, ok := plan.Without(full.Plan, func(uid string) bool { return slices.Contains(test.gone, uid) })
			g.Expect(plan.Encode(full.Plan)).To(Equal(before), "the plan in force is not touched")
			g.Expect(ok).To(Equal(test.left != nil))
			if !ok {
				return
			}
			names := []string{}
			for _, r := range got.Resources {
				names = append(names, r.Name)
			}
			g.Expect(names).To(Equal(test.left))
			types := full.Plan.Types
			if len(names) == 0 {
				types = []planv1.Type{}
			}
			g.Expect(got.Types).To(Equal(types), "those that are still used")
			got.Resources, got.Types = full.Plan.Resources, full.Plan.Types
			g.Expect(got).To(Equal(full.Plan), "the rest is the same")
		})
	}
	g := NewWithT(t)
	g.Expect(plan.Dependents(full.Plan, "uid-disk")).To(Equal([]string{"cache", "web"}))
	g.Expect(plan.Dependents(planv1.Plan{}, "uid-disk")).To(BeEmpty())
}
