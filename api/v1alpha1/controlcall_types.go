// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// MaxControlInput is how many bytes the input of a ControlCall may have, as JSON
// text or as bytes. The schema cannot measure JSON that it does not know.
const MaxControlInput = 64 << 10

// ControlCallSpec is the request. It is immutable.
type ControlCallSpec struct {
	// groupName is the group that is called, or whose resource or type is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	GroupName string `json:"groupName,omitempty"`

	// resourceName is the ClusterResource that is called. Absent, as typeName: the
	// group is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ResourceName string `json:"resourceName,omitempty"`

	// typeName is the ResourceType that is called: one of which the group has a
	// resource. The provider of that resource's container answers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	TypeName string `json:"typeName,omitempty"`

	// code is a control code by its name, GET_STATE, or by its number as text,
	// "0x01000029" or "16777257". The target has those that every type has
	// (RA section 6) and those that its type declares.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([A-Z][A-Z0-9_-]*|0x[0-9A-Fa-f]{1,8}|0|[1-9][0-9]{0,9})$`
	Code string `json:"code,omitempty"`

	// access is Write (default), or Read for a code that changes nothing: who may
	// only read may only ask so, and a code that changes something is refused then.
	// +optional
	// +kubebuilder:default=Write
	Access ControlAccess `json:"access,omitempty"`

	// destination is the pod or node to which MOVE goes. Absent: the next in line.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Destination string `json:"destination,omitempty"`

	// ignoreLockedMode moves the group although a resource of it is in locked mode; else
	// MOVE is refused with 5960. RA section 4.6; default false.
	// +optional
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`

	// queue lets MOVE wait until no resource of the group is in locked mode, up to its
	// timeout. RA section 4.6; default false.
	// +optional
	Queue bool `json:"queue,omitempty"`

	// hostName is the pod or node on which a code with access Read runs. Absent:
	// the owner's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	HostName string `json:"hostName,omitempty"`

	// input is given to the provider as JSON text: at most 64 KiB. A call with
	// more is refused before it is claimed.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Input *runtime.RawExtension `json:"input,omitempty"`

	// inputBytes are given to the provider as they are, instead of input: base64
	// of at most 64 KiB.
	// +optional
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=87384
	InputBytes []byte `json:"inputBytes,omitempty"`

	// asUser is who asks, for the provider to see: RA section 2.1
	// BeginResourceControlAsUser. It is the creator of the call, or it is refused.
	// +optional
	AsUser *ControlUser `json:"asUser,omitempty"`

	// startingDeadlineSeconds is how long after its creation the call may still be
	// claimed. If nobody has by then, it ends as NotStarted and is never run. Absent:
	// it waits for as long as it must.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StartingDeadlineSeconds *int32 `json:"startingDeadlineSeconds,omitempty"`

	// timeoutMilliseconds counts from the claim. Default 60000.
	// +optional
	// +kubebuilder:default=60000
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=86400000
	TimeoutMilliseconds int64 `json:"timeoutMilliseconds,omitempty"`

	// ttlSecondsAfterFinished is when a finished call is deleted. Default 86400.
	// +optional
	// +kubebuilder:default=86400
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ControlUser is an identity as the API server knows it: kubectl auth whoami.
type ControlUser struct {
	// username of the creator.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Username string `json:"username,omitempty"`

	// uid of the creator. Absent: it has none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	UID string `json:"uid,omitempty"`

	// groups of the creator, all or some.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`
}

// ControlCallStatus is written by the monitor that claimed the call, or that would
// have; by the owner that comes after it if that host was lost; by the manager if
// nobody can claim the call, nobody did in its time, or none of them can end it.
type ControlCallStatus struct {
	// conditions are Finished: False with reason Waiting (for somebody to claim the
	// call), Running or Queued, then True with the outcome.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=4
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// owner is who claimed the call. It is written before the provider is called.
	// +optional
	Owner *ControlCallOwner `json:"owner,omitempty"`

	// statusCode is a system error code, RA section 3.6; 0 is success.
	// +optional
	StatusCode *int64 `json:"statusCode,omitempty"`

	// statusName names statusCode.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	StatusName string `json:"statusName,omitempty"`

	// message is for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// output is what the provider returned, as text; base64 if it is not UTF-8
	// (outputEncoding says so).
	// +optional
	// +kubebuilder:validation:MaxLength=90000
	Output string `json:"output,omitempty"`

	// outputEncoding is Text or Base64.
	// +optional
	// +kubebuilder:validation:Enum=Text;Base64
	OutputEncoding string `json:"outputEncoding,omitempty"`

	// bytesReturned is how many bytes the output has, or, with status 234
	// (ERROR_MORE_DATA), how many it would have had.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	BytesReturned *int64 `json:"bytesReturned,omitempty"`

	// startTime is when the call was claimed.
	// +optional
	StartTime *metav1.MicroTime `json:"startTime,omitempty"`

	// deadlineTime is when the call is given up, by the clock of its host. The
	// provider may extend it: RA sections 1.7 and 1.8.
	// +optional
	DeadlineTime *metav1.MicroTime `json:"deadlineTime,omitempty"`

	// completionTime is when the outcome was known.
	// +optional
	CompletionTime *metav1.MicroTime `json:"completionTime,omitempty"`
}

// ControlCallOwner is the claim.
type ControlCallOwner struct {
	// epoch of ownership under which the call was claimed: its own, or, of a
	// standby, the one that it knew of.
	// +required
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`
	// podUID of the claimer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PodUID string `json:"podUID,omitempty"`
	// podName of the claimer.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`
	// nodeName of the claimer.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName,omitempty"`
}

// ControlCall is an act with an outcome: run once at most, its result in its status.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ccall,categories=understudy
// +kubebuilder:selectablefield:JSONPath=`.spec.groupName`
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.groupName`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.spec.resourceName`
// +kubebuilder:printcolumn:name="Code",type=string,JSONPath=`.spec.code`
// +kubebuilder:printcolumn:name="Finished",type=string,JSONPath=`.status.conditions[?(@.type=="Finished")].reason`
// +kubebuilder:printcolumn:name="Status",type=integer,JSONPath=`.status.statusCode`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.owner.nodeName`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.typeName`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:printcolumn:name="Returned",type=integer,JSONPath=`.status.bytesReturned`,priority=1
// +kubebuilder:printcolumn:name="Host",type=string,JSONPath=`.status.owner.podName`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.spec == oldSelf.spec",message="is immutable: create another ControlCall",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.resourceName) || !has(self.spec.typeName)",message="name a resource or a type, not both",fieldPath=".spec.typeName"
// +kubebuilder:validation:XValidation:rule="self.spec.code != 'MOVE' || !has(self.spec.resourceName)",message="MOVE is the code of a group: leave spec.resourceName out",fieldPath=".spec.resourceName"
// +kubebuilder:validation:XValidation:rule="self.spec.code != 'MOVE' || !has(self.spec.typeName)",message="MOVE is the code of a group: leave spec.typeName out",fieldPath=".spec.typeName"
// +kubebuilder:validation:XValidation:rule="!self.spec.code.matches('^[0-9]+$') || int(self.spec.code) <= 4294967295",message="a control code has 32 bits",fieldPath=".spec.code"
// +kubebuilder:validation:XValidation:rule="!(self.spec.code.lowerAscii() in ['0x81400016','2168455190','0x8140001a','2168455194'])",message="is MOVE or CANCEL: say so by name",fieldPath=".spec.code"
// +kubebuilder:validation:XValidation:rule="self.spec.code == 'MOVE' || !has(self.spec.destination)",message="only MOVE has a destination; a code with access Read has spec.hostName",fieldPath=".spec.destination"
// +kubebuilder:validation:XValidation:rule="self.spec.code == 'MOVE' || !has(self.spec.ignoreLockedMode) || !self.spec.ignoreLockedMode",message="only MOVE looks at locked mode",fieldPath=".spec.ignoreLockedMode"
// +kubebuilder:validation:XValidation:rule="self.spec.code == 'MOVE' || !has(self.spec.queue) || !self.spec.queue",message="only MOVE can wait in a queue",fieldPath=".spec.queue"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.access) || self.spec.access == 'Write' || !(self.spec.code in ['CANCEL','DUMP','FAIL','MOVE','RESET-FAILURES'])",message="the code changes something: leave spec.access out",fieldPath=".spec.access"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.hostName) || has(self.spec.access) && self.spec.access == 'Read'",message="only a call with access Read may name its host: what changes something runs on the owner",fieldPath=".spec.hostName"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.input) || !has(self.spec.inputBytes)",message="give input or inputBytes, not both",fieldPath=".spec.inputBytes"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.completionTime) || (has(self.status) && self.status == oldSelf.status)",message="a finished call does not change",fieldPath=".status"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.owner) || (has(self.status) && has(self.status.owner) && (self.status.owner == oldSelf.status.owner || self.status.owner.epoch > oldSelf.status.owner.epoch))",message="a claimed call is its claimer's, until an owner with a larger epoch finishes it",fieldPath=".status.owner"
type ControlCall struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the request.
	// +required
	Spec ControlCallSpec `json:"spec,omitzero"`
	// status is the outcome.
	// +optional
	Status ControlCallStatus `json:"status,omitzero"`
}

// ControlCallList is a list of ControlCalls.
//
// +kubebuilder:object:root=true
type ControlCallList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ControlCall `json:"items"`
}
