// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// State is the state of a resource (RA section 3.5, CLUSTER_RESOURCE_STATE).
type State string

const (
	// Initializing: never opened so far in the life of this engine or its journal.
	Initializing State = "Initializing"
	// Offline: not operational, by wish or because something it needs is missing.
	Offline State = "Offline"
	// OnlinePending: from the moment Online is called to its final outcome.
	OnlinePending State = "OnlinePending"
	// Online: working.
	Online State = "Online"
	// OfflinePending: from the moment Offline or Terminate is called to a stop.
	OfflinePending State = "OfflinePending"
	// Failed: it failed, or could only be stopped by force.
	Failed State = "Failed"
)

// Values that a provider reports as ResourceState (RA sections 3.1 and 3.5).
const (
	ReportedUnknown                    int32 = -1
	ReportedInitializing               int32 = 1
	ReportedOnline                     int32 = 2
	ReportedOffline                    int32 = 3
	ReportedFailed                     int32 = 4
	ReportedCannotComeOnlineOnAnyNode  int32 = 126
	ReportedCannotComeOnlineOnThisNode int32 = 127
	ReportedPending                    int32 = 128
	ReportedOnlinePending              int32 = 129
	ReportedOfflinePending             int32 = 130
)

// States lists every State.
var States = []State{Initializing, Offline, OnlinePending, Online, OfflinePending, Failed}

// Code is the number of the state (RA section 3.5).
func (s State) Code() int32 {
	switch s {
	case Initializing:
		return ReportedInitializing
	case Online:
		return ReportedOnline
	case Offline:
		return ReportedOffline
	case Failed:
		return ReportedFailed
	case OnlinePending:
		return ReportedOnlinePending
	case OfflinePending:
		return ReportedOfflinePending
	}
	return ReportedUnknown
}

// stateOf is the State with that number, or "" if there is none.
func stateOf(code int32) State {
	for _, s := range States {
		if s.Code() == code {
			return s
		}
	}
	return ""
}

// GroupState is the state of the group (RA section 3.5, CLUSTER_GROUP_STATE).
type GroupState string

const (
	GroupOnline        GroupState = "Online"        // all resources online
	GroupOffline       GroupState = "Offline"       // all offline, or no resources
	GroupFailed        GroupState = "Failed"        // at least one failed
	GroupPartialOnline GroupState = "PartialOnline" // at least one online; none pending or failed
	GroupPending       GroupState = "Pending"       // at least one pending; none failed
)

// Code is the number of the state (RA section 3.5).
func (s GroupState) Code() int32 {
	return int32(slices.Index([]GroupState{GroupOnline, GroupOffline, GroupFailed, GroupPartialOnline, GroupPending}, s))
}

// Phase is how the engine stands to ownership.
type Phase string

const (
	// Observer: not granted; whatever is found running is terminated.
	Observer Phase = "Observer"
	// Undecided: restored from a journal under an epoch, and ownership has not
	// said yet whether it still holds. What runs is left running: the guards
	// bound it.
	Undecided Phase = "Undecided"
	// Owner: granted.
	Owner Phase = "Owner"
	// Stopping: revoked; the stop is not complete or not proven yet.
	Stopping Phase = "Stopping"
)

// RestartAction is what follows a failure (RA sections 3.5 and 4.7).
type RestartAction string

const (
	// DontRestart: stays Failed.
	DontRestart RestartAction = "DontRestart"
	// RestartNoNotify: restarts up to the threshold, never fails over.
	RestartNoNotify RestartAction = "RestartNoNotify"
	// RestartNotify: restarts up to the threshold, then asks for a failover.
	RestartNotify RestartAction = "RestartNotify"
)

// EmbeddedFailureAction is what follows an embedded failure (RA section 3.5,
// CLUSTER_RESOURCE_EMBEDDED_FAILURE_ACTION).
type EmbeddedFailureAction string

const (
	// EmbeddedNone: it is kept as a bit of StatusInformation.
	EmbeddedNone EmbeddedFailureAction = "None"
	// EmbeddedLogOnly: it is told besides.
	EmbeddedLogOnly EmbeddedFailureAction = "LogOnly"
	// EmbeddedRecover: the resource is taken down in order, and has failed.
	EmbeddedRecover EmbeddedFailureAction = "Recover"
)

// ExitState answers SetResourceStatus (RA section 3.5, RESOURCE_EXIT_STATE).
type ExitState int32

const (
	// ExitContinue: the worker may go on.
	ExitContinue ExitState = 0
	// ExitTerminate: the resource was terminated; all its workers end at once.
	ExitTerminate ExitState = 1
)

// Level of a log line (RA section 3.5, LOG_LEVEL).
type Level uint32

const (
	LevelInformation Level = 0
	LevelWarning     Level = 1
	LevelError       Level = 2
	LevelSevere      Level = 3
)

// FailureType of SignalFailure (RA sections 1.3 and 3.5, FAILURE_TYPE).
type FailureType uint32

const (
	FailureGeneral     FailureType = 0
	FailureEmbedded    FailureType = 1
	FailureNetworkLoss FailureType = 2
)

// ApplicationState of SetInternalState (RA sections 1.12 and 3.5,
// CLUSTER_RESOURCE_APPLICATION_STATE).
type ApplicationState uint32

const (
	ApplicationUnknown     ApplicationState = 1
	ApplicationOSHeartBeat ApplicationState = 2
	ApplicationReady       ApplicationState = 3
)

// Flags of SetResourceStatusEx that the engine acts upon (RA section 3.2).
const (
	// FlagNoReport (DO_NOT_COLLECT_WER_REPORT): no dump of the failure that is reported.
	FlagNoReport uint32 = 0x40000000
	// FlagDumpNow (DUMP_NOW): dump now.
	FlagDumpNow uint32 = 0x80000000
)
