// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/understudy-dev/understudy/internal/layout"
)

// Volumes of a host pod. Those of supervised containers are numbered, because a
// container's name may be as long as a volume's.
const (
	binVolume   = layout.Reserved + "bin"
	stateVolume = layout.Reserved + "state"
	tokenVolume = layout.Reserved + "token"

	// nobody is the user of our own containers: not root, in no image's passwd.
	nobody = 65532
	// tokenSeconds is how long a token lives; kubelet renews it in time.
	tokenSeconds = 3607
)

func monitorVolume(i int) string  { return layout.Reserved + "monitor-" + strconv.Itoa(i) }
func providerVolume(i int) string { return layout.Reserved + "provider-" + strconv.Itoa(i) }

func dumpVolume(i int) string { return layout.Reserved + "dump-" + strconv.Itoa(i) }

func volumes(spec *corev1.PodSpec, supervised []string) {
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		// In memory, because a take-over waits for it and a disk may make it wait
		// long. It outlives every container of the pod; of what a reboot erases, a
		// monitor may use nothing anyhow.
		Name: stateVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse("16Mi")),
		}},
	})
	names := append(make([]string, 0, 1+len(supervised)), binVolume)
	for i := range supervised {
		names = append(names, monitorVolume(i))
	}
	for _, name := range names {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		})
	}
	for i := range supervised {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			// In memory, because of the epochs' files: a disk that is full or dead keeps
			// none from being written, and none outlives the node's boot.
			Name: providerVolume(i), VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
				Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse("4Mi")),
			}},
		})
	}
	for i := range supervised {
		spec.Volumes = append(spec.Volumes, corev1.Volume{
			Name: dumpVolume(i), VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
				// Init keeps less than that: kubelet evicts a pod that has more.
				SizeLimit: ptr.To(resource.MustParse("96Mi")),
			}},
		})
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{
			// Readable by the monitor's user whatever fsGroup the template sets; no
			// other container mounts it.
			DefaultMode: ptr.To[int32](0o444),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Path: corev1.ServiceAccountTokenKey, ExpirationSeconds: ptr.To[int64](tokenSeconds),
				}},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
					Items: []corev1.KeyToPath{{
						Key: corev1.ServiceAccountRootCAKey, Path: corev1.ServiceAccountRootCAKey,
					}},
				}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
					Path: corev1.ServiceAccountNamespaceKey, FieldRef: fieldRef("metadata.namespace"),
				}}}},
			},
		},
	}})
}

func fieldRef(path string) *corev1.ObjectFieldSelector {
	return &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: fieldRef(path)}}
}

// monitor is the native sidecar. Init is its PID 1: kubelet's second restart
// would take longer than the lease.
func monitor(in PodInput, graceSeconds int64, supervised []string) corev1.Container {
	mounts := append(make([]corev1.VolumeMount, 0, 2+3*len(supervised)),
		corev1.VolumeMount{Name: stateVolume, MountPath: layout.StateDir},
		corev1.VolumeMount{Name: tokenVolume, MountPath: layout.TokenDir, ReadOnly: true})
	for i, name := range supervised {
		mounts = append(mounts,
			corev1.VolumeMount{Name: monitorVolume(i), MountPath: layout.ContainerMonitorDir(name)},
			corev1.VolumeMount{Name: providerVolume(i), MountPath: layout.ContainerProviderDir(name)},
			corev1.VolumeMount{Name: dumpVolume(i), MountPath: layout.ContainerDumpDir(name), ReadOnly: true})
	}
	return corev1.Container{
		Name:  layout.MonitorContainer,
		Image: in.Image,
		// A restart needs no registry, whatever the tag is called.
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{layout.ImageInit, "--", layout.ImageMonitor},
		RestartPolicy:   ptr.To(corev1.ContainerRestartPolicyAlways),
		Env: []corev1.EnvVar{
			fieldEnv(layout.EnvPodName, "metadata.name"),
			fieldEnv(layout.EnvPodNamespace, "metadata.namespace"),
			fieldEnv(layout.EnvPodUID, "metadata.uid"),
			fieldEnv(layout.EnvPodIP, "status.podIP"),
			fieldEnv(layout.EnvNodeName, "spec.nodeName"),
			{Name: layout.EnvGroup, Value: in.Group.Name},
			{Name: layout.EnvGrace, Value: strconv.FormatInt(graceSeconds, 10)},
		},
		// Nothing else of the pod starts before the monitor's sockets are there.
		// It answers without the API server.
		StartupProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
				Command: []string{layout.ImageMonitor, "healthz"},
			}},
			PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 60,
		},
		// A monitor that hangs has lost what it owned long before this notices: it is
		// about having the host back, so it is in no hurry, and a busy node has time
		// to come round. Each probe starts a process, which an idle host pays for.
		LivenessProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
				Command: []string{layout.ImageMonitor, "healthz", "--live"},
			}},
			PeriodSeconds: 20, TimeoutSeconds: 10, FailureThreshold: 3,
			// It cannot hand over any more, and one that could after all must not: it
			// is killed before a hand-over gets far, and goes on where it was.
			TerminationGracePeriodSeconds: ptr.To[int64](1),
		},
		// No CPU limit: a throttled monitor renews late.
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(layout.MonitorMemory, resource.BinarySI)},
		},
		SecurityContext: restricted(),
		VolumeMounts:    mounts,
	}
}

// install copies init and provider into the pod, for the supervised containers.
func install(image string) corev1.Container {
	return corev1.Container{
		Name:    layout.InstallContainer,
		Image:   image,
		Command: []string{layout.ImageInit, "copy", layout.BinDir, layout.ImageInit, layout.ImageProvider},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		SecurityContext: restricted(),
		VolumeMounts:    []corev1.VolumeMount{{Name: binVolume, MountPath: layout.BinDir}},
	}
}

// restricted is what Pod Security's strictest level asks of a container.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](nobody), RunAsGroup: ptr.To[int64](nobody),
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}
