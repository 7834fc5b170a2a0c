// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"
	"strings"
	"testing"
)

// The rule of the CRD names the codes that every type has, all of them and no other.
func TestDefaultControlCodesAreReserved(t *testing.T) {
	if !slices.IsSorted(DefaultControlCodes) {
		t.Error("they are not sorted")
	}
	spec := readCRD(t, "resourcetypes").Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	want := "!(self.name in ['" + strings.Join(DefaultControlCodes, "','") + "'])"
	rules := spec.Properties["controlCodes"].Items.Schema.XValidations
	for _, rule := range rules {
		if rule.Rule == want {
			return
		}
	}
	t.Errorf("no rule is %s: %+v", want, rules)
}
