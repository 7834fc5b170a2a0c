// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// silenceSlack is how much longer than W a silent record is watched before its
// owner counts as lost: every place of the longest succession, and a second for
// a release to a host that is no more.
const silenceSlack = 2*16*leasev1.Stagger + time.Second

// record keeps the record of ownership there (Ownership section 6): created
// unheld at once, watched unchanged for W, then marked released. It never
// touches a record that was ever held.
func (r *groupReconciler) record(ctx context.Context, s *groupScope) error {
	lease := &coordinationv1.Lease{}
	err := r.Get(ctx, s.leaseKey(), lease)
	if apierrors.IsNotFound(err) {
		return r.createRecord(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("reading the Lease: %w", err)
	}
	s.lease = lease
	s.quiet = r.leases.quiet(s.leaseKey(), lease.ResourceVersion)
	record, err := leasev1.Decode(fromLease(lease))
	if err != nil {
		s.recordErr = err // for people to mend: the condition says so
	} else {
		s.recorded = &record
		s.wait = leasev1.W(max(record.Duration, s.duration()))
	}
	if err := r.holdRecord(ctx, s); err != nil || s.recorded == nil {
		return err
	}
	return r.releaseRecord(ctx, s, record)
}

// releaseRecord marks a record that nobody ever held as free, once it stood still
// for W.
func (r *groupReconciler) releaseRecord(ctx context.Context, s *groupScope, record leasev1.Record) error {
	released, possible := leasev1.ReleaseInitial(record)
	if !possible {
		return nil
	}
	if s.quiet < s.wait {
		s.again(s.wait - s.quiet)
		return nil
	}
	update := s.lease.DeepCopy()
	intoLease(leasev1.Encode(released, fromLease(s.lease)), update)
	if err := r.Update(ctx, update, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("releasing the new Lease: %w", err)
	}
	s.lease, s.recorded, s.quiet = update, &released, 0
	return nil
}

// createRecord creates the unheld record. If the group had an owner, it is given
// W to re-create its own first, which keeps it online.
func (r *groupReconciler) createRecord(ctx context.Context, s *groupScope) error {
	wait := leasev1.W(s.duration())
	if s.missing = r.leases.missing(s.leaseKey()); s.group.Status.Owner != nil && s.missing < wait {
		s.again(wait - s.missing)
		return nil
	}
	if !s.group.DeletionTimestamp.IsZero() {
		return nil
	}
	var known int64
	if s.group.Status.Owner != nil {
		known = s.group.Status.Owner.Epoch
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.group.Namespace, Name: s.leaseKey().Name, Labels: builders.Labels(s.group.Name),
		Finalizers: []string{understudyv1alpha1.Finalizer},
	}}
	intoLease(leasev1.Encode(leasev1.Unheld(known, s.duration()), leasev1.Lease{}), lease)
	err := r.Create(ctx, lease, client.FieldOwner(fieldManager))
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.adoptRecord(ctx, s)
	case err != nil:
		return fmt.Errorf("creating the Lease: %w", err)
	}
	s.lease = lease
	s.again(wait)
	return nil
}

// adoptRecord puts our labels on a record that somebody else created: only then do
// we see it. What is no record is in its way, and nothing tells when it is gone.
func (r *groupReconciler) adoptRecord(ctx context.Context, s *groupScope) error {
	lease := &coordinationv1.Lease{}
	if err := r.live.Get(ctx, s.leaseKey(), lease); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !isRecord(lease) {
		s.recordErr = fmt.Errorf("%w: it has no annotation %s, so it is not Understudy's",
			leasev1.ErrMalformed, leasev1.KeyProtocol)
		s.again(refusedRetry)
		return nil
	}
	return patchMeta(ctx, r.Client, lease, func(l *coordinationv1.Lease) {
		if l.Labels == nil {
			l.Labels = map[string]string{}
		}
		maps.Copy(l.Labels, builders.Labels(s.group.Name))
		if l.DeletionTimestamp.IsZero() {
			controllerutil.AddFinalizer(l, understudyv1alpha1.Finalizer)
		}
	})
}

// isRecord says that a Lease wears the mark of a record of ownership.
func isRecord(l *coordinationv1.Lease) bool {
	_, marked := l.Annotations[leasev1.KeyProtocol]
	return marked
}

// ownerLost judges by our own clock whether the owner is gone and nobody took over.
func (s *groupScope) ownerLost() (condition metav1.Condition, known bool) {
	owned := metav1.Condition{
		Type: understudyv1alpha1.ConditionOwnerLost, Status: metav1.ConditionFalse,
		Reason: understudyv1alpha1.ReasonOwned, Message: "The lease is held, or free for a host to take",
	}
	switch {
	case s.recordErr != nil:
		reason := "is malformed: correct or delete it"
		if errors.Is(s.recordErr, leasev1.ErrNewer) {
			reason = "was written by a newer version: upgrade"
		}
		owned.Status, owned.Reason = metav1.ConditionTrue, understudyv1alpha1.ReasonRecordUnreadable
		owned.Message = fmt.Sprintf("The Lease %s %s (%v)", s.leaseKey().Name, reason, s.recordErr)
		return owned, true
	case s.recorded == nil:
		return owned, false
	case !s.recorded.Held() || s.recorded.Fenced():
		return owned, true
	}
	limit := s.wait + silenceSlack
	if s.quiet < limit {
		if s.quiet >= s.wait {
			s.again(limit - s.quiet)
		}
		// Between W and the limit the word of before stands.
		return owned, s.quiet < s.wait
	}
	owned.Status, owned.Reason = metav1.ConditionTrue, understudyv1alpha1.ReasonOwnerSilent
	owned.Message = fmt.Sprintf(
		"The host %s does not renew its lease and no other host took over: see status.succession for those that may",
		s.recorded.HolderName)
	return owned, true
}

// provenStopped is stopped, confirmed by the API server: what follows from it
// cannot be taken back.
func (r *groupReconciler) provenStopped(ctx context.Context, s *groupScope) (bool, error) {
	if !s.stopped() {
		return false, nil
	}
	return r.confirm(ctx, s)
}

// confirm asks the API server whether the record is still the one that was judged.
// A watch that hangs makes each owner look silent, and a record that has been taken
// since look free.
func (r *groupReconciler) confirm(ctx context.Context, s *groupScope) (bool, error) {
	lease := &coordinationv1.Lease{}
	err := r.live.Get(ctx, s.leaseKey(), lease)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return false, fmt.Errorf("confirming the Lease: %w", err)
	case s.lease == nil && err == nil && isRecord(lease):
		return false, r.adoptRecord(ctx, s)
	case s.lease == nil:
		return true, nil
	case err == nil && lease.UID == s.lease.UID && lease.ResourceVersion == s.lease.ResourceVersion:
		return true, nil
	}
	r.leases.refute(s.leaseKey(), s.lease.ResourceVersion)
	s.quiet = 0
	return false, nil
}

// stopped says that nothing of the group can be running, as far as the cache knows:
// the record was given up with a proven stop, or ran out, or nobody ever held it.
func (s *groupScope) stopped() bool {
	neverOwned := s.group.Status.Owner == nil
	switch {
	case s.lease == nil:
		return neverOwned || s.missing >= leasev1.W(s.duration())
	case s.recorded == nil: // unreadable
		return s.quiet >= leasev1.W(max(duration(s.lease), s.duration()))
	case s.recorded.Free(), s.recorded.Fenced():
		return true
	}
	// We are no member of anybody's promises (Ownership section 7).
	ranOut := leasev1.W(s.recorded.ExtendMax + max(s.recorded.Duration, s.duration()))
	return !s.recorded.Held() && neverOwned || s.quiet >= ranOut
}
