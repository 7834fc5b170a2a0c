// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// ActorContainer is the container of groups that Actors make.
const ActorContainer = "main"

// Actor is one resource of a small group.
type Actor struct {
	Name string
	// Type is application if empty.
	Type string
	// Properties of the type, as they stand in YAML.
	Properties map[string]any
	// Adjust changes what is not said here.
	Adjust func(*understudyv1alpha1.ClusterResourceSpec)
}

// Run is an Actor that runs a program of the image demo-programs.
func Run(name string, command ...string) Actor {
	return Actor{Name: name, Properties: map[string]any{"command": command}}
}

// Play creates a group of so many hosts, of which each runs the image demo-programs
// as a user without rights on a file system that cannot be written to but for /tmp.
func (c *Cluster) Play(ctx context.Context, namespace, name string, hosts int32, actors ...Actor) (Group, error) {
	return c.PlayAs(ctx, namespace, name, func(s *understudyv1alpha1.ResourceGroupSpec) { s.Hosts = ptr.To(hosts) }, actors...)
}

// PlayAs is Play for a group that is otherwise than usual: two hosts, unless adjust
// changes that.
func (c *Cluster) PlayAs(
	ctx context.Context, namespace, name string, adjust func(*understudyv1alpha1.ResourceGroupSpec), actors ...Actor,
) (Group, error) {
	g := Group{Cluster: c, Namespace: namespace, Name: name}
	group := &understudyv1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: understudyv1alpha1.ResourceGroupSpec{
			Hosts: ptr.To[int32](2), FailoverThreshold: ptr.To[int32](20), FailoverPeriodHours: ptr.To[int32](1),
			Template: corev1.PodTemplateSpec{Spec: actorPod()},
		},
	}
	adjust(&group.Spec)
	if err := c.Client.Create(ctx, group); err != nil {
		return g, err
	}
	for _, a := range actors {
		properties, err := json.Marshal(a.Properties)
		if err != nil {
			return g, err
		}
		r := &understudyv1alpha1.ClusterResource{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.Name},
			Spec: understudyv1alpha1.ClusterResourceSpec{
				GroupName: name, TypeName: a.Type, ContainerName: ActorContainer,
				Properties: &runtime.RawExtension{Raw: properties},
			},
		}
		if a.Type == "" {
			r.Spec.TypeName = "application"
		}
		if a.Adjust != nil {
			a.Adjust(&r.Spec)
		}
		if err := c.Client.Create(ctx, r); err != nil {
			return g, err
		}
	}
	return g, nil
}

func actorPod() corev1.PodSpec {
	return corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](10001),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: ActorContainer, Image: "demo-programs:dev", ImagePullPolicy: corev1.PullIfNotPresent,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
		}},
		Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
}

// Containers finds the container of a name in every host pod of the group.
func (g Group) Containers(ctx context.Context, name string) ([]Container, error) {
	pods, err := g.Pods(ctx)
	if err != nil {
		return nil, err
	}
	var list []Container
	for i := range pods {
		c, err := g.Local.Container(&pods[i], name)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// OwnerContainer finds a container of the owner.
func (g Group) OwnerContainer(ctx context.Context, name string) (Container, error) {
	owner, err := g.Owner(ctx)
	if err != nil {
		return Container{}, err
	}
	pod, err := g.Pod(ctx, owner.PodName)
	if err != nil {
		return Container{}, err
	}
	return g.Local.Container(pod, name)
}
