// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"fmt"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// maxLog is the most characters of a line of the log, RA 1.4.
const maxLog = 500

// FailureType is FAILURE_TYPE, RA 1.3.
type FailureType = pb.FailureType

// The kinds of failure, RA 1.3.
const (
	FailureGeneral     = pb.FailureType_FAILURE_TYPE_GENERAL
	FailureEmbedded    = pb.FailureType_FAILURE_TYPE_EMBEDDED
	FailureNetworkLoss = pb.FailureType_FAILURE_TYPE_NETWORK_LOSS
)

// LogLevel is LOG_LEVEL, RA 1.4.
type LogLevel = pb.LogLevel

// The levels of the log, RA 1.4.
const (
	LogInformation = pb.LogLevel_LOG_LEVEL_INFORMATION
	LogWarning     = pb.LogLevel_LOG_LEVEL_WARNING
	LogError       = pb.LogLevel_LOG_LEVEL_ERROR
	LogSevere      = pb.LogLevel_LOG_LEVEL_SEVERE
)

// Failure is what SignalFailure reports, RA 1.3.
type Failure struct {
	// Type of the failure; general if 0.
	Type FailureType
	// AppCode is the provider's own error.
	AppCode uint32
	// Exited: the program was seen to end, so that nobody need verify it.
	Exited bool
	// Message is a sentence for people, without secrets.
	Message string
}

// Handle leads from a resource back to the monitor: the callbacks of RA 1. It is
// good from Open to Close, across restarts of the monitor, from any goroutine.
//
// SetResourceStatus and SetResourceStatusEx belong to pending work: see Worker.
// EndControlCall belongs to control calls: see ControlWork.
type Handle struct {
	in *instance
}

// String is the handle on the wire: the UID of the ClusterResource.
func (h *Handle) String() string { return h.in.handle }

// SignalFailure reports that the running resource failed, without waiting for a
// poll. It returns at once; the report is delivered as soon as a monitor is there,
// unless a new call from the monitor supersedes it. In any state but online it
// does nothing: pending work fails by returning an error. RA 1.3.
func (h *Handle) SignalFailure(f Failure) { h.in.signalFailure(f) }

// LogEvent writes a line to the cluster log; at most 500 characters count. It
// returns at once. RA 1.4.
func (h *Handle) LogEvent(level LogLevel, format string, args ...any) {
	text := []rune(clip(fmt.Sprintf(format, args...), 4*maxLog))
	req := &pb.LogEventRequest{
		ResourceHandle: h.in.handle,
		LogLevel:       level,
		Message:        string(text[:min(len(text), maxLog)]),
	}
	h.in.lane.push(&report{kind: logReport, send: func(ctx context.Context) error {
		_, err := h.in.monitor.LogEvent(ctx, req)
		return err
	}})
}

// Monitor is the raw client of the callbacks, for those that the SDK does not wrap.
func (h *Handle) Monitor() pb.MonitorServiceClient { return h.in.monitor }

// Worker is the pending Online or Offline that a Work carries out, RA 2.2.
type Worker struct {
	in *instance
	op *operation
}

// Checkpoint reports that the work goes on: it restarts the monitor's wait for
// PendingTimeout, RA 1.1. Call it on progress, never on a mere timer: a start that
// hangs must run into its timeout. It does not wait for the answer, and while one is
// out only the newest waits to be sent: call it as often as there is progress. It
// returns ErrTerminated once the resource was terminated.
func (w *Worker) Checkpoint(message string) error { return w.in.checkpoint(w.op, message) }
