// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"slices"
	"time"
)

// NextEpoch is the epoch of the next ownership: above everything that is known
// of earlier ones, and above the wall clock in seconds, so that it also grows
// over a Lease that was lost together with every witness (Ownership section 6).
func NextEpoch(wall time.Time, known ...int64) int64 {
	e := wall.Unix() - 1
	for _, k := range known {
		e = max(e, k)
	}
	return e + 1
}

// Unheld is the record that whoever is not its owner may create: no holder and
// no release mark, so that every candidate watches it for W first.
func Unheld(known int64, d time.Duration) Record {
	return Record{
		Protocol: Protocol, Epoch: max(known, 1), Duration: d, Members: Members{AnyMember},
	}
}

// ReleaseInitial marks an Unheld record free. The manager does this to a record
// that it created, after it has seen this very version unchanged for W: then a
// host of an earlier group of that name is dead. The write must carry the
// record's resource version.
func ReleaseInitial(r Record) (Record, bool) {
	if r.Held() || r.ReleasedEpoch != 0 {
		return r, false
	}
	r.ReleasedEpoch = r.Epoch
	r.ReleaseReason = Reason{Reason: string(CauseCreated)}.Encode()
	return r, true
}

// Fence declares, in the name of a person, that the holder's host is stopped. It
// is bound to the epoch: a later ownership is not affected.
func Fence(r Record, by string) (Record, bool) {
	if !r.Held() {
		return r, false
	}
	r.FencedEpoch, r.FencedBy = r.Epoch, text(by)
	return r, true
}

// WithFailover returns the list with one more entry, without an old one if it is full:
// the oldest that is no failover, so that moves never hide how often the group failed.
// The list is never changed in place.
func WithFailover(list []Failover, f Failover) []Failover {
	f.Reason, f.Time = cut(f.Reason, maxWord), f.Time.UTC()
	if y := f.Time.Year(); y < 0 || y > 9999 { // JSON has no such time
		f.Time = time.Time{}
	}
	keep := append(make([]Failover, 0, len(list)+1), list...)
	for len(keep) >= MaxFailovers {
		i := max(0, slices.IndexFunc(keep, func(f Failover) bool { return f.Cause != CauseFailover }))
		keep = slices.Delete(keep, i, i+1)
	}
	return append(keep, f)
}
