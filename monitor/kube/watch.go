// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

const (
	// retryPause is the longest pause before a watch is opened again
	// (Ownership section 9).
	retryPause = 500 * time.Millisecond
	// listTimeout bounds a list, or a page of one.
	listTimeout = 5 * time.Second
	// listPage is how many objects one page has: finished control calls stay for a day,
	// each with up to 64 KiB of output, one that waits may have 1 MiB of input, and the
	// monitor has little memory.
	listPage = 10
	// shortWatch is what a watch has to last to be opened again at once: something
	// between here and the API server may end each as soon as it has begun, and
	// every one of them begins with a list.
	shortWatch = time.Second
	// watchSeconds is how long a watch is asked to last: an idle group must cost
	// nothing but its renewals.
	watchSeconds = 3600
)

// source is where objects are listed and watched.
type source struct {
	client    rest.Interface
	namespace string
	resource  string
	selector  fields.Selector
}

func (c *Client) single(client rest.Interface, resource, name string) source {
	return source{client, c.config.Namespace, resource, fields.OneTermEqualSelector(metav1.ObjectNameField, name)}
}

func (s source) request(options metav1.ListOptions) *rest.Request {
	options.FieldSelector = s.selector.String()
	return s.client.Get().Namespace(s.namespace).Resource(s.resource).VersionedParams(&options, metav1.ParameterCodec)
}

// follow lists, then watches, for ever: seen for each object that is there, gone
// for each that was deleted, none when a list came back empty.
func follow[T runtime.Object](
	ctx context.Context, s source, list runtime.Object, seen, gone func(T), none func(),
) {
	for ctx.Err() == nil {
		lasted, err := followOnce(ctx, s, list.DeepCopyObject(), seen, gone, none)
		pause := rand.N(retryPause) //nolint:gosec // jitter needs no secrecy
		if err == nil && lasted > shortWatch {
			pause = 0 // a watch that simply ended
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// followOnce lists and watches once, and tells how long the watch lasted.
func followOnce[T runtime.Object](
	ctx context.Context, s source, list runtime.Object, seen, gone func(T), none func(),
) (lasted time.Duration, err error) {
	version, err := listOnce(ctx, s, list, seen, none)
	if err != nil {
		return 0, err
	}
	seconds := int64(watchSeconds)
	w, err := s.request(metav1.ListOptions{
		Watch: true, ResourceVersion: version, AllowWatchBookmarks: false, TimeoutSeconds: &seconds,
	}).Watch(ctx)
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	began := time.Now()
	for e := range w.ResultChan() {
		o, ok := e.Object.(T)
		switch {
		case e.Type == watch.Error || !ok:
			return time.Since(began), errWatch
		case e.Type == watch.Deleted:
			gone(o)
		case e.Type == watch.Added || e.Type == watch.Modified:
			seen(o)
		}
	}
	return time.Since(began), nil
}

type constError string

func (e constError) Error() string { return string(e) }

const errWatch = constError("the watch broke off")

func listOnce[T runtime.Object](
	ctx context.Context, s source, list runtime.Object, seen func(T), none func(),
) (version string, err error) {
	n, options := 0, metav1.ListOptions{Limit: listPage}
	for {
		page := list.DeepCopyObject()
		attempt, cancel := context.WithTimeout(ctx, listTimeout)
		err := s.request(options).Do(attempt).Into(page)
		cancel()
		if err != nil {
			return "", err
		}
		err = meta.EachListItem(page, func(o runtime.Object) error {
			n++
			seen(o.(T))
			return nil
		})
		if err != nil {
			return "", err
		}
		m, err := meta.ListAccessor(page)
		if err != nil {
			return "", err
		}
		if options.Continue = m.GetContinue(); options.Continue != "" {
			continue
		}
		if n == 0 && none != nil {
			none()
		}
		return m.GetResourceVersion(), nil
	}
}

func (c *Client) watchGroup(ctx context.Context) {
	none := func() { c.config.Sink(core.Input{Group: &core.Group{Gone: true}}) }
	follow(ctx, c.single(c.kinds, "resourcegroups", c.config.Group), &v1alpha1.ResourceGroupList{},
		c.seenGroup, func(*v1alpha1.ResourceGroup) { none() }, none)
}

func (c *Client) seenGroup(g *v1alpha1.ResourceGroup) {
	c.objects.setGroup(g)
	c.config.Sink(core.Input{Group: &core.Group{
		UID: string(g.UID), ResourceVersion: g.ResourceVersion, Deleting: !g.DeletionTimestamp.IsZero(),
		Status: *g.Status.DeepCopy(),
	}})
}

func (c *Client) watchCalls(ctx context.Context) {
	s := source{c.kinds, c.config.Namespace, "controlcalls", fields.OneTermEqualSelector("spec.groupName", c.config.Group)}
	follow(ctx, s, &v1alpha1.ControlCallList{},
		func(k *v1alpha1.ControlCall) { c.config.Sink(core.Input{ControlCall: callInput(k)}) },
		func(k *v1alpha1.ControlCall) {
			in := callInput(k)
			in.Gone = true
			c.config.Sink(core.Input{ControlCall: in})
		}, nil)
}

func callInput(k *v1alpha1.ControlCall) *core.ControlCall {
	in := &core.ControlCall{
		UID: string(k.UID), Name: k.Name, ResourceName: k.Spec.ResourceName, Code: k.Spec.Code,
		TypeName: k.Spec.TypeName, HostName: k.Spec.HostName, InputBytes: k.Spec.InputBytes, AsUser: asUser(k.Spec.AsUser),
		Destination: k.Spec.Destination, IgnoreLockedMode: k.Spec.IgnoreLockedMode, Queue: k.Spec.Queue,
		Read:                k.Spec.Access == v1alpha1.ControlRead,
		TimeoutMilliseconds: k.Spec.TimeoutMilliseconds,
		Owner:               k.Status.Owner, Finished: k.Status.CompletionTime != nil,
	}
	if d := k.Spec.StartingDeadlineSeconds; d != nil {
		in.StartBy = k.CreationTimestamp.Add(time.Duration(*d) * time.Second)
	}
	if k.Status.StartTime != nil {
		in.Start = k.Status.StartTime.Time
	}
	switch {
	case k.Spec.Input == nil:
	case len(k.Spec.Input.Raw) > v1alpha1.MaxControlInput:
		in.InputSize = len(k.Spec.Input.Raw) // it will be refused, and can wait for long
	default:
		in.Input = json.RawMessage(k.Spec.Input.Raw)
	}
	return in
}

// FetchPlan reads a plan until it is there or ctx ends; the answer is an input.
func (c *Client) FetchPlan(ctx context.Context, revision string) {
	for ctx.Err() == nil {
		r := &appsv1.ControllerRevision{}
		attempt, cancel := context.WithTimeout(ctx, listTimeout)
		err := c.revisions.Get().Namespace(c.config.Namespace).Resource("controllerrevisions").Name(revision).
			Do(attempt).Into(r)
		cancel()
		if err == nil {
			c.config.Sink(core.Input{Plan: decodePlan(r)})
			return
		}
		t := time.NewTimer(retryPause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

func decodePlan(r *appsv1.ControllerRevision) *core.Plan {
	p := &planv1.Plan{}
	if err := json.Unmarshal(r.Data.Raw, p); err != nil {
		return &core.Plan{Revision: r.Name, Error: err.Error()}
	}
	return &core.Plan{Revision: r.Name, Plan: p}
}
