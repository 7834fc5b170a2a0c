// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// slots limit how many groups are rolled out at once. Nothing of them is stored: a
// manager that starts finds again, in any order, who needs one.
type slots struct {
	// wake is called for a group that may try again; it must not block.
	wake func(types.NamespacedName)

	mu   sync.Mutex
	most int
	// held has how many hosts of a group were ready when it took its slot.
	held    map[types.NamespacedName]int
	waiting []types.NamespacedName
}

func newSlots(most int, wake func(types.NamespacedName)) *slots {
	return &slots{most: most, held: map[types.NamespacedName]int{}, wake: wake}
}

// take gives the group, of which so many hosts are ready, a slot, or says that it has
// to wait. begun is true only the first time.
func (s *slots) take(key types.NamespacedName, ready int) (has, begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, has := s.held[key]; has {
		s.held[key] = max(before, ready) // a later step must not leave fewer either
		return true, false
	}
	if len(s.held) >= s.most {
		if !slices.Contains(s.waiting, key) {
			s.waiting = append(s.waiting, key)
		}
		return false, false
	}
	s.held[key] = ready
	s.leave(key)
	return true, true
}

// before is how many hosts of a group were ready when it took the slot that it has.
func (s *slots) before(key types.NamespacedName) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[key]
}

// give takes back what a group has, which wakes the one that waited longest. It says
// whether there was a slot.
func (s *slots) give(key types.NamespacedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave(key)
	if _, has := s.held[key]; !has {
		return false
	}
	delete(s.held, key)
	if len(s.waiting) > 0 {
		next := s.waiting[0]
		s.leave(next)
		s.wake(next)
	}
	return true
}

func (s *slots) leave(key types.NamespacedName) {
	s.waiting = slices.DeleteFunc(s.waiting, func(k types.NamespacedName) bool { return k == key })
}
