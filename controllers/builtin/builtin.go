// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package builtin holds the resource types that come with the product.
package builtin

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	applicationv1 "github.com/understudy-dev/understudy/api/application/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// processCode asks an application for its process: function 1 of an object
// resource, read access (RA section 6.2). provider/application serves it.
const processCode = 0x01800005

// Types are the built-in types.
func Types() []understudyv1alpha1.ResourceType {
	return []understudyv1alpha1.ResourceType{{
		TypeMeta: metav1.TypeMeta{
			APIVersion: understudyv1alpha1.GroupVersion.String(), Kind: "ResourceType",
		},
		ObjectMeta: metav1.ObjectMeta{
			Name:   "application",
			Labels: map[string]string{understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy},
		},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Description: "Any program in any image: started, watched and stopped under the failover-cluster contract.",
			Provider: understudyv1alpha1.ProviderSource{
				Inject: &understudyv1alpha1.InjectedProvider{Command: []string{layout.ProviderPath, "application"}},
			},
			PropertiesSchema: &runtime.RawExtension{Raw: compact(applicationv1.Schema())},
			// What the program was started with waits for the next Online.
			PropertyUpdates: []understudyv1alpha1.PropertyUpdate{
				{Name: "stopSignal", Update: understudyv1alpha1.UpdateLive},
				{Name: "stopGraceMilliseconds", Update: understudyv1alpha1.UpdateLive},
				{Name: "startTimeoutMilliseconds", Update: understudyv1alpha1.UpdateLive},
				{Name: "ready", Update: understudyv1alpha1.UpdateLive},
				{Name: "looksAlive", Update: understudyv1alpha1.UpdateLive},
				{Name: "isAlive", Update: understudyv1alpha1.UpdateLive},
			},
			ControlCodes: []understudyv1alpha1.ControlCode{{
				Name: "PROCESS", Code: processCode, Access: understudyv1alpha1.ControlRead,
			}},
		},
	}}
}

// compact is the form in which the API server keeps it.
func compact(data []byte) []byte {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		panic("builtin: " + err.Error()) // embedded at build time, tested
	}
	out, err := json.Marshal(v)
	if err != nil {
		panic("builtin: " + err.Error())
	}
	return out
}
