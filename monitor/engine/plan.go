// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"time"
)

// Plan is what the manager wants: all resources of the group, resolved and
// defaulted. The engine takes its numbers as given; where a number would make
// no sense (an interval of 0), normalise says what counts instead.
type Plan struct {
	// Revision names the plan; it comes back in Snapshot.PlanRevision.
	Revision string `json:"revision"`
	// KillBound replaces that of Config, if it is not 0.
	KillBound time.Duration `json:"killBound,omitempty"`
	// IgnoreLockedMode lets every resource go offline although one is locked.
	IgnoreLockedMode bool       `json:"ignoreLockedMode,omitempty"`
	Resources        []Resource `json:"resources,omitempty"`
	// Types of the resources, as far as they are known.
	Types []Type `json:"types,omitempty"`
	// Group is what control calls of the group tell.
	Group Group `json:"group,omitzero"`
}

// Group is the group itself.
type Group struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
	// Properties are the common properties of the group (RA section 5.3), a JSON object.
	Properties json.RawMessage `json:"properties,omitempty"`
}

// Type is one resource type of a plan.
type Type struct {
	Name string `json:"name"`
	// Class is Unknown (also empty), Storage, Network or User, and Subclass its bits
	// (RA section 3.5, CLUSTER_RESOURCE_CLASS).
	Class    string `json:"class,omitempty"`
	Subclass uint32 `json:"subclass,omitempty"`
	// RequiredDependencies are names of types, or classes as "class:Storage".
	RequiredDependencies []string `json:"requiredDependencies,omitempty"`
	// ControlTimeoutMaximum is the most that a provider can extend a control call to,
	// from then on; 0 or less is an hour.
	ControlTimeoutMaximum time.Duration `json:"controlTimeoutMaximum,omitempty"`
	// Quorum: the type is quorum-capable.
	Quorum bool `json:"quorum,omitempty"`
	// PropertyFormats are the formats of the private properties, by top-level name.
	PropertyFormats []PropertyFormat `json:"propertyFormats,omitempty"`
	// Controls are the control codes of the type itself; those of its resources stand
	// with each resource.
	Controls []ControlSpec `json:"controls,omitempty"`
}

// PropertyFormat is the format of a property: string, integer, boolean, number, array
// or object.
type PropertyFormat struct {
	Name   string `json:"name"`
	Format string `json:"format"`
}

// DesiredState is the lasting wish for one resource.
type DesiredState string

const (
	DesiredOnline  DesiredState = "Online"
	DesiredOffline DesiredState = "Offline"
)

// Resource is one resource of a plan. Durations are nanoseconds in JSON.
type Resource struct {
	// UID identifies the resource; it is also its handle towards the provider.
	UID      string `json:"uid"`
	Name     string `json:"name,omitempty"`
	TypeName string `json:"typeName,omitempty"`
	// Container hosts the provider of this resource.
	Container string `json:"container"`
	// Generation of the spec. A new one takes effect at the next Online, except
	// for policy (intervals, time-outs, restart rules, dependencies, DesiredState),
	// which counts at once. It begins a new series of restarts.
	Generation int64 `json:"generation,omitempty"`
	// Properties are the private properties, opaque here.
	Properties json.RawMessage `json:"properties,omitempty"`
	// Live are the top-level properties that what runs can take over; see
	// ControlArgs. A change of any other waits for the next Online.
	Live []string `json:"live,omitempty"`
	// Dependencies is an AND of OR terms of UIDs (RA section 7.2).
	Dependencies [][]string `json:"dependencies,omitempty"`
	// ReadyTerms are the indexes of those Dependencies that wait for a resource that is
	// online and whose application is ready (RA section 1.12), instead of online alone.
	ReadyTerms   []int        `json:"readyTerms,omitempty"`
	DesiredState DesiredState `json:"desiredState,omitempty"`

	// IgnoreLockedMode lets the resource go offline although it, or what stands on it,
	// is in locked mode (RA section 1.10).
	IgnoreLockedMode bool `json:"ignoreLockedMode,omitempty"`

	// EmbeddedFailureAction says what follows an embedded failure (RA section 1.3).
	EmbeddedFailureAction EmbeddedFailureAction `json:"embeddedFailureAction,omitempty"`

	// PendingTimeout is the longest gap between two reports while pending (RA 1.1).
	PendingTimeout time.Duration `json:"pendingTimeout,omitempty"`
	// DeadlockTimeout bounds each call (RA 4.5), Terminate excepted.
	DeadlockTimeout time.Duration `json:"deadlockTimeout,omitempty"`
	// TerminateTimeout bounds Terminate; the next step is the kill by init.
	TerminateTimeout   time.Duration `json:"terminateTimeout,omitempty"`
	LooksAliveInterval time.Duration `json:"looksAliveInterval,omitempty"`
	IsAliveInterval    time.Duration `json:"isAliveInterval,omitempty"`

	// Restart policy (RA 4.7): more than RestartThreshold failures within any
	// RestartPeriod, which slides, are one too many.
	RestartAction    RestartAction `json:"restartAction,omitempty"`
	RestartThreshold int64         `json:"restartThreshold"`
	RestartPeriod    time.Duration `json:"restartPeriod,omitempty"`
	// RestartDelay counts from the detection of the failure.
	RestartDelay time.Duration `json:"restartDelay,omitempty"`
	// RetryPeriodOnFailure: after it a new series of restarts begins. 0 or less
	// means never.
	RetryPeriodOnFailure time.Duration `json:"retryPeriodOnFailure,omitempty"`

	// DumpPolicy of the type; nil: on deadlock, without core files.
	DumpPolicy *DumpPolicy `json:"dumpPolicy,omitempty"`
	// ArbitrationTimeout bounds Arbitrate (RA section 6.6, GET_ARB_TIMEOUT). Above 0: the
	// type is quorum-capable (RA section 8). Unless it is wanted offline, nothing of the
	// group starts under an epoch before its arbitration was won under that epoch.
	ArbitrationTimeout time.Duration `json:"arbitrationTimeout,omitempty"`

	// Controls are the control codes that the type declares.
	Controls []ControlSpec `json:"controls,omitempty"`
}

// Access is what a control code needs (RA section 6.1).
type Access string

const (
	AccessAny   Access = "Any"
	AccessRead  Access = "Read"  // may run on a standby
	AccessWrite Access = "Write" // only on the owner
)

// ControlSpec is one control code of a resource type.
type ControlSpec struct {
	Name   string `json:"name"`
	Code   uint32 `json:"code"`
	Access Access `json:"access,omitempty"`
}
