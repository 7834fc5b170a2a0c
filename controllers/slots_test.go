// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
)

func TestSlots(t *testing.T) {
	g := NewWithT(t)
	var woken []string
	s := newSlots(2, func(key types.NamespacedName) { woken = append(woken, key.Name) })
	take := func(name string) string {
		switch has, begun := s.take(types.NamespacedName{Name: name}, len(name)); {
		case begun:
			return "begun"
		case has:
			return "has"
		}
		return "waits"
	}
	give := func(name string) bool { return s.give(types.NamespacedName{Name: name}) }

	g.Expect(take("a")).To(Equal("begun"))
	g.Expect(take("b")).To(Equal("begun"))
	g.Expect(take("a")).To(Equal("has"), "a slot is taken once")
	s.take(types.NamespacedName{Name: "a"}, 7)
	g.Expect(s.before(types.NamespacedName{Name: "a"})).To(Equal(7), "what came up meanwhile must stay up")
	g.Expect(take("c")).To(Equal("waits"))
	g.Expect(take("d")).To(Equal("waits"))
	g.Expect(take("e")).To(Equal("waits"))
	g.Expect(take("c")).To(Equal("waits"), "and keeps its place")
	g.Expect(give("d")).To(BeFalse(), "it needs none any more")
	g.Expect(give("b")).To(BeTrue())
	g.Expect(give("b")).To(BeFalse())
	g.Expect(woken).To(Equal([]string{"c"}), "who waited longest, once")
	g.Expect(take("c")).To(Equal("begun"))
	g.Expect(give("a")).To(BeTrue())
	g.Expect(woken).To(Equal([]string{"c", "e"}))
	g.Expect(give("c")).To(BeTrue())
	g.Expect(woken).To(HaveLen(2), "nobody is left")
}
