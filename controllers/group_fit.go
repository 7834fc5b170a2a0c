// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/controllers/plan"
	"github.com/understudy-dev/understudy/internal/builders"
)

// fitAdvice is the next step where too few nodes can take a host.
const fitAdvice = "correct nodeSelector, affinity or tolerations in spec.template.spec, or add such a node"

// fit counts the nodes that can take the hosts of a plan. Nodes are many and only
// read here, so they are not copied out of the cache.
func (r *groupReconciler) fit(
	ctx context.Context, s *groupScope, p *planv1.Plan, host *builders.Host,
) (placement.Fit, error) {
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return placement.Fit{}, fmt.Errorf("listing nodes: %w", err)
	}
	return placement.FitOf(r.hostPod(s.group, p, host), nodes.Items), nil
}

// tryNodes finds out whether any node can take a host of another template than
// the one in force.
func (r *groupReconciler) tryNodes(ctx context.Context, s *groupScope, next *plan.Result) (*plan.Problem, error) {
	if !s.costsHosts(next) {
		return nil, nil
	}
	f, err := r.fit(ctx, s, &next.Plan, &next.Host)
	if err != nil || f.Possible > 0 {
		return nil, err
	}
	return &plan.Problem{
		Field: "spec.template.spec", Reason: understudyv1alpha1.ReasonNoPossibleHost, Message: f.String() + ": " + fitAdvice,
	}, nil
}

// countNodes looks for the nodes of hosts that are missing. A node that comes, or
// another label of one, makes it look again: see groupsOfNode.
func (r *groupReconciler) countNodes(ctx context.Context, s *groupScope) error {
	if s.plan == nil || s.host == nil || len(s.plan.Containers) == 0 || s.readyHosts(r.now()) >= s.wantedHosts() {
		return nil
	}
	f, err := r.fit(ctx, s, s.plan, s.host)
	if err != nil {
		return err
	}
	if f.Possible < s.wantedHosts() {
		s.fit = &f
		s.again(refusedRetry) // a node may have come before the condition that its watch looks for
	}
	return nil
}

// lacksNodes says that a group waits for nodes.
func lacksNodes(g *understudyv1alpha1.ResourceGroup) bool {
	for _, c := range g.Status.Conditions {
		if c.Reason == understudyv1alpha1.ReasonNoPossibleHost {
			return true
		}
	}
	return false
}
