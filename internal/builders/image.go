// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// ImagePod brings an image to the node of a host, pulled with the host's own
// credentials, and shows that its monitor runs there. Kubelet ends a container
// before it pulls the image of the next one: a slow pull would cost an owner its
// lease. The pod goes with its host.
func ImagePod(host *corev1.Pod, group, image string) *corev1.Pod {
	owner := metav1.NewControllerRef(host, corev1.SchemeGroupVersion.WithKind("Pod"))
	owner.BlockOwnerDeletion = nil // it blocks nothing
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: host.Namespace,
			Name:      ImagePodName(host.Name),
			Labels: map[string]string{
				understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy,
				understudyv1alpha1.LabelUpgrade:   group,
			},
			OwnerReferences: []metav1.OwnerReference{*owner},
		},
		Spec: corev1.PodSpec{
			// No scheduler is asked: it must run where the host does.
			NodeName:                      host.Spec.NodeName,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			RuntimeClassName:              host.Spec.RuntimeClassName,
			ImagePullSecrets:              host.Spec.ImagePullSecrets,
			ServiceAccountName:            host.Spec.ServiceAccountName,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers: []corev1.Container{{
				Name:            layout.ImageContainer,
				Image:           image,
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{layout.ImageMonitor, "version"},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("8Mi"),
					},
					Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
				},
				SecurityContext: restricted(),
			}},
		},
	}
}
