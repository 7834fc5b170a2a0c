// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
)

// checkTemplate refuses what the guard cannot hold or the builder must decide. The
// rules of the CRD say most of it first, where they are as new as this.
func checkTemplate(say reporter, spec *understudyv1alpha1.ResourceGroupSpec) {
	pod, at := &spec.Template.Spec, field.NewPath("spec", "template", "spec")
	refuse := func(at *field.Path, message string) {
		say.add(at, understudyv1alpha1.ReasonTemplateRefused, message)
	}
	shared := func(at *field.Path) {
		say.add(at, understudyv1alpha1.ReasonSharedProcesses,
			"must not be true: the guard ends a container by its own process namespace; remove the field")
	}
	if pod.ShareProcessNamespace != nil && *pod.ShareProcessNamespace {
		shared(at.Child("shareProcessNamespace"))
	}
	if pod.HostPID {
		shared(at.Child("hostPID"))
	}
	if len(pod.Containers) == 0 {
		refuse(at.Child("containers"), "a host needs at least one container")
	}
	if len(pod.EphemeralContainers) > 0 {
		refuse(at.Child("ephemeralContainers"), "are added to running pods only: remove the field")
	}
	if pod.RestartPolicy != "" && pod.RestartPolicy != corev1.RestartPolicyAlways {
		refuse(at.Child("restartPolicy"), "must be Always or absent: a host stays until its group ends")
	}
	if pod.ActiveDeadlineSeconds != nil {
		refuse(at.Child("activeDeadlineSeconds"), "a host has no deadline: remove the field")
	}
	if pod.NodeName != "" {
		refuse(at.Child("nodeName"), "hosts stand on different nodes: use nodeSelector or affinity")
	}
	for i, c := range pod.InitContainers {
		checkReserved(refuse, at.Child("initContainers").Index(i), &c)
	}
	for i, c := range pod.Containers {
		checkReserved(refuse, at.Child("containers").Index(i), &c)
	}
	for i, v := range pod.Volumes {
		if strings.HasPrefix(v.Name, layout.Reserved) {
			refuse(at.Child("volumes").Index(i).Child("name"),
				fmt.Sprintf("names that begin with %q are taken: rename it", layout.Reserved))
		}
	}
}

func checkReserved(refuse func(*field.Path, string), at *field.Path, c *corev1.Container) {
	if strings.HasPrefix(c.Name, layout.Reserved) {
		refuse(at.Child("name"), fmt.Sprintf("names that begin with %q are taken: rename it", layout.Reserved))
	}
	for i, m := range c.VolumeMounts {
		// A mount finds the builder's volumes by name, and with them the monitor's token.
		if strings.HasPrefix(m.Name, layout.Reserved) {
			refuse(at.Child("volumeMounts").Index(i).Child("name"),
				fmt.Sprintf("volumes whose names begin with %q are not the template's: mount another", layout.Reserved))
		}
		if m.MountPath == layout.ReservedPath || strings.HasPrefix(m.MountPath, layout.ReservedPath+"/") {
			refuse(at.Child("volumeMounts").Index(i).Child("mountPath"),
				fmt.Sprintf("the folder %s is taken: mount it elsewhere", layout.ReservedPath))
		}
	}
}

// checkSupervised refuses what would act on a supervised container beside the
// monitor: kubelet must neither restart nor stop it on its own judgement.
func (b *build) checkSupervised(i int, c *corev1.Container) {
	say := reporter{kind: KindGroup, name: b.in.Group.Name, problems: &b.problems}
	at := field.NewPath("spec", "template", "spec", "containers").Index(i)
	refuse := func(name, reason, instead string) {
		say.add(at.Child(name), reason, fmt.Sprintf(
			"the monitor watches and stops the container %q: remove the field, %s", c.Name, instead))
	}
	if c.LivenessProbe != nil {
		refuse("livenessProbe", understudyv1alpha1.ReasonProbeNotAllowed, "use the checks of the resource's type")
	}
	if c.ReadinessProbe != nil {
		refuse("readinessProbe", understudyv1alpha1.ReasonProbeNotAllowed, "use the checks of the resource's type")
	}
	if c.StartupProbe != nil {
		refuse("startupProbe", understudyv1alpha1.ReasonProbeNotAllowed, "use the checks of the resource's type")
	}
	if c.Lifecycle != nil {
		refuse("lifecycle", understudyv1alpha1.ReasonProbeNotAllowed, "use the resource's type to start and stop it")
	}
	if c.RestartPolicy != nil {
		refuse("restartPolicy", understudyv1alpha1.ReasonTemplateRefused, "use the resource's restart policy")
	}
}
