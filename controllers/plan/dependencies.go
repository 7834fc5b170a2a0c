// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// dependencies turns names into UIDs: all terms, any of each; and which of the terms wait
// for readiness.
func (b *build) dependencies(r *understudyv1alpha1.ClusterResource) (terms [][]string, ready []int) {
	say := b.reporter(r)
	if len(r.Spec.Dependencies) == 0 {
		return nil, nil
	}
	terms = make([][]string, 0, len(r.Spec.Dependencies))
	for i, d := range r.Spec.Dependencies {
		var term []string
		for j, name := range d.AnyOf {
			at := field.NewPath("spec", "dependencies").Index(i).Child("anyOf").Index(j)
			other := b.byName[name]
			switch {
			case name == r.Name:
				say.add(at, understudyv1alpha1.ReasonCircularDependency, "a resource cannot depend on itself: remove the name")
			case other == nil:
				say.add(at, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
					"the group %q has no ClusterResource %q: dependencies stay inside one group", b.in.Group.Name, name))
			case !other.DeletionTimestamp.IsZero():
				say.add(at, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
					"the ClusterResource %q is being deleted: remove the dependency, then the deletion goes on", name))
			default:
				term = append(term, string(other.UID))
			}
		}
		slices.Sort(term)
		terms = append(terms, slices.Compact(term))
		if d.WaitFor == understudyv1alpha1.WaitForApplicationReady {
			ready = append(ready, i)
		}
	}
	return terms, ready
}

// required reports each dependency that the type of a resource asks for and that the
// resource lacks (RA section 7.1). A term counts if each of its alternatives will do:
// whichever comes online, it is one.
func (b *build) required(r *understudyv1alpha1.ClusterResource, t *typeInfo) {
	for _, need := range t.spec.RequiredDependencies {
		fails := func(name string) bool { return !b.meets(need, name) }
		if slices.ContainsFunc(r.Spec.Dependencies, func(d understudyv1alpha1.Dependency) bool {
			return len(d.AnyOf) > 0 && !slices.ContainsFunc(d.AnyOf, fails)
		}) {
			continue
		}
		what := fmt.Sprintf("of the type %q", need.TypeName)
		if need.TypeName == "" {
			what = "of a type of the class " + string(need.Class)
		}
		advice := "the group has none: create one, and name it in a term of its own"
		have := slices.DeleteFunc(sortedKeys(b.byName), func(name string) bool { return name == r.Name || fails(name) })
		if len(have) > 0 {
			advice = "name one in a term of its own, or several in one; the group has " +
				strings.Join(have[:min(len(have), 8)], ", ")
		}
		b.reporter(r).add(field.NewPath("spec", "dependencies"), understudyv1alpha1.ReasonDependencyMissing, fmt.Sprintf(
			"a resource of the type %q must depend on one %s: %s", r.Spec.TypeName, what, advice))
	}
}

// meets says that a resource of the group is what a type requires.
func (b *build) meets(need understudyv1alpha1.RequiredDependency, name string) bool {
	other := b.byName[name]
	if other == nil || need.TypeName != "" {
		return other != nil && other.Spec.TypeName == need.TypeName
	}
	t := b.in.Types[other.Spec.TypeName]
	return t != nil && t.Spec.Class == need.Class
}

// circles reports each resource that depends on itself by way of others.
func (b *build) circles(resources []*understudyv1alpha1.ClusterResource) {
	for _, r := range resources {
		if path := b.pathBack(r); path != nil {
			b.reporter(r).add(field.NewPath("spec", "dependencies"), understudyv1alpha1.ReasonCircularDependency,
				"these depend on each other in a circle: "+strings.Join(path, " -> ")+": remove one of the dependencies")
		}
	}
}

// pathBack is the shortest way from a resource over its dependencies back to it.
func (b *build) pathBack(start *understudyv1alpha1.ClusterResource) []string {
	from := map[string]string{}
	queue := []string{start.Name}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		for _, d := range b.byName[name].Spec.Dependencies {
			for _, next := range d.AnyOf {
				if next == start.Name && name != start.Name { // on itself alone: said elsewhere
					path := []string{start.Name}
					for at := name; at != start.Name; at = from[at] {
						path = append(path, at)
					}
					path = append(path, start.Name)
					slices.Reverse(path)
					return path
				}
				if _, seen := from[next]; !seen && next != start.Name && b.byName[next] != nil {
					from[next] = name
					queue = append(queue, next)
				}
			}
		}
	}
	return nil
}

const (
	graceExtra = 10_000
	// MaxGraceSeconds bounds what kubelet waits for a host pod to end. Longer
	// stops end by Terminate, which comes Tterm + 2 s before the grace period does.
	MaxGraceSeconds = 600
)

// GraceSeconds is the grace period of host pods: PendingTimeout and Terminate of
// the longest chain of dependencies one after the other, and 10 s.
func GraceSeconds(p *planv1.Plan) int64 {
	byUID := map[string]*planv1.Resource{}
	for i := range p.Resources {
		byUID[p.Resources[i].UID] = &p.Resources[i]
	}
	known := map[string]int64{}
	var chain func(uid string) int64
	chain = func(uid string) int64 {
		r := byUID[uid]
		if r == nil {
			return 0
		}
		if v, ok := known[uid]; ok {
			return v
		}
		known[uid] = 0 // a plan has no circle; do not loop if one has
		var longest int64
		for _, term := range r.Dependencies {
			for _, d := range term {
				longest = max(longest, chain(d))
			}
		}
		known[uid] = longest + r.PendingTimeout + r.TerminateTimeout
		return known[uid]
	}
	var longest int64
	for uid := range byUID {
		longest = max(longest, chain(uid))
	}
	return min((longest+graceExtra+999)/1000, MaxGraceSeconds)
}
