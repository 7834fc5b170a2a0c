// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
)

const (
	// turnRetry is a net below the wake-up of a group that waits for its turn.
	turnRetry = 30 * time.Second
	// turnsQueued is how many wake-ups may be under way.
	turnsQueued = 256
)

// turn says whether the group may take a step of a roll-out: a host of an earlier
// template deleted, the image of a monitor changed. Only so many groups do at once,
// and one that a roll-out left with fewer ready hosts goes on counting: a bad update
// stops by itself. One that waits for hosts that were not ready before does not: it
// may wait for ever. Other groups are not named, because they may be none of the
// reader's business.
func (r *groupReconciler) turn(ctx context.Context, s *groupScope) bool {
	has, begun := r.rollouts.take(client.ObjectKeyFromObject(s.group), s.readyHosts(r.now()))
	if begun {
		ctrl.LoggerFrom(ctx).Info("The roll-out begins")
	}
	if !has {
		s.rollout = fmt.Sprintf("the roll-out waits for its turn: as many other groups are being rolled out as "+
			"--max-rolling-groups of the manager allows (%d)", r.options.MaxRollingGroups)
		s.again(turnRetry)
	}
	return has
}

// endRollout gives the group's turn to the next when nothing of it is under way.
func (r *groupReconciler) endRollout(ctx context.Context, s *groupScope) error {
	key := client.ObjectKeyFromObject(s.group)
	if s.plan == nil || s.moved || !placement.Settled(
		s.placement(r.now()), s.wantedHosts(), r.rollouts.before(key),
		s.plan.HostRevision, s.plan.OnDelete, r.options.Image) {
		return nil
	}
	if r.rollouts.give(key) {
		ctrl.LoggerFrom(ctx).Info("The roll-out is done, or waits for hosts that were not ready before")
	}
	return nil
}

// wakeBy sends groups to the reconciler. What does not fit asks again by itself.
func wakeBy(turns chan<- event.GenericEvent) func(types.NamespacedName) {
	return func(key types.NamespacedName) {
		select {
		case turns <- event.GenericEvent{Object: &understudyv1alpha1.ResourceGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		}}:
		default:
		}
	}
}
