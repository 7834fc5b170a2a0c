// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

var _ = everySame("Callback/EnumResources", Event{Callback: &Callback{ID: 1, Container: "c", EnumResources: &EnumResources{}}},
	"Reply(0,0)")

// Shows: ResourceCallback.
func TestEnumResourcesFiltersAndLeavesOutSelf(t *testing.T) {
	b := res("b")
	b.TypeName = "Other"
	g := ready(t, res("a"), b)
	ask := func(e EnumResources) (names []string) {
		answer := g.cb(Callback{Container: "c", EnumResources: &e})
		g.want(answer.Code == CodeSuccess, "answered %d", answer.Code)
		for _, r := range answer.Resources {
			names = append(names, r.Name)
		}
		return names
	}
	g.want(len(ask(EnumResources{})) == 2, "not all of the group")
	g.want(len(ask(EnumResources{Self: "a"})) == 1, "itself is in it")
	g.want(len(ask(EnumResources{TypeName: "oTHER"})) == 1, "the filter does not count")
	g.want(len(ask(EnumResources{TypeName: "none"})) == 0, "the filter does not count")
	answer := g.cb(Callback{Container: "elsewhere", EnumResources: &EnumResources{Self: "a"}})
	g.want(answer.Code == CodeInvalidHandle, "another container may say whose it is: %d", answer.Code)
}
