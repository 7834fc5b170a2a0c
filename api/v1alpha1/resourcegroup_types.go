// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceGroupSpec is the wish for one group.
type ResourceGroupSpec struct {
	// description is a sentence for people. RA section 5.3 Description.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// desiredState is Online (default) or Offline.
	// +optional
	// +kubebuilder:default=Online
	DesiredState DesiredState `json:"desiredState,omitempty"`

	// ignoreLockedMode lets the group and its resources go offline although a resource
	// is in locked mode; else they wait until that ends. RA section 1.10; default false.
	// +optional
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`

	// hosts is how many host pods stand ready, each on a node of its own. Default 2.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Hosts *int32 `json:"hosts,omitempty"`

	// leaseDurationSeconds bounds the outage when a node is lost, and how long a
	// host may be out of touch with the API server: 2, 6 (default) or 15.
	// +optional
	// +kubebuilder:default=6
	// +kubebuilder:validation:Enum=2;6;15
	LeaseDurationSeconds int32 `json:"leaseDurationSeconds,omitempty"`

	// failoverThreshold is how many failovers failoverPeriodHours allows: at most 32,
	// as many as the record of ownership remembers.
	// RA section 5.3; default hosts - 1, at least 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32
	FailoverThreshold *int32 `json:"failoverThreshold,omitempty"`

	// failoverPeriodHours is the length of the sliding window in which failovers
	// count. RA section 5.3; default 6. At least 1: within no time nothing counts,
	// and failoverThreshold would mean nothing.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1193
	FailoverPeriodHours *int32 `json:"failoverPeriodHours,omitempty"`

	// service asks for a Service whose only endpoint is the owner.
	// +optional
	Service *GroupService `json:"service,omitempty"`

	// updateStrategy says when hosts of an earlier template are replaced.
	// +optional
	UpdateStrategy UpdateStrategy `json:"updateStrategy,omitzero"`

	// stopFailure says what is done when a stop cannot be proven; default nothing.
	// +optional
	StopFailure *StopFailure `json:"stopFailure,omitempty"`

	// template is the host pod. Containers that resources name run under the
	// monitor; their command is replaced.
	// What a rule cannot say, such as what only supervised containers may not
	// have, the manager says in the condition Accepted.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.spec) && size(self.spec.containers) > 0",message="a host needs at least one container",fieldPath=".spec"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.shareProcessNamespace) || !self.spec.shareProcessNamespace",message="the guard ends a container by its own process namespace: remove the field",fieldPath=".spec.shareProcessNamespace"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.hostPID) || !self.spec.hostPID",message="the guard ends a container by its own process namespace: remove the field",fieldPath=".spec.hostPID"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.restartPolicy) || self.spec.restartPolicy in ['', 'Always']",message="must be Always or absent: a host stays until its group ends",fieldPath=".spec.restartPolicy"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.activeDeadlineSeconds)",message="a host has no deadline: remove the field",fieldPath=".spec.activeDeadlineSeconds"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.nodeName) || self.spec.nodeName == ''",message="hosts stand on different nodes: use nodeSelector or affinity",fieldPath=".spec.nodeName"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.ephemeralContainers) || size(self.spec.ephemeralContainers) == 0",message="are added to running pods only: remove the field",fieldPath=".spec.ephemeralContainers"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || self.spec.containers.all(c, !c.name.startsWith('understudy-'))",message="names that begin with 'understudy-' are taken: rename it",fieldPath=".spec.containers"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.initContainers) || self.spec.initContainers.all(c, !c.name.startsWith('understudy-'))",message="names that begin with 'understudy-' are taken: rename it",fieldPath=".spec.initContainers"
	// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.volumes) || self.spec.volumes.all(c, !c.name.startsWith('understudy-'))",message="names that begin with 'understudy-' are taken: rename it",fieldPath=".spec.volumes"
	Template corev1.PodTemplateSpec `json:"template,omitzero"`
}

// UpdateStrategy says when hosts of an earlier template are replaced. The image of
// their monitors follows the manager's by either: that moves no owner.
type UpdateStrategy struct {
	// type is RollingUpdate (default) or OnDelete.
	// +optional
	// +kubebuilder:default=RollingUpdate
	Type UpdateStrategyType `json:"type,omitempty"`
}

// StopFailure says what is done while the condition StopFailed is True: something of
// the group may still run on its owner, which therefore keeps the lease.
//
// +kubebuilder:validation:XValidation:rule="!has(self.policy) || self.policy != 'Fence' || has(self.cronJobName)",message="the policy Fence needs the name of the CronJob whose jobTemplate ends a host",fieldPath=".cronJobName"
// +kubebuilder:validation:XValidation:rule="has(self.policy) && self.policy == 'Fence' || !has(self.cronJobName)",message="only the policy Fence runs an agent: set policy to Fence or remove the field",fieldPath=".cronJobName"
// +kubebuilder:validation:XValidation:rule="has(self.policy) && self.policy == 'Fence' || !has(self.afterSeconds)",message="only the policy Fence runs an agent: set policy to Fence or remove the field",fieldPath=".afterSeconds"
type StopFailure struct {
	// policy is Block (default): wait until the stop is proven or a person fences; or
	// Fence: run an agent that ends the owner's host. To set it to Fence, or to name
	// another agent, needs the verb fence on the group.
	// +optional
	// +kubebuilder:default=Block
	Policy StopFailurePolicy `json:"policy,omitempty"`
	// cronJobName is the CronJob of the namespace, usually a suspended one, whose
	// jobTemplate is the agent: a Job of it that completes is the word that the host is
	// stopped. Only with Fence.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=52
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	CronJobName string `json:"cronJobName,omitempty"`
	// afterSeconds is how long the stop must have failed before the agent runs, counted
	// from when the manager first saw it, and anew by one that has just started: kills
	// are repeated, and may do after all. Only with Fence; default 10.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	AfterSeconds *int32 `json:"afterSeconds,omitempty"`
}

// GroupService describes the Service of a group.
//
// +kubebuilder:validation:XValidation:rule="size(self.ports) < 2 || self.ports.all(p, has(p.name))",message="each of several ports needs a name",fieldPath=".ports"
// +kubebuilder:validation:XValidation:rule="self.ports.all(p, !has(p.name) || self.ports.exists_one(q, has(q.name) && q.name == p.name))",message="the names of ports differ",fieldPath=".ports"
type GroupService struct {
	// name of the Service; default the group's name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// ports that the Service offers.
	// +required
	// +listType=map
	// +listMapKey=port
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []GroupServicePort `json:"ports,omitempty"`
}

// GroupServicePort is one TCP port.
type GroupServicePort struct {
	// name of the port; needed when there are several.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// port of the Service, and of the owner's pod.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// ResourceGroupStatus is what became of a group.
type ResourceGroupStatus struct {
	// conditions are Accepted, HostsReady, ServiceReady, OwnerLost, GuardWeakened,
	// Fencing, Retiring (manager); Ready, StopFailed, Locked (monitor of the owner).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=12
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// planRevision is the ControllerRevision that holds the last accepted plan.
	// Written by the manager.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PlanRevision string `json:"planRevision,omitempty"`

	// nextHost is the number of the next host pod's name. Written by the manager.
	// +optional
	NextHost int64 `json:"nextHost,omitempty"`

	// hostCount is how many host pods there are. Written by the manager.
	// +optional
	HostCount int32 `json:"hostCount,omitempty"`

	// hostSelector finds the host pods by their labels. Written by the manager.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	HostSelector string `json:"hostSelector,omitempty"`

	// succession says who may take the group over. Written by the manager.
	// +optional
	Succession *Succession `json:"succession,omitempty"`

	// hosts are the host pods by name. Each entry is written by the monitor of
	// that host alone, which a map allows without touching the others; the
	// manager removes those of pods that are gone.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Hosts map[string]HostStatus `json:"hosts,omitempty"`

	// owner is all that the monitor of the owner writes, but for types.
	// +optional
	Owner *GroupOwnerStatus `json:"owner,omitempty"`

	// types is what the group's resources of one type have in common. Written by the
	// monitor of the owner, together with owner; the next one goes on with it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Types []GroupTypeStatus `json:"types,omitempty"`
}

// Succession is who may take the group over, in order.
type Succession struct {
	// line takes first.
	// +optional
	// +listType=map
	// +listMapKey=podUID
	// +kubebuilder:validation:MaxItems=32
	Line []Successor `json:"line,omitempty"`
	// reserve takes after line.
	// +optional
	// +listType=map
	// +listMapKey=podUID
	// +kubebuilder:validation:MaxItems=32
	Reserve []Successor `json:"reserve,omitempty"`
	// barred never takes.
	// +optional
	// +listType=map
	// +listMapKey=podUID
	// +kubebuilder:validation:MaxItems=32
	Barred []BarredHost `json:"barred,omitempty"`
}

// Successor is one host of a succession.
type Successor struct {
	// podUID of the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// podName of the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// nodeName of the host.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName,omitempty"`
}

// BarredHost is a host that must not take the group.
type BarredHost struct {
	// podUID of the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// podName of the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// reason in one word.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
}

// HostStatus is what a host says of itself.
type HostStatus struct {
	// podUID of the host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// nodeName of the host.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName,omitempty"`
	// ready is true when all providers are up and all resources are open.
	// +required
	Ready bool `json:"ready"`
	// planRevision that the host runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PlanRevision string `json:"planRevision,omitempty"`
	// reason why it is not ready, in one word.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
	// message is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// GroupOwnerStatus is written by the monitor of the owner. The API server
// refuses a smaller epoch than the stored one.
type GroupOwnerStatus struct {
	// epoch of ownership under which this was written.
	// +required
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`
	// podUID of the owner.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// podName of the owner.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// nodeName of the owner.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName,omitempty"`
	// planRevision that the owner runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PlanRevision string `json:"planRevision,omitempty"`
	// state of the group.
	// +required
	State GroupState `json:"state,omitempty"`
	// stateTime is when state was entered.
	// +optional
	StateTime metav1.MicroTime `json:"stateTime,omitzero"`
	// statusInformation are bits of RA section 3.5: 1 says that a resource is in locked
	// mode, 4 that a move waits in the queue, 8 that a failed resource lacked processor,
	// memory or something else, 32 that of a resource an embedded failure is known, 128
	// a lost network.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	StatusInformation int64 `json:"statusInformation,omitempty"`
	// released is true once the owner has gone offline and let the lease go.
	// +optional
	Released bool `json:"released,omitempty"`
	// message is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// timeline holds the latest restarts and failovers, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Timeline []TimelineEntry `json:"timeline,omitempty"`
	// history holds the latest owners, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	History []OwnershipEntry `json:"history,omitempty"`
	// controlResults are the latest results of control calls of the group itself,
	// oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	ControlResults []ControlResult `json:"controlResults,omitempty"`
}

// GroupTypeStatus is what the group's resources of one type have in common.
//
// A writer that does not know the newest number is not the owner any more, or not yet up to date.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.lastSequence) || has(self.lastSequence) && self.lastSequence >= oldSelf.lastSequence",message="is less than the stored one: numbers of notifications only grow",fieldPath=".lastSequence"
type GroupTypeStatus struct {
	// name of the ResourceType.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// lastSequence is the number of the latest notification, 0 if there was none. It
	// only grows, whoever owns the group.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	LastSequence int64 `json:"lastSequence,omitempty"`
	// notifications are the latest that the type raised in this group, oldest first.
	// RA section 1.13.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Notifications []TypeNotification `json:"notifications,omitempty"`
	// dumpProcesses are the processes that the provider on the owner registered for
	// dumps of all resources of the type. RA section 1.15.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	DumpProcesses []DumpProcess `json:"dumpProcesses,omitempty"`
	// lastDump is the latest dump of a resource of the type, on the owner.
	// +optional
	LastDump *LastDump `json:"lastDump,omitempty"`
	// controlResults are the latest results of control calls of the type itself, on
	// the owner, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	ControlResults []ControlResult `json:"controlResults,omitempty"`
}

// TypeNotification is one that a resource type raised.
type TypeNotification struct {
	// sequence counts the notifications of this group and type, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	Sequence int64 `json:"sequence,omitempty"`
	// time when it was raised.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
	// podName of the host that raised it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// payload is the provider's own: at most 4096 bytes, here in base64.
	// +optional
	// +kubebuilder:validation:MaxLength=5464
	Payload []byte `json:"payload,omitempty"`
}

// TimelineEntry is one interruption of the group: what it cost and where.
type TimelineEntry struct {
	// kind is Start, Restart (in place), Failover or Move.
	// +required
	// +kubebuilder:validation:Enum=Start;Restart;Failover;Move
	Kind string `json:"kind,omitempty"`
	// cause in one word.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Cause string `json:"cause,omitempty"`
	// resourceName of the resource that caused it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ResourceName string `json:"resourceName,omitempty"`
	// epoch under which the group came back.
	// +required
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`
	// fromPodName is the owner before.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	FromPodName string `json:"fromPodName,omitempty"`
	// toPodName is the owner after.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ToPodName string `json:"toPodName,omitempty"`
	// lastHeardTime is the last renewal of an owner that fell silent.
	// +optional
	LastHeardTime *metav1.MicroTime `json:"lastHeardTime,omitempty"`
	// detectedTime is when the failure was detected, or the move begun.
	// +optional
	DetectedTime *metav1.MicroTime `json:"detectedTime,omitempty"`
	// offlineTime is when the owner before was proven offline.
	// +optional
	OfflineTime *metav1.MicroTime `json:"offlineTime,omitempty"`
	// leaseTakenTime is when the owner after won the lease.
	// +optional
	LeaseTakenTime *metav1.MicroTime `json:"leaseTakenTime,omitempty"`
	// onlineTime is when all that is wanted online was.
	// +optional
	OnlineTime *metav1.MicroTime `json:"onlineTime,omitempty"`
	// endpointTime is when the Service's endpoint was written.
	// +optional
	EndpointTime *metav1.MicroTime `json:"endpointTime,omitempty"`
}

// OwnershipEntry is one owner of the past or present.
type OwnershipEntry struct {
	// epoch of the ownership.
	// +required
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`
	// podUID of the owner.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// podName of the owner.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// sinceTime is when the lease was won.
	// +required
	SinceTime metav1.MicroTime `json:"sinceTime,omitzero"`
	// untilTime is when it was released, or when its loss was noticed.
	// +optional
	UntilTime *metav1.MicroTime `json:"untilTime,omitempty"`
	// reason why it ended.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
}

// ResourceGroup is the unit that fails over: resources that are always together
// on one host, and the host pods that stand ready for them.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.hosts,statuspath=.status.hostCount,selectorpath=.status.hostSelector
// +kubebuilder:resource:shortName=rgroup,categories=understudy
// +kubebuilder:selectablefield:JSONPath=`.status.owner.nodeName`
// +kubebuilder:printcolumn:name="Wanted",type=string,JSONPath=`.spec.desiredState`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.owner.state`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.status.owner.podName`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.owner.nodeName`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.owner.stateTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="HostsReady",type=string,JSONPath=`.status.conditions[?(@.type=="HostsReady")].status`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="HostsReason",type=string,JSONPath=`.status.conditions[?(@.type=="HostsReady")].reason`,priority=1
// +kubebuilder:printcolumn:name="AcceptedReason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Locked",type=string,JSONPath=`.status.conditions[?(@.type=="Locked")].status`,priority=1
// +kubebuilder:printcolumn:name="Epoch",type=integer,JSONPath=`.status.owner.epoch`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,priority=1
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="a group's name is the default of its Service's: lower-case letters, digits and hyphens, a letter first",fieldPath=".metadata"
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 40",message="a group's name has at most 40 characters",fieldPath=".metadata"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.owner) || (has(self.status) && has(self.status.owner) && self.status.owner.epoch >= oldSelf.status.owner.epoch)",message="a smaller epoch than the stored one: the writer is no longer the owner",fieldPath=".status.owner.epoch"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.owner) || !has(self.status) || !has(self.status.owner) || self.status.owner.epoch != oldSelf.status.owner.epoch || self.status.owner.podUID == oldSelf.status.owner.podUID",message="an epoch has one owner: another pod needs a larger one",fieldPath=".status.owner.podUID"
type ResourceGroup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the wish.
	// +required
	Spec ResourceGroupSpec `json:"spec,omitzero"`
	// status is what became of it.
	// +optional
	Status ResourceGroupStatus `json:"status,omitzero"`
}

// ResourceGroupList is a list of ResourceGroups.
//
// +kubebuilder:object:root=true
type ResourceGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ResourceGroup `json:"items"`
}
