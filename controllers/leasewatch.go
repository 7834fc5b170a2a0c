// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// leaseWatch knows since when each record of ownership has not changed, on our
// own clock, and wakes a group's reconcile when its record changed in substance
// or stood still for W. Renewals alone wake nobody.
//
// Go's clock does not count suspended time and is not slewed beyond 0.05 %: what
// it measures is no more than what passed, as an observer's must be.
type leaseWatch struct {
	mu     sync.Mutex
	seen   map[types.NamespacedName]*sighting
	absent map[types.NamespacedName]time.Time
	now    func() time.Time
}

type sighting struct {
	version string
	at      time.Time
	timer   *time.Timer
	// silent is set when the timer has gone off: the next change is news.
	silent bool
}

func newLeaseWatch() *leaseWatch {
	return &leaseWatch{
		seen: map[types.NamespacedName]*sighting{}, absent: map[types.NamespacedName]time.Time{}, now: time.Now,
	}
}

// quiet is how long this version of a record is known to have been the last one.
func (w *leaseWatch) quiet(key types.NamespacedName, version string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.seen[key]; s != nil && s.version == version {
		return w.now().Sub(s.at)
	}
	return 0
}

// refute takes back that a version of a record is the last one: the API server
// has another, which the watch still has to bring.
func (w *leaseWatch) refute(key types.NamespacedName, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.seen[key]; s != nil && s.version == version {
		s.version = ""
	}
}

// missing is how long a record that should be there has been absent.
func (w *leaseWatch) missing(key types.NamespacedName) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.absent[key]
	if !ok {
		since = w.now()
		w.absent[key] = since
	}
	return w.now().Sub(since)
}

// see notes a version of a record.
func (w *leaseWatch) see(lease *coordinationv1.Lease, wake func()) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := client.ObjectKeyFromObject(lease)
	delete(w.absent, key)
	s := w.seen[key]
	if s == nil {
		s = &sighting{}
		w.seen[key] = s
	}
	if s.version == lease.ResourceVersion {
		return false
	}
	news, s.silent = s.silent, false
	s.version, s.at = lease.ResourceVersion, w.now()
	if s.timer != nil {
		s.timer.Stop()
	}
	version := s.version
	s.timer = time.AfterFunc(leasev1.W(duration(lease)), func() {
		w.mu.Lock()
		current := w.seen[key] == s && s.version == version
		if current {
			s.silent = true
		}
		w.mu.Unlock()
		if current {
			wake()
		}
	})
	return news
}

// forget drops a record that is gone.
func (w *leaseWatch) forget(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.seen[key]; s != nil && s.timer != nil {
		s.timer.Stop()
	}
	delete(w.seen, key)
	delete(w.absent, key)
}

func duration(lease *coordinationv1.Lease) time.Duration {
	d := time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second
	return min(max(d, leasev1.MinD), leasev1.MaxD)
}

// Create, Update, Delete and Generic make it a handler of the watch on Leases.
func (w *leaseWatch) Create(_ context.Context, e event.CreateEvent, q queue) {
	w.change(nil, e.Object, q)
}

// Update is called for each renewal.
func (w *leaseWatch) Update(_ context.Context, e event.UpdateEvent, q queue) {
	w.change(e.ObjectOld, e.ObjectNew, q)
}

// Delete wakes the group: the record is missing.
func (w *leaseWatch) Delete(_ context.Context, e event.DeleteEvent, q queue) {
	w.forget(client.ObjectKeyFromObject(e.Object))
	if r, ok := groupOf(e.Object); ok {
		q.Add(r)
	}
}

// Generic does not occur.
func (w *leaseWatch) Generic(context.Context, event.GenericEvent, queue) {}

func (w *leaseWatch) change(before, after client.Object, q queue) {
	request, ok := groupOf(after)
	lease, isLease := after.(*coordinationv1.Lease)
	if !ok || !isLease {
		return
	}
	news := w.see(lease, func() { q.Add(request) })
	old, _ := before.(*coordinationv1.Lease)
	if news || old == nil || substance(old) != substance(lease) {
		q.Add(request)
	}
}

// substance is what a change of must be looked at.
func substance(l *coordinationv1.Lease) [4]string {
	return [4]string{
		ptr.Deref(l.Spec.HolderIdentity, ""), l.Annotations[leasev1.KeyReleasedEpoch],
		l.Annotations[leasev1.KeyEpoch], strconv.FormatBool(l.DeletionTimestamp.IsZero()),
	}
}

// groupOf is the request for the group that an object's label names.
func groupOf(o client.Object) (reconcile.Request, bool) {
	name := o.GetLabels()[understudyv1alpha1.LabelGroup]
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}, name != ""
}
