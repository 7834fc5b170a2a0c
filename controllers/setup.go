// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers is the manager: one reconciler a kind, one file a phase.
// It validates, plans and keeps host pods; no failover needs it.
package controllers

import (
	"cmp"
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// fieldManager is the name under which the manager applies objects and events.
const fieldManager = "understudy-manager"

// DefaultMaxRollingGroups is how many groups are rolled out at once by default: so
// many a bad update can harm before somebody stops it.
const DefaultMaxRollingGroups = 5

// DefaultMaxFencingNodes is how many nodes are ended at once by default: what takes the
// stops of many hosts down, such as a storage, is not to take their nodes down with it
// before somebody looks.
const DefaultMaxFencingNodes = 1

// Options of the manager.
type Options struct {
	// Image of the operator, which host pods run too.
	Image string
	// MaxRollingGroups is how many groups are rolled out at once; 0 is
	// DefaultMaxRollingGroups.
	MaxRollingGroups int
	// MaxFencingNodes is how many nodes are ended at once, by the agents of groups
	// with the policy Fence; 0 is DefaultMaxFencingNodes.
	MaxFencingNodes int
	// SkipNameValidation lets several managers run in one test process.
	SkipNameValidation bool
}

// NewScheme knows every kind that the manager touches.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, understudyv1alpha1.AddToScheme(scheme)
}

// CacheOptions keeps what is not ours out of memory: of kinds that others use
// too, only objects with our label are watched.
func CacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{
		understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy,
	})}
	return cache.Options{
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:                   ours,
			&corev1.Service{}:               ours,
			&policyv1.PodDisruptionBudget{}: ours,
			&coordinationv1.Lease{}:         ours,
			&rbacv1.Role{}:                  ours,
			&rbacv1.RoleBinding{}:           ours,
			&discoveryv1.EndpointSlice{}:    ours,
			&appsv1.ControllerRevision{}:    ours,
			&batchv1.Job{}:                  ours,

			&understudyv1alpha1.ControlCall{}: {Transform: stripCall},
		},
		DefaultTransform: cache.TransformStripManagedFields(),
	}
}

// stripCall leaves out of the cache what calls were given and what they returned: it may
// be large, finished calls stay for a day, and the manager, who deletes them, reads neither.
func stripCall(o any) (any, error) {
	if k, ok := o.(*understudyv1alpha1.ControlCall); ok {
		k.ManagedFields, k.Spec.Input, k.Spec.InputBytes, k.Status.Output = nil, nil, nil, ""
	}
	return o, nil
}

// Indexes of the cache. The first two are what the API server selects by, too, so that
// both are asked in the same way.
const (
	indexGroup = "spec.groupName"
	indexType  = "spec.typeName"
	indexNode  = ".spec.nodeName"
)

// Setup adds indexes, reconcilers and the built-in types to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	if o.Image == "" {
		return fmt.Errorf("the operator's image is not given")
	}
	if o.MaxRollingGroups < 0 {
		return fmt.Errorf("%d groups cannot be rolled out at once: at least 1 is needed", o.MaxRollingGroups)
	}
	if o.MaxFencingNodes < 0 {
		return fmt.Errorf("%d nodes cannot be ended at once: at least 1 is needed", o.MaxFencingNodes)
	}
	o.MaxFencingNodes = cmp.Or(o.MaxFencingNodes, DefaultMaxFencingNodes)
	o.MaxRollingGroups = cmp.Or(o.MaxRollingGroups, DefaultMaxRollingGroups)
	if err := index(ctx, mgr); err != nil {
		return fmt.Errorf("indexing: %w", err)
	}
	shared := base{
		Client: mgr.GetClient(), live: mgr.GetAPIReader(),
		events: mgr.GetEventRecorder(fieldManager), options: o, types: &plan.TypeCache{},
	}
	for name, setup := range map[string]func(ctrl.Manager, base) error{
		"ResourceGroup": setupGroup, "ClusterResource": setupResource,
		"ResourceType": setupType, "ControlCall": setupCall,
	} {
		if err := setup(mgr, shared); err != nil {
			return fmt.Errorf("setting up %s: %w", name, err)
		}
	}
	return mgr.Add(&builtinTypes{Client: mgr.GetClient()})
}

func index(ctx context.Context, mgr ctrl.Manager) error {
	byGroup := func(o client.Object) []string {
		switch o := o.(type) {
		case *understudyv1alpha1.ClusterResource:
			return []string{o.Spec.GroupName}
		case *understudyv1alpha1.ControlCall:
			return []string{o.Spec.GroupName}
		}
		return nil
	}
	fields := mgr.GetFieldIndexer()
	if err := fields.IndexField(ctx, &understudyv1alpha1.ClusterResource{}, indexGroup, byGroup); err != nil {
		return err
	}
	if err := fields.IndexField(ctx, &understudyv1alpha1.ControlCall{}, indexGroup, byGroup); err != nil {
		return err
	}
	if err := fields.IndexField(ctx, &understudyv1alpha1.ClusterResource{}, indexType, func(o client.Object) []string {
		return []string{o.(*understudyv1alpha1.ClusterResource).Spec.TypeName}
	}); err != nil {
		return err
	}
	return fields.IndexField(ctx, &corev1.Pod{}, indexNode, func(o client.Object) []string {
		return []string{o.(*corev1.Pod).Spec.NodeName}
	})
}
