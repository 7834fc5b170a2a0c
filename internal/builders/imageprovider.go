// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// noTokenVolume is empty and stands where Kubernetes would mount an API token.
const noTokenVolume = layout.Reserved + "no-token"

// ImageProvider is the container of a provider that brings an image, as it is kept
// in a Host: what the type says, and nothing that another version of us may change,
// because hosts are replaced when it changes.
func ImageProvider(name string, in *understudyv1alpha1.ImageProvider) corev1.Container {
	in = in.DeepCopy()
	return corev1.Container{
		Name: name, Image: in.Image, ImagePullPolicy: in.ImagePullPolicy, Command: in.Command,
		Env: in.Env, Resources: in.Resources, SecurityContext: in.SecurityContext,
	}
}

// imageProviders adds the containers of providers to a pod.
func imageProviders(spec *corev1.PodSpec, containers []corev1.Container, supervised []string) {
	// The template's wish for a token is a wish for its own containers. What mounts
	// something in its place gets none.
	hide := len(containers) > 0 && ptr.Deref(spec.AutomountServiceAccountToken, false)
	if hide {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			Name: noTokenVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		})
	}
	for i := range containers {
		c := containers[i].DeepCopy()
		if c.SecurityContext == nil {
			// The user is the image's, or the template's.
			c.SecurityContext = restricted()
			c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup = nil, nil
		}
		supervise(c, slices.Index(supervised, c.Name), c.Command)
		if hide {
			c.VolumeMounts = append(c.VolumeMounts,
				corev1.VolumeMount{Name: noTokenVolume, MountPath: layout.TokenDir, ReadOnly: true})
		}
		spec.Containers = append(spec.Containers, *c)
	}
}
