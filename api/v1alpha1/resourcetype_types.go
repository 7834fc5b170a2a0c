// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ResourceTypeSpec says how resources of a type are provided and watched.
//
// +kubebuilder:validation:XValidation:rule="!has(self.quorum) || !has(self.requiredDependencies)",message="resources of a quorum-capable type depend on nothing: remove them, or spec.quorum",fieldPath=".requiredDependencies"
type ResourceTypeSpec struct {
	// description is a sentence for people. RA section 5.2 Description.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// provider is the process that serves the provider protocol for this type.
	// +required
	Provider ProviderSource `json:"provider,omitzero"`

	// propertiesSchema is a structural OpenAPI v3 schema for spec.properties of
	// this type's resources. Absent: the type has no properties.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	PropertiesSchema *runtime.RawExtension `json:"propertiesSchema,omitempty"`

	// propertyUpdates say when changes of properties of the schema take effect.
	// One that is not listed takes effect at the next Online.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	PropertyUpdates []PropertyUpdate `json:"propertyUpdates,omitempty"`

	// looksAlivePollIntervalMilliseconds is the pause between two quick checks.
	// RA section 5.2 LooksAlivePollInterval; default 5000. At least 10, as for a
	// resource: a check of each millisecond would be all that the host does.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	LooksAlivePollIntervalMilliseconds int64 `json:"looksAlivePollIntervalMilliseconds,omitempty"`

	// isAlivePollIntervalMilliseconds is the pause between two full checks.
	// RA section 5.2 IsAlivePollInterval; default 60000. At least 10, as above.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	IsAlivePollIntervalMilliseconds int64 `json:"isAlivePollIntervalMilliseconds,omitempty"`

	// pendingTimeoutMilliseconds is the longest gap between two reports of a
	// pending resource. RA section 5.2 PendingTimeout; default 180000.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4294967295
	PendingTimeoutMilliseconds int64 `json:"pendingTimeoutMilliseconds,omitempty"`

	// deadlockTimeoutMilliseconds is how long any call into the provider may take
	// before its container is killed. RA section 5.2 DeadlockTimeout; default 300000.
	// At least 1000, as for a resource: only this container is killed, not the node.
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=4294967295
	DeadlockTimeoutMilliseconds int64 `json:"deadlockTimeoutMilliseconds,omitempty"`

	// terminateTimeoutMilliseconds is how long Terminate may take before its
	// container is killed. The lease's timing limits it: 1500 at most with the
	// default lease of 6 s, 400 with 2 s, 4000 with 15 s. Default 400.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=4000
	TerminateTimeoutMilliseconds int64 `json:"terminateTimeoutMilliseconds,omitempty"`

	// class is what kind of thing the type is: Unknown (default), Storage, Network
	// or User. RA section 3.5 CLUSTER_RESOURCE_CLASS.
	// +optional
	Class ResourceClass `json:"class,omitempty"`

	// subclass within the class; of a meaning that its users agree on. RA section
	// 3.5 CLUS_RESSUBCLASS. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	Subclass int64 `json:"subclass,omitempty"`

	// requiredDependencies are what each resource of the type must depend on: of
	// its own dependencies, one term each whose every alternative will do. RA
	// section 7.1; a resource that lacks one is not accepted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	RequiredDependencies []RequiredDependency `json:"requiredDependencies,omitempty"`

	// controlTimeoutMaximumMilliseconds is the longest time that a provider may ask
	// for when it extends a control call, counted from then. RA sections 1.7 and
	// 1.8; default 3600000.
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=86400000
	ControlTimeoutMaximumMilliseconds int64 `json:"controlTimeoutMaximumMilliseconds,omitempty"`

	// dumpPolicy says when dumps of the type's resources are collected, and of what.
	// RA section 5.2 DumpPolicy, whose bits are not published.
	// +optional
	DumpPolicy *DumpPolicy `json:"dumpPolicy,omitempty"`

	// quorum makes the type quorum-capable: its provider arbitrates, and nothing of a
	// group with such a resource starts before that was won. RA section 8. Absent: it
	// is not. A resource of such a type depends on nothing.
	// +optional
	Quorum *QuorumArbitration `json:"quorum,omitempty"`

	// controlCodes are the user-defined control codes of this type. RA section 6.2.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(c, self.exists_one(d, d.code == c.code))",message="each control code has a number of its own"
	ControlCodes []ControlCode `json:"controlCodes,omitempty"`
}

// ResourceClass is CLUSTER_RESOURCE_CLASS, RA section 3.5.
//
// +kubebuilder:validation:Enum=Unknown;Storage;Network;User
type ResourceClass string

const (
	// ClassUnknown is that of most types.
	ClassUnknown ResourceClass = "Unknown"
	// ClassStorage is that of what holds data.
	ClassStorage ResourceClass = "Storage"
	// ClassNetwork is that of addresses and names.
	ClassNetwork ResourceClass = "Network"
	// ClassUser is that of what its users agree on.
	ClassUser ResourceClass = "User"
)

// RequiredDependency is a type of resources, or a class of types.
//
// +kubebuilder:validation:ExactlyOneOf=typeName;class
type RequiredDependency struct {
	// typeName is the ResourceType of a resource that will do.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	TypeName string `json:"typeName,omitempty"`

	// class is that of the types whose resources will do: Storage, Network or User.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self != 'Unknown'",message="every type may be of the class Unknown: name another"
	Class ResourceClass `json:"class,omitempty"`
}

// DumpCause is what a dump is collected at.
//
// +kubebuilder:validation:Enum=Deadlock;Failure
type DumpCause string

const (
	// DumpDeadlock collects a dump when a call into the provider did not return in time,
	// before its container is killed.
	DumpDeadlock DumpCause = "Deadlock"
	// DumpFailure collects a dump when a resource failed, before it is terminated.
	DumpFailure DumpCause = "Failure"
)

// CoreFiles says whether a dump has the memory of the processes.
//
// +kubebuilder:validation:Enum=Never;Always
type CoreFiles string

const (
	// CoreFilesNever leaves memory out.
	CoreFilesNever CoreFiles = "Never"
	// CoreFilesAlways writes a core file besides each dump. It holds whatever secrets
	// the processes have in memory.
	CoreFilesAlways CoreFiles = "Always"
)

// DumpPolicy says when dumps are collected, and of what.
type DumpPolicy struct {
	// collectOn are the causes at which a dump is collected without being asked for.
	// Default Deadlock; an empty list means only when somebody asks.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=2
	CollectOn []DumpCause `json:"collectOn,omitzero"`

	// coreFiles is Never or Always: whether each dump has a core file besides the text,
	// 64 MiB at most. Default Never.
	// +optional
	CoreFiles CoreFiles `json:"coreFiles,omitempty"`
}

// QuorumArbitration is how a quorum-capable type arbitrates.
type QuorumArbitration struct {
	// arbitrationTimeoutMilliseconds is how long Arbitrate may take before it is lost,
	// and its container is killed. RA section 6.6 GET_ARB_TIMEOUT; RA section 5.4
	// QuorumArbitrationTimeMax; default 20000.
	// +optional
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=3600000
	ArbitrationTimeoutMilliseconds int64 `json:"arbitrationTimeoutMilliseconds,omitempty"`
}

// UpdateMode says when a change of a property takes effect.
//
// +kubebuilder:validation:Enum=Live;NextOnline;Immutable
type UpdateMode string

const (
	// UpdateLive lets the provider take a change over while the resource runs.
	UpdateLive UpdateMode = "Live"
	// UpdateNextOnline lets a change wait for the next Online.
	UpdateNextOnline UpdateMode = "NextOnline"
	// UpdateImmutable refuses a change while the resource exists.
	UpdateImmutable UpdateMode = "Immutable"
)

// PropertyUpdate says when changes of one property take effect.
type PropertyUpdate struct {
	// name of a property at the root of the schema, with all below it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// update is Live, NextOnline or Immutable.
	// +required
	Update UpdateMode `json:"update,omitempty"`
}

// ProviderSource says where the provider process comes from.
//
// +kubebuilder:validation:ExactlyOneOf=image;inject
type ProviderSource struct {
	// image runs the provider in a container of its own, which the manager adds to
	// each host pod: one for all resources of the type that do not ask for another.
	// +optional
	Image *ImageProvider `json:"image,omitempty"`

	// inject starts the provider inside the container of the host pod's template
	// that each resource names, in place of that container's own command.
	// +optional
	Inject *InjectedProvider `json:"inject,omitempty"`
}

// ImageProvider is a provider that runs in a container of its own.
type ImageProvider struct {
	// image that holds the provider.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// command starts the provider. The image's own entrypoint is not run: the first
	// process of the container is the one that guards it.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	Command []string `json:"command,omitempty"`

	// imagePullPolicy is that of a container. Pull secrets are the template's.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// env is that of a container. A Secret is named, in the group's namespace, and
	// never read by the manager.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Env []corev1.EnvVar `json:"env,omitempty"`

	// resources are those of a container. A CPU limit delays its guard.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`

	// securityContext is that of a container, instead of the default: what the
	// restricted Pod Security Standard asks for, and a root file system that cannot
	// be written to.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`
}

// InjectedProvider is a provider that runs in a container of the template.
type InjectedProvider struct {
	// command starts the provider. Its first word may be /understudy/bin/provider,
	// the built-in one, which is put into every supervised container.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	Command []string `json:"command,omitempty"`
}

// ControlAccess says where a control code may run.
//
// +kubebuilder:validation:Enum=Read;Write
type ControlAccess string

const (
	// ControlRead does not change the resource.
	ControlRead ControlAccess = "Read"
	// ControlWrite may change it.
	ControlWrite ControlAccess = "Write"
)

// ControlTarget says what a control code is sent to.
//
// +kubebuilder:validation:Enum=Resource;Type
type ControlTarget string

const (
	// TargetResource is a resource of the type: RA section 2.1 ResourceControl.
	TargetResource ControlTarget = "Resource"
	// TargetType is the type itself, within a group that has a resource of it: RA
	// section 2.1 ResourceTypeControl.
	TargetType ControlTarget = "Type"
)

// ControlCode is one user-defined control code.
//
// CEL has no bit operations: the mark of RA section 6.2 is bit 23 by its macro, bit 21 by its page.
// +kubebuilder:validation:XValidation:rule="self.code / 2097152 % 2 == 1 || self.code / 8388608 % 2 == 1",message="lacks the mark of a user-defined code: take (object << 24) | ((0x200000 + function) << 2) | access",fieldPath=".code"
// +kubebuilder:validation:XValidation:rule="!(self.name in ['ADD_DEPENDENCY','ADD_OWNER','CANCEL','DELETE','DUMP','ENUM_COMMON_PROPERTIES','ENUM_PRIVATE_PROPERTIES','EVICT_NODE','FAIL','GET_ARB_TIMEOUT','GET_CHARACTERISTICS','GET_CLASS_INFO','GET_COMMON_PROPERTIES','GET_COMMON_PROPERTY_FMTS','GET_COMMON_RESOURCE_PROPERTY_FMTS','GET_FAILURE_INFO','GET_FLAGS','GET_ID','GET_LOADBAL_PROCESS_LIST','GET_NAME','GET_OPERATION_CONTEXT','GET_PRIVATE_PROPERTIES','GET_PRIVATE_PROPERTY_FMTS','GET_PRIVATE_RESOURCE_PROPERTY_FMTS','GET_REQUIRED_DEPENDENCIES','GET_RESOURCE_TYPE','GET_RO_COMMON_PROPERTIES','GET_RO_PRIVATE_PROPERTIES','GET_STATE','GET_STATE_CHANGE_TIME','INITIALIZE','INSTALL_NODE','IS_QUORUM_BLOCKED','MAINTENANCE','MOVE','NOTIFY_MONITOR_SHUTTING_DOWN','OFFLINE','ONLINE','QUERY_DELETE','QUERY_MAINTENANCE_MODE','REMOVE_DEPENDENCY','REMOVE_OWNER','RESET-FAILURES','SET_COMMON_PROPERTIES','SET_MAINTENANCE_MODE','SET_NAME','SET_PRIVATE_PROPERTIES','STARTING_PHASE1','STARTING_PHASE2','STATE_CHANGE_REASON','UNKNOWN','VALIDATE_COMMON_PROPERTIES','VALIDATE_PRIVATE_PROPERTIES'])",message="is a code that every type has: choose another name",fieldPath=".name"
type ControlCode struct {
	// name is what a ControlCall says. None of those that every type has.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Z0-9_-]*$`
	Name string `json:"name,omitempty"`

	// code is the number that the provider gets: 32 bits laid out as in RA
	// section 6.1, with the mark of a user-defined code (RA section 6.2), which no
	// smaller number has.
	// +required
	// +kubebuilder:validation:Minimum=2097152
	// +kubebuilder:validation:Maximum=4294967295
	Code int64 `json:"code,omitempty"`

	// description is a sentence for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// target is Resource (default), or Type for a code of the type itself.
	// +optional
	Target ControlTarget `json:"target,omitempty"`

	// access says whether the code changes the resource. Default Write.
	// +optional
	Access ControlAccess `json:"access,omitempty"`

	// inputSchema is a structural OpenAPI v3 schema for the input of the code, an
	// object: at most 16 KiB. Absent: any input is given to the provider.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	InputSchema *runtime.RawExtension `json:"inputSchema,omitempty"`

	// outputSchema is one for what the code returns, an object as JSON text: at most
	// 16 KiB. Absent: it may return any bytes.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	OutputSchema *runtime.RawExtension `json:"outputSchema,omitempty"`
}

// ResourceTypeStatus is written by the manager alone.
type ResourceTypeStatus struct {
	// conditions are Accepted and, while it is deleted and in use, Deleting.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ResourceType is one kind of thing that can be a resource, and its provider:
// what a resource DLL is to a Windows cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=rtype,categories=understudy
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider.*.command[0]`
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="a type's name has at most 63 characters",fieldPath=".metadata"
type ResourceType struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says how resources of the type are provided and watched.
	// +required
	Spec ResourceTypeSpec `json:"spec,omitzero"`
	// status is what the manager makes of the spec.
	// +optional
	Status ResourceTypeStatus `json:"status,omitzero"`
}

// ResourceTypeList is a list of ResourceTypes.
//
// +kubebuilder:object:root=true
type ResourceTypeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ResourceType `json:"items"`
}
