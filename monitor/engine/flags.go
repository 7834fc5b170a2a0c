// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// Flags of entry points that the engine passes (RA section 2.4).
const (
	OpenRecoverMonitorState uint32 = 0x1

	// OnlineIgnoreResourceStatus: a person said to ignore locked mode.
	OnlineIgnoreResourceStatus uint32 = 0x2
	// OnlineIgnoreNetworkConnectivity: it lost its network here, and no other host took it.
	OnlineIgnoreNetworkConnectivity uint32 = 0x10

	// OfflineIgnoreResourceStatus: a person said to ignore locked mode.
	OfflineIgnoreResourceStatus uint32 = 0x1
	// OfflineQueueEnabled: the move waited, or would have, until nothing was locked.
	OfflineQueueEnabled uint32 = 0x4
	// OfflineDueToEmbeddedFailure: an embedded failure is the reason.
	OfflineDueToEmbeddedFailure uint32 = 0x10
	// OfflineIgnoreNetworkConnectivity: it goes because the network is lost.
	OfflineIgnoreNetworkConnectivity uint32 = 0x20
	// OfflineDoNotUpdatePersistentState: it is not wanted offline, only not here, or not now.
	OfflineDoNotUpdatePersistentState uint32 = 0x40
)

// Flags of a status report from which bits of StatusInformation follow (RA section 3.2).
const (
	ReportInsufficientMemory    uint32 = 0x10
	ReportInsufficientProcessor uint32 = 0x20
	ReportInsufficientOther     uint32 = 0x40
	ReportNetworkNotAvailable   uint32 = 0x100
)

// StatusInformation bits of a resource that the engine sets (RA section 3.5).
const (
	StatusLockedMode      uint64 = 0x1
	StatusEmbeddedFailure uint64 = 0x2
	StatusLacksProcessor  uint64 = 0x4
	StatusLacksMemory     uint64 = 0x8
	StatusLacksOther      uint64 = 0x10
	StatusNetworkFailure  uint64 = 0x20
	// StatusOSHeartBeat and StatusApplicationReady: SetInternalState said so.
	StatusOSHeartBeat      uint64 = 0x80
	StatusApplicationReady uint64 = 0x100
	statusLacks                   = StatusLacksProcessor | StatusLacksMemory | StatusLacksOther
)

// StatusInformation bits of a group (RA section 3.5).
const (
	GroupLockedMode      uint64 = 0x1
	GroupInMoveQueue     uint64 = 0x4
	GroupLacksResources  uint64 = 0x8
	GroupEmbeddedFailure uint64 = 0x20
	GroupNetworkFailure  uint64 = 0x80
)

// failedFor are the bits that the flags of a report of a failure say (RA section 3.2).
func failedFor(flags uint32) (bits uint64) {
	for flag, bit := range map[uint32]uint64{
		ReportInsufficientMemory: StatusLacksMemory, ReportInsufficientProcessor: StatusLacksProcessor,
		ReportInsufficientOther: StatusLacksOther, ReportNetworkNotAvailable: StatusNetworkFailure,
	} {
		if flags&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// StateChangeReason is CLUSTER_RESOURCE_STATE_CHANGE_REASON (RA section 3.5).
type StateChangeReason uint32

const (
	StateChangeUnknown  StateChangeReason = 0
	StateChangeMove     StateChangeReason = 1
	StateChangeFailover StateChangeReason = 2
	// StateChangeShutdown: the host goes away in order.
	StateChangeShutdown StateChangeReason = 4
	// StateChangeRundown: the ownership ended, or is about to, without order.
	StateChangeRundown StateChangeReason = 5
)

// OperationContext is RESDLL_CONTEXT_OPERATION_TYPE (RA section 3.5) in the numbers of
// the protocol, which are one larger: 0 says nothing.
type OperationContext uint32

const (
	ContextNone              OperationContext = 0
	ContextDrain             OperationContext = 2
	ContextEmbeddedFailure   OperationContext = 4
	ContextNetworkDisconnect OperationContext = 6
)

// ContextOf is the context of an operation that follows from a failure.
func ContextOf(failure Reason) OperationContext {
	switch failure {
	case ReasonEmbeddedFailure:
		return ContextEmbeddedFailure
	case ReasonNetworkLoss:
		return ContextNetworkDisconnect
	}
	return ContextNone
}

// offlineCall says why a resource is taken offline (RA sections 2.4, 6.5).
func (e *Engine) offlineCall(r *resource) Call {
	var a Call
	switch {
	case e.phase == Stopping:
		a.Reason, a.Context, a.Destination, a.Flags = e.cause.Cause, e.cause.Context, e.cause.Destination, e.cause.Flags
	case r.recovering:
		a.Context = ContextEmbeddedFailure
	case (r.removed || r.spec.DesiredState == DesiredOffline) && (r.spec.IgnoreLockedMode || e.ignoreLocked):
		a.Flags = OfflineIgnoreResourceStatus
	}
	if !r.removed && r.spec.DesiredState != DesiredOffline {
		a.Flags |= OfflineDoNotUpdatePersistentState
	}
	if a.Context == ContextEmbeddedFailure {
		a.Flags |= OfflineDueToEmbeddedFailure
	}
	if a.Context == ContextNetworkDisconnect || r.information&StatusNetworkFailure != 0 {
		a.Flags |= OfflineIgnoreNetworkConnectivity
	}
	return a
}

// terminateReason says why a resource is terminated (RA section 6.5).
func (e *Engine) terminateReason(r *resource) StateChangeReason {
	switch {
	case e.phase == Stopping:
		return e.cause.Cause
	case e.phase == Observer || r.startedEpoch != e.epoch:
		return StateChangeRundown
	case r.failover:
		return StateChangeFailover
	}
	return StateChangeUnknown
}

// onlineContext says what a start is part of: a restart in place, or the first start
// under this ownership.
func (e *Engine) onlineContext(r *resource) (OperationContext, uint32) {
	var flags uint32
	context := ContextNone
	switch {
	case r.state == Failed && r.verdict != VerdictNone && r.lastFailure != nil:
		if context = ContextOf(r.lastFailure.Reason); context == ContextNetworkDisconnect {
			flags = OnlineIgnoreNetworkConnectivity
		}
	case r.startedEpoch != e.epoch:
		context, flags = e.grant.Context, e.grant.Flags
	}
	if r.spec.IgnoreLockedMode || e.ignoreLocked {
		flags |= OnlineIgnoreResourceStatus
	}
	return context, flags
}
