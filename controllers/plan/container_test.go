// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

// withImage makes the provider of a type an image.
func withImage(in *plan.Input, name string) {
	in.Types[name].Spec.Provider = understudyv1alpha1.ProviderSource{
		Image: &understudyv1alpha1.ImageProvider{
			Image: "example.test/" + name, Command: []string{"/provider", name},
			Env: []corev1.EnvVar{{Name: "A", Value: "b"}},
		},
	}
}

// images is the input with a type in an image, whose resources name no container.
func images(change ...func(*plan.Input)) plan.Input {
	return input(append([]func(*plan.Input){func(in *plan.Input) {
		withImage(in, "volume")
		for i := range in.Resources {
			in.Resources[i].Spec.ContainerName = ""
		}
	}}, change...)...)
}

// containersOf are the containers of a plan's resources by name.
func containersOf(result plan.Result) map[string]string {
	out := map[string]string{}
	for _, r := range result.Plan.Resources {
		out[r.Name] = r.Container
	}
	return out
}

// All resources of a type that brings an image share the container that is added.
func TestImageProvider(t *testing.T) {
	g := NewWithT(t)
	result, problems := plan.Build(images())
	g.Expect(problems).To(BeEmpty())
	g.Expect(containersOf(result)).To(Equal(map[string]string{
		"web": "understudy-type-volume", "disk": "understudy-type-volume",
	}))
	g.Expect(result.Plan.Containers).To(Equal([]string{"understudy-type-volume"}))
	g.Expect(result.Host.Providers).To(BeEmpty())
	g.Expect(result.Host.Containers).To(Equal([]corev1.Container{{
		Name: "understudy-type-volume", Image: "example.test/volume", Command: []string{"/provider", "volume"},
		Env: []corev1.EnvVar{{Name: "A", Value: "b"}},
	}}))
	host, err := plan.DecodeHost(plan.EncodeHost(result.Host))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(host).To(Equal(result.Host))

	newer, _ := plan.Build(images(volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.Provider.Image.Image = "other" })))
	g.Expect(newer.Plan.HostRevision).NotTo(Equal(result.Plan.HostRevision), "another image, other hosts")
}

// In one host pod, both kinds of providers, and several of each; in whichever
// order the resources come, the pod is the same.
func TestProvidersSideBySide(t *testing.T) {
	g := NewWithT(t)
	both := func(in *plan.Input) {
		for _, name := range []string{"address", "mount"} {
			in.Types[name] = resourceType(name)
			withImage(in, name)
		}
		one, two, three := resource("a"), resource("b"), resource("c")
		one.Spec.TypeName, two.Spec.TypeName, three.Spec.TypeName = "mount", "address", "mount"
		for _, r := range []*understudyv1alpha1.ClusterResource{&one, &two, &three} {
			r.Spec.ContainerName = ""
		}
		in.Resources = append(in.Resources, one, two, three)
	}
	result, problems := plan.Build(input(both))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Containers).To(Equal([]string{"app", "understudy-type-address", "understudy-type-mount"}))
	g.Expect(containersOf(result)).To(Equal(map[string]string{
		"web": "app", "disk": "app", "a": "understudy-type-mount", "b": "understudy-type-address", "c": "understudy-type-mount",
	}))
	without, _ := plan.Build(input(both, func(in *plan.Input) {
		in.Resources = slices.DeleteFunc(in.Resources, func(r understudyv1alpha1.ClusterResource) bool { return r.Name == "a" })
	}))
	g.Expect(without.Plan.HostRevision).To(Equal(result.Plan.HostRevision), "its container is still needed")
}

// A resource that asks for a provider process of its own gets one.
func TestSeparateMonitor(t *testing.T) {
	g := NewWithT(t)
	separate := func(s *understudyv1alpha1.ClusterResourceSpec) { s.SeparateMonitor = true }
	result, problems := plan.Build(images(web(separate)))
	g.Expect(problems).To(BeEmpty())
	g.Expect(containersOf(result)).To(Equal(map[string]string{
		"web": "understudy-resource-web", "disk": "understudy-type-volume",
	}))
	g.Expect(result.Plan.Containers).To(Equal([]string{"understudy-resource-web", "understudy-type-volume"}))
	g.Expect(result.Host.Containers).To(HaveEach(HaveField("Image", "example.test/volume")))

	result, problems = plan.Build(input(web(separate),
		web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.ContainerName = "side" })))
	g.Expect(problems).To(BeEmpty(), "a container of the template that nobody shares")
	g.Expect(containersOf(result)).To(Equal(map[string]string{"web": "side", "disk": "app"}))
}

// Whatever a type is called, its container has a name that Kubernetes takes, that
// leaves room for the socket's path, and that no other type's has.
func TestContainerNames(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]string{}
	for _, name := range []string{
		"link", "example.com", "example-com", strings.Repeat("n", 45), strings.Repeat("n", 46),
		strings.Repeat("n", 63), strings.Repeat("n", 62) + "m", strings.Repeat("n-", 31) + "n", "a." + strings.Repeat("b", 61),
	} {
		result, problems := plan.Build(images(func(in *plan.Input) {
			in.Types[name] = in.Types["volume"]
			in.Resources = []understudyv1alpha1.ClusterResource{in.Resources[1]}
			in.Resources[0].Spec.TypeName = name
		}))
		g.Expect(problems).To(BeEmpty())
		container := result.Plan.Containers[0]
		g.Expect(validation.IsDNS1123Label(container)).To(BeEmpty(), container)
		g.Expect(len(container)).To(BeNumerically("<=", 61), container)
		rest, added := strings.CutPrefix(container, "understudy-type-")
		g.Expect(added).To(BeTrue(), container)
		g.Expect(strings.HasPrefix(rest, "-")).To(Equal(rest != name), "%s: else a type could be called %q", name, rest)
		g.Expect(seen).NotTo(HaveKey(container), name)
		seen[container] = name
	}
	g.Expect(seen).To(And(HaveKey("understudy-type-link"), HaveKey("understudy-type-"+strings.Repeat("n", 45))))
}

// A host that an older version stored gives the pods that it gave, under the same name.
func TestHostOfOld(t *testing.T) {
	g := NewWithT(t)
	const old = `{"template":{"metadata":{},"spec":{"containers":[{"name":"app","resources":{}}]}},` +
		`"providers":{"app":["/understudy/bin/provider"]}}`
	host, err := plan.DecodeHost([]byte(old))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(host.Supervised()).To(Equal([]string{"app"}))
	g.Expect(string(plan.EncodeHost(host))).To(Equal(old))
}
