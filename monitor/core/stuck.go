// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

// tellStuck has kubelet end a container whose init does not prove that it emptied
// it: an init that hangs cannot do so itself, and until it is gone nothing of the
// group may start anywhere (Ownership section 8).
func (c *Core) tellStuck() {
	for _, s := range c.snapshot.Containers {
		if k := c.container(s.Name); k.stuck != s.StopFailed {
			k.stuck = s.StopFailed
			c.emit(Effect{Stuck: &Stuck{Container: s.Name, Stuck: s.StopFailed}})
		}
	}
}
