// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

const (
	groupKey    = "group"
	hostKey     = "host"
	endpointKey = "endpoint"
)

func resourceKey(uid string) string { return "resource/" + uid }

// revision is the plan that this host can answer for: the accepted one once all
// that it no longer has is closed, because the manager lets those objects go then.
func (c *Core) revision() string {
	for _, r := range c.snapshot.Resources {
		if r.Removed {
			return c.reported
		}
	}
	c.reported = c.snapshot.PlanRevision
	return c.reported
}

// describe says what every document shall be now. It only ever tells what the
// machines know.
func (c *Core) describe() {
	if c.group == nil || c.group.Gone || c.group.UID == "" {
		return
	}
	c.describeHost()
	if c.story.Epoch == 0 {
		return
	}
	if o := c.group.Status.Owner; o != nil && o.Epoch > c.story.Epoch {
		c.documents.drop()
		return
	}
	for _, r := range c.snapshot.Resources {
		if !r.Removed || r.Held { // its object is there as long as it runs
			c.describeResource(r)
		}
	}
	c.describeGroup()
	c.describeEndpoint()
}

func (c *Core) describeHost() {
	unfit := c.unfit()
	h := v1alpha1.HostStatus{
		PodUID: c.config.PodUID, NodeName: c.config.NodeName, Ready: unfit == "",
		PlanRevision: c.revision(), Reason: unfit,
	}
	switch unfit {
	case unfitProvider:
		h.Message = c.absentProviders()
	case unfitElsewhere:
		h.Message = "no host takes the group while something runs on " + strayOn(c.group.Status, c.config.PodUID) +
			" which nobody brought online: end it there, or delete that pod"
	}
	c.documents.set(hostKey, Write{Host: &HostDocument{GroupUID: c.group.UID, Name: c.config.PodName, Host: h}}, urgent)
}

func (c *Core) describeResource(r engine.ResourceSnapshot) {
	o := v1alpha1.ResourceOwnerStatus{
		Epoch: c.story.Epoch, PodUID: c.config.PodUID, PodName: c.config.PodName, NodeName: c.config.NodeName,
		PlanRevision: c.revision(), Generation: r.Spec.Generation,
		State: v1alpha1.ResourceState(r.State), StateTime: micro(r.Since),
		Reason: string(r.Waiting), Message: c.waitingFor(r),
		CheckPoint: int64(r.CheckPoint), ApplicationErrorCode: int64(r.ApplicationErrorCode),
		StatusFlags: int64(r.StatusFlags), StatusInformation: int64(r.StatusInformation),
		LastOperationStatusCode: int64(r.LastOperationStatusCode), FailuresInPeriod: int32(min(len(r.Failures), 1<<30)),
		ApplicationStates: applicationStates(r),
	}
	if len(r.Transitions) > 0 && o.Reason == "" {
		o.Reason = string(r.Transitions[len(r.Transitions)-1].Reason)
	}
	if r.NextTry != nil {
		t := micro(*r.NextTry)
		o.NextRestartTime = &t
	}
	if f := r.LastFailure; f != nil {
		o.LastFailure = &v1alpha1.ResourceFailure{
			Time: micro(f.Time), Reason: string(f.Reason), Code: int64(f.Code), Message: f.Message,
			ApplicationErrorCode: int64(f.ApplicationErrorCode),
		}
	}
	if m := r.LockedMode; m != nil {
		o.LockedMode = &v1alpha1.LockedMode{
			Locked: m.Locked, Reason: int64(m.Reason), Flags: int64(m.Flags), Time: micro(m.Time),
		}
	}
	o.Transitions = make([]v1alpha1.ResourceTransition, 0, len(r.Transitions))
	for _, t := range r.Transitions {
		o.Transitions = append(o.Transitions, v1alpha1.ResourceTransition{
			Time: micro(t.Time), State: v1alpha1.ResourceState(t.State), Reason: string(t.Reason),
		})
	}
	o.ControlResults = controlResults(r.ControlResults)
	o.DumpProcesses, o.LastDump = dumpsOf(r.DumpProcesses, r.LastDump)
	online := Condition{
		Type: v1alpha1.ConditionOnline, Status: r.State == engine.Online, Reason: string(r.State), Message: o.Message,
	}
	applied, arbitrated := propertiesApplied(r), arbitrated(r)
	// A provider may enter and leave locked mode all the time: that is not urgent.
	mark := []any{
		o.Epoch, o.State, o.StateTime, o.LastFailure, o.ControlResults, o.Reason, o.Generation,
		r.StatusInformation &^ (engine.StatusLockedMode | engine.StatusApplication), applied.Reason, o.LastDump, arbitrated,
	}
	conditions := append([]Condition{online, applied, resourceLocked(r), arbitrated}, signalled(r)...)
	conditions = append(conditions, applicationConditions(o.ApplicationStates)...)
	c.documents.set(resourceKey(r.Spec.UID), Write{Resource: &ResourceDocument{
		Name: r.Spec.Name, UID: r.Spec.UID, Owner: o, NodeLocalProperties: r.NodeLocalProperties,
		Conditions: conditions,
	}}, mark)
}

// waitingFor is what to look at when a resource is not as it is wanted.
func (c *Core) waitingFor(r engine.ResourceSnapshot) string {
	names := make([]string, 0, len(r.WaitingFor))
	for _, uid := range r.WaitingFor {
		names = append(names, c.resourceName(uid))
	}
	switch {
	case r.Held:
		return notOffline(names)
	case len(names) > 0:
		return "waits for " + strings.Join(names, ", ")
	case r.Waiting == engine.ReasonNotQuorumCapable:
		return notQuorumCapable(r)
	case r.Arbitration != nil && r.Arbitration.Lost != "":
		return r.Arbitration.Message
	case r.State == engine.Failed && r.LastFailure != nil:
		return r.LastFailure.Message
	}
	return ""
}

func (c *Core) describeGroup() {
	state := v1alpha1.GroupState(c.snapshot.Group)
	o := c.story.ownerStatus(c.config, state, c.revision())
	if told := c.documents[groupKey]; told != nil && told.want.Group != nil {
		was := told.want.Group.Owner
		o.Timeline, o.History = unchanged(was.Timeline, o.Timeline), unchanged(was.History, o.History)
		o.ControlResults = unchanged(was.ControlResults, o.ControlResults)
	}
	if c.need != nil {
		o.Message = "fails over: " + string(c.need.Reason) + " of " + c.resourceName(c.need.Resource)
		if s := c.owner.Snapshot(); s.NotReleased != "" {
			o.Message = "cannot fail over: " + s.NotReleased
		}
	}
	if kept := c.keptOnline(); o.Message == "" && len(kept) > 0 {
		o.Message = "The group " + notOffline(kept)
	}
	ready := Condition{
		Type: v1alpha1.ConditionReady, Status: c.story.Online && c.story.Owning, Reason: string(state), Message: o.Message,
	}
	if r := c.unready(); !ready.Status && r != nil {
		ready.Reason = string(r.Waiting)
		if ready.Message == "" {
			ready.Message = strings.TrimSuffix("the resource "+r.Spec.Name+" "+c.waitingFor(*r), " ")
		}
	}
	failed := Condition{Type: v1alpha1.ConditionStopFailed, Reason: "StopProven"}
	if left := c.unstopped(); len(left) > 0 {
		failed.Status, failed.Reason = true, v1alpha1.ConditionStopFailed
		failed.Message = strings.Join(left, ", ") + " may still run: the lease is kept. Look at the host pod " +
			c.config.PodName + "; if its node is off, fence it"
	}
	conditions := []Condition{ready, failed, c.groupLocked()}
	// As with a resource, locked mode alone is not urgent; nor is a type that raises many
	// notifications.
	information := c.snapshot.StatusInformation()
	mark := []any{o, ready.Status, failed, information &^ engine.GroupLockedMode}
	if c.movesQueued() {
		information |= engine.GroupInMoveQueue
	}
	o.StatusInformation = int64(information)
	c.documents.set(groupKey, Write{Group: &GroupDocument{
		UID: c.group.UID, Owner: o, Types: c.showTypes(), Conditions: conditions,
	}}, mark)
}

// unchanged is the same list as before if it says the same: then nobody has to look into it.
func unchanged[T comparable](was, is []T) []T {
	if slices.Equal(was, is) {
		return was
	}
	return is
}

// unready is the resource that says why the group is not as it is wanted: a failed one
// before others, what was lost next, and before one that is offline because it is wanted so. nil if none
// says why.
func (c *Core) unready() *engine.ResourceSnapshot {
	weight := func(r *engine.ResourceSnapshot) int {
		switch {
		case r == nil || r.Waiting == "":
			return 0
		case r.Spec.DesiredState != engine.DesiredOnline || r.Removed:
			return 1
		case r.State == engine.Failed:
			return 4
		case r.Arbitration != nil && !r.Arbitration.Held:
			return 3
		}
		return 2
	}
	var found *engine.ResourceSnapshot
	for i := range c.snapshot.Resources {
		if r := &c.snapshot.Resources[i]; weight(r) > weight(found) {
			found = r
		}
	}
	return found
}

func (c *Core) describeEndpoint() {
	if c.plan == nil || c.plan.Service == nil || !c.story.Published {
		return
	}
	e := EndpointDocument{Epoch: c.story.Epoch}
	for _, p := range c.plan.Service.Ports {
		e.Ports = append(e.Ports, Port{Name: p.Name, Port: p.Port})
	}
	if c.wantOnline() {
		e.Address, e.PodName, e.PodUID, e.NodeName = c.config.PodIP, c.config.PodName, c.config.PodUID, c.config.NodeName
	}
	c.documents.set(endpointKey, Write{Endpoint: &e}, urgent)
}

func controlResults(list []engine.ControlResult) []v1alpha1.ControlResult {
	out := make([]v1alpha1.ControlResult, 0, len(list))
	for _, k := range list {
		name, _, _ := strings.Cut(k.ID, "/")
		out = append(out, v1alpha1.ControlResult{
			Name: name, Code: k.Name, StatusCode: int64(k.Status), Time: micro(k.Time),
		})
	}
	return out
}

func micro(t instant.Instant) metav1.MicroTime { return microTime(t.WallTime()) }

// microTime is what the API stores of a time, so that what was written compares
// equal to what is read.
func microTime(t time.Time) metav1.MicroTime {
	return metav1.NewMicroTime(t.Truncate(time.Microsecond))
}

func microPointer(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := microTime(t)
	return &m
}
