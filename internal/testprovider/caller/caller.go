// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package caller is a provider that makes the callbacks it is asked for: a double with
// which a test, by ControlCalls, says what a real provider would say on its own.
package caller

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/understudy-dev/understudy/provider"
)

const (
	// Call is the control code that makes a callback: its input is an Ask, its output an Answer.
	Call uint32 = 0x01800006
	// Finish ends what Online has left pending: its input is an End.
	Finish uint32 = 0x0180000a
	// Extend extends its own time and ends; its input is an Extension. As a code of the
	// type it is ExtendType.
	Extend     uint32 = 0x0180000d
	ExtendType uint32 = 0x0280000d
)

// Extension is the input of Extend and ExtendType.
type Extension struct {
	Milliseconds int64 `json:"milliseconds"`
	// Linger is how many milliseconds the call goes on after that.
	Linger int64 `json:"linger,omitempty"`
}

// Whoami is the output of Extend and ExtendType: who asked, if the call said so.
type Whoami struct {
	User string `json:"user,omitempty"`
}

// Ask is the input of Call.
type Ask struct {
	// Method of MonitorService.
	Method string `json:"method"`
	// Request in the JSON of protobuf. A resourceHandle that is left out is the
	// resource's own.
	Request json.RawMessage `json:"request,omitempty"`
	// Times is how often it is made, one after the other; 0 is once.
	Times int `json:"times,omitempty"`
	// Later: Call ends at once, and the callback is made after so many milliseconds.
	// Report is a file that then gets the Answer.
	Later  int64  `json:"later,omitempty"`
	Report string `json:"report,omitempty"`
}

// Answer is the output of Call.
type Answer struct {
	// Response to the last callback, in the JSON of protobuf.
	Response json.RawMessage `json:"response,omitempty"`
	// Error is the gRPC code of the last callback, if it is not OK.
	Error string `json:"error,omitempty"`
}

// End is the input of Finish: what becomes of the pending Online. State is a value of
// RA 3.1, or 0 for Online.
type End struct {
	State   int32  `json:"state,omitempty"`
	AppCode uint32 `json:"appCode,omitempty"`
	Flags   uint32 `json:"flags,omitempty"`
	Message string `json:"message,omitempty"`
}

// Provider is the provider.
func Provider() provider.Provider {
	return provider.Provider{
		Name: "caller.understudy.dev", Types: map[string]provider.Type{"caller": kind{provider.TypeFunc(open)}},
	}
}

// kind is the type, with its control code.
type kind struct{ provider.TypeFunc }

// QuorumCapable: it wins every arbitration, and loses one when it is asked to say so.
func (kind) QuorumCapable() bool { return true }

// Control serves ExtendType.
func (kind) Control(_ context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	if call.Code != ExtendType {
		return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "no code %#x", call.Code)
	}
	return extend(call)
}

func extend(call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	var e Extension
	if err := json.Unmarshal(call.In, &e); err != nil {
		return nil, nil, provider.Errorf(provider.ErrorInvalidData, "%v", err)
	}
	return nil, func(ctx context.Context) ([]byte, error) {
		if err := call.Extend(ctx, time.Duration(e.Milliseconds)*time.Millisecond); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(e.Linger) * time.Millisecond):
		}
		var who Whoami
		if call.User != nil {
			who.User = call.User.Name
		}
		return json.Marshal(who)
	}, nil
}

type resource struct {
	handle *provider.Handle
	end    chan End

	mu    sync.Mutex
	alive bool
}

func open(_ context.Context, args provider.OpenArgs) (provider.Resource, error) {
	return &resource{handle: args.Handle, end: make(chan End)}, nil
}

// Online is done at once, or pending until Finish, by the property "pending".
func (r *resource) Online(_ context.Context, args provider.OnlineArgs) (provider.Work, error) {
	if pending := args.Properties.GetFields()["pending"]; !pending.GetBoolValue() {
		r.set(true)
		return nil, nil
	}
	return func(ctx context.Context, _ *provider.Worker) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case end := <-r.end:
			if end.State != 0 && provider.State(end.State) != provider.StateOnline {
				return &provider.Error{
					Code: provider.ErrorResourceFailed, State: provider.State(end.State),
					AppCode: end.AppCode, Flags: end.Flags, Message: end.Message,
				}
			}
			r.set(true)
			return nil
		}
	}, nil
}

func (r *resource) Offline(context.Context, provider.OfflineArgs) (provider.Work, error) {
	r.set(false)
	return nil, nil
}

func (r *resource) Terminate(context.Context) error { r.set(false); return nil }

func (r *resource) LooksAlive(context.Context) bool { return true }

func (r *resource) IsAlive(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.alive {
		return provider.Errorf(provider.ErrorResourceNotOnline, "it is not online")
	}
	return nil
}

func (r *resource) Close(context.Context) error { return nil }

func (r *resource) Arbitrate(context.Context, int64) error { return nil }

func (r *resource) Release(context.Context) error { return nil }

func (r *resource) set(alive bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = alive
}

// Control serves Call and Finish.
func (r *resource) Control(ctx context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	switch call.Code {
	case Call:
		var ask Ask
		if err := json.Unmarshal(call.In, &ask); err != nil {
			return nil, nil, provider.Errorf(provider.ErrorInvalidData, "%v", err)
		}
		if ask.Later > 0 {
			_, err := r.handle.StartWorker(func(ctx context.Context) error { return r.makeLater(ctx, ask) })
			return []byte("{}"), nil, err
		}
		// By a worker: a callback may be about this very call.
		return nil, func(ctx context.Context) ([]byte, error) { return r.make(ctx, ask) }, nil
	case Extend:
		return extend(call)
	case Finish:
		var end End
		if err := json.Unmarshal(call.In, &end); err != nil {
			return nil, nil, provider.Errorf(provider.ErrorInvalidData, "%v", err)
		}
		select {
		case r.end <- end:
			return nil, nil, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "no code %#x", call.Code)
}

// makeLater makes it after a while and leaves the answer in a file.
func (r *resource) makeLater(ctx context.Context, ask Ask) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(ask.Later) * time.Millisecond):
	}
	answer, err := r.make(ctx, ask)
	if err != nil || ask.Report == "" {
		return err
	}
	whole := ask.Report + ".new"
	if err := os.WriteFile(whole, answer, 0o644); err != nil {
		return err
	}
	return os.Rename(whole, ask.Report)
}

// make makes the callback by its name.
func (r *resource) make(ctx context.Context, ask Ask) ([]byte, error) {
	if ask.Method == "EnumResources" {
		return r.enumerate(ctx, ask.Request)
	}
	method := reflect.ValueOf(r.handle.Monitor()).MethodByName(ask.Method)
	if !method.IsValid() || method.Type().NumIn() != 3 {
		return nil, provider.Errorf(provider.ErrorInvalidData, "there is no callback %q", ask.Method)
	}
	request, ok := reflect.TypeAssert[proto.Message](reflect.New(method.Type().In(1).Elem()))
	if !ok {
		return nil, provider.Errorf(provider.ErrorInvalidData, "%s takes no message", ask.Method)
	}
	if len(ask.Request) > 0 {
		if err := protojson.Unmarshal(ask.Request, request); err != nil {
			return nil, provider.Errorf(provider.ErrorInvalidData, "%s: %v", ask.Method, err)
		}
	}
	m := request.ProtoReflect()
	if f := m.Descriptor().Fields().ByName("resource_handle"); f != nil && !m.Has(f) {
		m.Set(f, protoreflect.ValueOfString(r.handle.String()))
	}
	answer := Answer{}
	for range max(ask.Times, 1) {
		out := method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(request)})
		if err, _ := reflect.TypeAssert[error](out[1]); err != nil {
			answer = Answer{Error: status.Code(err).String()}
			continue
		}
		response, ok := reflect.TypeAssert[proto.Message](out[0])
		if !ok {
			return nil, fmt.Errorf("%s answers with a stream", ask.Method)
		}
		text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(response)
		if err != nil {
			return nil, err
		}
		answer = Answer{Response: text}
	}
	return json.Marshal(answer)
}

// enumerate lists the resources that EnumResources finds, as namespace-wide as its
// request says.
func (r *resource) enumerate(ctx context.Context, request json.RawMessage) ([]byte, error) {
	var ask struct{ ResourceType, Scope string }
	if err := json.Unmarshal(request, &ask); err != nil {
		return nil, provider.Errorf(provider.ErrorInvalidData, "EnumResources: %v", err)
	}
	enumerate := r.handle.EnumResources
	if ask.Scope != "" {
		enumerate = r.handle.EnumResourcesEx
	}
	var found []provider.EnumeratedResource
	err := enumerate(ctx, ask.ResourceType, func(one provider.EnumeratedResource) error {
		found = append(found, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Answer{Response: text})
}
