// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import "github.com/understudy-dev/understudy/monitor/ownership"

// RoleOf is what a host is to its group.
func RoleOf(c *Core) ownership.Role { return c.owner.Snapshot().Role }
