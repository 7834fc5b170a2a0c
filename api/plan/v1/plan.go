// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package planv1 is the plan: what the manager resolved, validated and defaulted,
// and the monitors act on. Structs only. A plan is immutable, stored as plain
// JSON in a ControllerRevision named after its content (`<group>-<hash>`).
// Monitor and manager may be one version apart: fields are only added.
package planv1

import "encoding/json"

// Version of this format. A monitor refuses a larger one and keeps its plan.
const Version = 1

// MaxBytes bounds the JSON of a plan.
const MaxBytes = 512 << 10

// Plan is everything that a monitor must know of its group.
type Plan struct {
	// Version of this format.
	Version int `json:"version"`
	// Namespace of the group.
	Namespace string `json:"namespace"`
	// Group is the name of the ResourceGroup.
	Group string `json:"group"`
	// GroupUID is the UID of the ResourceGroup.
	GroupUID string `json:"groupUID"`
	// Online is the group's desired state.
	Online bool `json:"online"`
	// IgnoreLockedMode lets the group and its resources go offline although a
	// resource is in locked mode.
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`
	// Hosts is how many host pods there are to be; 0, in plans of old, is what the
	// spec says. For the manager; monitors need not read it.
	Hosts int32 `json:"hosts,omitempty"`
	// OnDelete says that hosts of an earlier template stay until somebody deletes
	// them. For the manager; monitors need not read it.
	OnDelete bool `json:"onDelete,omitempty"`
	// LeaseDurationSeconds is D of Ownership section 4.
	LeaseDurationSeconds int32 `json:"leaseDurationSeconds"`
	// FailoverThreshold and FailoverPeriodSeconds are RA section 5.3's.
	FailoverThreshold     int32 `json:"failoverThreshold"`
	FailoverPeriodSeconds int64 `json:"failoverPeriodSeconds"`
	// Service is the Service whose endpoint is the owner; nil if there is none.
	Service *Service `json:"service,omitempty"`
	// HostRevision is the ControllerRevision of the host template that goes with
	// this plan. For the manager; monitors need not read it.
	HostRevision string `json:"hostRevision,omitempty"`
	// Containers that run under the monitor, sorted by name.
	Containers []string `json:"containers"`
	// Resources, sorted by name.
	Resources []Resource `json:"resources"`
	// Types of the resources, sorted by name. Plans of old have none.
	Types []Type `json:"types,omitempty"`
}

// Type is what the monitors tell of a resource type, and hold its calls to.
type Type struct {
	Name string `json:"name"`
	// Class is Unknown (also empty), Storage, Network or User, RA section 3.5
	// CLUSTER_RESOURCE_CLASS; Subclass its bits.
	Class    string `json:"class,omitempty"`
	Subclass uint32 `json:"subclass,omitempty"`
	// RequiredDependencies are names of types, or classes as "class:Storage".
	RequiredDependencies []string `json:"requiredDependencies,omitempty"`
	// ControlTimeoutMaximum is the most that a control call is extended to, counted
	// from then, in milliseconds; 0 is an hour.
	ControlTimeoutMaximum int64 `json:"controlTimeoutMaximumMilliseconds,omitempty"`
	// Quorum says that the type is quorum-capable: it serves Arbitrate and Release.
	Quorum bool `json:"quorum,omitempty"`
	// PropertyFormats are the formats of the private properties, by top-level name:
	// string, integer, boolean, number, array or object.
	PropertyFormats map[string]string `json:"propertyFormats,omitempty"`
	// Controls are the user-defined control codes of the type, and of its resources
	// with their schemas.
	Controls []Control `json:"controls,omitempty"`
}

// Service is the Service of the group.
type Service struct {
	// Name of the Service.
	Name string `json:"name"`
	// Ports that it offers.
	Ports []Port `json:"ports"`
}

// SliceName is the name of the EndpointSlice of a group, whatever the name of its Service.
func SliceName(group string) string { return group + "-understudy" }

// Port is one TCP port of the Service, and of the owner's pod.
type Port struct {
	Name string `json:"name,omitempty"`
	Port int32  `json:"port"`
}

// Resource is one ClusterResource with all that its type and the defaults add.
// Times are in milliseconds.
type Resource struct {
	UID        string          `json:"uid"`
	Name       string          `json:"name"`
	Generation int64           `json:"generation"`
	Type       string          `json:"type"`
	Container  string          `json:"container"`
	Online     bool            `json:"online"`
	Properties json.RawMessage `json:"properties,omitempty"`
	// IgnoreLockedMode lets this resource go offline although it, or what stands on
	// it, is in locked mode.
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`
	// EmbeddedFailureAction is None, LogOnly or, if it is left out, Recover.
	EmbeddedFailureAction string `json:"embeddedFailureAction,omitempty"`
	// Live are the top-level properties that a running resource can take over,
	// sorted; of all others a change counts from the next Online on.
	Live []string `json:"live,omitempty"`
	// Dependencies are terms of resource UIDs: all terms, any of each.
	Dependencies [][]string `json:"dependencies,omitempty"`
	// ReadyTerms are the indexes of those terms that wait for a resource whose
	// application is ready, and not for one that is online alone.
	ReadyTerms []int `json:"readyTerms,omitempty"`

	LooksAlivePollInterval int64 `json:"looksAlivePollIntervalMilliseconds"`
	IsAlivePollInterval    int64 `json:"isAlivePollIntervalMilliseconds"`
	PendingTimeout         int64 `json:"pendingTimeoutMilliseconds"`
	DeadlockTimeout        int64 `json:"deadlockTimeoutMilliseconds"`
	TerminateTimeout       int64 `json:"terminateTimeoutMilliseconds"`

	// RestartAction is DontRestart, RestartNoNotify or RestartNotify.
	RestartAction    string `json:"restartAction"`
	RestartThreshold int32  `json:"restartThreshold"`
	RestartPeriod    int64  `json:"restartPeriodMilliseconds"`
	RestartDelay     int64  `json:"restartDelayMilliseconds"`
	// RetryPeriodOnFailure is 0 for never.
	RetryPeriodOnFailure int64 `json:"retryPeriodOnFailureMilliseconds"`

	// DumpPolicy is nil for the default: at a deadlock, without core files.
	DumpPolicy *DumpPolicy `json:"dumpPolicy,omitempty"`
	// ArbitrationTimeout bounds Arbitrate; above 0, the type is quorum-capable.
	ArbitrationTimeout int64 `json:"arbitrationTimeoutMilliseconds,omitempty"`

	Controls []Control `json:"controls,omitempty"`
}

// DumpPolicy says when dumps are collected without being asked for.
type DumpPolicy struct {
	OnDeadlock bool `json:"onDeadlock,omitempty"`
	OnFailure  bool `json:"onFailure,omitempty"`
	// CoreFiles come with each dump.
	CoreFiles bool `json:"coreFiles,omitempty"`
}

// Control is one user-defined control code.
type Control struct {
	Name  string `json:"name"`
	Code  uint32 `json:"code"`
	Write bool   `json:"write"`
	// Type: it is a code of the type, not of a resource.
	Type bool `json:"type,omitempty"`
	// InputSchema and OutputSchema are OpenAPI v3 schemas of the JSON that is given
	// and returned; nil if anything goes. Only those of a Type have them.
	InputSchema  json.RawMessage `json:"inputSchema,omitempty"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
}
