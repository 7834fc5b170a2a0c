// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	// maxMessageSize bounds what a provider is sent, maxCallbackSize what it sends.
	maxMessageSize  = 1 << 20
	maxCallbackSize = 128 << 10

	goOn = pb.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE
	end  = pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE

	success         uint32 = 0
	invalidFunction uint32 = 1
	invalidHandle   uint32 = 6
	badParameter    uint32 = 87
	moreData        uint32 = 234
	ioPending       uint32 = 997
	revision        uint32 = 1306
	notFound        uint32 = 5007
	unknownName     uint32 = 5080
)

// answerer answers a callback in place of the default; nil, nil is the default.
type answerer func(ctx context.Context, req proto.Message) (proto.Message, error)

// monitor serves the callbacks, writes them down, and answers as a real one would
// unless a case has it answer otherwise.
type monitor struct {
	pb.UnimplementedMonitorServiceServer
	socket  string
	journal *journal

	mu      sync.Mutex
	server  *grpc.Server
	answer  answerer
	handles map[string]bool
	// ids are the handles of resource ids, opened those of all lives of the provider.
	ids, opened map[string]string
	// pending are the handles of which a status report is expected.
	pending map[string]bool
	// contexts of control calls: true while open.
	contexts map[int64]bool
}

func newMonitor(socket string, j *journal) *monitor {
	return &monitor{
		socket: socket, journal: j,
		handles: map[string]bool{}, ids: map[string]string{}, opened: map[string]string{},
		pending: map[string]bool{}, contexts: map[int64]bool{},
	}
}

// start listens; the socket is a new file each time.
func (m *monitor) start() error {
	_ = os.Remove(m.socket)
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", m.socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(m.socket, 0o666); err != nil {
		return err
	}
	s := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxCallbackSize), grpc.MaxSendMsgSize(maxMessageSize), grpc.UnaryInterceptor(m.serve),
	)
	pb.RegisterMonitorServiceServer(s, m)
	m.mu.Lock()
	m.server = s
	m.mu.Unlock()
	go func() { _ = s.Serve(l) }()
	return nil
}

// stop ends as with kill -9: what is open gets no answer.
func (m *monitor) stop() {
	m.mu.Lock()
	s := m.server
	m.server = nil
	m.mu.Unlock()
	if s != nil {
		s.Stop()
	}
	_ = os.Remove(m.socket)
}

// script has a case answer; nil ends that.
func (m *monitor) script(a answerer) {
	m.mu.Lock()
	m.answer = a
	m.mu.Unlock()
}

func (m *monitor) set(f func()) {
	m.mu.Lock()
	f()
	m.mu.Unlock()
}

// serve takes every unary callback.
func (m *monitor) serve(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, rest grpc.UnaryHandler,
) (any, error) {
	msg, ok := req.(proto.Message)
	if !ok {
		return rest(ctx, req)
	}
	e := m.journal.begin(true, info.FullMethod, msg)
	m.mu.Lock()
	scripted := m.answer
	m.mu.Unlock()
	var resp proto.Message
	var err error
	if scripted != nil {
		resp, err = scripted(ctx, msg)
	}
	if resp == nil && err == nil {
		if resp = m.usual(msg); resp == nil {
			err = status.Error(codes.Unimplemented, "not implemented")
		}
	}
	m.journal.end(e, resp, err)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// handled is a callback that names a resource.
type handled interface{ GetResourceHandle() string }

// usual is what a monitor answers.
func (m *monitor) usual(req proto.Message) proto.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	code := success
	if h, ok := req.(handled); ok && !m.handles[h.GetResourceHandle()] {
		code = invalidHandle
	}
	switch r := req.(type) {
	case *pb.SetResourceStatusRequest:
		return &pb.SetResourceStatusResponse{
			ExitState: m.report(r.GetResourceHandle(), r.GetResourceStatus().GetResourceState()),
		}
	case *pb.SetResourceStatusExRequest:
		return &pb.SetResourceStatusExResponse{
			ExitState: m.report(r.GetResourceHandle(), r.GetResourceStatus().GetResourceState()),
		}
	case *pb.SignalFailureRequest:
		return &pb.SignalFailureResponse{Status: code}
	case *pb.LogEventRequest:
		return &pb.LogEventResponse{}
	case *pb.EndControlCallRequest:
		return &pb.EndControlCallResponse{Status: m.endControl(r.GetContext())}
	case *pb.EndTypeControlCallRequest:
		return &pb.EndTypeControlCallResponse{Status: m.endControl(r.GetContext())}
	case *pb.ExtendControlCallRequest:
		return &pb.ExtendControlCallResponse{Status: m.extend(r.GetContext())}
	case *pb.ExtendResTypeControlCallRequest:
		return &pb.ExtendResTypeControlCallResponse{Status: m.extend(r.GetContext())}
	case *pb.QuorumResourceLostRequest:
		return &pb.QuorumResourceLostResponse{}
	case *pb.SetResourceLockedModeRequest:
		return &pb.SetResourceLockedModeResponse{Status: code}
	case *pb.SetResourceLockedModeExRequest:
		return &pb.SetResourceLockedModeExResponse{Status: code}
	case *pb.SetResourceInMemoryNodeLocalPropertiesRequest:
		return &pb.SetResourceInMemoryNodeLocalPropertiesResponse{Status: code}
	case *pb.SetInternalStateRequest:
		return &pb.SetInternalStateResponse{Status: code}
	case *pb.RaiseResTypeNotificationRequest:
		return &pb.RaiseResTypeNotificationResponse{}
	case *pb.ChangeResourceProcessForDumpsRequest:
		return &pb.ChangeResourceProcessForDumpsResponse{Status: code}
	case *pb.ChangeResTypeProcessForDumpsRequest:
		return &pb.ChangeResTypeProcessForDumpsResponse{}
	case *pb.RequestDumpRequest:
		return &pb.RequestDumpResponse{Status: code}
	}
	return nil
}

// report is the answer to a status report. RA 1.1.
func (m *monitor) report(handle string, state pb.ResourceState) pb.ResourceExitState {
	if !m.pending[handle] {
		return end
	}
	if !underWay(state) {
		delete(m.pending, handle)
	}
	return goOn
}

func (m *monitor) endControl(id int64) uint32 {
	if !m.contexts[id] {
		return badParameter
	}
	m.contexts[id] = false
	return success
}

func (m *monitor) extend(id int64) uint32 {
	if !m.contexts[id] {
		return badParameter
	}
	return success
}

// EnumResources lists nothing: a provider must be able to be alone.
func (m *monitor) EnumResources(
	req *pb.EnumResourcesRequest, _ grpc.ServerStreamingServer[pb.EnumResourcesResponse],
) error {
	e := m.journal.begin(true, "EnumResources", req)
	m.journal.end(e, nil, nil)
	return nil
}

// handleOf is the handle of the resource that a message is about; empty if it is about
// none. The caller holds mu.
func (m *monitor) handleOf(msg proto.Message) string {
	switch msg := msg.(type) {
	case handled:
		return msg.GetResourceHandle()
	case named:
		return m.ids[msg.GetResourceId()]
	}
	return ""
}

// underWay says whether a state is one on the way.
func underWay(state pb.ResourceState) bool {
	switch state {
	case pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING, pb.ResourceState_RESOURCE_STATE_OFFLINE_PENDING,
		pb.ResourceState_RESOURCE_STATE_PENDING, pb.ResourceState_RESOURCE_STATE_INITIALIZING,
		pb.ResourceState_RESOURCE_STATE_UNSPECIFIED:
		return true
	}
	return false
}
