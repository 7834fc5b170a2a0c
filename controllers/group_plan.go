// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// settle is how long the first plan of a group waits, so that what is applied
// together is planned together.
const settle = time.Second

// loadPlan reads the plan in force: what the hosts run, whatever the spec says. One
// of a later release, which was taken back, is as good as none: this one makes its own.
func (r *groupReconciler) loadPlan(ctx context.Context, s *groupScope) error {
	if s.group.Status.PlanRevision == "" {
		return nil
	}
	var revision appsv1.ControllerRevision
	key := types.NamespacedName{Namespace: s.group.Namespace, Name: s.group.Status.PlanRevision}
	if err := r.readRevision(ctx, key, &revision); err != nil {
		return client.IgnoreNotFound(err)
	}
	p, err := plan.Decode(revision.Data.Raw)
	if errors.Is(err, plan.ErrNewer) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revision %s: %w", key.Name, err)
	}
	s.plan = &p
	key.Name = p.HostRevision
	if err := r.readRevision(ctx, key, &revision); err != nil {
		return client.IgnoreNotFound(err)
	}
	host, err := plan.DecodeHost(revision.Data.Raw)
	if err != nil {
		return fmt.Errorf("revision %s: %w", key.Name, err)
	}
	s.host = &host
	return nil
}

// readRevision asks the API server if the cache has not caught up.
func (r *groupReconciler) readRevision(
	ctx context.Context, key types.NamespacedName, into *appsv1.ControllerRevision,
) error {
	*into = appsv1.ControllerRevision{}
	err := r.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		err = r.live.Get(ctx, key, into)
	}
	return err
}

// makePlan turns the spec into the plan in force, all or nothing. A refused spec leaves the last plan in force.
func (r *groupReconciler) makePlan(ctx context.Context, s *groupScope) error {
	if wait := settle - r.now().Sub(s.group.CreationTimestamp.Time); s.plan == nil && wait > 0 && wait <= settle {
		s.again(wait)
		return nil
	}
	if err := r.holdResources(ctx, s); err != nil {
		return err
	}
	input, err := r.planInput(ctx, s)
	if err != nil {
		return err
	}
	result, problems := plan.Build(input)
	name := plan.Name(result.Plan)
	fresh := name != s.group.Status.PlanRevision || s.plan == nil || s.host == nil
	if len(problems) == 0 && fresh {
		if problems, err = r.tryPlan(ctx, s, &result); err != nil {
			return err
		}
	}
	s.problems = problems
	if len(problems) == 0 && fresh {
		err := r.publish(ctx, s, name, result)
		if _, is := taken(err); (is || refused(err)) && s.group.Status.PlanRevision != name {
			s.problems = plan.Problems{{
				Kind: plan.KindGroup, Name: s.group.Name, Reason: understudyv1alpha1.ReasonPlanRefused,
				Message: "what belongs to the plan cannot be stored: " + err.Error(),
			}}
			s.again(refusedRetry)
		} else if err != nil {
			return err
		}
	}
	s.planned = true
	return nil
}

// planInput is what the plan is made of.
func (r *groupReconciler) planInput(ctx context.Context, s *groupScope) (plan.Input, error) {
	input := plan.Input{
		Group: s.group, Resources: s.resources, Types: map[string]*understudyv1alpha1.ResourceType{}, Checked: r.types,
		InForce: s.plan, HostInForce: s.host,
	}
	for i := range s.resources {
		name := s.resources[i].Spec.TypeName
		if _, done := input.Types[name]; done {
			continue
		}
		t := &understudyv1alpha1.ResourceType{}
		switch err := r.Get(ctx, types.NamespacedName{Name: name}, t); {
		case err == nil:
			input.Types[name] = t
		case !apierrors.IsNotFound(err):
			return input, fmt.Errorf("reading the ResourceType %s: %w", name, err)
		}
	}
	return input, nil
}

// holdResources puts the finalizer on each resource before it gets into a plan,
// so that it stays until it is stopped.
func (r *groupReconciler) holdResources(ctx context.Context, s *groupScope) error {
	for i := range s.resources {
		o := &s.resources[i]
		if !o.DeletionTimestamp.IsZero() || controllerutil.ContainsFinalizer(o, understudyv1alpha1.Finalizer) {
			continue
		}
		if err := patchMeta(ctx, r.Client, o, func(o *understudyv1alpha1.ClusterResource) {
			controllerutil.AddFinalizer(o, understudyv1alpha1.Finalizer)
		}); err != nil {
			return fmt.Errorf("holding the ClusterResource %s: %w", o.Name, err)
		}
	}
	return nil
}

// publish puts a plan in force, or leaves the one before it there.
func (r *groupReconciler) publish(ctx context.Context, s *groupScope, name string, result plan.Result) error {
	before, host := s.plan, s.host
	s.plan, s.host, s.published = &result.Plan, &result.Host, true
	if err := r.putInForce(ctx, s, name, before); err != nil {
		s.plan, s.host = before, host
		return err
	}
	r.event(s.group, nil, false, "PlanAccepted", "Plan", "The plan %s is in force", name)
	return r.pruneRevisions(ctx, s)
}

// putInForce writes first what the plan's monitors may reach, then the plan, then
// the pointer to it.
func (r *groupReconciler) putInForce(ctx context.Context, s *groupScope, name string, before *planv1.Plan) error {
	if err := r.accessFor(ctx, s, name, before); err != nil {
		return err
	}
	if err := r.saveRevision(ctx, s, s.plan.HostRevision, kindHost, plan.EncodeHost(*s.host)); err != nil {
		return err
	}
	if err := r.saveRevision(ctx, s, name, kindPlan, plan.Encode(*s.plan)); err != nil {
		return err
	}
	if _, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		g.Status.PlanRevision = name
	}); err != nil {
		return fmt.Errorf("putting the plan %s in force: %w", name, err)
	}
	return nil
}

// tellAccepted writes the condition Accepted of the group and of its resources.
func (r *groupReconciler) tellAccepted(ctx context.Context, s *groupScope) error {
	if !s.planned {
		return nil
	}
	inForce := map[types.UID]int64{}
	if s.plan != nil {
		for _, p := range s.plan.Resources {
			inForce[types.UID(p.UID)] = p.Generation
		}
	}
	var errs []error
	for i := range s.resources {
		o := &s.resources[i]
		if !o.DeletionTimestamp.IsZero() {
			continue // releaseResources says what it waits for
		}
		generation, planned := inForce[o.UID]
		c := s.accepted(plan.KindResource, o.Name, planned && generation == o.Generation)
		changed, err := patchStatus(ctx, r.Client, o, func(o *understudyv1alpha1.ClusterResource) {
			setCondition(&o.Status.Conditions, c, o.Generation)
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("reporting on the ClusterResource %s: %w", o.Name, err))
		}
		if changed && c.Status == metav1.ConditionFalse {
			r.event(o, s.group, true, c.Reason, "Plan", "%s", c.Message)
		}
	}
	c := s.accepted(plan.KindGroup, s.group.Name, len(s.problems) == 0)
	changed, err := patchStatus(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
		setCondition(&g.Status.Conditions, c, g.Generation)
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("reporting on the group: %w", err))
	}
	if changed && c.Status == metav1.ConditionFalse {
		r.event(s.group, nil, true, c.Reason, "Plan", "%s", c.Message)
	}
	return errors.Join(errs...)
}

// accepted is the condition of one object, given all problems of its group and
// whether the object as it is now is part of the plan in force.
func (s *groupScope) accepted(kind, name string, inForce bool) metav1.Condition {
	c := metav1.Condition{
		Type: understudyv1alpha1.ConditionAccepted, Status: metav1.ConditionTrue,
		Reason: understudyv1alpha1.ReasonAccepted, Message: "Part of the plan in force",
	}
	meanwhile := "all that ran before goes on as it is"
	if s.group.Status.PlanRevision == "" {
		meanwhile = "nothing of the group starts, because no plan of it was accepted yet"
	}
	own := s.problems.Of(kind, name)
	switch {
	case len(own) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, own[0].Reason
		c.Message = own.Message() + ". Correct it: until then " + meanwhile
	case !inForce:
		c.Status, c.Reason = metav1.ConditionFalse, understudyv1alpha1.ReasonGroupRejected
		names := s.problems.Names()
		names = slices.DeleteFunc(names, func(n string) bool { return n == kind+" "+name })
		c.Message = "The whole group waits for a correction of " + strings.Join(names[:min(len(names), 8)], ", ") +
			": their conditions say of what; until then " + meanwhile
	}
	return c
}

// setCondition replaces one condition and leaves those of other writers alone.
func setCondition(conditions *[]metav1.Condition, c metav1.Condition, generation int64) {
	c.ObservedGeneration = generation
	apimeta.SetStatusCondition(conditions, c)
}
