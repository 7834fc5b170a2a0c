// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// LeaseWrite is one write of a group's record of ownership, as the API server told
// us of it.
type LeaseWrite struct {
	// Seen is when we heard of it: not before it was committed.
	Seen   time.Time
	Record leasev1.Record
}

// LeaseLog follows a group's record of ownership.
type LeaseLog struct {
	stop   context.CancelFunc
	mu     sync.Mutex
	writes []LeaseWrite
	broken error
}

// FollowLease begins to follow; the first entry is the record as it is.
func (g Group) FollowLease(ctx context.Context) (*LeaseLog, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	log := &LeaseLog{stop: stop}
	watch, err := g.Client.Watch(ctx, &coordinationv1.LeaseList{}, client.InNamespace(g.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", leasev1.Name(g.Name))})
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		for event := range watch.ResultChan() {
			lease, ok := event.Object.(*coordinationv1.Lease)
			if !ok {
				log.add(LeaseWrite{}, fmt.Errorf("%s: %v", event.Type, event.Object))
				continue
			}
			record, err := Decode(lease)
			log.add(LeaseWrite{Seen: time.Now(), Record: record}, err)
		}
		if ctx.Err() == nil {
			log.add(LeaseWrite{}, fmt.Errorf("the watch ended"))
		}
	}()
	return log, g.Wait(ctx, "the record of "+g.Name, 30*time.Second, func(context.Context) (bool, string, error) {
		_, err := log.Last(nil)
		return err == nil, "", err
	})
}

// Decode reads the record in a Lease.
func Decode(lease *coordinationv1.Lease) (leasev1.Record, error) {
	l := leasev1.Lease{
		UID: string(lease.UID), ResourceVersion: lease.ResourceVersion,
		HolderIdentity: lease.Spec.HolderIdentity, LeaseDurationSeconds: lease.Spec.LeaseDurationSeconds,
		LeaseTransitions: lease.Spec.LeaseTransitions, Annotations: maps.Clone(lease.Annotations),
	}
	if t := lease.Spec.AcquireTime; t != nil {
		l.AcquireTime = &t.Time
	}
	if t := lease.Spec.RenewTime; t != nil {
		l.RenewTime = &t.Time
	}
	return leasev1.Decode(l)
}

// Stop ends it.
func (l *LeaseLog) Stop() { l.stop() }

func (l *LeaseLog) add(w LeaseWrite, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.broken = err
		return
	}
	l.writes = append(l.writes, w)
}

// Last is the last write that is wanted, of all if wanted is nil. A log with a gap
// proves nothing, and is an error.
func (l *LeaseLog) Last(wanted func(leasev1.Record) bool) (LeaseWrite, error) {
	writes, err := l.All()
	for _, w := range slices.Backward(writes) {
		if wanted == nil || wanted(w.Record) {
			return w, err
		}
	}
	if err == nil {
		err = fmt.Errorf("no such write among %d", len(writes))
	}
	return LeaseWrite{}, err
}

// All are the writes so far.
func (l *LeaseLog) All() ([]LeaseWrite, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LeaseWrite(nil), l.writes...), l.broken
}

// Epochs are the epochs in which the record was held, in order, each once.
func (l *LeaseLog) Epochs() ([]int64, error) {
	writes, err := l.All()
	var epochs []int64
	for _, w := range writes {
		if n := len(epochs); w.Record.Held() && (n == 0 || epochs[n-1] != w.Record.Epoch) {
			epochs = append(epochs, w.Record.Epoch)
		}
	}
	return epochs, err
}
