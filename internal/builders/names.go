// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// SliceManager is the value of endpointslice.kubernetes.io/managed-by on our slices:
// it keeps the EndpointSlice controllers of Kubernetes away from them.
const SliceManager = understudyv1alpha1.GroupName

// LeaseName is the name of the record of ownership of a group.
func LeaseName(group string) string { return leasev1.Name(group) }

// BudgetName is the name of the PodDisruptionBudget of a group's hosts.
func BudgetName(group string) string { return "understudy-" + group }

// ImagePodName is the name of the pod that brings an image to the node of a host.
func ImagePodName(host string) string { return host + "-image" }

// RoleName is the name of the Role and RoleBinding of a group's monitors.
func RoleName(group string) string { return "understudy-" + group }
