// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"

// MaxCheckedTypes is how many types are kept.
const MaxCheckedTypes = maxCheckedTypes

// CountingTypes counts how often a type is compiled.
func CountingTypes(n *int) *TypeCache {
	return &TypeCache{check: func(t *understudyv1alpha1.ResourceType) (*Schema, Problems) {
		*n++
		return CheckType(t)
	}}
}

// Len is how many types are kept.
func (c *TypeCache) Len() int { return len(c.checked) }
