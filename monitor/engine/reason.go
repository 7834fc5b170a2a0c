// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// Reason says why: in CamelCase, stable, fit for a condition or an Event.
type Reason string

// Why a resource failed.
const (
	ReasonOpenFailed      Reason = "OpenFailed"      // Open answered with an error
	ReasonOnlineFailed    Reason = "OnlineFailed"    // Online answered with an error
	ReasonReportedFailed  Reason = "ReportedFailed"  // a pending operation was reported Failed
	ReasonWrongDirection  Reason = "WrongDirection"  // a report that contradicts the pending operation
	ReasonPendingTimeout  Reason = "PendingTimeout"  // no new checkpoint for PendingTimeout
	ReasonIsAliveFailed   Reason = "IsAliveFailed"   // IsAlive answered false, or with an error
	ReasonExited          Reason = "Exited"          // the provider saw the program end
	ReasonSignalled       Reason = "Signalled"       // SignalFailure, and IsAlive did not answer alive
	ReasonProviderLost    Reason = "ProviderLost"    // the provider process went away
	ReasonContainerLost   Reason = "ContainerLost"   // the whole container went away
	ReasonDeadlock        Reason = "Deadlock"        // a call did not come back within DeadlockTimeout
	ReasonTerminateFailed Reason = "TerminateFailed" // Terminate answered with an error or took too long
	ReasonForcedOffline   Reason = "ForcedOffline"   // Offline failed or hung: stopped by force
	ReasonCannotOnThis    Reason = "CannotComeOnlineOnThisHost"
	ReasonCannotOnAny     Reason = "CannotComeOnlineOnAnyHost"
	ReasonVanished        Reason = "Vanished"         // found stopped after the monitor was away
	ReasonSimulated       Reason = "SimulatedFailure" // the control code FAIL
	ReasonEmbeddedFailure Reason = "EmbeddedFailure"  // SignalFailure: what it hosts failed
	ReasonNetworkLoss     Reason = "NetworkLoss"      // SignalFailure: no network, and IsAlive did not answer alive
)

// Why a resource changed its state otherwise.
const (
	ReasonOpened             Reason = "Opened"
	ReasonStarting           Reason = "Starting"
	ReasonStarted            Reason = "Started"
	ReasonAdopted            Reason = "Adopted" // found running, and rightly so
	ReasonStopping           Reason = "Stopping"
	ReasonStopped            Reason = "Stopped"
	ReasonUnexpectedlyActive Reason = "UnexpectedlyActive" // found running without ownership
	ReasonNewEpoch           Reason = "NewEpoch"
)

// Why a resource is not online, or not what the plan wants (Waiting of a snapshot).
const (
	ReasonNotOwner          Reason = "NotOwner"
	ReasonUndecided         Reason = "OwnershipUndecided"
	ReasonGroupStopping     Reason = "GroupStopping"
	ReasonOfflineWanted     Reason = "OfflineWanted"
	ReasonRemoved           Reason = "Removed"
	ReasonWaitingProvider   Reason = "WaitingForProvider"
	ReasonWaitingOpen       Reason = "WaitingForOpen"
	ReasonWaitingGuard      Reason = "WaitingForGuard"
	ReasonWaitingDependency Reason = "WaitingForDependency"
	ReasonWaitingReady      Reason = "WaitingForApplicationReady" // that a dependency is asked for
	ReasonWaitingDependents Reason = "WaitingForDependents"       // that have yet to stop
	ReasonWaitingStop       Reason = "WaitingForStop"             // Terminate or the container's end is awaited
	ReasonWaitingRestart    Reason = "WaitingForRestartDelay"
	ReasonWaitingRetry      Reason = "WaitingForRetryPeriod"
	ReasonNeedsFailover     Reason = "NeedsFailover"
	ReasonFailedForGood     Reason = "FailedForGood"    // policy does not try again
	ReasonWaitingOnline     Reason = "WaitingForOnline" // Online is under way
	ReasonLocked            Reason = "Locked"           // wanted offline, and kept online by locked mode
	// ReasonWaitingArbitration: a quorum resource of the group is not won yet.
	ReasonWaitingArbitration Reason = "WaitingForArbitration"
	// ReasonNotQuorumCapable: its provider does not arbitrate, and its type must.
	ReasonNotQuorumCapable Reason = "NotQuorumCapable"
)

// How far the planned properties are those of what runs.
const (
	ReasonApplied           Reason = "Applied"
	ReasonUpdating          Reason = "Updating"   // the provider is being asked to take them over
	ReasonNextOnline        Reason = "NextOnline" // they wait for it
	ReasonPropertiesRefused Reason = "PropertiesRefused"
)

// How a quorum resource stands.
const (
	ReasonArbitrationWon      Reason = "ArbitrationWon"
	ReasonArbitrationLost     Reason = "ArbitrationLost" // another system won, or nobody knows
	ReasonQuorumLost          Reason = "QuorumLost"      // won, and lost while it was defended
	ReasonArbitrationReleased Reason = "ArbitrationReleased"
	ReasonReleaseFailed       Reason = "ReleaseFailed"
	ReasonNotHeld             Reason = "NotHeld"
)

// Why a container is killed, a group moves, a note is taken.
const (
	ReasonProveStop        Reason = "ProveStop"        // empty the container to prove the stop
	ReasonThreshold        Reason = "RestartThreshold" // more failures in the period than allowed
	ReasonNeedWithdrawn    Reason = "NeedWithdrawn"    // the failover is not needed any more
	ReasonStopFailed       Reason = "StopFailed"       // asked to be emptied, and no proof came
	ReasonUnexpectedReport Reason = "UnexpectedReport" // SetResourceStatus with nothing pending
	ReasonBadReport        Reason = "BadReport"        // a value that is not in the contract
	ReasonPlanRefused      Reason = "PlanRefused"      // the plan contradicts itself
	ReasonBadEvent         Reason = "BadEvent"         // an event that does not hold exactly one kind
	ReasonFalseAlarm       Reason = "FalseAlarm"       // SignalFailure, and IsAlive answered alive
	ReasonLog              Reason = "Log"              // LogEvent of a provider
	ReasonLogDropped       Reason = "LogDropped"       // more log lines than the rate allows
	ReasonNotification     Reason = "Notification"     // RaiseResTypeNotification, and it is stored
	ReasonDumpRequested    Reason = "DumpRequested"    // RequestDump, or the status flag DUMP_NOW
	ReasonDumped           Reason = "DumpCollected"    // a dump is in the dump volume
	ReasonNoDump           Reason = "DumpFailed"       // there is none
	ReasonTypeMissing      Reason = "TypeNotServed"    // the provider does not serve the type
	ReasonRestarting       Reason = "Restarting"
	ReasonCancelled        Reason = "Cancelled"     // Cancel was called for a control call that was deleted
	ReasonFailuresReset    Reason = "FailuresReset" // the control code RESET-FAILURES
	ReasonDisowned         Reason = "OtherEpoch"    // found running under another epoch
)
