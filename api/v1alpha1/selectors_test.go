// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package v1alpha1

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What kubectl get --field-selector can ask for.
func TestSelectors(t *testing.T) {
	const owner = `{"status":{"owner":{"epoch":1,"podUID":"a","state":"Online","nodeName":"here"}}}`
	for _, c := range []struct{ kind, spec, status, field, found, other string }{
		{"ClusterResource", `{groupName: chosen}`, "", "spec.groupName", "chosen", "chose"},
		{"ClusterResource", `{typeName: chosen}`, "", "spec.typeName", "chosen", "other"},
		{"ClusterResource", `{}`, owner, "status.owner.nodeName", "here", "there"},
		{"ResourceGroup", `{}`, owner, "status.owner.nodeName", "here", "there"},
		{"ControlCall", `{groupName: chosen}`, "", "spec.groupName", "chosen", "chose"},
	} {
		t.Run(c.kind+" "+c.field, func(t *testing.T) {
			o := make1(t, c.kind, c.spec)
			make1(t, c.kind, `{}`) // never found
			if c.status != "" {
				patch := client.RawPatch(types.MergePatchType, []byte(c.status))
				if err := api.Status().Patch(t.Context(), o, patch); err != nil {
					t.Fatal(err)
				}
			}
			for value, want := range map[string]string{c.found: o.GetName(), c.other: ""} {
				list := &unstructured.UnstructuredList{}
				list.SetGroupVersionKind(GroupVersion.WithKind(c.kind + "List"))
				if err := api.List(t.Context(), list, client.MatchingFields{c.field: value}); err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, one := range list.Items {
					names = append(names, one.GetName())
				}
				if got := fmt.Sprint(names); got != "["+want+"]" {
					t.Errorf("%s=%s: %s, want [%s]", c.field, value, got, want)
				}
			}
		})
	}
}
