// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leasev1 is the record of ownership: one coordination.k8s.io Lease per
// group (Ownership section 2), as a plain struct, with its strict codec, the
// pure steps that the manager takes on it, and the timing that goes with it
// (Ownership section 4). Monitors and manager share it; it depends on nothing
// but the standard library, and edges convert to and from the Kubernetes type.
package leasev1

import (
	"slices"
	"time"
)

const (
	// Protocol is the newest version of the record that this code understands.
	// A record with a newer one is never taken.
	Protocol = 1
	// NamePrefix and a group's name make the name of its Lease.
	NamePrefix = "understudy-"
	// MaxFailovers bounds Record.Failovers: the oldest entry goes first. It is
	// also the largest failover threshold that can ever be reached.
	MaxFailovers = 32
	// AnyMember in Members lets every host take over while the owner is silent.
	AnyMember = "*"
)

// Lease is the part of a coordination.k8s.io/v1 Lease that carries the record.
type Lease struct {
	UID                  string            `json:"uid,omitempty"`
	ResourceVersion      string            `json:"resourceVersion,omitempty"`
	HolderIdentity       *string           `json:"holderIdentity,omitempty"`
	LeaseDurationSeconds *int32            `json:"leaseDurationSeconds,omitempty"`
	LeaseTransitions     *int32            `json:"leaseTransitions,omitempty"`
	AcquireTime          *time.Time        `json:"acquireTime,omitempty"`
	RenewTime            *time.Time        `json:"renewTime,omitempty"`
	Annotations          map[string]string `json:"annotations,omitempty"`
}

// Record is what a Lease says about the ownership of its group.
type Record struct {
	// UID and ResourceVersion identify the object and the version that was read.
	// They are preconditions of the next write and are not encoded.
	UID             string `json:"uid,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`

	// HolderName and HolderUID are the pod that owns the group; both are empty if
	// nobody does. Only the UID is ever compared.
	HolderName string `json:"holderName,omitempty"`
	HolderUID  string `json:"holderUID,omitempty"`
	// Duration is D, the lease duration that the owner uses: whole seconds.
	Duration time.Duration `json:"duration"`
	// Epoch numbers the ownerships of the group; it only ever grows. At least 1.
	Epoch int64 `json:"epoch"`
	// Inc is the random incarnation of the monitor that wrote the record.
	Inc string `json:"inc,omitempty"`
	// Seq numbers the writes of one incarnation: Inc and Seq name one write.
	Seq int64 `json:"seq,omitempty"`
	// Protocol is the version of this format that the writer used.
	Protocol int `json:"protocol"`
	// Members are the hosts that may take over while the owner is silent.
	Members Members `json:"members"`
	// ExtendMax is M, how far promises may extend the ownership; 0 is off.
	ExtendMax time.Duration `json:"extendMax,omitempty"`

	// ReleasedEpoch is the epoch that was given up with a proven stop, or 0. Only
	// if it equals Epoch is a record without a holder free.
	ReleasedEpoch int64 `json:"releasedEpoch,omitempty"`
	// ReleasedTo is the pod UID of the host that should take next, or empty.
	ReleasedTo string `json:"releasedTo,omitempty"`
	// ReleaseReason is why: an encoded Reason, or any short text.
	ReleaseReason string `json:"releaseReason,omitempty"`
	// FencedEpoch is the epoch whose host a person declared stopped, or 0;
	// FencedBy is that person.
	FencedEpoch int64  `json:"fencedEpoch,omitempty"`
	FencedBy    string `json:"fencedBy,omitempty"`
	// Failovers are the last releases, oldest first, at most MaxFailovers:
	// thresholds and "failed here" need no manager.
	Failovers []Failover `json:"failovers,omitempty"`

	// Transitions, AcquireTime and RenewTime mirror the ownership for people.
	// Nothing is decided by them.
	Transitions int32     `json:"transitions,omitempty"`
	AcquireTime time.Time `json:"acquireTime,omitzero"`
	RenewTime   time.Time `json:"renewTime,omitzero"`
}

// Cause is the kind of event that ends an ownership by release.
type Cause string

const (
	// CauseFailover: a resource failed beyond its restart policy. The only cause
	// that counts against the failover threshold.
	CauseFailover Cause = "Failover"
	// CauseMove: somebody asked for another host.
	CauseMove Cause = "Move"
	// CauseDrain: the host is going away.
	CauseDrain Cause = "Drain"
	// CauseOffline: the group is wanted offline.
	CauseOffline Cause = "Offline"
	// CauseArbitration: a quorum-capable resource lost its arbitration.
	CauseArbitration Cause = "Arbitration"
	// CauseDeclined: the host was no candidate any more when it learned that it
	// had become the owner; nothing ran.
	CauseDeclined Cause = "Declined"
	// CauseCreated: no host ever owned the record; the manager released it after
	// it had watched it.
	CauseCreated Cause = "Created"
)

// Failover is one release: who gave the group up, when and why.
type Failover struct {
	// Epoch is the epoch that was given up.
	Epoch int64 `json:"epoch"`
	// PodUID is the host that gave it up.
	PodUID string `json:"podUID"`
	Cause  Cause  `json:"cause"`
	// Reason is one short word for people.
	Reason string `json:"reason,omitempty"`
	// Time is the wall clock of the host that wrote the entry.
	Time time.Time `json:"time"`
}

// Members is a set of pod UIDs, or AnyMember alone.
type Members []string

// Any reports whether every host is a member.
func (m Members) Any() bool { return slices.Contains(m, AnyMember) }

// Has reports whether the pod may take over while the owner is silent.
func (m Members) Has(podUID string) bool { return m.Any() || slices.Contains(m, podUID) }

// Held reports whether the record names a holder.
func (r Record) Held() bool { return r.HolderUID != "" }

// Free reports whether the last owner released the group with a proven stop. An
// empty holder alone is not free (Ownership section 6, ACQUIRE).
func (r Record) Free() bool { return !r.Held() && r.ReleasedEpoch == r.Epoch }

// Fenced reports whether a person declared the host of this epoch stopped.
func (r Record) Fenced() bool { return r.FencedEpoch == r.Epoch }

// ReleasedBy is the entry of the release that made the record free, if any.
func (r Record) ReleasedBy() (Failover, bool) {
	if !r.Free() || len(r.Failovers) == 0 {
		return Failover{}, false
	}
	last := r.Failovers[len(r.Failovers)-1]
	return last, last.Epoch == r.Epoch
}

// FailoversSince counts the releases with CauseFailover after t. With podUID
// not empty, only those of that host count.
func (r Record) FailoversSince(t time.Time, podUID string) int {
	n := 0
	for _, f := range r.Failovers {
		if f.Cause == CauseFailover && f.Time.After(t) && (podUID == "" || f.PodUID == podUID) {
			n++
		}
	}
	return n
}

// Name is the name of the Lease of a group.
func Name(group string) string { return NamePrefix + group }
