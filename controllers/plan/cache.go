// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// maxCheckedTypes bounds what is kept: schemas are large, and a type that is used
// again is only compiled again.
const maxCheckedTypes = 256

// TypeCache keeps what CheckType made of each type, because compiling a schema costs
// more than all the rest of a plan. The zero value is ready; nil keeps nothing.
type TypeCache struct {
	mu      sync.Mutex
	checked map[string]checkedType
	check   func(*understudyv1alpha1.ResourceType) (*Schema, Problems)
}

// checkedType is one generation of one type. Name and generation alone would
// take a type that was deleted and created again for the one before.
type checkedType struct {
	uid        types.UID
	generation int64
	schema     *Schema
	problems   Problems
}

// Check is CheckType, done once for each generation of a type.
func (c *TypeCache) Check(t *understudyv1alpha1.ResourceType) (*Schema, Problems) {
	if c == nil || t.UID == "" { // without a UID it does not come from the API server
		return CheckType(t)
	}
	c.mu.Lock()
	have, ok := c.checked[t.Name]
	check := c.check
	c.mu.Unlock()
	if ok && have.uid == t.UID && have.generation == t.Generation {
		return have.schema, have.problems
	}
	if check == nil {
		check = CheckType
	}
	have = checkedType{uid: t.UID, generation: t.Generation}
	have.schema, have.problems = check(t)
	c.keep(t.Name, have)
	return have.schema, have.problems
}

func (c *TypeCache) keep(name string, one checkedType) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checked == nil {
		c.checked = map[string]checkedType{}
	}
	if _, known := c.checked[name]; !known && len(c.checked) >= maxCheckedTypes {
		for other := range c.checked { // any one
			delete(c.checked, other)
			break
		}
	}
	c.checked[name] = one
}

// Forget drops a type that is gone.
func (c *TypeCache) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.checked, name)
}
