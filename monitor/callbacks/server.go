// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package callbacks is the monitor's socket for providers: it turns the callback
// functions of RA section 1 into engine events and answers with its replies. One
// server per supervised container, so that a provider speaks only for its own
// resources.
package callbacks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

const (
	// SocketName is the name of the socket in its folder.
	SocketName = "monitor.sock"
	// maxMessage bounds a request in bytes. The longest that can be right is a list of
	// properties: 13 bytes for a number of one digit, of which JSON has 2.
	maxMessage = 8 * maxProperties
	// window bounds what of one call may wait to be read, in bytes. All calls of a container
	// together may wait with this, and be read with maxMessage.
	window = maxMessage
	// maxStreams bounds the calls under way on one connection.
	maxStreams = 16
	// maxConnections bounds the connections of one container.
	maxConnections = 8
	// maxText bounds a text for people in bytes; RA section 1.4 gives 500
	// characters for a line of the log.
	maxText    = 1024
	maxLogText = 500
	// maxOutput bounds the result of a control call in bytes.
	maxOutput = 64 << 10
	// maxProperties bounds node-local properties in bytes of JSON, maxPayload a
	// notification, maxName the name of a process.
	maxProperties = 16 << 10
	maxPayload    = 4 << 10
	maxName       = 63
	// maxHandle bounds a handle, which is a UID, and the name of a type.
	maxHandle = 253
	// replyTimeout bounds how long a callback waits for the engine.
	replyTimeout = 5 * time.Second
)

// Sink hands a callback to the engine and returns its reply. It blocks until the
// engine has answered or ctx ends.
type Sink func(ctx context.Context, cb engine.Callback) (engine.Reply, error)

// Server serves the callback socket of one container.
type Server struct {
	providerv1.UnimplementedMonitorServiceServer
	container, group string
	sink             Sink
	others           Lister
}

// Config says for whom the socket is.
type Config struct {
	// Container whose socket it is, and Dir in which it is.
	Container, Dir string
	// Group is the name of the group.
	Group string
	// Sink takes what providers say, and Lister finds resources of other groups.
	Sink   Sink
	Lister Lister
}

// Serve listens on DIR/monitor.sock until ctx ends; the returned function waits
// for its end.
func Serve(ctx context.Context, config Config) (wait func(), err error) {
	container, dir := config.Container, config.Dir
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("callback socket of container %s: %w", container, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("callback socket of container %s: %w", container, err)
	}
	// The next life removes the file itself. Closed late, this one would take away
	// the socket that the next already listens on.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	// The container may run as any user; only it and the monitor see the folder.
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		// Kept goroutines have grown their stacks once; what they cannot take gets one of
		// its own.
		grpc.NumStreamWorkers(maxStreams),
		// A window that is found by measuring costs a ping with every call, and grows as
		// far as the provider likes.
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	providerv1.RegisterMonitorServiceServer(server, &Server{
		container: container, group: config.Group, sink: config.Sink, others: config.Lister,
	})
	stop := context.AfterFunc(ctx, server.Stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		_ = server.Serve(limit(l, maxConnections))
	}()
	return func() { <-done }, nil
}

func (s *Server) call(ctx context.Context, cb engine.Callback) (engine.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	cb.Container, cb.Handle = s.container, nameable(cb.Handle)
	reply, err := s.sink(ctx, cb)
	if err != nil {
		return reply, status.Error(codes.Unavailable, "the monitor did not answer in time: repeat the call")
	}
	return reply, nil
}

// SetResourceStatus is RA section 1.1.
func (s *Server) SetResourceStatus(
	ctx context.Context, r *providerv1.SetResourceStatusRequest,
) (*providerv1.SetResourceStatusResponse, error) {
	st := r.GetResourceStatus()
	reply, err := s.call(ctx, engine.Callback{Handle: r.GetResourceHandle(), SetResourceStatus: &engine.SetResourceStatus{
		State: int32(st.GetResourceState()), CheckPoint: st.GetCheckPoint(), EventHandle: st.GetEventHandle(),
	}})
	return &providerv1.SetResourceStatusResponse{ExitState: exitState(reply)}, err
}

// SetResourceStatusEx is RA section 1.2.
func (s *Server) SetResourceStatusEx(
	ctx context.Context, r *providerv1.SetResourceStatusExRequest,
) (*providerv1.SetResourceStatusExResponse, error) {
	reply, err := s.call(ctx, engine.Callback{
		Handle: r.GetResourceHandle(), SetResourceStatus: statusEx(r.GetResourceStatus()),
	})
	return &providerv1.SetResourceStatusExResponse{ExitState: exitState(reply)}, err
}

func statusEx(st *providerv1.ResourceStatusEx) *engine.SetResourceStatus {
	return &engine.SetResourceStatus{
		Ex: true, State: int32(st.GetResourceState()), CheckPoint: st.GetCheckPoint(), EventHandle: st.GetEventHandle(),
		ApplicationErrorCode: st.GetApplicationSpecificErrorCode(), Flags: st.GetFlags(),
		Message: clip(st.GetMessage(), maxText),
	}
}

// SignalFailure is RA section 1.3.
func (s *Server) SignalFailure(
	ctx context.Context, r *providerv1.SignalFailureRequest,
) (*providerv1.SignalFailureResponse, error) {
	reply, err := s.call(ctx, engine.Callback{Handle: r.GetResourceHandle(), SignalFailure: &engine.SignalFailure{
		// Unspecified is general; what is unknown stays so.
		Type:                 engine.FailureType(cmp.Or(r.GetFailureType(), 1) - 1),
		ApplicationErrorCode: r.GetApplicationSpecificErrorCode(), Exited: r.GetExited(),
		Message: clip(r.GetMessage(), maxText),
	}})
	return &providerv1.SignalFailureResponse{Status: uint32(reply.Code)}, err
}

// LogEvent is RA section 1.4.
func (s *Server) LogEvent(ctx context.Context, r *providerv1.LogEventRequest) (*providerv1.LogEventResponse, error) {
	level := r.GetLogLevel()
	if _, known := providerv1.LogLevel_name[int32(level)]; !known {
		level = providerv1.LogLevel_LOG_LEVEL_INFORMATION
	}
	_, err := s.call(ctx, engine.Callback{Handle: r.GetResourceHandle(), LogEvent: &engine.LogEvent{
		Level: engine.Level(max(level, 1) - 1), Text: clip(r.GetMessage(), maxLogText),
	}})
	return &providerv1.LogEventResponse{}, err
}

func exitState(r engine.Reply) providerv1.ResourceExitState {
	if r.ExitState == engine.ExitTerminate {
		return providerv1.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE
	}
	return providerv1.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE
}

// clip cuts a text. What is left does not keep the rest in memory.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.Clone(s[:limit])
}

// nameable is a handle, or the name of a type: itself, or, if it is longer than any, a
// short one of nothing. It may wait for the engine, and comes back in errors.
func nameable(s string) string {
	if len(s) > maxHandle {
		return "\x00"
	}
	return s
}
