// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providerv1

import "testing"

func TestAgree(t *testing.T) {
	for _, c := range []struct {
		ours, theirs []uint32
		want         uint32
		ok           bool
	}{
		{[]uint32{1}, []uint32{1}, 1, true},
		{[]uint32{2, 1}, []uint32{1, 2, 3}, 2, true},
		{[]uint32{1}, nil, 0, false},
		{[]uint32{1}, []uint32{2}, 0, false},
	} {
		if got, ok := Agree(c.ours, c.theirs); got != c.want || ok != c.ok {
			t.Errorf("%v and %v speak %d, %v; want %d, %v", c.ours, c.theirs, got, ok, c.want, c.ok)
		}
	}
}
