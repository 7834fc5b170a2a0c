// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ClusterResourceSpec is the wish for one resource.
//
// The numbers in the rule are the defaults: a retry period that is left out follows a longer restart period.
// +kubebuilder:validation:XValidation:rule="!has(self.retryPeriodOnFailureMilliseconds) || self.retryPeriodOnFailureMilliseconds >= (has(self.restartPeriodMilliseconds) ? self.restartPeriodMilliseconds : 900000)",message="is less than restartPeriodMilliseconds (default 900000): raise it to at least that, or leave it out",fieldPath=".retryPeriodOnFailureMilliseconds"
type ClusterResourceSpec struct {
	// description is a sentence for people. RA section 5.1 Description.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// groupName is the ResourceGroup to which the resource belongs. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another resource and delete this one"
	GroupName string `json:"groupName,omitempty"`

	// typeName is the ResourceType. Immutable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create another resource and delete this one"
	TypeName string `json:"typeName,omitempty"`

	// containerName is the container of the group's template in which the type's
	// provider, and what it starts, runs. Absent, and only then, if the type brings
	// an image of its own. Two characters shorter than a container's name may be: a
	// socket's path is made of it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=61
	ContainerName string `json:"containerName,omitempty"`

	// separateMonitor gives the resource a provider process that serves no other
	// one. RA section 5.1; default false.
	// +optional
	SeparateMonitor bool `json:"separateMonitor,omitempty"`

	// desiredState is Online (default) or Offline.
	// +optional
	// +kubebuilder:default=Online
	DesiredState DesiredState `json:"desiredState,omitempty"`

	// ignoreLockedMode lets the resource go offline although it, or one that depends on
	// it, is in locked mode; else it waits until that ends. RA section 1.10; default false.
	// For one that is being deleted set the group's.
	// +optional
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`

	// properties are the private properties: what the type's schema says. They
	// hold names and paths, never secrets.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Properties *runtime.RawExtension `json:"properties,omitempty"`

	// dependencies are terms that all must hold before this resource comes online.
	// RA section 7.2.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Dependencies []Dependency `json:"dependencies,omitempty"`

	// looksAlivePollIntervalMilliseconds overrides the type's; 4294967295 does
	// not. RA section 5.1.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	LooksAlivePollIntervalMilliseconds *int64 `json:"looksAlivePollIntervalMilliseconds,omitempty"`

	// isAlivePollIntervalMilliseconds overrides the type's; 4294967295 does not.
	// RA section 5.1.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	IsAlivePollIntervalMilliseconds *int64 `json:"isAlivePollIntervalMilliseconds,omitempty"`

	// pendingTimeoutMilliseconds overrides the type's. RA section 5.1.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	PendingTimeoutMilliseconds *int64 `json:"pendingTimeoutMilliseconds,omitempty"`

	// deadlockTimeoutMilliseconds overrides the type's. RA section 5.1.
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=4294967295
	DeadlockTimeoutMilliseconds *int64 `json:"deadlockTimeoutMilliseconds,omitempty"`

	// restartAction says what follows a failure. RA section 5.1; default RestartNotify.
	// +optional
	RestartAction RestartAction `json:"restartAction,omitempty"`

	// embeddedFailureAction says what follows when the provider tells that what the
	// resource hosts has failed: None, LogOnly or Recover. RA section 1.3; default Recover.
	// +optional
	EmbeddedFailureAction EmbeddedFailureAction `json:"embeddedFailureAction,omitempty"`

	// restartThreshold is how many restarts in place restartPeriodMilliseconds
	// allows before the group fails over. RA section 5.1; default 1. At most 1000,
	// because the monitor keeps the time of each failure that counts.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	RestartThreshold *int32 `json:"restartThreshold,omitempty"`

	// restartPeriodMilliseconds is the length of the sliding window in which
	// restarts count. RA section 5.1; default 900000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	RestartPeriodMilliseconds *int64 `json:"restartPeriodMilliseconds,omitempty"`

	// restartDelayMilliseconds is the pause before a restart in place.
	// RA section 5.1; default 500.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	RestartDelayMilliseconds *int64 `json:"restartDelayMilliseconds,omitempty"`

	// retryPeriodOnFailureMilliseconds is how long a resource stays Failed before
	// a new series of restarts begins; at least restartPeriodMilliseconds;
	// 4294967295 is never. RA section 5.1; default 3600000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	RetryPeriodOnFailureMilliseconds *int64 `json:"retryPeriodOnFailureMilliseconds,omitempty"`
}

// Dependency is one term: at least one of its resources must be as waitFor says.
type Dependency struct {
	// anyOf names other resources of the same group.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	AnyOf []string `json:"anyOf,omitempty"`

	// waitFor is what one of them must be before this resource comes online: Online
	// (default), or ApplicationReady, which is online and said by its provider to be
	// ready. What is online already stays so when its dependency is not ready any more.
	// +optional
	WaitFor DependencyWait `json:"waitFor,omitempty"`
}

// ClusterResourceStatus is what became of a resource.
type ClusterResourceStatus struct {
	// conditions are Accepted (manager); Online, PropertiesApplied, ApplicationReady,
	// OSHeartBeat, Locked, EmbeddedFailure, NetworkLost and Arbitrated (monitor of the
	// owner).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// owner is all that the monitor of the owner writes.
	// +optional
	Owner *ResourceOwnerStatus `json:"owner,omitempty"`
}

// ResourceOwnerStatus is written by the monitor of the owner. The API server
// refuses a smaller epoch than the stored one.
type ResourceOwnerStatus struct {
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
	// generation of the spec that the owner acts on. Whether what runs has its
	// properties is said by the condition PropertiesApplied.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`
	// state of the resource.
	// +required
	State ResourceState `json:"state,omitempty"`
	// stateTime is when state was entered.
	// +optional
	StateTime metav1.MicroTime `json:"stateTime,omitzero"`
	// reason is why it is in this state, in one word.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
	// message is for people: what it waits for, or what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// checkPoint of the last report of a pending operation. RA section 3.1.
	// +optional
	CheckPoint int64 `json:"checkPoint,omitempty"`
	// applicationErrorCode of the last report. RA section 3.2.
	// +optional
	ApplicationErrorCode int64 `json:"applicationErrorCode,omitempty"`
	// statusFlags of the last report. RA section 3.2.
	// +optional
	StatusFlags int64 `json:"statusFlags,omitempty"`
	// statusInformation are bits of RA section 3.5: 1 says that it is in locked mode, 2
	// that the provider told of an embedded failure, 32 of a lost network, 128 and 256 of
	// the application states OSHeartBeat and Ready; of one that is Failed, 4, 8, 16 and 32
	// say that it lacked processor, memory, something else or the network. RA section 5.1.
	// +optional
	StatusInformation int64 `json:"statusInformation,omitempty"`
	// lastOperationStatusCode of the last entry point or report that failed; 5960 while
	// locked mode keeps it online. RA section 5.1.
	// +optional
	LastOperationStatusCode int64 `json:"lastOperationStatusCode,omitempty"`
	// lockedMode is what the provider said of it since the resource came online.
	// +optional
	LockedMode *LockedMode `json:"lockedMode,omitempty"`
	// failuresInPeriod counts the failures within the restart period.
	// +optional
	FailuresInPeriod int32 `json:"failuresInPeriod,omitempty"`
	// nextRestartTime is when the next restart in place is due.
	// +optional
	NextRestartTime *metav1.MicroTime `json:"nextRestartTime,omitempty"`
	// lastFailure is the latest failure.
	// +optional
	LastFailure *ResourceFailure `json:"lastFailure,omitempty"`
	// applicationStates are what the provider said of the application inside, while
	// the resource is online or coming online. RA section 1.12.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=2
	ApplicationStates []ApplicationStatus `json:"applicationStates,omitempty"`
	// nodeLocalProperties are what the provider published of the resource on its
	// owner: at most 16 KiB of JSON. They are gone when the owner or the provider
	// process is another. RA section 1.11.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=64
	NodeLocalProperties *runtime.RawExtension `json:"nodeLocalProperties,omitempty"`
	// transitions are the latest changes of state, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Transitions []ResourceTransition `json:"transitions,omitempty"`
	// controlResults are the latest results of control calls, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	ControlResults []ControlResult `json:"controlResults,omitempty"`
	// dumpProcesses are the processes that the provider registered for dumps. RA
	// section 1.14.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	DumpProcesses []DumpProcess `json:"dumpProcesses,omitempty"`
	// lastDump is the latest dump that was asked for on this host.
	// +optional
	LastDump *LastDump `json:"lastDump,omitempty"`
}

// DumpProcess is a process of the container: by name, by its number there, or by both.
type DumpProcess struct {
	// name of the process.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// processID in the PID namespace of the container; 0 means any of that name.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	ProcessID *int64 `json:"processID,omitempty"`
}

// LastDump is the latest dump of a resource.
type LastDump struct {
	// time at which it was asked for.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
	// reason in one word: Deadlock, DumpRequested, or that of the failure.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
	// name of the dump in the dump volume of the host pod, empty if there is none.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// bytes that were written, core files included.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Bytes int64 `json:"bytes,omitempty"`
	// message says why there is none, or not all.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// LockedMode says whether a resource is locked in its present state and place. RA
// section 1.10.
type LockedMode struct {
	// locked is true from entering locked mode to leaving it.
	// +required
	Locked bool `json:"locked"`
	// reason is the provider's number: RA lists none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	Reason int64 `json:"reason,omitempty"`
	// flags of RA section 1.19: 1 leaves waiting moves in their queue.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	Flags int64 `json:"flags,omitempty"`
	// time is when locked mode was entered or left.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// ApplicationStatus is what the provider said last of one state of the application
// inside. RA section 1.12.
type ApplicationStatus struct {
	// type of the state.
	// +required
	Type ApplicationStateType `json:"type,omitempty"`
	// active is whether the application is in it.
	// +required
	Active bool `json:"active"`
	// time since when it is so.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// ResourceFailure is one failure of a resource.
type ResourceFailure struct {
	// time of detection.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
	// reason in one word.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
	// code is a system error code, RA section 3.6, or the application's own.
	// +optional
	Code int64 `json:"code,omitempty"`
	// applicationErrorCode as the provider gave it. RA section 1.3.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	ApplicationErrorCode int64 `json:"applicationErrorCode,omitempty"`
	// message is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ResourceTransition is one change of state.
type ResourceTransition struct {
	// time of the change.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
	// state entered.
	// +required
	State ResourceState `json:"state,omitempty"`
	// reason in one word.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Reason string `json:"reason,omitempty"`
}

// ControlResult summarises a finished ControlCall on its target.
type ControlResult struct {
	// name of the ControlCall.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// code that was run.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Code string `json:"code,omitempty"`
	// statusCode is a system error code, RA section 3.6; 0 is success.
	// +optional
	StatusCode int64 `json:"statusCode"`
	// time of completion.
	// +required
	Time metav1.MicroTime `json:"time,omitzero"`
}

// ClusterResource is one thing that runs on exactly one host of its group.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cres,categories=understudy
// +kubebuilder:selectablefield:JSONPath=`.spec.groupName`
// +kubebuilder:selectablefield:JSONPath=`.spec.typeName`
// +kubebuilder:selectablefield:JSONPath=`.status.owner.nodeName`
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.groupName`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.typeName`
// +kubebuilder:printcolumn:name="Wanted",type=string,JSONPath=`.spec.desiredState`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.owner.state`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.owner.nodeName`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.owner.stateTime`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.owner.reason`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="AcceptedReason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`,priority=1
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.owner.nodeLocalProperties.ResourceSpecificStatus`,priority=1
// +kubebuilder:printcolumn:name="Data1",type=string,JSONPath=`.status.owner.nodeLocalProperties.ResourceSpecificData1`,priority=1
// +kubebuilder:printcolumn:name="Data2",type=string,JSONPath=`.status.owner.nodeLocalProperties.ResourceSpecificData2`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`,priority=1
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.owner) || (has(self.status) && has(self.status.owner) && self.status.owner.epoch >= oldSelf.status.owner.epoch)",message="a smaller epoch than the stored one: the writer is no longer the owner",fieldPath=".status.owner.epoch"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.owner) || !has(self.status) || !has(self.status.owner) || self.status.owner.epoch != oldSelf.status.owner.epoch || self.status.owner.podUID == oldSelf.status.owner.podUID",message="an epoch has one owner: another pod needs a larger one",fieldPath=".status.owner.podUID"
// An object of before this rule can still be deleted and reported on: only dependencies that change are judged.
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().spec.dependencies) && has(self.spec.dependencies) && oldSelf.value().spec.dependencies == self.spec.dependencies) || !has(self.spec.dependencies) || self.spec.dependencies.all(d, !(self.metadata.name in d.anyOf))",optionalOldSelf=true,message="a resource cannot depend on itself: remove its name from anyOf",fieldPath=".spec.dependencies"
type ClusterResource struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the wish.
	// +required
	Spec ClusterResourceSpec `json:"spec,omitzero"`
	// status is what became of it.
	// +optional
	Status ClusterResourceStatus `json:"status,omitzero"`
}

// ClusterResourceList is a list of ClusterResources.
//
// +kubebuilder:object:root=true
type ClusterResourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ClusterResource `json:"items"`
}
