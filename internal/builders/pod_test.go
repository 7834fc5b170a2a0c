// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/layout"
)

func podInput() builders.PodInput {
	return builders.PodInput{
		Group: &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "uid-db"}},
		Host: builders.Host{
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      map[string]string{"app": "db", understudyv1alpha1.LabelGroup: "lie"},
					Annotations: map[string]string{"note": "mine"},
				},
				Spec: corev1.PodSpec{
					InitContainers: []corev1.Container{{Name: "prepare"}},
					Containers: []corev1.Container{
						{Name: "web", Command: []string{"nginx"}, Args: []string{"-g"}, Env: []corev1.EnvVar{
							{Name: layout.EnvMonitorSocket, Value: "lie"}, {Name: "A", Value: "b"},
						}},
						{Name: "app"},
						{Name: "logs", Command: []string{"tail"}},
					},
					Volumes:     []corev1.Volume{{Name: "data"}},
					Tolerations: []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](5)}},
				},
			},
			Providers: map[string][]string{"web": {"/understudy/bin/provider", "application"}, "app": {"/own"}},
		},
		HostName: "db-host-123", Number: 7, Image: "operator:1", GraceSeconds: 42,
	}
}

func container(g Gomega, list []corev1.Container, name string) corev1.Container {
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	g.Expect(name).To(BeEmpty(), "no such container")
	return corev1.Container{}
}

func mountsOf(c corev1.Container) map[string]corev1.VolumeMount {
	out := map[string]corev1.VolumeMount{}
	for _, m := range c.VolumeMounts {
		out[m.MountPath] = m
	}
	return out
}

func TestPodIdentity(t *testing.T) {
	g := NewWithT(t)
	in := podInput()
	pod := builders.Pod(in)
	g.Expect(pod.Namespace + "/" + pod.Name).To(Equal("shop/db-7"))
	g.Expect(pod.Labels).To(Equal(map[string]string{
		"app": "db", understudyv1alpha1.LabelGroup: "db", understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy, understudyv1alpha1.LabelRole: understudyv1alpha1.RoleStandby,
	}))
	g.Expect(pod.Annotations).To(Equal(map[string]string{
		"note": "mine", understudyv1alpha1.AnnotationHost: "db-host-123", understudyv1alpha1.AnnotationGroupUID: "uid-db",
	}))
	g.Expect(pod.OwnerReferences).To(HaveExactElements(And(
		HaveField("UID", BeEquivalentTo("uid-db")), HaveField("Kind", "ResourceGroup"),
		HaveField("Controller", HaveValue(BeTrue())), HaveField("BlockOwnerDeletion", HaveValue(BeTrue())))))
	g.Expect(in).To(Equal(podInput()), "the input is not changed")
}

func TestPodPlacement(t *testing.T) {
	g := NewWithT(t)
	spec := builders.Pod(podInput()).Spec
	g.Expect(spec.RestartPolicy).To(Equal(corev1.RestartPolicyAlways))
	g.Expect(spec.AutomountServiceAccountToken).To(HaveValue(BeFalse()))
	g.Expect(spec.ServiceAccountName).To(Equal("default"))
	g.Expect(spec.TerminationGracePeriodSeconds).To(HaveValue(BeEquivalentTo(42)))
	terms := spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	g.Expect(terms).To(HaveExactElements(And(
		HaveField("TopologyKey", "kubernetes.io/hostname"),
		HaveField("LabelSelector.MatchLabels", HaveKeyWithValue(understudyv1alpha1.LabelGroup, "db")))))
	g.Expect(spec.Tolerations).To(ConsistOf(
		corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"},
		corev1.Toleration{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"},
	), "without limit, also where the template had one")

	in := podInput()
	in.Host.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](100)
	in.Host.Template.Spec.AutomountServiceAccountToken = ptr.To(true)
	in.Host.Template.Spec.ServiceAccountName = "own"
	spec = builders.Pod(in).Spec
	g.Expect(spec.TerminationGracePeriodSeconds).To(HaveValue(BeEquivalentTo(100)), "the longer one")
	g.Expect(spec.AutomountServiceAccountToken).To(HaveValue(BeTrue()), "the template's own wish")
	g.Expect(spec.ServiceAccountName).To(Equal("own"))
}

// Where hosts shall rather be is the template's word; ours is added to it.
func TestPodSpread(t *testing.T) {
	g := NewWithT(t)
	in := podInput()
	preferred := []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: corev1.NodeSelectorTerm{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"fast"}}},
	}}}
	own := corev1.PodAffinityTerm{TopologyKey: "rack"}
	weighted := corev1.WeightedPodAffinityTerm{Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: "zone"}}
	spread := []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway}}
	in.Host.Template.Spec.Affinity = &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: preferred},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{own},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{weighted},
		},
	}
	in.Host.Template.Spec.TopologySpreadConstraints = spread
	in.Host.Template.Spec.NodeSelector = map[string]string{"pool": "db"}
	before := in.Host.Template.DeepCopy()
	spec := builders.Pod(in).Spec
	g.Expect(spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution).To(Equal(preferred))
	g.Expect(spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution).To(HaveExactElements(
		own, HaveField("TopologyKey", "kubernetes.io/hostname")))
	g.Expect(spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution).To(ConsistOf(weighted))
	g.Expect(spec.TopologySpreadConstraints).To(Equal(spread))
	g.Expect(spec.NodeSelector).To(HaveKeyWithValue("pool", "db"))
	g.Expect(in.Host.Template).To(Equal(*before), "the template is the revision's: the next host is built from it too")
}

// A host of a changed template is that template's, and says from which one it is.
func TestPodOfChangedTemplate(t *testing.T) {
	g := NewWithT(t)
	before := builders.Pod(podInput())
	in := podInput()
	in.HostName, in.Number = "db-host-456", 8
	in.Host.Template.Labels["app"] = "db2"
	in.Host.Template.Spec.Containers[0].Image = "app:2"
	after := builders.Pod(in)
	g.Expect(after.Name).To(Equal("db-8"))
	g.Expect(after.Labels).To(HaveKeyWithValue("app", "db2"))
	g.Expect(after.Annotations).To(HaveKeyWithValue(understudyv1alpha1.AnnotationHost, "db-host-456"))
	g.Expect(container(g, after.Spec.Containers, "web").Image).To(Equal("app:2"))
	g.Expect(before.Annotations).To(HaveKeyWithValue(understudyv1alpha1.AnnotationHost, "db-host-123"))
	g.Expect(after.Spec.InitContainers).To(Equal(before.Spec.InitContainers), "the monitor is the manager's business")
}

func TestPodMonitor(t *testing.T) {
	g := NewWithT(t)
	spec := builders.Pod(podInput()).Spec
	names := []string{}
	for _, c := range spec.InitContainers {
		names = append(names, c.Name)
	}
	g.Expect(names).To(Equal([]string{"understudy-monitor", "understudy-install", "prepare"}), "stopped last")

	m := spec.InitContainers[0]
	g.Expect(m.RestartPolicy).To(HaveValue(Equal(corev1.ContainerRestartPolicyAlways)))
	g.Expect(m.Image).To(Equal("operator:1"))
	g.Expect(m.ImagePullPolicy).To(Equal(corev1.PullIfNotPresent), "a restart needs no registry")
	g.Expect(m.Command).To(Equal([]string{"/init", "--", "/monitor"}))
	g.Expect(m.Resources.Limits).NotTo(HaveKey(corev1.ResourceCPU))
	g.Expect(m.StartupProbe.Exec.Command).To(Equal([]string{"/monitor", "healthz"}))
	g.Expect(m.LivenessProbe.Exec.Command).To(Equal([]string{"/monitor", "healthz", "--live"}))
	g.Expect(m.LivenessProbe.TerminationGracePeriodSeconds).To(HaveValue(BeEquivalentTo(1)),
		"SIGTERM is a request to hand over, which is not what a restart is for")
	g.Expect(m.Env).To(ContainElements(
		HaveField("Name", "POD_UID"), HaveField("Name", "POD_IP"), HaveField("Name", "NODE_NAME"),
		corev1.EnvVar{Name: "UNDERSTUDY_GROUP", Value: "db"},
		corev1.EnvVar{Name: "UNDERSTUDY_GRACE_SECONDS", Value: "42"}))
	g.Expect(mountsOf(m)).To(And(
		HaveKeyWithValue("/understudy/state", HaveField("ReadOnly", false)),
		HaveKeyWithValue("/understudy/containers/app/monitor", HaveField("Name", "understudy-monitor-0")),
		HaveKeyWithValue("/understudy/containers/app/provider", HaveField("Name", "understudy-provider-0")),
		HaveKeyWithValue("/understudy/containers/web/monitor", HaveField("Name", "understudy-monitor-1")),
		HaveKeyWithValue("/understudy/containers/web/dumps", And(
			HaveField("Name", "understudy-dump-1"), HaveField("ReadOnly", true))),
		HaveKeyWithValue("/var/run/secrets/kubernetes.io/serviceaccount", HaveField("Name", "understudy-token"))))

	install := spec.InitContainers[1]
	g.Expect(install.Command).To(Equal([]string{"/init", "copy", "/understudy/bin", "/init", "/provider"}))
	for _, c := range []corev1.Container{m, install} {
		g.Expect(c.SecurityContext).To(HaveValue(And(
			HaveField("RunAsNonRoot", HaveValue(BeTrue())), HaveField("RunAsUser", HaveValue(BeEquivalentTo(65532))),
			HaveField("ReadOnlyRootFilesystem", HaveValue(BeTrue())),
			HaveField("AllowPrivilegeEscalation", HaveValue(BeFalse())),
			HaveField("Capabilities.Drop", ConsistOf(corev1.Capability("ALL"))),
			HaveField("SeccompProfile.Type", corev1.SeccompProfileTypeRuntimeDefault))))
	}
}

func TestPodSupervised(t *testing.T) {
	g := NewWithT(t)
	spec := builders.Pod(podInput()).Spec
	web := container(g, spec.Containers, "web")
	g.Expect(web.Command).To(Equal([]string{
		"/understudy/bin/init", "--guard-dir", "/understudy/monitor", "--name", "web", "--",
		"/understudy/bin/provider", "application",
	}))
	g.Expect(web.Args).To(BeNil())
	g.Expect(web.LivenessProbe.Exec.Command).To(Equal([]string{
		"/understudy/bin/init", "alive", "--guard-dir", "/understudy/monitor",
	}), "kubelet ends an init that hangs")
	g.Expect(web.Env).To(Equal([]corev1.EnvVar{
		{Name: "A", Value: "b"},
		{Name: "UNDERSTUDY_MONITOR_SOCKET", Value: "/understudy/monitor/monitor.sock"},
		{Name: "UNDERSTUDY_PROVIDER_SOCKET", Value: "/understudy/provider/provider.sock"},
	}))
	g.Expect(mountsOf(web)).To(Equal(map[string]corev1.VolumeMount{
		"/understudy/bin":      {Name: "understudy-bin", MountPath: "/understudy/bin", ReadOnly: true},
		"/understudy/monitor":  {Name: "understudy-monitor-1", MountPath: "/understudy/monitor", ReadOnly: true},
		"/understudy/provider": {Name: "understudy-provider-1", MountPath: "/understudy/provider"},
		"/understudy/dumps":    {Name: "understudy-dump-1", MountPath: "/understudy/dumps"},
	}), "its own folders, and no token")
	g.Expect(spec.Volumes).To(ContainElement(And(HaveField("Name", "understudy-dump-1"),
		HaveField("EmptyDir.SizeLimit", HaveValue(Equal(resource.MustParse("96Mi")))))))
	g.Expect(spec.Volumes).To(ContainElement(And(HaveField("Name", "understudy-provider-1"), HaveField("EmptyDir", HaveValue(And(
		HaveField("Medium", corev1.StorageMediumMemory), HaveField("SizeLimit", HaveValue(Equal(resource.MustParse("4Mi"))))))))),
		"no disk keeps an epoch from being told, or a stale one")
	logs := container(g, spec.Containers, "logs")
	g.Expect(logs).To(Equal(corev1.Container{Name: "logs", Command: []string{"tail"}}), "left alone")
}

// withImage is a host with a provider that brings an image, whose container's name
// sorts between two of the template's.
func withImage(change ...func(*understudyv1alpha1.ImageProvider)) builders.PodInput {
	in := podInput()
	p := &understudyv1alpha1.ImageProvider{
		Image: "example.test/link:1", Command: []string{"/link", "--all"}, ImagePullPolicy: corev1.PullAlways,
		Env: []corev1.EnvVar{{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "link"}, Key: "password",
		}}}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
	}
	for _, f := range change {
		f(p)
	}
	in.Host.Containers = []corev1.Container{builders.ImageProvider("understudy-type-link", p)}
	return in
}

// A provider's image is one container more, supervised like those of the template.
func TestPodImageProvider(t *testing.T) {
	g := NewWithT(t)
	in := withImage()
	spec := builders.Pod(in).Spec
	g.Expect(in).To(Equal(withImage()), "the input is not changed")
	g.Expect(spec.Containers).To(HaveLen(4))
	link := spec.Containers[3]
	g.Expect(link.Name).To(Equal("understudy-type-link"))
	g.Expect(link.Image).To(Equal("example.test/link:1"))
	g.Expect(link.ImagePullPolicy).To(Equal(corev1.PullAlways))
	g.Expect(link.Command).To(Equal([]string{
		"/understudy/bin/init", "--guard-dir", "/understudy/monitor", "--name", "understudy-type-link", "--",
		"/link", "--all",
	}))
	g.Expect(link.LivenessProbe).NotTo(BeNil())
	g.Expect(link.Env).To(HaveExactElements(
		And(HaveField("Name", "PASSWORD"), HaveField("ValueFrom.SecretKeyRef.Name", "link")),
		corev1.EnvVar{Name: "UNDERSTUDY_MONITOR_SOCKET", Value: "/understudy/monitor/monitor.sock"},
		corev1.EnvVar{Name: "UNDERSTUDY_PROVIDER_SOCKET", Value: "/understudy/provider/provider.sock"}))
	g.Expect(link.Resources.Limits).To(HaveKey(corev1.ResourceMemory))
	g.Expect(mountsOf(link)).To(Equal(map[string]corev1.VolumeMount{
		"/understudy/bin":      {Name: "understudy-bin", MountPath: "/understudy/bin", ReadOnly: true},
		"/understudy/monitor":  {Name: "understudy-monitor-1", MountPath: "/understudy/monitor", ReadOnly: true},
		"/understudy/provider": {Name: "understudy-provider-1", MountPath: "/understudy/provider"},
		"/understudy/dumps":    {Name: "understudy-dump-1", MountPath: "/understudy/dumps"},
	}))
	g.Expect(mountsOf(spec.InitContainers[0])).To(And(
		HaveKeyWithValue("/understudy/containers/understudy-type-link/monitor", HaveField("Name", "understudy-monitor-1")),
		HaveKeyWithValue("/understudy/containers/understudy-type-link/provider", HaveField("Name", "understudy-provider-1")),
		HaveKeyWithValue("/understudy/containers/web/provider", HaveField("Name", "understudy-provider-2"))))
	g.Expect(mountsOf(container(g, spec.Containers, "web"))).To(
		HaveKeyWithValue("/understudy/provider", HaveField("Name", "understudy-provider-2")))
}

// What the type does not say about security is what the restricted Pod Security
// Standard asks for, with the image's own user; what it says counts as it stands.
func TestPodImageProviderSecurity(t *testing.T) {
	g := NewWithT(t)
	link := builders.Pod(withImage()).Spec.Containers[3]
	g.Expect(link.SecurityContext).To(HaveValue(And(
		HaveField("RunAsNonRoot", HaveValue(BeTrue())), HaveField("RunAsUser", BeNil()), HaveField("RunAsGroup", BeNil()),
		HaveField("ReadOnlyRootFilesystem", HaveValue(BeTrue())),
		HaveField("AllowPrivilegeEscalation", HaveValue(BeFalse())),
		HaveField("Capabilities.Drop", ConsistOf(corev1.Capability("ALL"))),
		HaveField("SeccompProfile.Type", corev1.SeccompProfileTypeRuntimeDefault))))
	own := &corev1.SecurityContext{RunAsUser: ptr.To[int64](0)}
	in := withImage(func(p *understudyv1alpha1.ImageProvider) { p.SecurityContext = own })
	g.Expect(builders.Pod(in).Spec.Containers[3].SecurityContext).To(Equal(own))

	in = withImage()
	in.Host.Template.Spec.AutomountServiceAccountToken = ptr.To(true)
	spec := builders.Pod(in).Spec
	const token = "/var/run/secrets/kubernetes.io/serviceaccount"
	g.Expect(mountsOf(spec.Containers[3])).To(HaveKeyWithValue(token, HaveField("Name", "understudy-no-token")),
		"the template's wish is about its own containers")
	g.Expect(spec.Volumes).To(ContainElement(And(HaveField("Name", "understudy-no-token"), HaveField("EmptyDir", Not(BeNil())))))
	for _, c := range spec.Containers[:3] {
		g.Expect(mountsOf(c)).NotTo(HaveKey(token))
	}
}

// The longest name still has a socket that can be dialled.
func TestLongestSocket(t *testing.T) {
	g := NewWithT(t)
	longest := layout.ContainerProviderDir(strings.Repeat("n", layout.MaxContainerName)) + "/" + layout.ProviderSocket
	g.Expect(longest).To(HaveLen(len(syscall.RawSockaddrUnix{}.Path)-1), "with the zero at its end")
}

// While hosts of two templates run, the monitors of both are let in.
func TestRoleBinding(t *testing.T) {
	g := NewWithT(t)
	binding := builders.RoleBinding(builders.AccessInput{
		Namespace: "shop", Group: "db", ServiceAccounts: []string{"new", "old"},
	})
	subject := func(name string) types.GomegaMatcher {
		return And(HaveField("Kind", HaveValue(Equal("ServiceAccount"))),
			HaveField("Namespace", HaveValue(Equal("shop"))), HaveField("Name", HaveValue(Equal(name))))
	}
	g.Expect(binding.Subjects).To(HaveExactElements(subject("new"), subject("old")))
	g.Expect(binding.RoleRef.Name).To(HaveValue(Equal("understudy-db")))
}

// What a monitor may reach has a name wherever RBAC can say it.
func TestRules(t *testing.T) {
	g := NewWithT(t)
	unnamed := map[string][]string{}
	for _, r := range builders.Rules(builders.AccessInput{
		Namespace: "shop", Group: "db", Resources: []string{"redis"}, Revisions: []string{"db-1"},
	}) {
		if len(r.ResourceNames) == 0 {
			unnamed[r.Resources[0]] = r.Verbs
		}
		g.Expect(r.Verbs).NotTo(ContainElement("*"))
		g.Expect(r.Verbs).NotTo(ContainElement("delete"))
	}
	g.Expect(unnamed).To(Equal(map[string][]string{
		"leases": {"create"}, "controlcalls": {"get", "list", "watch"},
		"controlcalls/status": {"get", "patch", "update"}, "events": {"create", "patch"},
		"clusterresources": {"list"},
	}))
	for _, r := range builders.Rules(builders.AccessInput{Namespace: "shop", Group: "db"}) {
		if slices.ContainsFunc(r.Resources, func(s string) bool { return strings.HasPrefix(s, "clusterresources") }) {
			g.Expect(r.Verbs).To(Equal([]string{"list"}), "no names, no rule")
		}
	}
}
