// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/ownership"
)

// cache keeps the last versions of the Lease that were read, because a Put keeps
// what others wrote into the version that it replaces.
type cache struct {
	mu   sync.Mutex
	list []*coordinationv1.Lease
}

const cached = 4

func (c *cache) put(l *coordinationv1.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, l)
	c.list = c.list[max(0, len(c.list)-cached):]
}

func (c *cache) get(version string) *coordinationv1.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.list {
		if l.ResourceVersion == version {
			return l.DeepCopy()
		}
	}
	return nil
}

// lease makes a request one for the Lease: sent once, and answered as soon as the
// API server has answered. When client-go was asked to come again later it would
// do so by itself, and hold back the outcome, of which ownership makes the most.
func (c *Client) lease(r *rest.Request) *rest.Request {
	return r.Namespace(c.config.Namespace).Resource("leases").MaxRetries(0)
}

// GetLease carries out a Get. The answer comes as an input, at the latest after
// its time-out.
func (c *Client) GetLease(ctx context.Context, g ownership.Get) {
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	request := c.lease(c.leases.Get()).Name(leasev1.Name(c.config.Group))
	if !g.Quorum {
		request = request.Param("resourceVersion", "0")
	}
	lease := &coordinationv1.Lease{}
	err := request.Do(ctx).Into(lease)
	seen := &ownership.Observed{Get: g.ID}
	switch {
	case err == nil:
		seen.Lease = c.seen(lease)
	case !apierrors.IsNotFound(err):
		seen.Failed = true
	}
	c.config.Sink(core.Input{Observed: seen})
}

// PutLease carries out a Put: one attempt.
func (c *Client) PutLease(ctx context.Context, p ownership.Put) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	base := c.leaseBase.get(p.Record.ResourceVersion)
	if base == nil {
		// Without the object that is replaced, what others wrote into it would be
		// lost. The next read brings it.
		c.config.Sink(core.Input{Wrote: &ownership.Wrote{
			Seq: p.Seq, Outcome: ownership.Conflict, Message: "the version to be replaced was never read",
		}})
		return
	}
	c.write(ctx, c.leases.Put().Name(base.Name), p.Seq, p.Record, base)
}

// CreateLease carries out a Create: one attempt.
func (c *Client) CreateLease(ctx context.Context, p ownership.Create) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	base := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: leasev1.Name(c.config.Group), Namespace: c.config.Namespace,
		Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelGroup: c.config.Group},
		// It holds the group: nobody shall delete it from under us again.
		Finalizers: []string{v1alpha1.Finalizer},
	}}
	c.write(ctx, c.leases.Post(), p.Seq, p.Record, base)
}

func (c *Client) write(
	ctx context.Context, request *rest.Request, seq int64, record leasev1.Record, base *coordinationv1.Lease,
) {
	body := merge(leasev1.Encode(record, plain(base)), base)
	lease := &coordinationv1.Lease{}
	err := c.lease(request).Body(body).Do(ctx).Into(lease)
	wrote := &ownership.Wrote{Seq: seq, Outcome: ownership.Committed}
	switch {
	case err == nil:
		wrote.Lease = c.seen(lease)
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		wrote.Outcome, wrote.Message = ownership.Conflict, err.Error()
	case apierrors.IsNotFound(err):
		wrote.Outcome, wrote.Message = ownership.NotFound, err.Error()
	default:
		wrote.Outcome, wrote.Message = ownership.Unknown, err.Error()
	}
	c.config.Sink(core.Input{Wrote: wrote})
}

func (c *Client) seen(l *coordinationv1.Lease) *leasev1.Lease {
	c.leaseBase.put(l)
	p := plain(l)
	return &p
}

func (c *Client) watchLease(ctx context.Context) {
	follow(ctx, c.single(c.leases, "leases", leasev1.Name(c.config.Group)), &coordinationv1.LeaseList{},
		func(l *coordinationv1.Lease) {
			c.config.Sink(core.Input{Observed: &ownership.Observed{Lease: c.seen(l)}})
		},
		func(*coordinationv1.Lease) { c.config.Sink(core.Input{Observed: &ownership.Observed{}}) },
		func() { c.config.Sink(core.Input{Observed: &ownership.Observed{}}) })
}

// plain and merge convert between the Kubernetes type and the codec's.
func plain(l *coordinationv1.Lease) leasev1.Lease {
	return leasev1.Lease{
		UID: string(l.UID), ResourceVersion: l.ResourceVersion,
		HolderIdentity: l.Spec.HolderIdentity, LeaseDurationSeconds: l.Spec.LeaseDurationSeconds,
		LeaseTransitions: l.Spec.LeaseTransitions, AcquireTime: fromMicro(l.Spec.AcquireTime),
		RenewTime: fromMicro(l.Spec.RenewTime), Annotations: l.Annotations,
	}
}

func merge(p leasev1.Lease, base *coordinationv1.Lease) *coordinationv1.Lease {
	out := base.DeepCopy()
	out.UID, out.ResourceVersion = types.UID(p.UID), p.ResourceVersion
	out.Annotations = p.Annotations
	out.Spec.HolderIdentity, out.Spec.LeaseDurationSeconds = p.HolderIdentity, p.LeaseDurationSeconds
	out.Spec.LeaseTransitions = p.LeaseTransitions
	out.Spec.AcquireTime, out.Spec.RenewTime = toMicro(p.AcquireTime), toMicro(p.RenewTime)
	return out
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
	m := metav1.NewMicroTime(*t)
	return &m
}
