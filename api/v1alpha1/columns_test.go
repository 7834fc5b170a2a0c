// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"os"
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// readCRD reads the CRD of a kind.
func readCRD(t *testing.T, plural string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := os.ReadFile("../../config/crd/bases/understudy.dev_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(data, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// What plain kubectl get shows: whether an object is refused and whether a failover is
// possible, and nothing that can be pages long. Why, with -o wide, also of what never ran.
func TestColumns(t *testing.T) {
	more := map[string][]string{
		"resourcegroups":   {"HostsReason", "AcceptedReason", "Locked", "Epoch", "Age"},
		"clusterresources": {"Locked", "AcceptedReason", "Status", "Data1", "Data2", "Age"},
		"controlcalls":     {"Type", "Message", "Returned", "Host"},
	}
	for plural, want := range map[string][]string{
		"resourcegroups":   {"Wanted", "State", "Owner", "Node", "Since", "Ready", "Reason", "HostsReady", "Accepted"},
		"clusterresources": {"Group", "Type", "Wanted", "State", "Node", "Since", "Reason", "Accepted"},
		"resourcetypes":    {"Accepted", "Reason", "Provider", "Description", "Age"},
		"controlcalls":     {"Group", "Resource", "Code", "Finished", "Status", "Node", "Age"},
	} {
		var shown, wide []string
		for _, column := range readCRD(t, plural).Spec.Versions[0].AdditionalPrinterColumns {
			if column.Priority == 0 {
				shown = append(shown, column.Name)
			} else {
				wide = append(wide, column.Name)
			}
		}
		if !slices.Equal(shown, want) {
			t.Errorf("%s: %v, want %v", plural, shown, want)
		}
		if want := more[plural]; !slices.Equal(wide, want) {
			t.Errorf("%s with -o wide: %v, want %v", plural, wide, want)
		}
	}
}
