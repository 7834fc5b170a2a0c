// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// fromLease takes what carries the record out of a Lease.
func fromLease(l *coordinationv1.Lease) leasev1.Lease {
	return leasev1.Lease{
		UID: string(l.UID), ResourceVersion: l.ResourceVersion,
		HolderIdentity: l.Spec.HolderIdentity, LeaseDurationSeconds: l.Spec.LeaseDurationSeconds,
		LeaseTransitions: l.Spec.LeaseTransitions,
		AcquireTime:      fromMicro(l.Spec.AcquireTime), RenewTime: fromMicro(l.Spec.RenewTime),
		Annotations: l.Annotations,
	}
}

// intoLease puts a record into a Lease, which keeps the rest of its metadata.
func intoLease(r leasev1.Lease, l *coordinationv1.Lease) {
	l.UID, l.ResourceVersion = types.UID(r.UID), r.ResourceVersion
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = r.HolderIdentity, r.LeaseDurationSeconds
	l.Spec.LeaseTransitions = r.LeaseTransitions
	l.Spec.AcquireTime, l.Spec.RenewTime = toMicro(r.AcquireTime), toMicro(r.RenewTime)
	l.Annotations = r.Annotations
}

func fromMicro(t *metav1.MicroTime) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

func toMicro(t *time.Time) *metav1.MicroTime {
	if t == nil {
		return nil
	}
	return &metav1.MicroTime{Time: *t}
}
