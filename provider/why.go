// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// StateChangeReason is why a resource is taken down, RA 3.5 and 6.5.
type StateChangeReason = pb.StateChangeReason

// The reasons that a monitor gives.
const (
	// ReasonUnknown: by the resource's own spec, the group's, or for a failure in place.
	ReasonUnknown = pb.StateChangeReason_STATE_CHANGE_REASON_UNSPECIFIED
	// ReasonMove: somebody moves the group to another host.
	ReasonMove = pb.StateChangeReason_STATE_CHANGE_REASON_MOVE
	// ReasonFailover: a failure asks for another host.
	ReasonFailover = pb.StateChangeReason_STATE_CHANGE_REASON_FAILOVER
	// ReasonShutdown: the host goes away in order.
	ReasonShutdown = pb.StateChangeReason_STATE_CHANGE_REASON_SHUTDOWN
	// ReasonRundown: the ownership ended, or is about to, without order.
	ReasonRundown = pb.StateChangeReason_STATE_CHANGE_REASON_RUNDOWN
)

// OperationContext is what a start or a stop is part of, RA 3.5 and 6.5.
type OperationContext = pb.OperationContext

// The contexts that a monitor gives.
const (
	ContextNone              = pb.OperationContext_OPERATION_CONTEXT_UNSPECIFIED
	ContextDrain             = pb.OperationContext_OPERATION_CONTEXT_DRAIN
	ContextEmbeddedFailure   = pb.OperationContext_OPERATION_CONTEXT_EMBEDDED_FAILURE
	ContextNetworkDisconnect = pb.OperationContext_OPERATION_CONTEXT_NETWORK_DISCONNECT
)

// Flags of Online and Offline that a monitor gives, RA 2.4.
const (
	OnlineIgnoreResourceStatus      uint32 = 0x2
	OnlineIgnoreNetworkConnectivity uint32 = 0x10

	OfflineIgnoreResourceStatus       uint32 = 0x1
	OfflineQueueEnabled               uint32 = 0x4
	OfflineDueToEmbeddedFailure       uint32 = 0x10
	OfflineIgnoreNetworkConnectivity  uint32 = 0x20
	OfflineDoNotUpdatePersistentState uint32 = 0x40
)

type reasonKey struct{}

// TerminateReason is why Terminate was called, taken from its context.
func TerminateReason(ctx context.Context) StateChangeReason {
	r, _ := ctx.Value(reasonKey{}).(StateChangeReason)
	return r
}

func withReason(ctx context.Context, r StateChangeReason) context.Context {
	return context.WithValue(ctx, reasonKey{}, r)
}
