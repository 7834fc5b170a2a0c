// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// fencingTurn is how long an agent may keep those of other nodes waiting: one that never
// ends shall not keep them back for ever.
const fencingTurn = 10 * time.Minute

// othersEnded is how many nodes agents end right now, of whatever group, but the given one:
// to end a node twice costs no more. A Job that is called off counts until its pods are gone.
// The API server is asked, so that nothing has to be remembered.
func (r *groupReconciler) othersEnded(ctx context.Context, node string) (int, error) {
	var jobs batchv1.JobList
	ours := client.MatchingLabels{understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy}
	if err := r.live.List(ctx, &jobs, ours); err != nil {
		return 0, fmt.Errorf("listing the Jobs that fence: %w", err)
	}
	nodes := map[string]bool{}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		late := r.now().Sub(job.CreationTimestamp.Time) >= fencingTurn
		if at := builders.FencedNode(job); at != "" && at != node && jobEnd(job) == "" && !late {
			nodes[at] = true
		}
	}
	return len(nodes), nil
}
