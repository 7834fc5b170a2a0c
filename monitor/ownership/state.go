// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// Role is what this host is to the group.
type Role string

const (
	// Starting: the monitor just started and does not know yet whether it may
	// re-adopt what runs. Nothing is revoked, nothing is extended.
	Starting Role = "Starting"
	// Clearing: it owns nothing, and what runs here is being stopped. It becomes
	// Observer when the stop is proven.
	Clearing Role = "Clearing"
	// Observer: it owns nothing and nothing runs here. It watches, and takes when
	// the rules allow it.
	Observer Role = "Observer"
	// Acquiring: a write that may make it the owner is prepared, under way or in
	// doubt. Nothing runs here.
	Acquiring Role = "Acquiring"
	// Adopting: the same for the write that continues the ownership of the
	// monitor before. What runs goes on under the guard of that one.
	Adopting Role = "Adopting"
	// Owner: it holds the lease and renews it.
	Owner Role = "Owner"
	// Offlining: like Owner; what runs is being stopped in order, to release.
	Offlining Role = "Offlining"
	// Releasing: the stop is proven; the write that gives up the lease is under
	// way or in doubt.
	Releasing Role = "Releasing"
	// SelfStopping: it holds the lease as far as it knows; no renewal was
	// confirmed in time and everything is being stopped.
	SelfStopping Role = "SelfStopping"
)

// Config is what the machine is made from.
type Config struct {
	PodName string `json:"podName"`
	PodUID  string `json:"podUID"`
	// Inc is random, new with each start of the monitor.
	Inc string `json:"inc"`
	// Timing is used for observing, and by the epochs that begin from now on.
	Timing leasev1.Timing `json:"timing"`
}

// Disk is the part of the state that is on the pod-local disk before the write
// that changes it (Ownership section 5). The zero value is a new host's.
type Disk struct {
	// LeaseUID is the Lease that the epoch belongs to; empty while the owner
	// creates a new one.
	LeaseUID string `json:"leaseUID,omitempty"`
	// Epoch is that of the last write which could make this host the owner.
	Epoch int64 `json:"epoch,omitempty"`
	// Members is S: all that may be members of the record in the store.
	Members leasev1.Members `json:"members,omitempty"`
	// ExtendMax is M of the epoch, in nanoseconds.
	ExtendMax int64 `json:"extendMax,omitempty"`
	// Timing is that of the epoch: a restarted monitor that re-adopts keeps it.
	Timing leasev1.Timing `json:"timing,omitzero"`
}

// Snapshot is a view of the machine for status and debugging.
type Snapshot struct {
	Role Role `json:"role"`
	// Epoch is that of the ownership held or sought, 0 if none.
	Epoch int64 `json:"epoch,omitempty"`
	// Granted: things may be online.
	Granted bool `json:"granted,omitempty"`
	// ValidUntil is the CLOCK_BOOTTIME at which the ownership ends if nothing is
	// renewed, as of the last Step; 0 if none is held.
	ValidUntil int64 `json:"validUntil,omitempty"`
	// Holder and HolderUID are the last known owner, whoever it is, RecordEpoch
	// its epoch, and RecordSince when this version of the record was first seen.
	Holder      string          `json:"holder,omitempty"`
	HolderUID   string          `json:"holderUID,omitempty"`
	RecordEpoch int64           `json:"recordEpoch,omitempty"`
	RecordSince instant.Instant `json:"recordSince,omitzero"`
	// Unreadable says why the record cannot be read, if so.
	Unreadable string `json:"unreadable,omitempty"`
	// Revoked is the mode of the stop under way, empty if none is.
	Revoked RevokeMode `json:"revoked,omitempty"`
	// StopFailed: the engine could not prove the stop.
	StopFailed bool `json:"stopFailed,omitempty"`
	// Draining: the host goes away.
	Draining bool `json:"draining,omitempty"`
	// NotCandidate says why this host would not take the group; empty if it would
	// when the time comes.
	NotCandidate string `json:"notCandidate,omitempty"`
	// NotReleased says why a wished release is not carried out.
	NotReleased string `json:"notReleased,omitempty"`
	// Doubt: the outcome of a write is unknown.
	Doubt bool `json:"doubt,omitempty"`
}
