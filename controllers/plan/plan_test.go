// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/plan"
)

const schema = `{
  "type": "object", "required": ["path"],
  "properties": {
    "path": {"type": "string", "pattern": "^/"},
    "size": {"type": "integer", "minimum": 1, "default": 10},
    "nested": {"type": "object", "properties": {"deep": {"type": "boolean"}}},
    "low": {"type": "integer"}, "high": {"type": "integer"}
  },
  "x-kubernetes-validations": [
    {"rule": "!has(self.low) || !has(self.high) || self.low <= self.high", "message": "low must not exceed high"}]
}`

// input is a group of two resources of one type, the second depending on the first.
func input(change ...func(*plan.Input)) plan.Input {
	in := plan.Input{
		Group: &understudyv1alpha1.ResourceGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "uid-db"},
			Spec: understudyv1alpha1.ResourceGroupSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "app"}, {Name: "side"}},
			}}},
		},
		Resources: []understudyv1alpha1.ClusterResource{resource("web", "disk"), resource("disk")},
		Types:     map[string]*understudyv1alpha1.ResourceType{"volume": resourceType("volume")},
	}
	for _, f := range change {
		f(&in)
	}
	return in
}

func resource(name string, dependencies ...string) understudyv1alpha1.ClusterResource {
	r := understudyv1alpha1.ClusterResource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), Generation: 3},
		Spec: understudyv1alpha1.ClusterResourceSpec{
			GroupName: "db", TypeName: "volume", ContainerName: "app",
			Properties: &runtime.RawExtension{Raw: []byte(`{"path":"/data"}`)},
		},
	}
	for _, d := range dependencies {
		r.Spec.Dependencies = append(r.Spec.Dependencies, understudyv1alpha1.Dependency{AnyOf: []string{d}})
	}
	return r
}

func resourceType(name string) *understudyv1alpha1.ResourceType {
	return &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: understudyv1alpha1.ResourceTypeSpec{
			Provider:         understudyv1alpha1.ProviderSource{Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/provider", name}}},
			PropertiesSchema: &runtime.RawExtension{Raw: []byte(schema)},
			ControlCodes:     []understudyv1alpha1.ControlCode{{Name: "COUNT", Code: 0x01800005, Access: understudyv1alpha1.ControlRead}},
		},
	}
}

func group(f func(*understudyv1alpha1.ResourceGroupSpec)) func(*plan.Input) {
	return func(in *plan.Input) { f(&in.Group.Spec) }
}

func web(f func(*understudyv1alpha1.ClusterResourceSpec)) func(*plan.Input) {
	return func(in *plan.Input) { f(&in.Resources[0].Spec) }
}

func disk(f func(*understudyv1alpha1.ClusterResourceSpec)) func(*plan.Input) {
	return func(in *plan.Input) { f(&in.Resources[1].Spec) }
}

func volume(f func(*understudyv1alpha1.ResourceTypeSpec)) func(*plan.Input) {
	return func(in *plan.Input) { f(&in.Types["volume"].Spec) }
}

func template(f func(*corev1.PodSpec)) func(*plan.Input) {
	return func(in *plan.Input) { f(&in.Group.Spec.Template.Spec) }
}

func properties(json string) func(*plan.Input) {
	return web(func(s *understudyv1alpha1.ClusterResourceSpec) {
		s.Properties = &runtime.RawExtension{Raw: []byte(json)}
	})
}

// What is not said is WSFC's default, and nothing of it is in the user's spec.
func TestDefaults(t *testing.T) {
	g := NewWithT(t)
	result, problems := plan.Build(input())
	g.Expect(problems).To(BeEmpty())
	p := result.Plan
	g.Expect(p).To(And(
		HaveField("Version", planv1.Version), HaveField("Namespace", "shop"), HaveField("Group", "db"),
		HaveField("GroupUID", "uid-db"), HaveField("Online", true), HaveField("Hosts", int32(2)), HaveField("LeaseDurationSeconds", int32(6)),
		HaveField("FailoverThreshold", int32(1)), HaveField("FailoverPeriodSeconds", int64(6*3600)),
		HaveField("Service", BeNil()), HaveField("Containers", []string{"app"}),
	))
	g.Expect(p.Resources).To(HaveLen(2))
	g.Expect(p.Resources[0].Name).To(Equal("disk"), "sorted by name")
	g.Expect(p.Resources[1]).To(Equal(planv1.Resource{
		UID: "uid-web", Name: "web", Generation: 3, Type: "volume", Container: "app", Online: true,
		Properties:             []byte(`{"path":"/data","size":10}`),
		Dependencies:           [][]string{{"uid-disk"}},
		LooksAlivePollInterval: 5_000, IsAlivePollInterval: 60_000,
		PendingTimeout: 180_000, DeadlockTimeout: 300_000, TerminateTimeout: 400,
		RestartAction: "RestartNotify", RestartThreshold: 1, RestartPeriod: 900_000, RestartDelay: 500,
		RetryPeriodOnFailure: 3_600_000,
		Controls:             []planv1.Control{{Name: "COUNT", Code: 0x01800005, Write: false}},
	}))
	g.Expect(result.Host.Providers).To(Equal(map[string][]string{"app": {"/provider", "volume"}}))
}

// A term that waits for readiness is told by its place; a plan without one is as it was.
func TestTermsThatWaitForReadiness(t *testing.T) {
	g := NewWithT(t)
	waits := func(name string, what understudyv1alpha1.DependencyWait) understudyv1alpha1.Dependency {
		return understudyv1alpha1.Dependency{AnyOf: []string{name}, WaitFor: what}
	}
	result, problems := plan.Build(input(
		func(in *plan.Input) { in.Resources = append(in.Resources, resource("ip")) },
		web(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.Dependencies = []understudyv1alpha1.Dependency{
				waits("disk", ""), waits("ip", understudyv1alpha1.WaitForApplicationReady),
				waits("ip", understudyv1alpha1.WaitForOnline), waits("disk", understudyv1alpha1.WaitForApplicationReady),
			}
		}),
	))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Resources[2]).To(And(
		HaveField("Name", "web"), HaveField("Dependencies", HaveLen(4)), HaveField("ReadyTerms", []int{1, 3}),
	))
	text, err := json.Marshal(result.Plan.Resources[0])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("readyTerms"))
}

// The resource's own value wins over its type's, that over the default.
func TestOverrides(t *testing.T) {
	g := NewWithT(t)
	result, problems := plan.Build(input(
		volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.IsAlivePollIntervalMilliseconds, s.PendingTimeoutMilliseconds = 2000, 3000
			s.TerminateTimeoutMilliseconds = 1500
			s.DumpPolicy = &understudyv1alpha1.DumpPolicy{
				CollectOn: []understudyv1alpha1.DumpCause{understudyv1alpha1.DumpFailure},
				CoreFiles: understudyv1alpha1.CoreFilesAlways,
			}
		}),
		web(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.PendingTimeoutMilliseconds = ptr.To[int64](4000)
			s.IsAlivePollIntervalMilliseconds = ptr.To[int64](4294967295) // RA section 5.1: the type's
			s.RestartThreshold = ptr.To[int32](0)
			s.RestartPeriodMilliseconds = ptr.To[int64](7_200_000)
			s.DesiredState = understudyv1alpha1.DesiredOffline
		}),
		disk(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.RetryPeriodOnFailureMilliseconds = ptr.To[int64](4294967295)
		}),
		group(func(s *understudyv1alpha1.ResourceGroupSpec) {
			s.DesiredState, s.Hosts = understudyv1alpha1.DesiredOffline, ptr.To[int32](4)
			s.FailoverPeriodHours = ptr.To[int32](1)
			s.Service = &understudyv1alpha1.GroupService{Name: "shop-db", Ports: []understudyv1alpha1.GroupServicePort{{Port: 80}}}
		}),
	))
	g.Expect(problems).To(BeEmpty())
	disk, web := result.Plan.Resources[0], result.Plan.Resources[1]
	g.Expect(web.IsAlivePollInterval).To(BeEquivalentTo(2000))
	g.Expect(web.PendingTimeout).To(BeEquivalentTo(4000))
	g.Expect(disk.PendingTimeout).To(BeEquivalentTo(3000))
	g.Expect(web.TerminateTimeout).To(BeEquivalentTo(1500))
	g.Expect(web.DumpPolicy).To(Equal(&planv1.DumpPolicy{OnFailure: true, CoreFiles: true}))
	g.Expect(web.RestartThreshold).To(BeEquivalentTo(0))
	g.Expect(web.RetryPeriodOnFailure).To(BeEquivalentTo(7_200_000), "never below the restart period by default")
	g.Expect(disk.RetryPeriodOnFailure).To(BeEquivalentTo(0), "never")
	g.Expect(web.Online).To(BeFalse())
	g.Expect(result.Plan.Online).To(BeFalse())
	g.Expect(result.Plan.Hosts).To(BeEquivalentTo(4))
	g.Expect(result.Plan.FailoverThreshold).To(BeEquivalentTo(3))
	g.Expect(result.Plan.FailoverPeriodSeconds).To(BeEquivalentTo(3600))
	g.Expect(result.Plan.Service).To(Equal(&planv1.Service{Name: "shop-db", Ports: []planv1.Port{{Port: 80}}}))
}

// A policy that says what holds anyway makes no other plan; an empty list is no default.
func TestDumpPolicy(t *testing.T) {
	g := NewWithT(t)
	causes := func(c ...understudyv1alpha1.DumpCause) *planv1.DumpPolicy {
		result, problems := plan.Build(input(volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.DumpPolicy = &understudyv1alpha1.DumpPolicy{CollectOn: c}
		})))
		g.Expect(problems).To(BeEmpty())
		return result.Plan.Resources[0].DumpPolicy
	}
	g.Expect(causes()).To(BeNil(), "not said")
	g.Expect(causes(understudyv1alpha1.DumpDeadlock)).To(BeNil())
	g.Expect(causes([]understudyv1alpha1.DumpCause{}...)).To(Equal(&planv1.DumpPolicy{}))
	g.Expect(causes(understudyv1alpha1.DumpFailure, understudyv1alpha1.DumpDeadlock)).To(
		Equal(&planv1.DumpPolicy{OnDeadlock: true, OnFailure: true}))
}

// leaving has the type deleted while the plan in force has some resources of it.
func leaving(in *plan.Input, inForce ...string) {
	in.Types["volume"].DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	in.InForce = &planv1.Plan{}
	for _, name := range inForce {
		in.InForce.Resources = append(in.InForce.Resources, planv1.Resource{UID: "uid-" + name})
	}
}

// What runs goes on while its type is being deleted, and also if the plan in force
// cannot be read.
func TestTypeThatIsBeingDeleted(t *testing.T) {
	g := NewWithT(t)
	_, problems := plan.Build(input(func(in *plan.Input) { leaving(in, "disk", "web") }))
	g.Expect(problems).To(BeEmpty())
	_, problems = plan.Build(input(func(in *plan.Input) {
		leaving(in)
		in.InForce, in.Group.Status.PlanRevision = nil, "db-1"
	}))
	g.Expect(problems).To(BeEmpty())
	_, problems = plan.Build(input(func(in *plan.Input) { leaving(in) }))
	g.Expect(problems).To(HaveLen(2), "of the first plan nothing runs")
}

// Each mistake is answered on the object that must change, with its field, a
// reason and a next step.
func TestProblems(t *testing.T) {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	for name, test := range map[string]struct {
		change                 func(*plan.Input)
		kind, object           string
		field, reason, message string
	}{
		"unknown property": {properties(`{"path":"/x","sise":1}`),
			plan.KindResource, "web", "spec.properties.sise", understudyv1alpha1.ReasonInvalid, "no property of this type"},
		"unknown nested property": {properties(`{"path":"/x","nested":{"dep":true}}`),
			plan.KindResource, "web", "spec.properties.nested.dep", understudyv1alpha1.ReasonInvalid, "no property of this type"},
		"missing property": {properties(`{}`),
			plan.KindResource, "web", "spec.properties.path", understudyv1alpha1.ReasonInvalid, "Required"},
		"wrong type": {properties(`{"path":"/x","size":"big"}`),
			plan.KindResource, "web", "spec.properties.size", understudyv1alpha1.ReasonInvalid, "integer"},
		"pattern": {properties(`{"path":"x"}`),
			plan.KindResource, "web", "spec.properties.path", understudyv1alpha1.ReasonInvalid, "should match"},
		"minimum": {properties(`{"path":"/x","size":0}`),
			plan.KindResource, "web", "spec.properties.size", understudyv1alpha1.ReasonInvalid, "greater than or equal to 1"},
		"CEL rule": {properties(`{"path":"/x","low":2,"high":1}`),
			plan.KindResource, "web", "spec.properties", understudyv1alpha1.ReasonInvalid, "low must not exceed high"},
		"absent properties": {web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.Properties = nil }),
			plan.KindResource, "web", "spec.properties.path", understudyv1alpha1.ReasonInvalid, "Required"},
		"properties that are no object": {properties(`[1]`),
			plan.KindResource, "web", "spec.properties", understudyv1alpha1.ReasonInvalid, "no JSON object"},
		"missing type": {web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.TypeName = "nfs" }),
			plan.KindResource, "web", "spec.typeName", understudyv1alpha1.ReasonTypeNotFound, `"nfs" does not exist: create it`},
		"rejected type": {volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.PropertiesSchema.Raw = []byte(`{"type":"string"}`) }),
			plan.KindResource, "web", "spec.typeName", understudyv1alpha1.ReasonTypeRejected, "not accepted"},
		"type that is being deleted": {func(in *plan.Input) { leaving(in, "disk") },
			plan.KindResource, "web", "spec.typeName", understudyv1alpha1.ReasonTypeDeleting, "takes no new resources"},
		"depends on itself": {disk(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.Dependencies = []understudyv1alpha1.Dependency{{AnyOf: []string{"disk"}}}
		}),
			plan.KindResource, "disk", "spec.dependencies[0].anyOf[0]", understudyv1alpha1.ReasonCircularDependency, "on itself"},
		"circle": {disk(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.Dependencies = []understudyv1alpha1.Dependency{{AnyOf: []string{"web"}}}
		}),
			plan.KindResource, "disk", "spec.dependencies", understudyv1alpha1.ReasonCircularDependency, "disk -> web -> disk"},
		"missing dependency": {disk(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.Dependencies = []understudyv1alpha1.Dependency{{AnyOf: []string{"ip"}}}
		}),
			plan.KindResource, "disk", "spec.dependencies[0].anyOf[0]", understudyv1alpha1.ReasonInvalid, `no ClusterResource "ip"`},
		"dependency that is going": {func(in *plan.Input) { in.Resources[1].DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
			plan.KindResource, "web", "spec.dependencies[0].anyOf[0]", understudyv1alpha1.ReasonInvalid, "being deleted"},
		"quorum resource that depends on something": {volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.Quorum = &understudyv1alpha1.QuorumArbitration{}
		}), plan.KindResource, "web", "spec.dependencies", understudyv1alpha1.ReasonInvalid, "5069): remove the dependencies"},
		"retry before the period ends": {web(func(s *understudyv1alpha1.ClusterResourceSpec) {
			s.RetryPeriodOnFailureMilliseconds = ptr.To[int64](1000)
		}), plan.KindResource, "web", "spec.retryPeriodOnFailureMilliseconds", understudyv1alpha1.ReasonInvalid, "raise it"},
		"unknown container": {web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.ContainerName = "ap" }),
			plan.KindResource, "web", "spec.containerName", understudyv1alpha1.ReasonContainerNotFound, `no container "ap": name one that it has: app, side`},
		"no container": {web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.ContainerName = "" }),
			plan.KindResource, "web", "spec.containerName", understudyv1alpha1.ReasonContainerNotFound,
			`of the ResourceType "volume" runs in a container of the template: name one that it has: app, side`},
		"container beside an image": {func(in *plan.Input) { withImage(in, "volume") },
			plan.KindResource, "web", "spec.containerName", understudyv1alpha1.ReasonInvalid,
			`the ResourceType "volume" brings a container of its own: remove the field`},
		"separate in a shared container": {web(func(s *understudyv1alpha1.ClusterResourceSpec) { s.SeparateMonitor = true }),
			plan.KindResource, "web", "spec.containerName", understudyv1alpha1.ReasonInvalid,
			`the container "app" runs that of disk too: give this resource another`},
		"separate, and another comes": {disk(func(s *understudyv1alpha1.ClusterResourceSpec) { s.SeparateMonitor = true }),
			plan.KindResource, "disk", "spec.containerName", understudyv1alpha1.ReasonInvalid,
			`the container "app" runs that of web too`},
		"two providers in one container": {func(in *plan.Input) {
			in.Types["other"] = resourceType("other")
			in.Resources[0].Spec.TypeName = "other"
		}, plan.KindResource, "web", "spec.containerName", understudyv1alpha1.ReasonInvalid, `of the ClusterResource "disk" already`},
		"shared process namespace": {template(func(s *corev1.PodSpec) { s.ShareProcessNamespace = ptr.To(true) }),
			plan.KindGroup, "db", "spec.template.spec.shareProcessNamespace", understudyv1alpha1.ReasonSharedProcesses, "remove the field"},
		"host PID": {template(func(s *corev1.PodSpec) { s.HostPID = true }),
			plan.KindGroup, "db", "spec.template.spec.hostPID", understudyv1alpha1.ReasonSharedProcesses, "remove the field"},
		"restart policy": {template(func(s *corev1.PodSpec) { s.RestartPolicy = corev1.RestartPolicyNever }),
			plan.KindGroup, "db", "spec.template.spec.restartPolicy", understudyv1alpha1.ReasonTemplateRefused, "Always"},
		"deadline": {template(func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = ptr.To[int64](1) }),
			plan.KindGroup, "db", "spec.template.spec.activeDeadlineSeconds", understudyv1alpha1.ReasonTemplateRefused, "remove"},
		"no container at all": {template(func(s *corev1.PodSpec) { s.Containers = nil }),
			plan.KindGroup, "db", "spec.template.spec.containers", understudyv1alpha1.ReasonTemplateRefused, "at least one"},
		"ephemeral container": {template(func(s *corev1.PodSpec) { s.EphemeralContainers = make([]corev1.EphemeralContainer, 1) }),
			plan.KindGroup, "db", "spec.template.spec.ephemeralContainers", understudyv1alpha1.ReasonTemplateRefused, "remove"},
		"node name": {template(func(s *corev1.PodSpec) { s.NodeName = "a" }),
			plan.KindGroup, "db", "spec.template.spec.nodeName", understudyv1alpha1.ReasonTemplateRefused, "nodeSelector"},
		"liveness probe": {template(func(s *corev1.PodSpec) { s.Containers[0].LivenessProbe = probe }),
			plan.KindGroup, "db", "spec.template.spec.containers[0].livenessProbe", understudyv1alpha1.ReasonProbeNotAllowed, "checks"},
		"readiness probe": {template(func(s *corev1.PodSpec) { s.Containers[0].ReadinessProbe = probe }),
			plan.KindGroup, "db", "spec.template.spec.containers[0].readinessProbe", understudyv1alpha1.ReasonProbeNotAllowed, "checks"},
		"startup probe": {template(func(s *corev1.PodSpec) { s.Containers[0].StartupProbe = probe }),
			plan.KindGroup, "db", "spec.template.spec.containers[0].startupProbe", understudyv1alpha1.ReasonProbeNotAllowed, "checks"},
		"lifecycle hook": {template(func(s *corev1.PodSpec) { s.Containers[0].Lifecycle = &corev1.Lifecycle{} }),
			plan.KindGroup, "db", "spec.template.spec.containers[0].lifecycle", understudyv1alpha1.ReasonProbeNotAllowed, "start and stop"},
		"reserved name": {template(func(s *corev1.PodSpec) { s.Containers[1].Name = "understudy-x" }),
			plan.KindGroup, "db", "spec.template.spec.containers[1].name", understudyv1alpha1.ReasonTemplateRefused, "rename"},
		"reserved volume": {template(func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{{Name: "understudy-bin"}} }),
			plan.KindGroup, "db", "spec.template.spec.volumes[0].name", understudyv1alpha1.ReasonTemplateRefused, "rename"},
		"reserved folder": {template(func(s *corev1.PodSpec) {
			s.Containers[1].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/understudy/bin"}}
		}), plan.KindGroup, "db", "spec.template.spec.containers[1].volumeMounts[0].mountPath", understudyv1alpha1.ReasonTemplateRefused, "elsewhere"},
		"reserved volume mounted": {template(func(s *corev1.PodSpec) {
			s.Containers[1].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/x"}, {Name: "understudy-token", MountPath: "/token"}}
		}), plan.KindGroup, "db", "spec.template.spec.containers[1].volumeMounts[1].name", understudyv1alpha1.ReasonTemplateRefused, "mount another"},
		"ports without names": {group(func(s *understudyv1alpha1.ResourceGroupSpec) {
			s.Service = &understudyv1alpha1.GroupService{Ports: []understudyv1alpha1.GroupServicePort{{Name: "a", Port: 1}, {Port: 2}}}
		}), plan.KindGroup, "db", "spec.service.ports[1].name", understudyv1alpha1.ReasonInvalid, "give each port a name"},
		"T2 with 6 s": {volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.TerminateTimeoutMilliseconds = 1501 }),
			plan.KindGroup, "db", "spec.leaseDurationSeconds", understudyv1alpha1.ReasonInvalid, "at most 1500 ms"},
		"T2 with 2 s": {func(in *plan.Input) {
			in.Group.Spec.LeaseDurationSeconds = 2
			in.Types["volume"].Spec.TerminateTimeoutMilliseconds = 401
		}, plan.KindGroup, "db", "spec.leaseDurationSeconds", understudyv1alpha1.ReasonInvalid, "at most 400 ms"},
		"T2 with 15 s": {func(in *plan.Input) {
			in.Group.Spec.LeaseDurationSeconds = 15
			in.Types["volume"].Spec.TerminateTimeoutMilliseconds = 4001
		}, plan.KindGroup, "db", "spec.leaseDurationSeconds", understudyv1alpha1.ReasonInvalid, "at most 4000 ms"},
		"another duration": {group(func(s *understudyv1alpha1.ResourceGroupSpec) { s.LeaseDurationSeconds = 7 }),
			plan.KindGroup, "db", "spec.leaseDurationSeconds", understudyv1alpha1.ReasonInvalid, "choose one of them"},
		"too large": {func(in *plan.Input) {
			for i := range planv1.MaxBytes / plan.MaxPropertiesBytes {
				r := resource(fmt.Sprint("big", i))
				r.Spec.Properties.Raw = fmt.Appendf(nil, `{"path":"/%s"}`, strings.Repeat("x", plan.MaxPropertiesBytes-100))
				in.Resources = append(in.Resources, r)
			}
		}, plan.KindGroup, "db", "spec", understudyv1alpha1.ReasonInvalid, "split the group"},
		"too large by schemas": {volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
			for i := range planv1.MaxBytes / plan.MaxControlSchemaBytes {
				s.ControlCodes = append(s.ControlCodes, understudyv1alpha1.ControlCode{
					Name: fmt.Sprint("C", i), Code: 0x01800008 + 4*int64(i),
					InputSchema: &runtime.RawExtension{Raw: controlSchema(plan.MaxControlSchemaBytes)},
				})
			}
		}), plan.KindGroup, "db", "spec", understudyv1alpha1.ReasonInvalid, "the schemas of its types' control codes"},
		"no dependency that the type requires": {requires(understudyv1alpha1.RequiredDependency{TypeName: "ip"}),
			plan.KindResource, "disk", "spec.dependencies", understudyv1alpha1.ReasonDependencyMissing,
			`a resource of the type "volume" must depend on one of the type "ip": the group has none: create one`},
		"none of the class": {requires(understudyv1alpha1.RequiredDependency{Class: understudyv1alpha1.ClassNetwork}),
			plan.KindResource, "web", "spec.dependencies", understudyv1alpha1.ReasonDependencyMissing,
			`on one of a type of the class Network: the group has none`},
		"one beside others": {func(in *plan.Input) {
			in.Resources = append(in.Resources, resource("share"))
			in.Types["share"] = resourceType("share")
			in.Types["share"].Spec.RequiredDependencies = []understudyv1alpha1.RequiredDependency{{TypeName: "volume"}}
			in.Resources[2].Spec.TypeName, in.Resources[2].Spec.ContainerName = "share", "side"
			in.Resources = append(in.Resources, *in.Resources[2].DeepCopy())
			in.Resources[3].Name, in.Resources[3].UID = "twin", "uid-twin"
			in.Resources[3].Spec.Dependencies = []understudyv1alpha1.Dependency{{AnyOf: []string{"web", "share"}}}
		}, plan.KindResource, "twin", "spec.dependencies", understudyv1alpha1.ReasonDependencyMissing,
			`name one in a term of its own, or several in one; the group has disk, web`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			result, problems := plan.Build(input(test.change))
			g.Expect(result).To(BeZero(), "all or nothing")
			g.Expect(problems.Of(test.kind, test.object)).To(ContainElement(And(
				HaveField("Field", test.field), HaveField("Reason", test.reason),
				HaveField("Message", ContainSubstring(test.message)))), "%v", problems)
		})
	}
}

// requires has the type volume require a dependency.
func requires(one understudyv1alpha1.RequiredDependency) func(*plan.Input) {
	return volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
		s.RequiredDependencies = []understudyv1alpha1.RequiredDependency{one}
	})
}

// controlSchema is one of so many bytes.
func controlSchema(n int) []byte {
	const around = `{"type":"object","description":""}`
	return fmt.Appendf(nil, `{"type":"object","description":%q}`, strings.Repeat("x", n-len(around)))
}

// What a type requires is met by a term of which every alternative will do.
func TestRequiredDependencies(t *testing.T) {
	for name, one := range map[string]understudyv1alpha1.RequiredDependency{
		"by type": {TypeName: "ip"}, "by class": {Class: understudyv1alpha1.ClassNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, problems := plan.Build(input(requires(one), func(in *plan.Input) {
				in.Types["ip"] = resourceType("ip")
				in.Types["ip"].Spec.Class = understudyv1alpha1.ClassNetwork
				for _, name := range []string{"four", "six"} {
					r := resource(name)
					r.Spec.TypeName, r.Spec.ContainerName = "ip", "side"
					in.Resources = append(in.Resources, r)
				}
				for i := range in.Resources[:2] {
					in.Resources[i].Spec.Dependencies = append(in.Resources[i].Spec.Dependencies,
						understudyv1alpha1.Dependency{AnyOf: []string{"four", "six"}})
				}
			}))
			g.Expect(problems).To(BeEmpty())
		})
	}
}

// The monitors are told of each type in use, once, and of each resource its own
// codes without their schemas: those that are one version behind know no others.
func TestPlannedTypes(t *testing.T) {
	g := NewWithT(t)
	in, out := []byte(`{"type":"object","properties":{"b":{"type":"string"},"list":{"type":"array","items":{"type":"object"}},
		"map":{"type":"object","additionalProperties":{"type":"object"}},
		"any":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`), []byte(`{"type":"object"}`)
	result, problems := plan.Build(input(
		func(in *plan.Input) { in.Types["unused"] = resourceType("unused") },
		withSchema(`{"type":"object","required":["path"],"properties":{"path":{"type":"string"},"n":{"type":"number"},
			"port":{"x-kubernetes-int-or-string":true},"any":{"x-kubernetes-preserve-unknown-fields":true},
			"list":{"type":"array","items":{"type":"string"}}}}`),
		volume(func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.Class, s.Subclass = understudyv1alpha1.ClassStorage, 0x40000000
			s.ControlTimeoutMaximumMilliseconds = 1000
			s.RequiredDependencies = []understudyv1alpha1.RequiredDependency{{TypeName: "ip"}, {Class: understudyv1alpha1.ClassUser}}
			s.ControlCodes = append(s.ControlCodes, understudyv1alpha1.ControlCode{
				Name: "BALANCE", Code: 0x02800006, Target: understudyv1alpha1.TargetType,
				InputSchema: &runtime.RawExtension{Raw: in}, OutputSchema: &runtime.RawExtension{Raw: out},
			}, understudyv1alpha1.ControlCode{
				Name: "ADD", Code: 0x0180000a, InputSchema: &runtime.RawExtension{Raw: in},
			})
		}),
		func(in *plan.Input) { // what is required is there
			in.Types["ip"] = resourceType("ip")
			in.Types["ip"].Spec.Class = understudyv1alpha1.ClassUser
			in.Types["ip"].Spec.PropertiesSchema, in.Types["ip"].Spec.ControlCodes = nil, nil
			r := resource("ip")
			r.Spec.TypeName, r.Spec.ContainerName, r.Spec.Properties = "ip", "side", nil
			for i := range in.Resources {
				in.Resources[i].Spec.Dependencies = append(in.Resources[i].Spec.Dependencies, understudyv1alpha1.Dependency{AnyOf: []string{"ip"}})
			}
			in.Resources = append(in.Resources, r)
		}))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Types).To(HaveLen(2))
	closed := result.Plan.Types[1].Controls[0].InputSchema
	g.Expect(closed).To(MatchJSON(`{"type":"object","additionalProperties":false,"properties":{"b":{"type":"string"},
		"list":{"type":"array","items":{"type":"object","additionalProperties":false}},
		"map":{"type":"object","additionalProperties":{"type":"object","additionalProperties":false}},
		"any":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`), "no name but those that it lists")
	g.Expect(result.Plan.Types).To(Equal([]planv1.Type{
		{Name: "ip", Class: "User", ControlTimeoutMaximum: 3_600_000},
		{
			Name: "volume", Class: "Storage", Subclass: 0x40000000, RequiredDependencies: []string{"ip", "class:User"},
			ControlTimeoutMaximum: 1000,
			PropertyFormats:       map[string]string{"path": "string", "n": "number", "port": "string", "any": "object", "list": "array"},
			Controls: []planv1.Control{
				{Name: "ADD", Code: 0x0180000a, Write: true, InputSchema: closed},
				{Name: "BALANCE", Code: 0x02800006, Write: true, Type: true, InputSchema: closed, OutputSchema: out},
				{Name: "COUNT", Code: 0x01800005},
			},
		},
	}))
	g.Expect(result.Plan.Resources[0].Name).To(Equal("disk"))
	g.Expect(result.Plan.Resources[0].Controls).To(Equal([]planv1.Control{
		{Name: "ADD", Code: 0x0180000a, Write: true}, {Name: "COUNT", Code: 0x01800005},
	}))
	again, err := plan.Decode(plan.Encode(result.Plan))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(result.Plan))
}

// The largest values that hold are accepted.
func TestTimingLimits(t *testing.T) {
	for seconds, limit := range map[int32]int64{2: 400, 6: 1500, 15: 4000} {
		g := NewWithT(t)
		_, problems := plan.Build(input(
			group(func(s *understudyv1alpha1.ResourceGroupSpec) { s.LeaseDurationSeconds = seconds }),
			volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.TerminateTimeoutMilliseconds = limit })))
		g.Expect(problems).To(BeEmpty())
	}
}

// A resource that is being deleted is out of the plan; a group, offline.
func TestDeletion(t *testing.T) {
	g := NewWithT(t)
	now := &metav1.Time{Time: time.Unix(1, 0)}
	result, problems := plan.Build(input(func(in *plan.Input) { in.Resources[0].DeletionTimestamp = now }))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Resources).To(HaveExactElements(HaveField("Name", "disk")))

	result, problems = plan.Build(input(func(in *plan.Input) { in.Group.DeletionTimestamp = now }))
	g.Expect(problems).To(BeEmpty())
	g.Expect(result.Plan.Online).To(BeFalse())
}

// The name follows the content, whatever the order in which it was said.
func TestRevisionName(t *testing.T) {
	g := NewWithT(t)
	name := func(in plan.Input) string {
		result, problems := plan.Build(in)
		g.Expect(problems).To(BeEmpty())
		return plan.Name(result.Plan)
	}
	base := name(input())
	g.Expect(base).To(MatchRegexp(`^db-[0-9a-f]{12}$`))
	g.Expect(name(input(func(in *plan.Input) {
		in.Resources[0], in.Resources[1] = in.Resources[1], in.Resources[0]
	}))).To(Equal(base))
	g.Expect(name(input(properties("{\"size\": 10,\n\"path\": \"/data\"}")))).To(Equal(base), "defaults and order of keys")
	g.Expect(name(input(properties(`{"path":"/data","size":11}`)))).NotTo(Equal(base))
	g.Expect(name(input(template(func(s *corev1.PodSpec) { s.Containers[0].Image = "x" })))).NotTo(Equal(base))
	g.Expect(name(input(func(in *plan.Input) { in.Group.UID = "other" }))).NotTo(Equal(base))

	result, _ := plan.Build(input())
	again, err := plan.Decode(plan.Encode(result.Plan))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(result.Plan))
	host, err := plan.DecodeHost(plan.EncodeHost(result.Host))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.HostName("db", host)).To(Equal(result.Plan.HostRevision))
	_, err = plan.Decode([]byte(`{"version":99}`))
	g.Expect(err).To(MatchError(ContainSubstring("newer")))
}

// A release that writes the same template in another way, because Kubernetes' own types
// changed, replaces no host.
func TestHostOfAnEarlierRelease(t *testing.T) {
	g := NewWithT(t)
	now, problems := plan.Build(input())
	g.Expect(problems).To(BeEmpty())
	old := strings.Replace(string(plan.EncodeHost(now.Host)), `"metadata":{}`, `"metadata":{"creationTimestamp":null}`, 1)
	host, err := plan.DecodeHost([]byte(old))
	g.Expect(err).NotTo(HaveOccurred())
	before := now.Plan
	before.HostRevision = "db-host-of-old"
	inForce := func(in *plan.Input) { in.InForce, in.HostInForce = &before, &host }

	again, problems := plan.Build(input(inForce))
	g.Expect(problems).To(BeEmpty())
	g.Expect(again.Plan.HostRevision).To(Equal("db-host-of-old"))
	changed, problems := plan.Build(input(inForce, template(func(s *corev1.PodSpec) { s.Containers[0].Image = "x" })))
	g.Expect(problems).To(BeEmpty())
	g.Expect(changed.Plan.HostRevision).To(MatchRegexp(`^db-host-[0-9a-f]{12}$`))
}

// The grace period is that of the longest chain, within bounds.
func TestGraceSeconds(t *testing.T) {
	g := NewWithT(t)
	result, _ := plan.Build(input(volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.PendingTimeoutMilliseconds = 20_000 })))
	g.Expect(plan.GraceSeconds(&result.Plan)).To(BeEquivalentTo(51), "2 * (20 s + 0.4 s) + 10 s, rounded up")
	result, _ = plan.Build(input(volume(func(s *understudyv1alpha1.ResourceTypeSpec) { s.PendingTimeoutMilliseconds = 4294967295 })))
	g.Expect(plan.GraceSeconds(&result.Plan)).To(BeEquivalentTo(plan.MaxGraceSeconds))
	g.Expect(plan.GraceSeconds(&planv1.Plan{})).To(BeEquivalentTo(10))
}

// A type is judged on its own.
func TestCheckType(t *testing.T) {
	for name, test := range map[string]struct {
		change         func(*understudyv1alpha1.ResourceTypeSpec)
		field, message string
	}{
		"not structural": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.PropertiesSchema.Raw = []byte(`{"type":"object","properties":{"a":{"minimum":1}}}`)
		}, "spec.propertiesSchema.properties[a].type", "must not be empty"},
		"not an object": {func(s *understudyv1alpha1.ResourceTypeSpec) { s.PropertiesSchema.Raw = []byte(`{"type":"string"}`) },
			"spec.propertiesSchema.type", "must be object"},
		"misspelt keyword": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.PropertiesSchema.Raw = []byte(`{"type":"object","propertys":{}}`)
		}, "spec.propertiesSchema", "propertys"},
		"CEL that does not compile": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.PropertiesSchema.Raw = []byte(`{"type":"object","x-kubernetes-validations":[{"rule":"self.x == 1"}]}`)
		}, "spec.propertiesSchema.x-kubernetes-validations[0].rule", "compilation failed"},
		"CEL that costs too much": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.PropertiesSchema.Raw = []byte(`{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}}},` +
				`"x-kubernetes-validations":[{"rule":"self.a.all(x, self.a.all(y, x == y || x.matches('a*b*c*')))"}]}`)
		}, "spec.propertiesSchema.x-kubernetes-validations[0].rule", "cost"},
		"default that breaks the schema": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.PropertiesSchema.Raw = []byte(`{"type":"object","properties":{"a":{"type":"integer","minimum":2,"default":1}}}`)
		}, "spec.propertiesSchema.properties[a].default", "greater than or equal to 2"},
		"code used twice": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes = append(s.ControlCodes, understudyv1alpha1.ControlCode{Name: "OTHER", Code: s.ControlCodes[0].Code})
		}, "spec.controlCodes[1].code", "COUNT too"},
		"code without the user's mark": {func(s *understudyv1alpha1.ResourceTypeSpec) { s.ControlCodes[0].Code = 0x01000005 },
			"spec.controlCodes[0].code", "mark of a user-defined code"},
		"no provider": {func(s *understudyv1alpha1.ResourceTypeSpec) { s.Provider.Inject = nil },
			"spec.provider", "exactly one"},
		"MOVE": {func(s *understudyv1alpha1.ResourceTypeSpec) { s.ControlCodes[0].Name = understudyv1alpha1.CodeMove },
			"spec.controlCodes[0].name", "MOVE is a code that every type has"},
		"name of a default code": {func(s *understudyv1alpha1.ResourceTypeSpec) { s.ControlCodes[0].Name = "GET_STATE" },
			"spec.controlCodes[0].name", "GET_STATE is a code that every type has"},
		"input that is no object": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].InputSchema = &runtime.RawExtension{Raw: []byte(`{"type":"integer"}`)}
		}, "spec.controlCodes[0].inputSchema.type", "must be object"},
		"input that is not structural": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].InputSchema = &runtime.RawExtension{Raw: []byte(`{"type":"object","properties":{"a":{}}}`)}
		}, "spec.controlCodes[0].inputSchema.properties[a].type", "must not be empty"},
		"input that is a secret": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].InputSchema = &runtime.RawExtension{
				Raw: []byte(`{"type":"object","properties":{"a":{"type":"string","format":"password"}}}`)}
		}, "spec.controlCodes[0].inputSchema.properties[a].format", "everybody who may read the object"},
		"input with a rule": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].InputSchema = &runtime.RawExtension{Raw: []byte(
				`{"type":"object","properties":{"a":{"type":"integer","x-kubernetes-validations":[{"rule":"self > 1"}]}}}`)}
		}, "spec.controlCodes[0].inputSchema.properties[a].x-kubernetes-validations", "not run on control calls"},
		"input with a default": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].InputSchema = &runtime.RawExtension{Raw: []byte(
				`{"type":"object","properties":{"a":{"type":"integer","default":1}}}`)}
		}, "spec.controlCodes[0].inputSchema.properties[a].default", "not filled in in control calls"},
		"output with a misspelt keyword": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].OutputSchema = &runtime.RawExtension{Raw: []byte(`{"type":"object","propertys":{}}`)}
		}, "spec.controlCodes[0].outputSchema", "propertys"},
		"output that is described at length": {func(s *understudyv1alpha1.ResourceTypeSpec) {
			s.ControlCodes[0].OutputSchema = &runtime.RawExtension{Raw: controlSchema(plan.MaxControlSchemaBytes + 1)}
		}, "spec.controlCodes[0].outputSchema", "at most 16384 are possible"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			one := resourceType("volume")
			test.change(&one.Spec)
			_, problems := plan.CheckType(one)
			g.Expect(problems.Of(plan.KindType, "volume")).To(ContainElement(And(
				HaveField("Field", test.field), HaveField("Message", ContainSubstring(test.message)))), "%v", problems)
		})
	}
	g := NewWithT(t)
	_, problems := plan.CheckType(resourceType("volume"))
	g.Expect(problems).To(BeEmpty())
	bare := resourceType("bare")
	bare.Spec.PropertiesSchema = nil
	s, problems := plan.CheckType(bare)
	g.Expect(problems).To(BeEmpty())
	_, errs := s.Apply(&runtime.RawExtension{Raw: []byte(`{"a":1}`)}, nil)
	g.Expect(errs).To(HaveLen(1), "a type without a schema has no properties")
}

// A quorum-capable type gives its resources a time-out for the arbitration; others have none.
func TestArbitrationTimeout(t *testing.T) {
	g := NewWithT(t)
	in := input(func(in *plan.Input) { in.Resources = in.Resources[1:] })
	for _, c := range []struct {
		quorum *understudyv1alpha1.QuorumArbitration
		want   int64
	}{
		{nil, 0},
		{&understudyv1alpha1.QuorumArbitration{}, 20_000},
		{&understudyv1alpha1.QuorumArbitration{ArbitrationTimeoutMilliseconds: 300}, 300},
	} {
		in.Types["volume"].Spec.Quorum = c.quorum
		result, problems := plan.Build(in)
		g.Expect(problems).To(BeEmpty())
		g.Expect(result.Plan.Resources).To(HaveLen(1))
		g.Expect(result.Plan.Resources[0].ArbitrationTimeout).To(Equal(c.want))
		g.Expect(strings.Contains(string(plan.Encode(result.Plan)), "arbitration")).To(Equal(c.want != 0))
	}
}
