// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Labels, annotations and finalizers that the project sets.
const (
	// LabelGroup names the ResourceGroup to which an object belongs.
	LabelGroup = GroupName + "/group"
	// LabelRole is "owner" on the host pod that has its group, else "standby":
	// for people; nothing decides by it.
	LabelRole = GroupName + "/role"
	// RoleOwner and RoleStandby are the values of LabelRole.
	RoleOwner = "owner"
	// RoleStandby is the other one.
	RoleStandby = "standby"
	// AnnotationHost, on host pods, names the ControllerRevision of the template
	// from which they were built.
	AnnotationHost = GroupName + "/host"
	// LabelUpgrade, on the pods that bring the operator's image to the nodes of hosts,
	// names their group. They lack LabelGroup, because no selector shall take them
	// for hosts.
	LabelUpgrade = GroupName + "/upgrade"
	// AnnotationReplacedMonitor, on host pods, is the ID of the monitor's container
	// that ran when its image was changed last.
	AnnotationReplacedMonitor = GroupName + "/replaced-monitor"
	// AnnotationGroupUID, on host pods, is the UID of their group: an owner reference
	// goes when somebody deletes the group with --cascade=orphan.
	AnnotationGroupUID = GroupName + "/group-uid"
	// AnnotationFences, on Jobs that fence, says whom, under which epoch, since when its
	// stop has failed, and by which CronJob: a Job counts for that alone.
	AnnotationFences = GroupName + "/fences"
	// LabelManagedBy marks what the manager may write: its policies look for it.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "understudy"
	// AnnotationEpoch carries the owner's epoch on EndpointSlices.
	AnnotationEpoch = GroupName + "/epoch"
	// Finalizer holds an object until its stop is proven, or a type until nobody uses
	// it; only the manager removes it.
	Finalizer = GroupName + "/offline"
)

// DesiredState is the lasting wish for a group or a resource.
//
// +kubebuilder:validation:Enum=Online;Offline
type DesiredState string

const (
	// DesiredOnline wants it running on exactly one host.
	DesiredOnline DesiredState = "Online"
	// DesiredOffline wants it stopped everywhere.
	DesiredOffline DesiredState = "Offline"
)

// UpdateStrategyType is when hosts of an earlier template are replaced.
//
// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
type UpdateStrategyType string

const (
	// UpdateRolling replaces them one at a time, the owner last.
	UpdateRolling UpdateStrategyType = "RollingUpdate"
	// UpdateOnDelete replaces those that somebody deletes.
	UpdateOnDelete UpdateStrategyType = "OnDelete"
)

// StopFailurePolicy is what is done while a stop cannot be proven.
//
// +kubebuilder:validation:Enum=Block;Fence
type StopFailurePolicy string

const (
	// StopFailureBlock keeps the lease until the stop is proven or a person fences.
	StopFailureBlock StopFailurePolicy = "Block"
	// StopFailureFence runs an agent that ends the owner's host.
	StopFailureFence StopFailurePolicy = "Fence"
)

// ResourceState is CLUSTER_RESOURCE_STATE, RA section 3.5.
//
// +kubebuilder:validation:Enum=Initializing;Offline;OnlinePending;Online;OfflinePending;Failed
type ResourceState string

const (
	// StateInitializing is before Open has returned.
	StateInitializing ResourceState = "Initializing"
	// StateOffline means that nothing of the resource runs.
	StateOffline ResourceState = "Offline"
	// StateOnlinePending means that it is coming online.
	StateOnlinePending ResourceState = "OnlinePending"
	// StateOnline means that it works.
	StateOnline ResourceState = "Online"
	// StateOfflinePending means that it is going offline.
	StateOfflinePending ResourceState = "OfflinePending"
	// StateFailed means that it failed and policy decides what follows.
	StateFailed ResourceState = "Failed"
)

// GroupState is CLUSTER_GROUP_STATE, RA section 3.5.
//
// +kubebuilder:validation:Enum=Online;Offline;Failed;PartialOnline;Pending
type GroupState string

const (
	// GroupOnline means that every resource is online.
	GroupOnline GroupState = "Online"
	// GroupOffline means that every resource is offline, or that there is none.
	GroupOffline GroupState = "Offline"
	// GroupFailed means that at least one resource failed.
	GroupFailed GroupState = "Failed"
	// GroupPartialOnline means that some are online, none pending or failed.
	GroupPartialOnline GroupState = "PartialOnline"
	// GroupPending means that at least one is pending and none failed.
	GroupPending GroupState = "Pending"
)

// RestartAction is CLUSTER_RESOURCE_RESTART_ACTION, RA section 3.5.
//
// +kubebuilder:validation:Enum=DontRestart;RestartNoNotify;RestartNotify
type RestartAction string

const (
	// DontRestart leaves a failed resource Failed.
	DontRestart RestartAction = "DontRestart"
	// RestartNoNotify restarts in place, and never fails the group over.
	RestartNoNotify RestartAction = "RestartNoNotify"
	// RestartNotify restarts in place up to the threshold, then fails the group over.
	RestartNotify RestartAction = "RestartNotify"
)

// EmbeddedFailureAction is CLUSTER_RESOURCE_EMBEDDED_FAILURE_ACTION, RA section 3.5.
//
// +kubebuilder:validation:Enum=None;LogOnly;Recover
type EmbeddedFailureAction string

const (
	// EmbeddedNone keeps a bit of statusInformation.
	EmbeddedNone EmbeddedFailureAction = "None"
	// EmbeddedLogOnly tells it besides, by a condition and an Event.
	EmbeddedLogOnly EmbeddedFailureAction = "LogOnly"
	// EmbeddedRecover takes the resource down in order, and counts a failure.
	EmbeddedRecover EmbeddedFailureAction = "Recover"
)

// DependencyWait is what a dependency waits for before the dependent begins.
//
// +kubebuilder:validation:Enum=Online;ApplicationReady
type DependencyWait string

const (
	// WaitForOnline waits for one that is online.
	WaitForOnline DependencyWait = "Online"
	// WaitForApplicationReady waits for one that is online and whose provider said
	// that the application in it is ready.
	WaitForApplicationReady DependencyWait = "ApplicationReady"
)

// ApplicationStateType is CLUSTER_RESOURCE_APPLICATION_STATE, RA section 3.5.
//
// +kubebuilder:validation:Enum=OSHeartBeat;Ready
type ApplicationStateType string

const (
	// ApplicationOSHeartBeat is the sign of life of an operating system inside.
	ApplicationOSHeartBeat ApplicationStateType = "OSHeartBeat"
	// ApplicationReady is that the application inside can be used.
	ApplicationReady ApplicationStateType = "Ready"
)

// Condition types and their reasons. A condition has one writer.
const (
	// ConditionAccepted (manager): True, the spec is part of the plan in
	// force; False, it is not, and what ran before goes on on the last accepted plan.
	ConditionAccepted = "Accepted"
	// ReasonAccepted says that the object is part of the plan in force.
	ReasonAccepted = "Accepted"
	// ReasonInvalid says that a field must be changed; the message names it.
	ReasonInvalid = "Invalid"
	// ReasonTypeNotFound says that the ResourceType does not exist.
	ReasonTypeNotFound = "TypeNotFound"
	// ReasonTypeRejected says that the ResourceType exists and is not accepted.
	ReasonTypeRejected = "TypeRejected"
	// ReasonContainerNotFound says that the template has no container of the name
	// that a resource gives, or that it gives none.
	ReasonContainerNotFound = "ContainerNotFound"
	// ReasonImmutableProperty says that a property changed which its type declares
	// immutable.
	ReasonImmutableProperty = "ImmutableProperty"
	// ReasonTypeDeleting says that the ResourceType is being deleted: it takes no new
	// resources.
	ReasonTypeDeleting = "TypeDeleting"
	// ReasonGroupNotFound says that the ResourceGroup does not exist.
	ReasonGroupNotFound = "GroupNotFound"
	// ReasonCircularDependency says that resources depend on each other in a circle.
	ReasonCircularDependency = "CircularDependency"
	// ReasonDependencyMissing says that the resource lacks a dependency that its type
	// requires; the message names it.
	ReasonDependencyMissing = "DependencyMissing"
	// ReasonGroupRejected says that another object of the group keeps the whole plan back.
	ReasonGroupRejected = "GroupRejected"
	// ReasonPlanRefused says that the API server does not take a revision of the plan,
	// or a Role or RoleBinding that its monitors need.
	ReasonPlanRefused = "PlanRefused"
	// ReasonDeleting says that the object is being deleted; the message says what it waits for.
	ReasonDeleting = "Deleting"
	// ReasonServiceTaken, also of ServiceReady, says that the Service of that name
	// is another group's or somebody else's.
	ReasonServiceTaken = "ServiceTaken"
	// ReasonTemplateRefused says that the pod template cannot be hosted, or that
	// the API server takes no pod of it.
	ReasonTemplateRefused = "TemplateRefused"
	// ReasonSharedProcesses says that the template shares a process namespace,
	// which the guard must have for each container alone.
	ReasonSharedProcesses = "SharedProcesses"
	// ReasonProbeNotAllowed says that a supervised container has a probe or a
	// lifecycle hook, by which kubelet would act beside the monitor.
	ReasonProbeNotAllowed = "ProbeNotAllowed"
	// ReasonNoPossibleHost, also of HostsReady, says that no node, or fewer than
	// there are to be hosts, can take a host pod of the template.
	ReasonNoPossibleHost = "NoPossibleHost"

	// ConditionOnline (monitor of the owner): True while the resource is online.
	ConditionOnline = "Online"

	// ConditionArbitrated (monitor of the owner): True while the arbitration of a
	// quorum-capable resource is held under the owner's epoch; absent for other types.
	ConditionArbitrated = "Arbitrated"
	// ReasonArbitrationWon says that it was won, and is being defended.
	ReasonArbitrationWon = "ArbitrationWon"
	// ReasonArbitrationLost says that it was not won; the message is the provider's.
	ReasonArbitrationLost = "ArbitrationLost"
	// ReasonQuorumLost says that it was won, and lost later.
	ReasonQuorumLost = "QuorumLost"
	// ReasonNotHeld says that it is not held, because nobody has asked for it yet, it
	// was released, or the provider that held it is gone.
	ReasonNotHeld = "NotHeld"

	// ConditionPropertiesApplied (monitor of the owner): True, what runs has the
	// properties of the plan; absent while the resource is not online.
	ConditionPropertiesApplied = "PropertiesApplied"
	// ReasonApplied says that it has them.
	ReasonApplied = "Applied"
	// ReasonUpdating says that the provider is being given them.
	ReasonUpdating = "Updating"
	// ReasonNextOnline says that some wait for the next Online; the message names them.
	ReasonNextOnline = "NextOnline"

	// ConditionApplicationReady (monitor of the owner): True while the provider says
	// that the application inside is ready, False when it says that it is not; absent
	// until it says either.
	ConditionApplicationReady = "ApplicationReady"
	// ConditionOSHeartBeat (monitor of the owner) is that of the operating system inside.
	ConditionOSHeartBeat = "OSHeartBeat"
	// ReasonReported says that it is the provider's word.
	ReasonReported = "Reported"

	// ConditionReady (monitor of the owner): True while all that is wanted online is.
	ConditionReady = "Ready"

	// ConditionStopFailed (monitor of the owner): True while a stop could not be
	// proven; the lease is kept so that nothing starts elsewhere.
	ConditionStopFailed = "StopFailed"

	// ConditionFencing (manager), with the policy Fence: True while the agent is at work;
	// False, what it waits for, or how that ended; absent if there is nothing to end, or
	// the stop was proven after all.
	ConditionFencing = "Fencing"
	// ReasonFencingPending says that the agent does not run yet, and what it waits for.
	ReasonFencingPending = "FencingPending"
	// ReasonFencingStarted says that the Job was created.
	ReasonFencingStarted = "FencingStarted"
	// ReasonFenced says that it completed, and that the Lease says so.
	ReasonFenced = "Fenced"
	// ReasonFencingFailed says that it failed.
	ReasonFencingFailed = "FencingFailed"
	// ReasonAgentMissing says that there is no CronJob of the name that the group gives.
	ReasonAgentMissing = "AgentMissing"
	// ReasonAgentRefused says that the API server takes no Job of it, or that such a Job
	// could complete without having run.
	ReasonAgentRefused = "AgentRefused"

	// ConditionOwnerLost (manager): True when the lease ran out and nobody took it.
	ConditionOwnerLost = "OwnerLost"
	// ReasonOwnerSilent says that the lease was not renewed.
	ReasonOwnerSilent = "OwnerSilent"
	// ReasonRecordUnreadable says that the Lease cannot be read; the message says why.
	ReasonRecordUnreadable = "RecordUnreadable"
	// ReasonOwned says that the lease is held, or rightly free.
	ReasonOwned = "Owned"

	// ConditionHostsReady (manager): True when every wanted host is ready.
	ConditionHostsReady = "HostsReady"
	// ReasonHostsReady says that all hosts are there.
	ReasonHostsReady = "HostsReady"
	// ReasonHostsMissing says that some are not; the message names them.
	ReasonHostsMissing = "HostsMissing"
	// ReasonPodRefused says that the API server refused a host pod.
	ReasonPodRefused = "PodRefused"

	// ConditionServiceReady (manager): True while the Service of the plan in force
	// is there; absent if it has none.
	ConditionServiceReady = "ServiceReady"
	// ReasonServiceReady says that it is there.
	ReasonServiceReady = "ServiceReady"
	// ReasonServiceRefused says that the API server refused the Service or its EndpointSlice.
	ReasonServiceRefused = "ServiceRefused"

	// ConditionGuardWeakened (manager): True while something can delay a guard's
	// kill (Ownership section 8); absent if nothing is known to.
	ConditionGuardWeakened = "GuardWeakened"
	// ReasonCPULimit says that a CPU limit can; the message names the containers.
	ReasonCPULimit = "CPULimit"

	// ConditionRetiring (manager): True while a deleted group is taken down; the
	// reason says how far that has come.
	ConditionRetiring = "Retiring"

	// ConditionDeleting (manager): True while a deleted ResourceType is still there.
	ConditionDeleting = "Deleting"
	// ReasonInUse says that ClusterResources name it; the message says which.
	ReasonInUse = "InUse"

	// ConditionGroupRetired (manager), of a Namespace that is being deleted: a group of
	// it is stopped and its host pods are gone.
	ConditionGroupRetired = "UnderstudyGroupRetired"

	// ConditionLocked (monitor of the owner): True while a resource, or one of the
	// group, is in locked mode; absent if none said so since it came online.
	ConditionLocked = "Locked"
	// ReasonLocked says that one is, and that moves and going offline are refused.
	ReasonLocked = "Locked"
	// ReasonUnlocked says that locked mode has ended.
	ReasonUnlocked = "Unlocked"

	// ConditionEmbeddedFailure (monitor of the owner): True from the provider's word
	// that what the resource hosts failed, until it is down; else absent.
	ConditionEmbeddedFailure = "EmbeddedFailure"
	// ReasonEmbeddedFailure says so.
	ReasonEmbeddedFailure = "EmbeddedFailure"

	// ConditionNetworkLost (monitor of the owner): True from the provider's word that
	// the resource has no network here, until it is down; else absent.
	ConditionNetworkLost = "NetworkLost"
	// ReasonNetworkLoss says so.
	ReasonNetworkLoss = "NetworkLoss"

	// ConditionFinished (claimer of a ControlCall): True once its outcome is known,
	// or known to be unknowable.
	ConditionFinished = "Finished"
	// ReasonWaiting says that nobody has claimed the call yet, and for whom it waits.
	ReasonWaiting = "Waiting"
	// ReasonRunning says that it is claimed.
	ReasonRunning = "Running"
	// ReasonQueued says that a MOVE waits until nothing is in locked mode, RA section 4.6.
	ReasonQueued = "Queued"
	// ReasonSucceeded says that the code returned 0.
	ReasonSucceeded = "Succeeded"
	// ReasonFailed says that the code returned an error.
	ReasonFailed = "Failed"
	// ReasonRefused says that the call was not begun; of PropertiesApplied, that the
	// provider did not take them.
	ReasonRefused = "Refused"
	// ReasonNotStarted says that nobody claimed the call in the time that it had for
	// that. It was not begun, and is not any more.
	ReasonNotStarted = "NotStarted"
	// ReasonTimedOut says that no answer came in time.
	ReasonTimedOut = "TimedOut"
	// ReasonOutcomeUnknown says that the host was lost while the call was under
	// way. It is not run again.
	ReasonOutcomeUnknown = "OutcomeUnknown"
)
