// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package v1alpha1

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The least that each kind is made of.
var least = map[string]string{
	"ResourceGroup":   `{template: {spec: {containers: [{name: app, image: app}]}}}`,
	"ClusterResource": `{groupName: db, typeName: application, containerName: app}`,
	"ResourceType":    `{provider: {inject: {command: [/provider]}}}`,
	"ControlCall":     `{groupName: db, code: MOVE}`,
}

// pod is a group with more in its template.
func pod(fields string) string {
	if strings.HasPrefix(fields, "containers:") {
		return `{template: {spec: {` + fields + `}}}`
	}
	return `{template: {spec: {containers: [{name: app}], ` + fields + `}}}`
}

// object makes one from YAML: the least spec with changes merged in.
func object(t *testing.T, kind, name, changes string) *unstructured.Unstructured {
	t.Helper()
	spec, change := map[string]any{}, map[string]any{}
	for text, into := range map[string]*map[string]any{least[kind]: &spec, changes: &change} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range change {
		if spec[k] = v; v == nil {
			delete(spec, k)
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(GroupVersion.WithKind(kind))
	u.SetName(name)
	if kind != "ResourceType" {
		u.SetNamespace("default")
	}
	return u
}

func check(t *testing.T, err error, refused string) {
	t.Helper()
	switch {
	case refused == "" && err != nil:
		t.Errorf("refused: %v", err)
	case refused != "" && err == nil:
		t.Errorf("accepted, want it refused with %q", refused)
	case refused != "" && !strings.Contains(err.Error(), refused):
		t.Errorf("want it refused with %q, got %v", refused, err)
	}
}

// What the schema can say about a spec, each from both sides.
func TestSpecs(t *testing.T) {
	for _, c := range []struct{ kind, spec, refused string }{
		{"ResourceGroup", `{}`, ""},
		{"ResourceGroup", `{template: null}`, "spec.template: Required"},
		{"ResourceGroup", `{template: {}}`, "spec.template.spec: Invalid value: a host needs at least one container"},
		{"ResourceGroup", `{template: {spec: {containers: []}}}`, "spec.template.spec: Invalid"},
		{"ResourceGroup", pod(`shareProcessNamespace: false, hostPID: false`), ""},
		{"ResourceGroup", pod(`shareProcessNamespace: true`), "spec.template.spec.shareProcessNamespace: Invalid"},
		{"ResourceGroup", pod(`hostPID: true`), "spec.template.spec.hostPID: Invalid"},
		{"ResourceGroup", pod(`restartPolicy: Always`), ""},
		{"ResourceGroup", pod(`restartPolicy: Never`), "spec.template.spec.restartPolicy: Invalid"},
		{"ResourceGroup", pod(`activeDeadlineSeconds: 9`), "spec.template.spec.activeDeadlineSeconds: Invalid"},
		{"ResourceGroup", pod(`nodeName: a`), "spec.template.spec.nodeName: Invalid"},
		{"ResourceGroup", pod(`ephemeralContainers: []`), ""},
		{"ResourceGroup", pod(`ephemeralContainers: [{name: a}]`), "spec.template.spec.ephemeralContainers: Invalid"},
		{"ResourceGroup", pod(`containers: [{name: my-understudy-}]`), ""},
		{"ResourceGroup", pod(`containers: [{name: a}, {name: understudy-x}]`), "spec.template.spec.containers: Invalid"},
		{"ResourceGroup", pod(`initContainers: [{name: understudies}]`), ""},
		{"ResourceGroup", pod(`initContainers: [{name: understudy-x}]`), "spec.template.spec.initContainers: Invalid"},
		{"ResourceGroup", pod(`volumes: [{name: data}]`), ""},
		{"ResourceGroup", pod(`volumes: [{name: understudy-x}]`), "spec.template.spec.volumes: Invalid"},
		{"ResourceGroup", `{desiredState: Offline}`, ""},
		{"ResourceGroup", `{desiredState: online}`, "spec.desiredState: Unsupported"},
		{"ResourceGroup", `{hosts: 1}`, ""},
		{"ResourceGroup", `{hosts: 16}`, ""},
		{"ResourceGroup", `{hosts: 0}`, "spec.hosts"},
		{"ResourceGroup", `{hosts: 17}`, "spec.hosts"},
		{"ResourceGroup", `{leaseDurationSeconds: 2}`, ""},
		{"ResourceGroup", `{leaseDurationSeconds: 15}`, ""},
		{"ResourceGroup", `{leaseDurationSeconds: 7}`, "spec.leaseDurationSeconds: Unsupported"},
		{"ResourceGroup", `{failoverThreshold: 0, failoverPeriodHours: 1193}`, ""},
		{"ResourceGroup", `{failoverThreshold: -1}`, "spec.failoverThreshold"},
		{"ResourceGroup", `{failoverPeriodHours: 1194}`, "spec.failoverPeriodHours"},
		{"ResourceGroup", `{updateStrategy: {type: OnDelete}}`, ""},
		{"ResourceGroup", `{updateStrategy: {type: RollingUpdate}}`, ""},
		{"ResourceGroup", `{updateStrategy: {}}`, ""},
		{"ResourceGroup", `{updateStrategy: {type: Recreate}}`, "spec.updateStrategy.type: Unsupported"},
		{"ResourceGroup", `{stopFailure: {}}`, ""},
		{"ResourceGroup", `{stopFailure: {policy: Block}}`, ""},
		{"ResourceGroup", `{stopFailure: {policy: Wait}}`, "spec.stopFailure.policy: Unsupported"},
		{"ResourceGroup", `{stopFailure: {policy: Fence, cronJobName: power-off.v2}}`, ""},
		{"ResourceGroup", `{stopFailure: {policy: Fence, cronJobName: Off}}`, "spec.stopFailure.cronJobName"},
		{"ResourceGroup", `{stopFailure: {policy: Fence}}`,
			"spec.stopFailure.cronJobName: Invalid value: the policy Fence needs the name of the CronJob"},
		{"ResourceGroup", `{stopFailure: {policy: Block, cronJobName: power}}`,
			"spec.stopFailure.cronJobName: Invalid value: only the policy Fence runs an agent"},
		{"ResourceGroup", `{stopFailure: {cronJobName: power}}`, "spec.stopFailure.cronJobName: Invalid value: only the policy Fence"},
		{"ResourceGroup", `{stopFailure: {policy: Fence, cronJobName: power, afterSeconds: 0}}`, ""},
		{"ResourceGroup", `{stopFailure: {policy: Fence, cronJobName: power, afterSeconds: 3601}}`, "spec.stopFailure.afterSeconds"},
		{"ResourceGroup", `{stopFailure: {policy: Block, afterSeconds: 10}}`,
			"spec.stopFailure.afterSeconds: Invalid value: only the policy Fence runs an agent"},
		{"ResourceGroup", `{service: {ports: [{port: 80}]}}`, ""},
		{"ClusterResource", `{dependencies: [{anyOf: [a], waitFor: Online}, {anyOf: [b], waitFor: ApplicationReady}]}`, ""},
		{"ClusterResource", `{dependencies: [{anyOf: [a], waitFor: Ready}]}`, "spec.dependencies[0].waitFor: Unsupported"},
		{"ResourceGroup", `{service: {ports: []}}`, "spec.service.ports"},
		{"ResourceGroup", `{service: {name: shop-2, ports: [{port: 80}]}}`, ""},
		{"ResourceGroup", `{service: {name: 2shop, ports: [{port: 80}]}}`, "spec.service.name"},
		{"ResourceGroup", `{service: {name: shop.example, ports: [{port: 80}]}}`, "spec.service.name"},
		{"ResourceGroup", `{service: {ports: [{port: 65536}]}}`, "spec.service.ports[0].port"},
		{"ResourceGroup", `{service: {ports: [{port: 80}, {port: 80}]}}`, "Duplicate value"},
		{"ResourceGroup", `{service: {ports: [{port: 80}, {port: 81}]}}`, "each of several ports needs a name"},
		{"ResourceGroup", `{service: {ports: [{port: 80, name: a}, {port: 81, name: b}]}}`, ""},
		{"ResourceGroup", `{service: {ports: [{port: 80, name: a}, {port: 81, name: a}]}}`, "names of ports differ"},
		{"ResourceGroup", `{service: {ports: [{port: 80, name: A}]}}`, "spec.service.ports[0].name"},

		{"ClusterResource", `{}`, ""},
		{"ClusterResource", `{groupName: null}`, "spec.groupName: Required"},
		{"ClusterResource", `{groupName: ""}`, "spec.groupName"},
		{"ClusterResource", `{typeName: null}`, "spec.typeName: Required"},
		{"ClusterResource", `{containerName: null}`, ""},
		{"ClusterResource", `{containerName: ""}`, "spec.containerName"},
		{"ClusterResource", `{containerName: ` + strings.Repeat("c", 61) + `}`, ""},
		{"ClusterResource", `{containerName: ` + strings.Repeat("c", 62) + `}`, "spec.containerName"},
		{"ClusterResource", `{containerName: null, separateMonitor: true}`, ""},
		{"ClusterResource", `{separateMonitor: "yes"}`, "spec.separateMonitor"},
		{"ClusterResource", `{properties: {any: {thing: [1]}}}`, ""},
		{"ClusterResource", `{properties: [1]}`, "spec.properties"},
		{"ClusterResource", `{dependencies: [{anyOf: [a, b]}]}`, ""},
		{"ClusterResource", `{dependencies: []}`, "spec.dependencies"},
		{"ClusterResource", `{dependencies: [{anyOf: []}]}`, "spec.dependencies[0].anyOf"},
		{"ClusterResource", `{dependencies: [{anyOf: [a, a]}]}`, "Duplicate value"},
		{"ClusterResource", `{dependencies: [{anyOf: [a]}, {anyOf: [b, spec-2]}]}`, ""},
		{"ClusterResource", `{dependencies: [{anyOf: [a]}, {anyOf: [b, spec]}]}`,
			"spec.dependencies: Invalid value: a resource cannot depend on itself"},
		{"ClusterResource", `{restartAction: RestartNoNotify}`, ""},
		{"ClusterResource", `{restartAction: Restart}`, "spec.restartAction: Unsupported"},
		{"ClusterResource", `{retryPeriodOnFailureMilliseconds: 900000}`, ""},
		{"ClusterResource", `{retryPeriodOnFailureMilliseconds: 899999}`,
			"spec.retryPeriodOnFailureMilliseconds: Invalid value: is less than restartPeriodMilliseconds"},
		{"ClusterResource", `{restartPeriodMilliseconds: 9, retryPeriodOnFailureMilliseconds: 9}`, ""},
		{"ClusterResource", `{restartPeriodMilliseconds: 9, retryPeriodOnFailureMilliseconds: 8}`,
			"spec.retryPeriodOnFailureMilliseconds"},
		{"ClusterResource", `{restartPeriodMilliseconds: 4294967295}`, ""},

		{"ResourceType", `{}`, ""},
		{"ResourceType", `{provider: null}`, "spec.provider: Required"},
		{"ResourceType", `{provider: {}}`, "spec.provider: Invalid value: exactly one of the fields in [image inject] must be set"},
		{"ResourceType", `{provider: {inject: {command: [a]}, image: {image: a, command: [a]}}}`, "exactly one of the fields"},
		{"ResourceType", `{provider: {inject: {}}}`, "spec.provider.inject.command: Required"},
		{"ResourceType", `{provider: {inject: {command: []}}}`, "spec.provider.inject.command"},
		{"ResourceType", `{provider: {inject: {command: [""]}}}`, "spec.provider.inject.command[0]"},
		{"ResourceType", `{quorum: {}}`, ""},
		{"ResourceType", `{quorum: {arbitrationTimeoutMilliseconds: 300}}`, ""},
		{"ResourceType", `{quorum: {arbitrationTimeoutMilliseconds: 299}}`, "spec.quorum.arbitrationTimeoutMilliseconds"},
		{"ResourceType", `{quorum: {arbitrationTimeoutMilliseconds: 3600000}}`, ""},
		{"ResourceType", `{quorum: {arbitrationTimeoutMilliseconds: 3600001}}`, "spec.quorum.arbitrationTimeoutMilliseconds"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a, ""]}}}`, "spec.provider.image.command[1]"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a]}}}`, ""},
		{"ResourceType", `{provider: {image: {command: [/a]}}}`, "spec.provider.image.image: Required"},
		{"ResourceType", `{provider: {image: {image: "", command: [/a]}}}`, "spec.provider.image.image"},
		{"ResourceType", `{provider: {image: {image: ` + strings.Repeat("i", 512) + `, command: [/a]}}}`, ""},
		{"ResourceType", `{provider: {image: {image: ` + strings.Repeat("i", 513) + `, command: [/a]}}}`, "spec.provider.image.image"},
		{"ResourceType", `{provider: {image: {image: a}}}`, "spec.provider.image.command: Required"},
		{"ResourceType", `{provider: {image: {image: a, command: []}}}`, "spec.provider.image.command"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], imagePullPolicy: Always}}}`, ""},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], imagePullPolicy: Often}}}`, "spec.provider.image.imagePullPolicy: Unsupported"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], env: [{name: A, value: b}, {name: B,
			valueFrom: {secretKeyRef: {name: c, key: d}}}]}}}`, ""},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], env: []}}}`, "spec.provider.image.env"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], env: [{name: A}, {name: A}]}}}`, "Duplicate value"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], resources: {limits: {memory: 64Mi}}}}}`, ""},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], resources: {limits: {memory: much}}}}}`, "spec.provider.image.resources.limits.memory"},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], securityContext: {runAsUser: 1000}}}}`, ""},
		{"ResourceType", `{provider: {image: {image: a, command: [/a], securityContext: {runAsUser: root}}}}`, "spec.provider.image.securityContext.runAsUser"},
		{"ResourceType", `{controlCodes: [{name: COUNT, code: 25165828}]}`, ""},
		{"ResourceType", `{controlCodes: [{name: count, code: 25165828}]}`, "spec.controlCodes[0].name"},
		{"ResourceType", `{controlCodes: [{name: A, code: 23068676}]}`, ""},
		{"ResourceType", `{controlCodes: [{name: A, code: 20971520}]}`,
			"spec.controlCodes[0].code: Invalid value: lacks the mark of a user-defined code"},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828}, {name: B, code: 25165832}]}`, ""},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828}, {name: B, code: 25165828}]}`,
			"spec.controlCodes: Invalid value: each control code has a number of its own"},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828}, {name: A, code: 25165832}]}`, "Duplicate value"},
		{"ResourceType", `{controlCodes: [{name: MOVE, code: 25165828}]}`, "spec.controlCodes[0].name: Invalid value: is a code that every type has"},
		{"ResourceType", `{controlCodes: [{name: GET_STATE, code: 25165828}]}`, "spec.controlCodes[0].name: Invalid value: is a code that every type has"},
		{"ResourceType", `{controlCodes: [{name: MOVE2, code: 25165828, target: Type, access: Read, description: It., inputSchema: {type: object}, outputSchema: {type: object}}]}`, ""},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828, target: Group}]}`, "spec.controlCodes[0].target: Unsupported"},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828, inputSchema: a}]}`, "spec.controlCodes[0].inputSchema"},
		{"ResourceType", `{class: Storage, subclass: 2147483648}`, ""},
		{"ResourceType", `{class: Disk}`, "spec.class: Unsupported"},
		{"ResourceType", `{requiredDependencies: [{typeName: ip}, {class: Storage}]}`, ""},
		{"ResourceType", `{requiredDependencies: [{typeName: ip, class: Storage}]}`, "exactly one of the fields in [typeName class] must be set"},
		{"ResourceType", `{requiredDependencies: [{typeName: ip}], quorum: {}}`,
			"spec.requiredDependencies: Invalid value: resources of a quorum-capable type depend on nothing"},
		{"ResourceType", `{requiredDependencies: [{}]}`, "exactly one of the fields in [typeName class] must be set"},
		{"ResourceType", `{requiredDependencies: [{class: Unknown}]}`, "every type may be of the class Unknown"},
		{"ResourceType", `{controlCodes: [{name: A, code: 25165828, access: Any}]}`, "spec.controlCodes[0].access"},
		{"ResourceType", `{propertyUpdates: [{name: a, update: Live}, {name: b, update: Immutable}]}`, ""},
		{"ResourceType", `{propertyUpdates: [{name: a, update: Later}]}`, "spec.propertyUpdates[0].update: Unsupported"},
		{"ResourceType", `{propertyUpdates: [{name: a}]}`, "spec.propertyUpdates[0].update: Required"},
		{"ResourceType", `{propertyUpdates: [{name: a, update: Live}, {name: a, update: Live}]}`, "Duplicate value"},
		{"ResourceType", `{propertyUpdates: []}`, "spec.propertyUpdates"},
		{"ResourceType", updates(64), ""},
		{"ResourceType", updates(65), "must have at most 64 items"},

		{"ControlCall", `{}`, ""},
		{"ControlCall", `{destination: node-1}`, ""},
		{"ControlCall", `{code: GET_STATE, access: Read}`, ""},
		{"ControlCall", `{code: COUNT, resourceName: web}`, ""},
		{"ControlCall", `{resourceName: web}`, "spec.resourceName: Invalid value: MOVE is the code of a group"},
		{"ControlCall", `{code: COUNT, typeName: application}`, ""},
		{"ControlCall", `{typeName: application}`, "spec.typeName: Invalid value: MOVE is the code of a group"},
		{"ControlCall", `{code: COUNT, resourceName: web, typeName: application}`, "spec.typeName: Invalid value: name a resource or a type"},
		{"ControlCall", `{code: "0x01000029", access: Read}`, ""},
		{"ControlCall", `{code: "0xFFFFFFFF"}`, ""},
		{"ControlCall", `{code: "0x100000000"}`, "spec.code"},
		{"ControlCall", `{code: "0x"}`, "spec.code"},
		{"ControlCall", `{code: "16777257", access: Read}`, ""},
		{"ControlCall", `{code: "0"}`, ""},
		{"ControlCall", `{code: "007"}`, "spec.code"},
		{"ControlCall", `{code: "4294967295"}`, ""},
		{"ControlCall", `{code: "4294967296"}`, "spec.code: Invalid value: a control code has 32 bits"},
		{"ControlCall", `{code: 16777257}`, "spec.code"},
		{"ControlCall", `{code: "0x81400016", access: Read}`, "is MOVE or CANCEL: say so by name"},
		{"ControlCall", `{code: "0x8140001A"}`, "is MOVE or CANCEL: say so by name"},
		{"ControlCall", `{code: "2168455190"}`, "is MOVE or CANCEL: say so by name"},
		{"ControlCall", `{code: "0x8140000A"}`, ""},
		{"ControlCall", `{code: get_state}`, "spec.code"},
		{"ControlCall", `{code: COUNT, resourceName: web, access: Read, hostName: node-1}`, ""},
		{"ControlCall", `{code: COUNT, resourceName: web, hostName: node-1}`, "spec.hostName: Invalid value: only a call with access Read"},
		{"ControlCall", `{hostName: node-1}`, "spec.hostName: Invalid value: only a call with access Read"},
		{"ControlCall", `{code: COUNT, ignoreLockedMode: false, queue: false}`, ""},
		{"ControlCall", `{code: COUNT, input: {a: 1}}`, ""},
		{"ControlCall", `{code: COUNT, input: a}`, "spec.input"},
		{"ControlCall", `{code: COUNT, inputBytes: aGFsbG8=}`, ""},
		{"ControlCall", `{code: COUNT, inputBytes: "hallo!"}`, "spec.inputBytes"},
		{"ControlCall", `{code: COUNT, input: {a: 1}, inputBytes: aGFsbG8=}`, "spec.inputBytes: Invalid value: give input or inputBytes"},
		{"ControlCall", `{asUser: {username: me}}`, ""},
		{"ControlCall", `{asUser: {username: me, uid: "1", groups: [a, b]}}`, ""},
		{"ControlCall", `{asUser: {}}`, "spec.asUser.username: Required"},
		{"ControlCall", `{asUser: {username: me, groups: [a, a]}}`, "Duplicate value"},
		{"ControlCall", `{code: FAIL, resourceName: web}`, ""},
		{"ControlCall", `{code: FAIL, resourceName: web, access: Read}`, "spec.access: Invalid value: the code changes something"},
		{"ControlCall", `{code: CANCEL, access: Read}`, "leave spec.access out"},
		{"ControlCall", `{code: DUMP, resourceName: web, access: Read}`, "leave spec.access out"},
		{"ControlCall", `{code: RESET-FAILURES, access: Read}`, "leave spec.access out"},
		{"ControlCall", `{code: COUNT, resourceName: web, access: Read}`, ""},
		{"ControlCall", `{code: COUNT, resourceName: web, access: read}`, "spec.access: Unsupported"},
		{"ControlCall", `{access: Write}`, ""},
		{"ControlCall", `{access: Read}`, "spec.access: Invalid value: the code changes something: leave spec.access out"},
		{"ControlCall", `{code: COUNT, resourceName: web, destination: node-1}`, "only MOVE has a destination"},
		{"ControlCall", `{queue: true, ignoreLockedMode: true}`, ""},
		{"ControlCall", `{code: COUNT, resourceName: web, queue: true}`, "only MOVE can wait in a queue"},
		{"ControlCall", `{code: COUNT, resourceName: web, ignoreLockedMode: true}`, "only MOVE looks at locked mode"},
		{"ClusterResource", `{ignoreLockedMode: true, embeddedFailureAction: LogOnly}`, ""},
		{"ClusterResource", `{embeddedFailureAction: Restart}`, "spec.embeddedFailureAction: Unsupported"},
		{"ControlCall", `{timeoutMilliseconds: 99}`, "spec.timeoutMilliseconds"},
		{"ControlCall", `{ttlSecondsAfterFinished: 0}`, ""},
		{"ControlCall", `{ttlSecondsAfterFinished: -1}`, "spec.ttlSecondsAfterFinished"},
	} {
		t.Run(c.kind+" "+c.spec, func(t *testing.T) {
			check(t, api.Create(t.Context(), object(t, c.kind, "spec", c.spec), client.DryRunAll), c.refused)
		})
	}
}

// updates is a type that says of so many properties how they change.
func updates(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("{name: p%d, update: Live}", i)
	}
	return "{propertyUpdates: [" + strings.Join(list, ", ") + "]}"
}

// A group's name becomes that of a Service.
func TestGroupNames(t *testing.T) {
	for name, refused := range map[string]string{
		"db": "", "d": "", "my-db-2": "", "2db": "a letter first", "my.db": "a letter first", "db-": "metadata.name",
	} {
		t.Run(name, func(t *testing.T) {
			check(t, api.Create(t.Context(), object(t, "ResourceGroup", name, `{}`), client.DryRunAll), refused)
		})
	}
}

// What may not change, and what may.
func TestSpecChanges(t *testing.T) {
	for _, c := range []struct{ kind, before, patch, refused string }{
		{"ClusterResource", `{}`, `{"spec":{"groupName":"other"}}`, "is immutable"},
		{"ClusterResource", `{}`, `{"spec":{"typeName":"other"}}`, "is immutable"},
		{"ClusterResource", `{}`, `{"spec":{"containerName":"other","restartThreshold":3}}`, ""},
		{"ControlCall", `{}`, `{"spec":{"destination":"other"}}`, "is immutable"},
		{"ControlCall", `{}`, `{"spec":{"timeoutMilliseconds":500}}`, "is immutable"},
		{"ControlCall", `{input: {a: 1}}`, `{"spec":{"input":{"a":2}}}`, "is immutable"},
		{"ControlCall", `{}`, `{"spec":{"input":{"a":2}}}`, "is immutable"},
		{"ControlCall", `{}`, `{"metadata":{"labels":{"a":"b"}}}`, ""},
		{"ResourceGroup", `{}`, `{"spec":{"leaseDurationSeconds":15,"hosts":3}}`, ""},
	} {
		t.Run(c.kind+" "+c.patch, func(t *testing.T) {
			o := make1(t, c.kind, c.before)
			check(t, api.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(c.patch))), c.refused)
		})
	}
}

// A resource's name is known after its creation only.
func TestDependencyOnItself(t *testing.T) {
	o := make1(t, "ClusterResource", `{dependencies: [{anyOf: [a]}]}`)
	for _, step := range []struct{ dependencies, refused string }{
		{`[{"anyOf":["a","` + o.GetName() + `"]}]`, "cannot depend on itself"},
		{`[{"anyOf":["b"]}]`, ""},
		{`null`, ""},
		{`[{"anyOf":["` + o.GetName() + `"]}]`, "cannot depend on itself"},
	} {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"dependencies":`+step.dependencies+`}}`))
		check(t, api.Patch(t.Context(), o.DeepCopy(), patch), step.refused)
	}
}

func make1(t *testing.T, kind, spec string) *unstructured.Unstructured {
	t.Helper()
	o := object(t, kind, "", spec)
	o.SetGenerateName("rules-")
	if err := api.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Delete(t.Context(), o) }) // the API server ends with the tests
	return o
}

// status.owner is fenced by its epoch, whoever writes.
func TestOwnerEpochs(t *testing.T) {
	owner := func(epoch int, pod string, state string) map[string]any {
		return map[string]any{"epoch": epoch, "podUID": pod, "state": state}
	}
	for _, kind := range []string{"ResourceGroup", "ClusterResource"} {
		t.Run(kind, func(t *testing.T) {
			o := make1(t, kind, `{}`)
			for _, step := range []struct {
				what    string
				owner   any
				refused string
			}{
				{"the first", owner(5, "a", "Online"), ""},
				{"the same again", owner(5, "a", "Offline"), ""},
				{"a smaller epoch", owner(4, "b", "Online"), "a smaller epoch than the stored one"},
				{"another pod under the same epoch", owner(5, "b", "Online"), "an epoch has one owner"},
				{"a larger epoch", owner(6, "b", "Online"), ""},
				{"the old owner, replayed", owner(5, "a", "Online"), "a smaller epoch than the stored one"},
				{"removal", nil, "a smaller epoch than the stored one"},
				{"no epoch", map[string]any{"podUID": "c", "state": "Online", "epoch": nil}, "epoch"},
				{"epoch 0", owner(0, "c", "Online"), "epoch"},
				{"no such state", owner(7, "c", "Running"), "state: Unsupported"},
			} {
				data, err := json.Marshal(map[string]any{"status": map[string]any{"owner": step.owner}})
				if err != nil {
					t.Fatal(err)
				}
				err = api.Status().Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, data))
				t.Run(step.what, func(t *testing.T) { check(t, err, step.refused) })
			}
			data := []byte(`{"status":{"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"",` +
				`"lastTransitionTime":"` + metav1.Now().UTC().Format("2006-01-02T15:04:05Z") + `"}]}}`)
			check(t, api.Status().Patch(t.Context(), o, client.RawPatch(types.MergePatchType, data)), "")
		})
	}
}

// A call is claimed once, and what is finished stays as it is.
func TestCallClaims(t *testing.T) {
	o := make1(t, "ControlCall", `{}`)
	for _, step := range []struct{ what, status, refused string }{
		{"what it waits for", `{"conditions":[{"type":"Finished","status":"False","reason":"Waiting","message":"",` +
			`"lastTransitionTime":"2026-01-01T00:00:00Z"}]}`, ""},
		{"the claim", `{"owner":{"epoch":5,"podUID":"a"},"startTime":"2026-01-01T00:00:00.000000Z"}`, ""},
		{"a later deadline", `{"deadlineTime":"2026-01-02T00:00:00.000000Z"}`, ""},
		{"another's claim", `{"owner":{"epoch":5,"podUID":"b"}}`, "its claimer's"},
		{"an older one", `{"owner":{"epoch":4,"podUID":"b"}}`, "its claimer's"},
		{"its removal", `{"owner":null}`, "its claimer's"},
		{"a later owner", `{"owner":{"epoch":6,"podUID":"b"}}`, ""},
		{"the end", `{"statusCode":0,"completionTime":"2026-01-01T00:00:01.000000Z"}`, ""},
		{"a change of the end", `{"statusCode":1}`, "a finished call does not change"},
		{"a late claim", `{"owner":{"epoch":7,"podUID":"c"}}`, "a finished call does not change"},
	} {
		err := api.Status().Patch(t.Context(), o.DeepCopy(),
			client.RawPatch(types.MergePatchType, []byte(`{"status":`+step.status+`}`)))
		t.Run(step.what, func(t *testing.T) { check(t, err, step.refused) })
	}
}
