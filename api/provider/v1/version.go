// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providerv1

import "slices"

// Versions are those of the protocol that monitor and SDK of this release speak.
func Versions() []uint32 { return []uint32{1} }

// Agree returns the version to speak: the largest that both name; false if there is none.
func Agree(ours, theirs []uint32) (version uint32, ok bool) {
	for _, v := range ours {
		if slices.Contains(theirs, v) {
			version, ok = max(version, v), true
		}
	}
	return version, ok
}
