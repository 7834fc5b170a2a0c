// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import "github.com/understudy-dev/understudy/monitor/ownership"

// RoleOf is what a host is to its group.
func RoleOf(c *Core) ownership.Role { return c.owner.Snapshot().Role }

// Untold names the documents that would say something else if they were described anew,
// although the last step took that for needless.
func Untold(c *Core) []string {
	var keys []string
	before := map[string]int64{}
	for key, doc := range c.documents {
		before[key] = doc.version
		if doc.old {
			return nil // it is known to be behind
		}
	}
	c.describe()
	for key, doc := range c.documents {
		if doc.version != before[key] {
			keys = append(keys, key)
		}
	}
	return keys
}
