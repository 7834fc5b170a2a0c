// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// writeTimeout bounds one attempt to store a document.
const writeTimeout = 5 * time.Second

// objects are the last seen versions of what is written to.
type objects struct {
	mu        sync.Mutex
	group     *v1alpha1.ResourceGroup
	resources map[string]*v1alpha1.ClusterResource
}

func (o *objects) setGroup(g *v1alpha1.ResourceGroup) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.group = g
}

func (o *objects) getGroup() *v1alpha1.ResourceGroup {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.group
}

func (o *objects) setResource(r *v1alpha1.ClusterResource) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.resources == nil {
		o.resources = map[string]*v1alpha1.ClusterResource{}
	}
	o.resources[r.Name] = r
}

func (o *objects) getResource(name string) *v1alpha1.ClusterResource {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.resources[name]
}

// Write stores a document: one attempt, and its answer as an input.
func (c *Client) Write(ctx context.Context, w core.Write) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	outcome, err := core.WriteFailed, error(nil)
	switch {
	case w.Resource != nil:
		outcome, err = c.writeResource(ctx, *w.Resource)
	case w.Group != nil:
		outcome, err = c.writeGroup(ctx, *w.Group)
	case w.Host != nil:
		outcome, err = c.writeHost(ctx, *w.Host)
	case w.Endpoint != nil:
		outcome, err = c.writeEndpoint(ctx, *w.Endpoint)
	case w.Call != nil:
		outcome, err = c.writeCall(ctx, *w.Call)
	}
	done := &core.Written{Key: w.Key, Seq: w.Seq, Outcome: outcome}
	if err != nil {
		done.Message = err.Error()
	}
	c.config.Sink(core.Input{Written: done})
}

func (c *Client) writeResource(ctx context.Context, d core.ResourceDocument) (core.WriteOutcome, error) {
	old := c.objects.getResource(d.Name)
	if old == nil {
		old = &v1alpha1.ClusterResource{}
		if err := c.get(ctx, "clusterresources", d.Name, old); err != nil {
			return judge(err)
		}
		c.objects.setResource(old)
	}
	if string(old.UID) != d.UID || old.Status.Owner != nil && old.Status.Owner.Epoch > d.Owner.Epoch {
		c.forgetResource(d.Name)
		return core.WriteSuperseded, nil
	}
	wanted := old.DeepCopy()
	wanted.Status.Owner = &d.Owner
	if d.NodeLocalProperties != nil {
		wanted.Status.Owner.NodeLocalProperties = &runtime.RawExtension{Raw: d.NodeLocalProperties}
	}
	// What the owner says, it says of the spec that it acts on, which may not be the newest.
	setConditions(&wanted.Status.Conditions, d.Conditions, d.Owner.Generation)
	stored := &v1alpha1.ClusterResource{}
	err := c.patchStatus(ctx, "clusterresources", old, wanted, stored)
	if err != nil {
		c.forgetResource(d.Name) // the next attempt reads it again
		return judge(err)
	}
	c.objects.setResource(stored)
	return core.WriteDone, nil
}

func (c *Client) forgetResource(name string) {
	c.objects.mu.Lock()
	defer c.objects.mu.Unlock()
	delete(c.objects.resources, name)
}

func (c *Client) writeGroup(ctx context.Context, d core.GroupDocument) (core.WriteOutcome, error) {
	old := c.objects.getGroup()
	if old == nil {
		return core.WriteFailed, nil
	}
	if string(old.UID) != d.UID || old.Status.Owner != nil && old.Status.Owner.Epoch > d.Owner.Epoch {
		return core.WriteSuperseded, nil
	}
	unseen := old.Status.Owner != nil && old.Status.Owner.Epoch != d.Owner.Epoch && old.ResourceVersion != d.Seen
	if unseen || !core.Continues(old.Status.Types, d.Types) {
		return core.WriteStale, nil // core is being told what it does not know
	}
	wanted := old.DeepCopy()
	wanted.Status.Owner, wanted.Status.Types = &d.Owner, d.Types
	setConditions(&wanted.Status.Conditions, d.Conditions, old.Generation)
	stored := &v1alpha1.ResourceGroup{}
	err := c.patchStatus(ctx, "resourcegroups", old, wanted, stored)
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		// Somebody else wrote: look, let core see it, and write what is right then.
		fresh := &v1alpha1.ResourceGroup{}
		if err := c.get(ctx, "resourcegroups", c.config.Group, fresh); err != nil {
			return judge(err)
		}
		c.seenGroup(fresh)
		return core.WriteStale, err
	}
	if err != nil {
		return judge(err)
	}
	c.objects.setGroup(stored)
	return core.WriteDone, nil
}

// writeHost needs no version: nobody else writes this host's entry.
func (c *Client) writeHost(ctx context.Context, d core.HostDocument) (core.WriteOutcome, error) {
	h := d.Host
	patch := map[string]any{
		"metadata": map[string]any{"uid": d.GroupUID},
		"status": map[string]any{"hosts": map[string]any{d.Name: map[string]any{
			"podUID": h.PodUID, "nodeName": h.NodeName, "ready": h.Ready,
			"planRevision": orNull(h.PlanRevision), "reason": orNull(h.Reason), "message": orNull(h.Message),
		}}},
	}
	return judge(c.mergePatch(ctx, "resourcegroups", c.config.Group, "status", patch, &v1alpha1.ResourceGroup{}))
}

func (c *Client) writeCall(ctx context.Context, d core.CallDocument) (core.WriteOutcome, error) {
	old := &v1alpha1.ControlCall{}
	if err := c.get(ctx, "controlcalls", d.Name, old); err != nil {
		return judge(err)
	}
	owner := old.Status.Owner
	mine := owner != nil && owner.PodUID == d.Owner.PodUID && owner.Epoch == d.Owner.Epoch
	switch {
	case string(old.UID) != d.UID || old.Status.CompletionTime != nil:
		return core.WriteSuperseded, nil
	case d.Finish == nil && mine && queued(old) == d.Queued && sameDeadline(old.Status.DeadlineTime, d):
		return core.WriteDone, nil // an earlier attempt was stored after all
	case (d.Finish == nil || d.Unclaimed) && owner != nil && !mine || owner != nil && owner.Epoch > d.Owner.Epoch:
		return core.WriteSuperseded, nil
	}
	wanted := old.DeepCopy()
	notStarted := d.Finish != nil && d.Finish.Reason == v1alpha1.ReasonNotStarted
	if owner == nil && !notStarted { // which is said of what nobody claimed
		wanted.Status.Owner = &d.Owner
		wanted.Status.StartTime = toMicro(&d.Start)
		if d.Start.IsZero() {
			wanted.Status.StartTime = nil
		}
	}
	if d.Finish == nil && !d.Deadline.IsZero() {
		wanted.Status.DeadlineTime = toMicro(&d.Deadline)
	}
	finishCall(wanted, d.Queued, d.Finish)
	err := c.patchStatus(ctx, "controlcalls", old, wanted, &v1alpha1.ControlCall{})
	return judge(err)
}

// patchStatus sends the difference as a merge patch that holds only for the
// version it was made from.
func (c *Client) patchStatus(
	ctx context.Context, resource string, old, wanted metav1.Object, into runtime.Object,
) error {
	before, err := json.Marshal(old)
	if err != nil {
		return fmt.Errorf("%s %s: %w", resource, old.GetName(), err)
	}
	after, err := json.Marshal(wanted)
	if err != nil {
		return fmt.Errorf("%s %s: %w", resource, old.GetName(), err)
	}
	diff, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		return fmt.Errorf("%s %s: %w", resource, old.GetName(), err)
	}
	patch := map[string]any{}
	if err := json.Unmarshal(diff, &patch); err != nil {
		return fmt.Errorf("%s %s: %w", resource, old.GetName(), err)
	}
	patch["metadata"] = map[string]any{"uid": old.GetUID(), "resourceVersion": old.GetResourceVersion()}
	return c.mergePatch(ctx, resource, old.GetName(), "status", patch, into)
}

func (c *Client) mergePatch(
	ctx context.Context, resource, name, subresource string, patch any, into runtime.Object,
) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("%s %s: %w", resource, name, err)
	}
	return c.kinds.Patch(types.MergePatchType).Namespace(c.config.Namespace).Resource(resource).Name(name).
		SubResource(subresource).Body(body).Do(ctx).Into(into)
}

func (c *Client) get(ctx context.Context, resource, name string, into runtime.Object) error {
	return c.kinds.Get().Namespace(c.config.Namespace).Resource(resource).Name(name).Do(ctx).Into(into)
}

// judge is what an error says about a write.
func judge(err error) (core.WriteOutcome, error) {
	switch {
	case err == nil:
		return core.WriteDone, nil
	case apierrors.IsNotFound(err):
		return core.WriteSuperseded, err
	case apierrors.IsConflict(err):
		return core.WriteStale, err
	}
	return core.WriteFailed, err
}

func setConditions(list *[]metav1.Condition, wanted []core.Condition, generation int64) {
	for _, w := range wanted {
		if w.Absent {
			meta.RemoveStatusCondition(list, w.Type)
			continue
		}
		status := metav1.ConditionFalse
		if w.Status {
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(list, metav1.Condition{
			Type: w.Type, Status: status, Reason: w.Reason, Message: w.Message, ObservedGeneration: generation,
		})
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
