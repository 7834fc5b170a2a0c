// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/layout"
)

// container finds or makes the container of a resource, with its provider.
func (b *build) container(r *understudyv1alpha1.ClusterResource, t *typeInfo) string {
	name := r.Spec.ContainerName
	if image := t.spec.Provider.Image; image != nil {
		name = b.ownContainer(r, image)
	} else if !b.inject(r, t.spec.Provider.Inject.Command) {
		return name
	}
	b.users[name] = append(b.users[name], r.Name)
	return name
}

var containerName = field.NewPath("spec", "containerName")

// ownContainer is the container of a type that brings an image, or of one resource
// of it.
func (b *build) ownContainer(r *understudyv1alpha1.ClusterResource, image *understudyv1alpha1.ImageProvider) string {
	if r.Spec.ContainerName != "" {
		b.reporter(r).add(containerName, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
			"the ResourceType %q brings a container of its own: remove the field", r.Spec.TypeName))
	}
	name := nameContainer(layout.TypeContainer, r.Spec.TypeName)
	if r.Spec.SeparateMonitor {
		name = nameContainer(layout.ResourceContainer, r.Name)
	}
	// Sorted, so that no host is replaced because resources came in another order.
	at, have := slices.BinarySearchFunc(b.host.Containers, name,
		func(c corev1.Container, name string) int { return cmp.Compare(c.Name, name) })
	if !have {
		b.host.Containers = slices.Insert(b.host.Containers, at, builders.ImageProvider(name, image))
	}
	return name
}

// nameContainer is the name of an added container: readable, and always the same.
func nameContainer(prefix, name string) string {
	plain := prefix + strings.ReplaceAll(name, ".", "-")
	if plain == prefix+name && len(plain) <= layout.MaxContainerName {
		return plain
	}
	// No object's name begins with a hyphen, so no plain name is one of these.
	plain = prefix + "-" + strings.TrimPrefix(plain, prefix)
	tail := "-" + hash([]byte(name))
	return plain[:min(len(plain), layout.MaxContainerName-len(tail))] + tail
}

// inject gives a container of the template its provider.
func (b *build) inject(r *understudyv1alpha1.ClusterResource, command []string) bool {
	name, say := r.Spec.ContainerName, b.reporter(r)
	containers := b.in.Group.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		names := make([]string, 0, len(containers))
		for _, c := range containers {
			names = append(names, c.Name)
		}
		wrong := fmt.Sprintf("the template of the group %q has no container %q", b.in.Group.Name, name)
		if name == "" {
			wrong = fmt.Sprintf("the provider of the ResourceType %q runs in a container of the template", r.Spec.TypeName)
		}
		say.add(containerName, understudyv1alpha1.ReasonContainerNotFound,
			wrong+": name one that it has: "+strings.Join(names, ", "))
		return false
	}
	have, taken := b.host.Providers[name]
	switch {
	case !taken:
		b.host.Providers[name] = slices.Clone(command)
		b.checkSupervised(i, &containers[i])
	case !slices.Equal(have, command):
		say.add(containerName, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
			"the container %q runs the provider of the ClusterResource %q already, whose type has another provider command: "+
				"give this resource a container of its own", name, b.users[name][0]))
		return false
	}
	return true
}

// separate refuses to let others into the container of a resource that wants a
// provider process of its own: a container has one.
func (b *build) separate(resources []*understudyv1alpha1.ClusterResource) {
	for _, r := range resources {
		users := b.users[r.Spec.ContainerName]
		if !r.Spec.SeparateMonitor || len(users) < 2 || !slices.Contains(users, r.Name) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(users), func(name string) bool { return name == r.Name })
		b.reporter(r).add(containerName, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
			"separateMonitor asks for a provider process of its own, but the container %q runs that of %s too: "+
				"give this resource another container of the template, or add one",
			r.Spec.ContainerName, strings.Join(others, ", ")))
	}
}
