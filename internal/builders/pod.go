// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package builders makes the objects that the manager keeps, as pure functions:
// no client, no clock.
package builders

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// Host is what the host pods of a group are built from. It is stored in a
// revision of its own, so that a host can be replaced while a newer template is
// refused.
type Host struct {
	// Template of the group.
	Template corev1.PodTemplateSpec `json:"template"`
	// Providers are the provider commands by supervised container of the template.
	Providers map[string][]string `json:"providers"`
	// Containers are those of providers that bring an image, sorted by name. Their
	// commands are the providers'.
	Containers []corev1.Container `json:"containers,omitempty"`
}

// Supervised are the names of the containers that run under the monitor, sorted.
func (h *Host) Supervised() []string {
	names := make([]string, 0, len(h.Providers)+len(h.Containers))
	names = slices.AppendSeq(names, maps.Keys(h.Providers))
	for i := range h.Containers {
		names = append(names, h.Containers[i].Name)
	}
	slices.Sort(names)
	return names
}

// PodInput is what one host pod is made of.
type PodInput struct {
	// Group that the pod belongs to.
	Group *understudyv1alpha1.ResourceGroup
	// Host template and the name of its revision.
	Host     Host
	HostName string
	// Number of the host.
	Number int64
	// Image of the operator: init, monitor and provider.
	Image string
	// GraceSeconds is the least grace period.
	GraceSeconds int64
}

// PodName is the name of a host.
func PodName(group string, number int64) string {
	return group + "-" + strconv.FormatInt(number, 10)
}

// ServiceAccount that the host pods run under, and the monitors act as.
func ServiceAccount(h *Host) string {
	return cmp.Or(h.Template.Spec.ServiceAccountName, "default")
}

// Labels of everything that the manager makes for a group.
func Labels(group string) map[string]string {
	return map[string]string{
		understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy,
		understudyv1alpha1.LabelGroup:     group,
	}
}

// Selector finds the host pods of a group.
func Selector(group string) string { return labels.SelectorFromSet(Labels(group)).String() }

// Pod builds a host pod.
func Pod(in PodInput) *corev1.Pod {
	template := in.Host.Template.DeepCopy()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   in.Group.Namespace,
			Name:        PodName(in.Group.Name, in.Number),
			Labels:      maps.Clone(template.Labels),
			Annotations: maps.Clone(template.Annotations),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(in.Group, understudyv1alpha1.GroupVersion.WithKind("ResourceGroup")),
			},
		},
		Spec: template.Spec,
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	maps.Copy(pod.Labels, Labels(in.Group.Name))
	pod.Labels[understudyv1alpha1.LabelRole] = understudyv1alpha1.RoleStandby
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[understudyv1alpha1.AnnotationHost] = in.HostName
	pod.Annotations[understudyv1alpha1.AnnotationGroupUID] = string(in.Group.UID)
	placement(&pod.Spec, in)
	supervised := in.Host.Supervised()
	volumes(&pod.Spec, supervised)
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if command, ok := in.Host.Providers[c.Name]; ok {
			supervise(c, slices.Index(supervised, c.Name), command)
		}
	}
	imageProviders(&pod.Spec, in.Host.Containers, supervised)
	// The monitor stands first, so that kubelet stops it last.
	pod.Spec.InitContainers = append([]corev1.Container{
		monitor(in, *pod.Spec.TerminationGracePeriodSeconds, supervised), install(in.Image),
	}, pod.Spec.InitContainers...)
	return pod
}

// placement decides where the pod goes and how long it stays.
func placement(spec *corev1.PodSpec, in PodInput) {
	spec.RestartPolicy = corev1.RestartPolicyAlways
	if spec.AutomountServiceAccountToken == nil {
		// The monitor mounts a token of its own; no program gets one by default.
		spec.AutomountServiceAccountToken = ptr.To(false)
	}
	spec.ServiceAccountName = ServiceAccount(&in.Host)
	grace := max(in.GraceSeconds, ptr.Deref(spec.TerminationGracePeriodSeconds, 0))
	spec.TerminationGracePeriodSeconds = &grace

	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.PodAntiAffinity == nil {
		spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	anti := spec.Affinity.PodAntiAffinity
	anti.RequiredDuringSchedulingIgnoredDuringExecution = append(
		anti.RequiredDuringSchedulingIgnoredDuringExecution, corev1.PodAffinityTerm{
			LabelSelector: &metav1.LabelSelector{MatchLabels: Labels(in.Group.Name)},
			TopologyKey:   corev1.LabelHostname,
		})

	// A healthy owner is never evicted because of a problem of API server or
	// kubelet: its lease alone decides.
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		spec.Tolerations = slices.DeleteFunc(spec.Tolerations, func(t corev1.Toleration) bool {
			return t.Key == key && t.Effect == corev1.TaintEffectNoExecute
		})
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		})
	}
}

// supervise puts init and provider in front of a container.
func supervise(c *corev1.Container, index int, provider []string) {
	c.Command = append([]string{
		layout.InitPath, "--guard-dir", layout.MonitorDir, "--name", c.Name, "--",
	}, provider...)
	c.Args = nil
	// An init that hangs proves nothing, and nothing of the group may start anywhere
	// until it is gone. A template has no probe of its own: that is refused. A busy
	// node must not end what runs well, so that it takes three probes in a row.
	c.LivenessProbe = &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: []string{layout.InitPath, "alive", "--guard-dir", layout.MonitorDir},
		}},
		PeriodSeconds: 20, TimeoutSeconds: 30, FailureThreshold: 3,
		// It does not hear SIGTERM.
		TerminationGracePeriodSeconds: ptr.To[int64](1),
	}
	c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.Name == layout.EnvMonitorSocket || e.Name == layout.EnvProviderSocket
	})
	c.Env = append(c.Env,
		corev1.EnvVar{Name: layout.EnvMonitorSocket, Value: layout.MonitorDir + "/" + layout.MonitorSocket},
		corev1.EnvVar{Name: layout.EnvProviderSocket, Value: layout.ProviderDir + "/" + layout.ProviderSocket},
	)
	c.VolumeMounts = append(c.VolumeMounts,
		corev1.VolumeMount{Name: binVolume, MountPath: layout.BinDir, ReadOnly: true},
		corev1.VolumeMount{Name: monitorVolume(index), MountPath: layout.MonitorDir, ReadOnly: true},
		corev1.VolumeMount{Name: providerVolume(index), MountPath: layout.ProviderDir},
		corev1.VolumeMount{Name: dumpVolume(index), MountPath: layout.DumpDir},
	)
}
