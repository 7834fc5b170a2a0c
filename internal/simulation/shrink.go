// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import "time"

// Shrink finds fewer faults that break the same promise, and tells that story: a person has
// to read it. It takes no more than limit.
func Shrink(seed uint64, o Options, promise string, limit time.Duration) Result {
	end := time.Now().Add(limit)
	broken := func(only []int) bool {
		if time.Now().After(end) {
			return false
		}
		o.Only = only
		r := Run(seed, o)
		return r.Violation != nil && r.Violation.Promise == promise
	}
	only := []int{}
	for n := range Run(seed, o).Tries {
		only = append(only, n)
	}
	if broken(only) {
		only = fewer(only, broken)
	} else {
		only = nil
	}
	o.Only, o.Trace, o.Record = only, true, true
	return Run(seed, o)
}

// fewer leaves out as much as it can, in chunks that get smaller, while it stays broken.
func fewer(list []int, broken func([]int) bool) []int {
	for size := len(list) / 2; size > 0; {
		shorter := false
		for from := 0; from < len(list); {
			rest := append(append([]int{}, list[:from]...), list[min(from+size, len(list)):]...)
			if broken(rest) {
				list, shorter = rest, true
			} else {
				from += size
			}
		}
		if !shorter || size > len(list) {
			size /= 2
		}
	}
	return list
}
