// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the kinds of the API group understudy.dev: types,
// their constants and tiny accessors, no logic.
//
// +kubebuilder:object:generate=true
// +groupName=understudy.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of all kinds.
const GroupName = "understudy.dev"

var (
	// GroupVersion is the group and version of all kinds here.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}
	// SchemeBuilder collects the functions that register the kinds.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the kinds with a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&ResourceType{}, &ResourceTypeList{},
		&ResourceGroup{}, &ResourceGroupList{},
		&ClusterResource{}, &ClusterResourceList{},
		&ControlCall{}, &ControlCallList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
