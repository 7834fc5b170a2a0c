// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// The bounds that the protocol names.
const (
	MaxMessage  = 128 << 10
	maxText     = 1024
	maxLog      = 500
	maxOutput   = 64 << 10
	maxPayload  = 4 << 10
	maxName     = 63
	maxJSON     = 16 << 10
	maxDumpWait = 3600000
)

// Target is whom callbacks are about.
type Target struct {
	// Handle of a resource, name of a type, context of a control call.
	Handle, TypeName string
	Context          int64
}

// Request is a request that is right for a resource that is online, if the target is:
// none changes its state. A callback that is missing here is an error.
func Request(m protoreflect.MethodDescriptor, to Target) (proto.Message, error) {
	pending := pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING
	switch m.Name() {
	case "SetResourceStatus":
		return &pb.SetResourceStatusRequest{
			ResourceHandle: to.Handle, ResourceStatus: &pb.ResourceStatus{ResourceState: pending, CheckPoint: 1},
		}, nil
	case "SetResourceStatusEx":
		return &pb.SetResourceStatusExRequest{
			ResourceHandle: to.Handle, ResourceStatus: &pb.ResourceStatusEx{ResourceState: pending, CheckPoint: 1},
		}, nil
	case "Report":
		return &pb.ReportRequest{
			ResourceHandle: to.Handle, ResourceStatus: &pb.ResourceStatusEx{ResourceState: pending, CheckPoint: 1},
		}, nil
	case "SignalFailure":
		return &pb.SignalFailureRequest{ResourceHandle: to.Handle, FailureType: pb.FailureType_FAILURE_TYPE_EMBEDDED}, nil
	case "LogEvent":
		return &pb.LogEventRequest{ResourceHandle: to.Handle, LogLevel: pb.LogLevel_LOG_LEVEL_WARNING, Message: "harm"}, nil
	case "EndControlCall":
		return &pb.EndControlCallRequest{Context: to.Context}, nil
	case "EndTypeControlCall":
		return &pb.EndTypeControlCallRequest{Context: to.Context}, nil
	case "ExtendControlCall":
		return &pb.ExtendControlCallRequest{Context: to.Context, NewTimeoutInMs: 60000}, nil
	case "ExtendResTypeControlCall":
		return &pb.ExtendResTypeControlCallRequest{Context: to.Context, NewTimeoutInMs: 60000}, nil
	case "QuorumResourceLost":
		return &pb.QuorumResourceLostRequest{ResourceHandle: to.Handle}, nil
	case "SetResourceLockedMode":
		return &pb.SetResourceLockedModeRequest{ResourceHandle: to.Handle, LockedModeEnabled: true}, nil
	case "SetResourceLockedModeEx":
		return &pb.SetResourceLockedModeExRequest{ResourceHandle: to.Handle, LockedModeEnabled: true}, nil
	case "SetResourceInMemoryNodeLocalProperties":
		return &pb.SetResourceInMemoryNodeLocalPropertiesRequest{
			ResourceHandle: to.Handle, PropertyList: properties("x"),
		}, nil
	case "SetInternalState":
		return &pb.SetInternalStateRequest{
			ResourceHandle: to.Handle, StateType: pb.ApplicationState_APPLICATION_STATE_READY, Active: true,
		}, nil
	case "RaiseResTypeNotification":
		return &pb.RaiseResTypeNotificationRequest{ResourceType: to.TypeName, Payload: []byte("harm")}, nil
	case "ChangeResourceProcessForDumps":
		return &pb.ChangeResourceProcessForDumpsRequest{
			ResourceHandle: to.Handle, ProcessName: "harm", ProcessId: 1, IsAdd: true,
		}, nil
	case "ChangeResTypeProcessForDumps":
		return &pb.ChangeResTypeProcessForDumpsRequest{
			ResourceTypeName: to.TypeName, ProcessName: "harm", ProcessId: 1, IsAdd: true,
		}, nil
	case "EnumResources":
		return &pb.EnumResourcesRequest{SelfHandle: to.Handle, ResourceType: to.TypeName}, nil
	case "RequestDump":
		return &pb.RequestDumpRequest{ResourceHandle: to.Handle, DumpDelayInMs: maxDumpWait}, nil
	case "SetResourceWprPolicy":
		return &pb.SetResourceWprPolicyRequest{ResourceHandle: to.Handle}, nil
	case "ArmWprWatchdogForCurrentResourceCall":
		return &pb.ArmWprWatchdogForCurrentResourceCallRequest{ResourceHandle: to.Handle}, nil
	}
	return nil, fmt.Errorf("the adversary has no request of the callback %s: add one, and what it is answered", m.Name())
}

// properties have one name, of so many bytes of JSON in all as the value makes it.
func properties(value string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"harm": structpb.NewStringValue(value)}}
}

// Fill makes what a request carries as large as it may be, and over bytes larger.
func Fill(r proto.Message, over int) {
	text := func(n int) string { return strings.Repeat("x", n+over) }
	switch r := r.(type) {
	case *pb.SetResourceStatusExRequest:
		r.GetResourceStatus().Message = text(maxText)
	case *pb.ReportRequest:
		r.GetResourceStatus().Message = text(maxText)
	case *pb.SignalFailureRequest:
		r.Message = text(maxText)
	case *pb.LogEventRequest:
		r.Message = text(maxLog)
	case *pb.EndControlCallRequest:
		r.OutBuffer = []byte(text(maxOutput))
	case *pb.EndTypeControlCallRequest:
		r.OutBuffer = []byte(text(maxOutput))
	case *pb.ExtendControlCallRequest:
		r.NewTimeoutInMs = 1<<32 - 1
	case *pb.ExtendResTypeControlCallRequest:
		r.NewTimeoutInMs = 1<<32 - 1
	case *pb.SetResourceLockedModeExRequest:
		r.LockedModeFlags += uint32(over) * 2
	case *pb.SetResourceInMemoryNodeLocalPropertiesRequest:
		r.PropertyList = properties(text(maxJSON - len(`{"harm":""}`)))
	case *pb.RaiseResTypeNotificationRequest:
		r.Payload = []byte(text(maxPayload))
	case *pb.ChangeResourceProcessForDumpsRequest:
		r.ProcessName = text(maxName)
	case *pb.ChangeResTypeProcessForDumpsRequest:
		r.ProcessName = text(maxName)
	case *pb.RequestDumpRequest:
		r.DumpDelayInMs = uint32(maxDumpWait + over)
	}
}

// Misname sets every enum of a request, however deep, to a value that has no name.
func Misname(m protoreflect.Message, value protoreflect.EnumNumber) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.IsList() || f.IsMap():
		case f.Kind() == protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(value))
		case f.Kind() == protoreflect.MessageKind && m.Has(f):
			Misname(m.Mutable(f).Message(), value)
		}
	}
}

// Pad makes a request exactly so many bytes long, by a field that nobody knows.
func Pad(r proto.Message, size int) {
	const number = 1000
	head := protowire.SizeTag(number)
	room := size - proto.Size(r) - head
	room -= protowire.SizeVarint(uint64(room))
	m := r.ProtoReflect()
	unknown := protowire.AppendTag(m.GetUnknown(), number, protowire.BytesType)
	m.SetUnknown(protowire.AppendBytes(unknown, make([]byte, room)))
}

// Bomb is a request that takes the most room once it is read: handles and names are as
// long as a message allows, and lists have as many elements.
func Bomb(m protoreflect.MethodDescriptor) (proto.Message, error) {
	const room = MaxMessage - 4096
	r, err := Request(m, Target{Handle: strings.Repeat("\x01", room), TypeName: "none"})
	if list, ok := r.(*pb.SetResourceInMemoryNodeLocalPropertiesRequest); ok {
		list.ResourceHandle = ""
		values := make([]*structpb.Value, room/2)
		for i := range values {
			values[i] = &structpb.Value{}
		}
		list.PropertyList = &structpb.Struct{Fields: map[string]*structpb.Value{
			"": structpb.NewListValue(&structpb.ListValue{Values: values}),
		}}
		return list, err
	}
	switch r := r.(type) {
	case *pb.EndControlCallRequest:
		r.OutBuffer = make([]byte, room)
	case *pb.EndTypeControlCallRequest:
		r.OutBuffer = make([]byte, room)
	case *pb.RaiseResTypeNotificationRequest:
		r.ResourceType = strings.Repeat("\x01", room)
	case *pb.ChangeResTypeProcessForDumpsRequest:
		r.ResourceTypeName = strings.Repeat("\x01", room)
	}
	return r, err
}
