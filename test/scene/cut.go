// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Cut is a cut of the owner's node, and what was before it.
type Cut struct {
	Event
	// Node that is cut off, and Before, who owned the group.
	Node   string
	Before understudyv1alpha1.GroupOwnerStatus
	// Lease is followed since before the cut.
	Lease *LeaseLog
}

// CutOwner cuts the owner's node off from everything: the group fails over. The node
// stays cut off until Heal.
func (q *Quickstart) CutOwner(ctx context.Context) (Cut, error) {
	cut := Cut{Event: Event{What: "the owner's node cut off", Silence: true}}
	if q.Local == nil {
		return cut, errors.New("only nodes of the local cluster can be cut off")
	}
	var err error
	if cut.Before, err = q.Owner(ctx); err != nil {
		return cut, err
	}
	cut.Node = cut.Before.NodeName
	if cut.Node == q.Client.Node {
		return cut, fmt.Errorf("the client runs on the owner's node %s", cut.Node)
	}
	standby, _, err := q.Standby(ctx)
	if err != nil {
		return cut, err
	}
	if cut.Lease, err = q.FollowLease(ctx); err != nil {
		return cut, err
	}
	var command Span
	what := cut.What + " (" + cut.Node + ")"
	cut.Event, err = q.interrupt(ctx, what, func() (err error) {
		command, err = During(func() error { return q.Local.Partition(ctx, cut.Node) })
		return err
	})
	cut.Silence = true
	if err != nil {
		return cut, err
	}
	return cut, errors.Join(
		want("kind", cut.Entry.Kind, KindFailover),
		want("cause", cut.Entry.Cause, "OwnerSilent"),
		q.moved(ctx, cut.Before, standby, *cut.Entry),
		AgreeOnSilence(cut.Client, *cut.Entry, command),
		NotBefore(cut.Lease, cut.Before.Epoch, *cut.Entry),
	)
}

// LeaseEnd is when the lease of an epoch runs out, counted from when its last renewal
// was begun: not before that may another host have it, and by then all of this one
// must be dead.
func LeaseEnd(log *LeaseLog, epoch int64) (time.Time, error) {
	last, err := log.Last(func(r leasev1.Record) bool { return r.Held() && r.Epoch == epoch })
	if err != nil {
		return time.Time{}, fmt.Errorf("the last renewal of epoch %d: %w", epoch, err)
	}
	return last.Record.RenewTime.Add(last.Record.Duration), nil
}

// NotBefore checks the lower bound of a take-over from a silent owner: nobody takes
// the lease before it has run out since the last renewal of the epoch before.
func NotBefore(log *LeaseLog, epoch int64, e Entry) error {
	end, err := LeaseEnd(log, epoch)
	if err != nil {
		return err
	}
	if e.LeaseTakenTime == nil || e.LeaseTakenTime.Time.Before(end) {
		return fmt.Errorf("the lease was taken at %s, before that of epoch %d ended, %s",
			clockOf(e.LeaseTakenTime), epoch, stamp(end))
	}
	return nil
}

// Heal connects the node again: nothing may change but that the standby is back.
func (q *Quickstart) Heal(ctx context.Context, cut Cut) (Event, error) {
	event := Event{What: "the cut healed"}
	mark, err := q.Mark(ctx)
	if err != nil {
		return event, err
	}
	q.Say("%s", event.What)
	began := time.Now()
	if err := q.Local.Heal(ctx, cut.Node); err != nil {
		return event, err
	}
	if err := errors.Join(q.waitBack(ctx, cut, began), q.WaitReady(ctx, 3*time.Minute)); err != nil {
		return event, err
	}
	ready := time.Now()
	// Two more renewals: whoever would fight for the group has had the time.
	if err := q.waitRenewals(ctx, cut.Lease, ready, 2); err != nil {
		return event, err
	}
	if err := q.Client.WaitUp(ctx, time.Now(), 30*time.Second); err != nil {
		return event, err
	}
	event.Client = q.Client.Outage(began)
	after, err := q.Owner(ctx)
	if err != nil {
		return event, err
	}
	epochs, err := cut.Lease.Epochs()
	if err != nil {
		return event, err
	}
	event.Did = fmt.Sprintf("standby back after %.1f s; owner still %s, epoch %d", ready.Sub(began).Seconds(), after.PodName, after.Epoch)
	q.Say("  %s", event.Did)
	var errs []error
	if news := mark.News(after.Timeline); len(news) > 0 {
		errs = append(errs, fmt.Errorf("the group was interrupted again:%s", describeEntries(news)))
	}
	if len(epochs) != 2 || epochs[0] != cut.Before.Epoch || epochs[1] != cut.Entry.Epoch {
		errs = append(errs, fmt.Errorf("since before the cut the lease was held in epochs %v, want %d and then %d only",
			epochs, cut.Before.Epoch, cut.Entry.Epoch))
	}
	return event, errors.Join(append(errs,
		want("owner", after.PodName, cut.Entry.ToPodName), want("epoch", after.Epoch, cut.Entry.Epoch),
		q.Client.MissedNothing(began))...)
}

// waitBack waits until the old owner is heard of again, and runs nothing. What stands
// in the status of a host that was cut off does not say so: it is from before.
func (q *Quickstart) waitBack(ctx context.Context, cut Cut, since time.Time) error {
	err := q.Wait(ctx, "a sign of life of "+cut.Node, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		lease := &coordinationv1.Lease{}
		if err := q.Cluster.Client.Get(ctx, client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: cut.Node}, lease); err != nil {
			return false, "", err
		}
		return lease.Spec.RenewTime.After(since), "kubelet was heard last at " + clockOf(lease.Spec.RenewTime), nil
	})
	if err != nil {
		return err
	}
	return q.Wait(ctx, "the old owner to answer", time.Minute, func(ctx context.Context) (bool, string, error) {
		// redis-cli fails if nobody listens; what is left to see is that it could be asked.
		said, err := q.Exec(ctx, q.Namespace, cut.Before.PodName, RedisContainer,
			"bash", "-c", "redis-cli -p 6379 ping 2>&1 || echo none")
		if err == nil && strings.Contains(said, "PONG") {
			return false, "", fmt.Errorf("redis still runs on %s", cut.Before.PodName)
		}
		return err == nil, said, err
	})
}

// waitRenewals waits until the owner has renewed so many times since.
func (q *Quickstart) waitRenewals(ctx context.Context, log *LeaseLog, since time.Time, renewals int) error {
	return q.Wait(ctx, "renewals of the lease", time.Minute, func(context.Context) (bool, string, error) {
		writes, err := log.All()
		n := 0
		for _, w := range writes {
			if w.Seen.After(since) && w.Record.Held() {
				n++
			}
		}
		return n >= renewals, fmt.Sprintf("%d", n), err
	})
}
