// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testprovider/adversary"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// list is an object with a list of values in it.
func list(values ...*structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewListValue(&structpb.ListValue{Values: values})}}
}

func repeat(n int, v *structpb.Value) (all []*structpb.Value) {
	for range n {
		all = append(all, v)
	}
	return all
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestListsAreNotReadThatAreTooLarge(t *testing.T) {
	r := serve(t)
	deep := structpb.NewNullValue()
	for range 2000 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	names := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := range 2 * maxValues / 3 {
		names.Fields[string(rune(0x100+i))] = &structpb.Value{}
	}
	one := structpb.NewNumberValue(1)
	for name, c := range map[string]struct {
		list *structpb.Struct
		want uint32
	}{
		"the most values that 16 KiB have": {list(repeat(maxValues-len(`{"a":[]}`)/2, one)...), 0},
		"a few more":                       {list(repeat(maxValues+1, one)...), 87},
		"values of nothing":                {list(repeat(maxMessage/2-100, &structpb.Value{})...), 87},
		"names of nothing":                 {names, 87},
		"a long text":                      {list(structpb.NewStringValue(strings.Repeat("\x01", maxMessage-1000))), 87},
		"one in the other":                 {list(append(repeat(maxValues/2, one), deep)...), 87},
	} {
		t.Run(name, func(t *testing.T) {
			r.mu.Lock()
			r.heard = nil
			r.mu.Unlock()
			answer, err := r.api.SetResourceInMemoryNodeLocalProperties(t.Context(),
				&pb.SetResourceInMemoryNodeLocalPropertiesRequest{ResourceHandle: "u", PropertyList: c.list})
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil || answer.GetStatus() != c.want || len(r.heard) > 0 != (c.want == 0) {
				t.Errorf("%v %v, %d heard", answer, err, len(r.heard))
			}
		})
	}
}

// What is counted is what is read.
func TestValuesAreCounted(t *testing.T) {
	inner, err := structpb.NewStruct(map[string]any{"b": 1, "c": []any{nil, true}})
	must(t, err)
	data, err := json.Marshal(inner.AsMap())
	must(t, err)
	for name, c := range map[string]struct {
		request *pb.SetResourceInMemoryNodeLocalPropertiesRequest
		want    int
	}{
		"none":           {&pb.SetResourceInMemoryNodeLocalPropertiesRequest{ResourceHandle: string(data)}, 0},
		"names and more": {&pb.SetResourceInMemoryNodeLocalPropertiesRequest{PropertyList: inner}, 2*2 + 2},
		"an object":      {&pb.SetResourceInMemoryNodeLocalPropertiesRequest{PropertyList: list(structpb.NewStructValue(inner))}, 3 + 6},
	} {
		if got := values(marshal(t, c.request), inRequest, 0); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for _, broken := range []string{"\x12", "\x12\xff", "\x12\x02\x0a\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if got := values([]byte(broken), inRequest, 0); got != 0 {
			t.Errorf("%x: %d", broken, got)
		}
	}
}

// Whatever a request is full of, little of it is left that waits for the engine.
// Shows: LogEvent, SignalFailure, EndControlCall, ResourceCallback.
func TestLittleIsKeptOfALargeRequest(t *testing.T) {
	r := serve(t)
	kept := func(n int) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			for _, m := range adversary.Callbacks() {
				bomb, err := adversary.Bomb(m)
				must(t, err)
				if !m.IsStreamingClient() {
					_ = r.conn.Invoke(t.Context(), "/"+string(m.Parent().FullName())+"/"+string(m.Name()), bomb, &pb.LogEventResponse{})
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		return max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
	}
	kept(1)
	r.mu.Lock()
	r.heard = nil
	r.mu.Unlock()
	const n = 20
	if most := uint64(n * 400 << 10); kept(n) > most {
		t.Errorf("more than %d bytes", most)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cb := range r.heard {
		if len(cb.Handle) > maxHandle || len(cb.TypeName) > maxHandle {
			t.Fatalf("%d and %d bytes", len(cb.Handle), len(cb.TypeName))
		}
	}
}

// Shows: LogEvent, SignalFailure, ResourceCallbackEx.
func TestValuesWithoutAName(t *testing.T) {
	r := serve(t)
	for _, n := range []int32{99, -1} {
		_, err := r.api.LogEvent(t.Context(), &pb.LogEventRequest{LogLevel: pb.LogLevel(n)})
		if level := r.last(t).LogEvent.Level; err != nil || level != engine.LevelInformation {
			t.Errorf("%d is level %d %v", n, level, err)
		}
		_, err = r.api.SignalFailure(t.Context(), &pb.SignalFailureRequest{FailureType: pb.FailureType(n)})
		if of := r.last(t).SignalFailure.Type; err != nil || of <= engine.FailureNetworkLoss {
			t.Errorf("%d is type %d %v", n, of, err)
		}
	}
	s, err := r.api.EnumResources(t.Context(), &pb.EnumResourcesRequest{
		Scope: pb.EnumScope_ENUM_SCOPE_NAMESPACE, ResourceType: strings.Repeat("x", maxHandle+1),
	})
	must(t, err)
	if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	must(t, err)
	return data
}
