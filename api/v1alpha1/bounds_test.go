// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// plurals of all kinds.
var plurals = map[string]string{
	"ResourceGroup": "resourcegroups", "ClusterResource": "clusterresources",
	"ResourceType": "resourcetypes", "ControlCall": "controlcalls",
}

// kubernetesOwn are fields whose schema is Kubernetes', which bounds them elsewhere.
var kubernetesOwn = map[string]bool{
	".spec.template": true, ".spec.provider.image.env[]": true, ".spec.provider.image.resources": true,
	".spec.provider.image.securityContext": true,
}

// visit calls f for each field below a schema, but not for what is not ours to
// describe: pod templates, and what keeps fields that it does not know.
func visit(path string, s *apiextensionsv1.JSONSchemaProps, f func(path string, s *apiextensionsv1.JSONSchemaProps)) {
	if kubernetesOwn[path] || s.XPreserveUnknownFields != nil {
		return
	}
	f(path, s)
	for name, below := range s.Properties {
		visit(path+"."+name, &below, f)
	}
	if s.Items != nil {
		visit(path+"[]", s.Items.Schema, f)
	}
	if s.AdditionalProperties != nil {
		visit(path+"{}", s.AdditionalProperties.Schema, f)
	}
}

// Every string, list and map is bounded, so that no object is larger than what watches and statuses can carry.
func TestEverythingIsBounded(t *testing.T) {
	for kind, plural := range plurals {
		root := readCRD(t, plural).Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			below := root.Properties[part]
			visit("."+part, &below, func(path string, s *apiextensionsv1.JSONSchemaProps) {
				switch {
				case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time":
					t.Errorf("%s%s has no maxLength", kind, path)
				case s.Type == "array" && s.MaxItems == nil:
					t.Errorf("%s%s has no maxItems", kind, path)
				case s.AdditionalProperties != nil && s.MaxProperties == nil:
					t.Errorf("%s%s has no maxProperties", kind, path)
				}
			})
		}
	}
}
