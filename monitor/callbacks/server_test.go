// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// rig is a server, and what it passed on.
type rig struct {
	path  string
	conn  *grpc.ClientConn
	api   pb.MonitorServiceClient
	mu    sync.Mutex
	heard []engine.Callback
	reply engine.Reply
	err   error
	// others, or otherErr, is what the lister answers.
	others   []Found
	otherErr error
}

func serve(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "c") // socket paths are short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &rig{path: filepath.Join(dir, SocketName)}
	ctx, cancel := context.WithCancel(t.Context())
	wait, err := Serve(ctx, Config{
		Container: "main", Dir: dir, Group: "g",
		Sink: func(_ context.Context, cb engine.Callback) (engine.Reply, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.heard = append(r.heard, cb)
			return r.reply, r.err
		},
		Lister: func(context.Context, string) ([]Found, error) { return r.others, r.otherErr },
	})
	must(t, err)
	t.Cleanup(func() { cancel(); wait() })
	r.conn, err = grpc.NewClient("unix:"+r.path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30)))
	must(t, err)
	t.Cleanup(func() { _ = r.conn.Close() })
	r.api = pb.NewMonitorServiceClient(r.conn)
	return r
}

func (r *rig) last(t *testing.T) engine.Callback {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heard) == 0 {
		t.Fatal("nothing was passed on")
	}
	return r.heard[len(r.heard)-1]
}

// TestEveryCall: each call of the protocol is served, or says that it is not
// supported; a new one has to be put on one of the lists.
func TestEveryCall(t *testing.T) {
	unsupported := []string{"SetResourceWprPolicy", "ArmWprWatchdogForCurrentResourceCall"}
	r := serve(t)
	methods := pb.File_provider_v1_provider_proto.Services().ByName("MonitorService").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		t.Run(string(m.Name()), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := r.invoke(ctx, m)
			switch {
			case slices.Contains(unsupported, string(m.Name())):
				if status.Code(err) != codes.Unimplemented {
					t.Errorf("%v, want Unimplemented", err)
				}
			case !errors.Is(err, io.EOF): // an empty list
				must(t, err)
			}
		})
	}
	if methods.Len() < 21 {
		t.Errorf("%d calls", methods.Len())
	}
}

func (r *rig) invoke(ctx context.Context, m protoreflect.MethodDescriptor) error {
	path := "/understudy.provider.v1.MonitorService/" + string(m.Name())
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return r.conn.Invoke(ctx, path, in, out)
	}
	s, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path)
	if err != nil {
		return err
	}
	_ = s.SendMsg(in)
	_ = s.CloseSend()
	return s.RecvMsg(out)
}

func TestWhatIsPassedOn(t *testing.T) {
	r := serve(t)
	r.reply = engine.Reply{Code: 5023, ExitState: engine.ExitTerminate}
	for name, c := range map[string]struct {
		call func(ctx context.Context) (proto.Message, error)
		want engine.Callback
		code uint32
	}{
		"SetResourceStatus": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetResourceStatus(ctx, &pb.SetResourceStatusRequest{ResourceHandle: "u", ResourceStatus: &pb.ResourceStatus{
				ResourceState: pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING, CheckPoint: 3, EventHandle: true,
			}})
		}, engine.Callback{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{
			State: engine.ReportedOnlinePending, CheckPoint: 3, EventHandle: true,
		}}, 0},
		"SetResourceStatusEx": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetResourceStatusEx(ctx, &pb.SetResourceStatusExRequest{ResourceHandle: "u", ResourceStatus: &pb.ResourceStatusEx{
				ResourceState: pb.ResourceState_RESOURCE_STATE_FAILED, CheckPoint: 4, ApplicationSpecificErrorCode: 5, Flags: 6,
				Message: "why",
			}})
		}, engine.Callback{Handle: "u", SetResourceStatus: &engine.SetResourceStatus{
			Ex: true, State: engine.ReportedFailed, CheckPoint: 4, ApplicationErrorCode: 5, Flags: 6, Message: "why",
		}}, 0},
		"SignalFailure": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SignalFailure(ctx, &pb.SignalFailureRequest{
				ResourceHandle: "u", FailureType: pb.FailureType_FAILURE_TYPE_NETWORK_LOSS, Exited: true, ApplicationSpecificErrorCode: 7,
			})
		}, engine.Callback{Handle: "u", SignalFailure: &engine.SignalFailure{
			Type: engine.FailureNetworkLoss, ApplicationErrorCode: 7, Exited: true,
		}}, 5023},
		"LogEvent": {func(ctx context.Context) (proto.Message, error) {
			return r.api.LogEvent(ctx, &pb.LogEventRequest{ResourceHandle: "u", Message: "words"})
		}, engine.Callback{Handle: "u", LogEvent: &engine.LogEvent{Text: "words"}}, 0},
		"EndControlCall": {func(ctx context.Context) (proto.Message, error) {
			return r.api.EndControlCall(ctx, &pb.EndControlCallRequest{Context: 8, Status: 9, OutBuffer: []byte("out")})
		}, engine.Callback{EndControlCall: &engine.EndControlCall{Context: 8, Status: 9, Output: []byte("out")}}, 5023},
		"EndTypeControlCall": {func(ctx context.Context) (proto.Message, error) {
			return r.api.EndTypeControlCall(ctx, &pb.EndTypeControlCallRequest{Context: 8, Status: 234, BytesReturned: 7})
		}, engine.Callback{EndControlCall: &engine.EndControlCall{
			Type: true, Context: 8, Status: 234, BytesReturned: 7,
		}}, 5023},
		"ExtendControlCall": {func(ctx context.Context) (proto.Message, error) {
			return r.api.ExtendControlCall(ctx, &pb.ExtendControlCallRequest{Context: 8, NewTimeoutInMs: 9})
		}, engine.Callback{ExtendControlCall: &engine.ExtendControlCall{Context: 8, Timeout: 9 * time.Millisecond}}, 5023},
		"ExtendResTypeControlCall": {func(ctx context.Context) (proto.Message, error) {
			return r.api.ExtendResTypeControlCall(ctx, &pb.ExtendResTypeControlCallRequest{Context: 8, NewTimeoutInMs: 9})
		}, engine.Callback{ExtendControlCall: &engine.ExtendControlCall{
			Type: true, Context: 8, Timeout: 9 * time.Millisecond,
		}}, 5023},
		"QuorumResourceLost": {func(ctx context.Context) (proto.Message, error) {
			return r.api.QuorumResourceLost(ctx, &pb.QuorumResourceLostRequest{ResourceHandle: "u"})
		}, engine.Callback{Handle: "u", QuorumResourceLost: &engine.QuorumResourceLost{}}, 0},
		"SetResourceLockedMode": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetResourceLockedMode(ctx, &pb.SetResourceLockedModeRequest{
				ResourceHandle: "u", LockedModeEnabled: true, LockedModeReason: 3,
			})
		}, engine.Callback{Handle: "u", SetLockedMode: &engine.SetLockedMode{Enabled: true, Reason: 3}}, 5023},
		"SetResourceLockedModeEx": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetResourceLockedModeEx(ctx, &pb.SetResourceLockedModeExRequest{
				ResourceHandle: "u", LockedModeEnabled: true, LockedModeReason: 3, LockedModeFlags: 1,
			})
		}, engine.Callback{Handle: "u", SetLockedMode: &engine.SetLockedMode{Enabled: true, Reason: 3, Flags: 1}}, 5023},
		"SetResourceInMemoryNodeLocalProperties": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetResourceInMemoryNodeLocalProperties(ctx, &pb.SetResourceInMemoryNodeLocalPropertiesRequest{
				ResourceHandle: "u",
				PropertyList:   &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(1)}},
			})
		}, engine.Callback{Handle: "u", SetNodeLocalProperties: &engine.SetNodeLocalProperties{
			Properties: json.RawMessage(`{"a":1}`),
		}}, 5023},
		"SetInternalState": {func(ctx context.Context) (proto.Message, error) {
			return r.api.SetInternalState(ctx, &pb.SetInternalStateRequest{
				ResourceHandle: "u", StateType: pb.ApplicationState_APPLICATION_STATE_READY, Active: true,
			})
		}, engine.Callback{Handle: "u", SetInternalState: &engine.SetInternalState{
			State: engine.ApplicationReady, Active: true,
		}}, 5023},
		"ChangeResourceProcessForDumps": {func(ctx context.Context) (proto.Message, error) {
			return r.api.ChangeResourceProcessForDumps(ctx, &pb.ChangeResourceProcessForDumpsRequest{
				ResourceHandle: "u", ProcessName: "p", ProcessId: 4, IsAdd: true,
			})
		}, engine.Callback{Handle: "u", ChangeProcessForDumps: &engine.ChangeProcessForDumps{
			Name: "p", PID: 4, Add: true,
		}}, 5023},
		"ChangeResTypeProcessForDumps": {func(ctx context.Context) (proto.Message, error) {
			return r.api.ChangeResTypeProcessForDumps(ctx, &pb.ChangeResTypeProcessForDumpsRequest{
				ResourceTypeName: "t", ProcessName: "p", ProcessId: 4,
			})
		}, engine.Callback{TypeName: "t", ChangeProcessForDumps: &engine.ChangeProcessForDumps{Name: "p", PID: 4}}, 5023},
		"RaiseResTypeNotification": {func(ctx context.Context) (proto.Message, error) {
			return r.api.RaiseResTypeNotification(ctx, &pb.RaiseResTypeNotificationRequest{
				ResourceType: "t", Payload: []byte("news"),
			})
		}, engine.Callback{TypeName: "t", RaiseNotification: &engine.RaiseNotification{Payload: []byte("news")}}, 5023},
		"RequestDump": {func(ctx context.Context) (proto.Message, error) {
			return r.api.RequestDump(ctx, &pb.RequestDumpRequest{
				ResourceHandle: "u", DumpDueToCallInProgress: true, DumpDelayInMs: 5,
			})
		}, engine.Callback{Handle: "u", RequestDump: &engine.RequestDump{
			DueToCallInProgress: true, Delay: 5 * time.Millisecond,
		}}, 5023},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := c.call(t.Context())
			must(t, err)
			c.want.Container = "main" // by the socket, whatever the caller says
			if got := r.last(t); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v", got)
			}
			switch a := answer.(type) {
			case interface{ GetExitState() pb.ResourceExitState }:
				if a.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_TERMINATE {
					t.Errorf("%v", a)
				}
			case interface{ GetStatus() uint32 }:
				if a.GetStatus() != c.code {
					t.Errorf("%v", a)
				}
			}
		})
	}
	t.Run("no answer in time", func(t *testing.T) {
		r.mu.Lock()
		r.err = context.DeadlineExceeded
		r.mu.Unlock()
		if _, err := r.api.SignalFailure(t.Context(), &pb.SignalFailureRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%v", err)
		}
	})
}

func TestTooMuch(t *testing.T) {
	r := serve(t)
	long := strings.Repeat("ä", 4096)
	if _, err := r.api.LogEvent(t.Context(), &pb.LogEventRequest{Message: long}); err != nil {
		t.Error(err)
	}
	if s := r.last(t).LogEvent.Text; len(s) > maxLogText || len(s) < maxLogText-1 || !utf8.ValidString(s) {
		t.Errorf("%d bytes", len(s))
	}
	if _, err := r.api.SignalFailure(t.Context(), &pb.SignalFailureRequest{Message: "x" + long}); err != nil {
		t.Error(err)
	}
	if s := r.last(t).SignalFailure.Message; len(s) > maxText || len(s) < maxText-1 || !utf8.ValidString(s) {
		t.Errorf("%d bytes", len(s))
	}
	if _, err := r.api.EndControlCall(t.Context(), &pb.EndControlCallRequest{OutBuffer: make([]byte, maxOutput+1)}); err != nil {
		t.Error(err)
	}
	if b := r.last(t).EndControlCall.Output; len(b) != maxOutput {
		t.Errorf("%d bytes", len(b))
	}
	n := len(r.heard)
	_, err := r.api.EndControlCall(t.Context(), &pb.EndControlCallRequest{OutBuffer: make([]byte, maxMessage+1)})
	if status.Code(err) != codes.ResourceExhausted || len(r.heard) != n {
		t.Errorf("%v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := serve(t)
	var all []net.Conn
	open := func() net.Conn {
		c, err := net.Dial("unix", r.path)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range maxConnections {
		all = append(all, open())
	}
	// A server speaks first: who hears nothing is not served.
	served := func(c net.Conn) bool {
		must(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err := c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		if err != nil {
			return false
		}
		_, err = c.Read(make([]byte, 9))
		return err == nil
	}
	for i, c := range all {
		if !served(c) {
			t.Fatalf("connection %d is not served", i)
		}
	}
	if served(open()) {
		t.Error("one too many is served")
	}
	_ = all[0].Close()
	for deadline := time.Now().Add(10 * time.Second); !served(open()); {
		if time.Now().After(deadline) {
			t.Fatal("the place of one that left is not given to another")
		}
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{"", "abc", "abcdefgh", "abcdefghi", "abcdefgä", "abcdefg€", "abcde😀", "abcdef😀", "世世世世", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		got := clip(s, 8)
		short := utf8.ValidString(s) && len(got) < min(len(s), 8-utf8.UTFMax+1)
		if len(got) > 8 || short || !strings.HasPrefix(s, got) || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestSocketInTheWay(t *testing.T) {
	if _, err := Serve(t.Context(), Config{Container: "main", Dir: filepath.Join(t.TempDir(), "none")}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
