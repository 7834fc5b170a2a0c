// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// groupReconciler keeps everything around a group but the group itself, which
// its monitors run: plan, access, hosts, succession, Service.
type groupReconciler struct {
	base
	leases   *leaseWatch
	rollouts *slots
	stops    *stopWatch
	now      func() time.Time
	// naming keeps two groups from taking one Service's name at the same time.
	naming sync.Mutex
	// fencing keeps two groups from taking the last turn to end a node at the same time.
	fencing sync.Mutex
}

// groupScope is what one reconcile knows; its phases add to it.
type groupScope struct {
	group     *understudyv1alpha1.ResourceGroup
	resources []understudyv1alpha1.ClusterResource
	pods      []corev1.Pod
	nodes     map[string]*corev1.Node

	// plan in force and the host template that goes with it; nil before the first.
	plan *planv1.Plan
	host *builders.Host

	// lease and what it says; recorded is nil if there is none or it cannot be read.
	lease     *coordinationv1.Lease
	recorded  *leasev1.Record
	recordErr error
	// quiet is how long the record has not changed, missing how long there has
	// been none, wait the W of its duration.
	quiet, missing, wait time.Duration

	// problems keep the spec from being in force; planned says that it is known
	// whether it is, published that another plan was to be put in force.
	problems  plan.Problems
	planned   bool
	published bool
	// podRefused is why the API server refused a host pod, serviceErr why the
	// Service of the plan in force is not as it should be.
	podRefused string
	serviceErr error
	// moved says that hosts were created or deleted, rollout what keeps a roll-out.
	moved   bool
	rollout string
	// fit is set if fewer nodes can take hosts than there are to be hosts.
	fit     *placement.Fit
	requeue time.Duration
}

// again asks for another look, at the latest after d.
func (s *groupScope) again(d time.Duration) { s.requeue = soonest(s.requeue, d) }

func (s *groupScope) leaseKey() types.NamespacedName {
	return types.NamespacedName{Namespace: s.group.Namespace, Name: builders.LeaseName(s.group.Name)}
}

// duration is D as far as the manager knows it: the longer of plan and spec.
func (s *groupScope) duration() time.Duration {
	d := time.Duration(s.group.Spec.LeaseDurationSeconds) * time.Second
	if s.plan != nil {
		d = max(d, time.Duration(s.plan.LeaseDurationSeconds)*time.Second)
	}
	if d == 0 {
		return leasev1.DefaultD
	}
	return d
}

func (s *groupScope) ownerUID() string {
	if s.recorded != nil && s.recorded.Held() {
		return s.recorded.HolderUID
	}
	if o := s.group.Status.Owner; o != nil {
		return o.PodUID
	}
	return ""
}

// locked: a resource of the owner is in locked mode, by the word of its monitor.
func (s *groupScope) locked() bool {
	return apimeta.IsStatusConditionTrue(s.group.Status.Conditions, understudyv1alpha1.ConditionLocked)
}

func (s *groupScope) placement(now time.Time) placement.Input {
	return placement.Input{
		Pods: s.pods, Nodes: s.nodes, Hosts: s.group.Status.Hosts, OwnerUID: s.ownerUID(), Now: now,
		Locked: s.locked(),
	}
}

// The verb manage exists for the admission policies: it tells the manager from all others.
// +kubebuilder:rbac:groups=understudy.dev,resources=resourcegroups,verbs=get;list;watch;patch;delete;manage
// +kubebuilder:rbac:groups=understudy.dev,resources=resourcegroups/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=understudy.dev,resources=resourcegroups/finalizers,verbs=update
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=nodes;namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=namespaces/status,verbs=patch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile runs the phases. Without what is known of the group none of them can
// run. Of the others each looks after something else, on the plan in force: an
// error of one, such as a pod that nobody may create, keeps none from its work. A
// deletion is the other way round: its steps build on each other. Fencing alone does
// not keep it from its work.
func (r *groupReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &groupScope{group: &understudyv1alpha1.ResourceGroup{}}
	if err := r.Get(ctx, req.NamespacedName, s.group); err != nil {
		if apierrors.IsNotFound(err) {
			r.rollouts.give(req.NamespacedName)
			r.stops.since(req.NamespacedName, nil, r.now())
			s.group.Namespace, s.group.Name = req.Namespace, req.Name
			return s.result(r.leftovers(ctx, s))
		}
		return ctrl.Result{}, err
	}
	if !s.group.DeletionTimestamp.IsZero() {
		r.rollouts.give(req.NamespacedName)
		if !controllerutil.ContainsFinalizer(s.group, understudyv1alpha1.Finalizer) {
			return ctrl.Result{}, nil
		}
		if err := r.phases(ctx, s, r.collect, r.loadPlan, r.record); err != nil {
			return s.result(err)
		}
		return s.result(r.everyPhase(ctx, s, r.fence, r.retire))
	}
	if ends, err := r.endsWithNamespace(ctx, s.group); ends || err != nil {
		return result(0, err)
	}
	if !controllerutil.ContainsFinalizer(s.group, understudyv1alpha1.Finalizer) {
		return result(0, patchMeta(ctx, r.Client, s.group, func(g *understudyv1alpha1.ResourceGroup) {
			controllerutil.AddFinalizer(g, understudyv1alpha1.Finalizer)
		}))
	}
	if err := r.phases(ctx, s, r.collect, r.loadPlan); err != nil {
		return s.result(err)
	}
	return s.result(r.everyPhase(ctx, s,
		r.record, r.fence, r.makePlan, r.dropDeleted, r.access, r.service, r.tellAccepted,
		r.budget, r.hosts, r.upgrade, r.endRollout, r.markHosts, r.succession, r.releaseResources,
		r.countNodes, r.report))
}

func (r *groupReconciler) phases(
	ctx context.Context, s *groupScope, phases ...func(context.Context, *groupScope) error,
) error {
	for _, phase := range phases {
		if err := phase(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// everyPhase runs all of them and joins their errors. A conflict alone is normal;
// beside an error it says nothing that the next try would not find out.
func (r *groupReconciler) everyPhase(
	ctx context.Context, s *groupScope, phases ...func(context.Context, *groupScope) error,
) error {
	var errs []error
	var conflict error
	for _, phase := range phases {
		for _, err := range parts(phase(ctx, s)) {
			if apierrors.IsConflict(err) {
				conflict = err
			} else {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) == 0 {
		return conflict
	}
	return errors.Join(errs...)
}

// parts are the errors that were joined to one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (s *groupScope) result(err error) (ctrl.Result, error) { return result(s.requeue, err) }

// collect reads the group's resources, pods and their nodes from the cache.
func (r *groupReconciler) collect(ctx context.Context, s *groupScope) error {
	in := client.InNamespace(s.group.Namespace)
	var resources understudyv1alpha1.ClusterResourceList
	if err := r.List(ctx, &resources, in, client.MatchingFields{indexGroup: s.group.Name}); err != nil {
		return fmt.Errorf("listing ClusterResources: %w", err)
	}
	s.resources = resources.Items
	var pods corev1.PodList
	if err := r.List(ctx, &pods, in, client.MatchingLabels(builders.Labels(s.group.Name))); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	s.pods = ownPods(s.group, pods.Items)
	return r.readNodes(ctx, s)
}

// readNodes reads the nodes of the group's pods.
func (r *groupReconciler) readNodes(ctx context.Context, s *groupScope) error {
	s.nodes = map[string]*corev1.Node{}
	for i := range s.pods {
		name := s.pods[i].Spec.NodeName
		if _, done := s.nodes[name]; done || name == "" {
			continue
		}
		node := &corev1.Node{}
		switch err := r.Get(ctx, types.NamespacedName{Name: name}, node); {
		case err == nil:
			s.nodes[name] = node
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("reading the node %s: %w", name, err)
		}
	}
	return nil
}

// ownPods leaves out pods that wear the group's label and are not its own.
func ownPods(g *understudyv1alpha1.ResourceGroup, pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return p.Annotations[understudyv1alpha1.AnnotationGroupUID] != string(g.UID) &&
			!slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == g.UID })
	})
}
