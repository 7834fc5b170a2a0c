// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// checkUpdates refuses propertyUpdates of names that are no properties.
func checkUpdates(say reporter, s *Schema, updates []understudyv1alpha1.PropertyUpdate, at *field.Path) {
	known := sortedKeys(s.structural.Properties)
	for i, u := range updates {
		if !slices.Contains(known, u.Name) {
			say.add(at.Index(i).Child("name"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"propertiesSchema has no property %q at its root: %s", u.Name,
				didYouMean(u.Name, known, "remove the entry or add the property")))
		}
	}
}

// updated are the names of the properties that are changed in one way, sorted.
func updated(updates []understudyv1alpha1.PropertyUpdate, how understudyv1alpha1.UpdateMode) []string {
	var names []string
	for _, u := range updates {
		if u.Update == how {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return names
}

// immutable refuses changes of properties that cannot change, compared with the plan
// in force: what was never planned may still be corrected. A property that neither
// that plan nor the spec has is a new one of the type, with a default: no change of
// the resource's, and no reason to keep its group's plan back.
func (b *build) immutable(r *understudyv1alpha1.ClusterResource, t *typeInfo, planned []byte, at *field.Path) {
	names := updated(t.spec.PropertyUpdates, understudyv1alpha1.UpdateImmutable)
	if b.in.InForce == nil || len(names) == 0 {
		return
	}
	i := slices.IndexFunc(b.in.InForce.Resources, func(p planv1.Resource) bool { return p.UID == string(r.UID) })
	if i < 0 {
		return
	}
	before, after, given := topLevel(b.in.InForce.Resources[i].Properties), topLevel(planned), map[string]json.RawMessage{}
	if r.Spec.Properties != nil {
		given = topLevel(r.Spec.Properties.Raw)
	}
	for _, name := range names {
		_, had := before[name]
		_, has := given[name]
		if bytes.Equal(before[name], after[name]) || !had && !has {
			continue
		}
		// The values are not repeated here: conditions are copied to more places than specs.
		b.reporter(r).add(at.Child(name), understudyv1alpha1.ReasonImmutableProperty, fmt.Sprintf(
			"cannot change while the resource exists, and differs from the plan in force: set it back to what it "+
				"was, or delete the ClusterResource %q and create it anew", r.Name))
	}
}

// topLevel splits an object, of which a text that is none has nothing.
func topLevel(object []byte) map[string]json.RawMessage {
	var names map[string]json.RawMessage
	if json.Unmarshal(object, &names) != nil {
		return nil
	}
	return names
}
