// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// resource hands on a callback that concerns one resource and answers with a code.
func (s *Server) resource(ctx context.Context, handle string, cb engine.Callback) (uint32, error) {
	cb.Handle = handle
	reply, err := s.call(ctx, cb)
	return uint32(reply.Code), err
}

// QuorumResourceLost is RA section 1.9.
func (s *Server) QuorumResourceLost(
	ctx context.Context, r *providerv1.QuorumResourceLostRequest,
) (*providerv1.QuorumResourceLostResponse, error) {
	_, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{QuorumResourceLost: &engine.QuorumResourceLost{}})
	return &providerv1.QuorumResourceLostResponse{}, err
}

// SetResourceLockedMode is RA section 1.10.
func (s *Server) SetResourceLockedMode(
	ctx context.Context, r *providerv1.SetResourceLockedModeRequest,
) (*providerv1.SetResourceLockedModeResponse, error) {
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{SetLockedMode: &engine.SetLockedMode{
		Enabled: r.GetLockedModeEnabled(), Reason: r.GetLockedModeReason(),
	}})
	return &providerv1.SetResourceLockedModeResponse{Status: code}, err
}

// SetResourceLockedModeEx is RA section 1.19.
func (s *Server) SetResourceLockedModeEx(
	ctx context.Context, r *providerv1.SetResourceLockedModeExRequest,
) (*providerv1.SetResourceLockedModeExResponse, error) {
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{SetLockedMode: &engine.SetLockedMode{
		Enabled: r.GetLockedModeEnabled(), Reason: r.GetLockedModeReason(), Flags: r.GetLockedModeFlags(),
	}})
	return &providerv1.SetResourceLockedModeExResponse{Status: code}, err
}

// SetResourceInMemoryNodeLocalProperties is RA section 1.11.
func (s *Server) SetResourceInMemoryNodeLocalProperties(
	ctx context.Context, r *providerv1.SetResourceInMemoryNodeLocalPropertiesRequest,
) (*providerv1.SetResourceInMemoryNodeLocalPropertiesResponse, error) {
	properties, ok := propertyList(r.GetPropertyList())
	if !ok {
		return &providerv1.SetResourceInMemoryNodeLocalPropertiesResponse{Status: uint32(engine.CodeInvalidParameter)}, nil
	}
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{
		SetNodeLocalProperties: &engine.SetNodeLocalProperties{Properties: properties},
	})
	return &providerv1.SetResourceInMemoryNodeLocalPropertiesResponse{Status: code}, err
}

// propertyList is the list as JSON; false if it is too long or has a number that JSON
// lacks. The text of protojson would not be the same each time.
func propertyList(list *structpb.Struct) (json.RawMessage, bool) {
	if list == tooMuch {
		return nil, false
	}
	text, err := json.Marshal(list.AsMap())
	return text, err == nil && len(text) <= maxProperties
}

// SetInternalState is RA section 1.12.
func (s *Server) SetInternalState(
	ctx context.Context, r *providerv1.SetInternalStateRequest,
) (*providerv1.SetInternalStateResponse, error) {
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{SetInternalState: &engine.SetInternalState{
		State: engine.ApplicationState(r.GetStateType()), Active: r.GetActive(),
	}})
	return &providerv1.SetInternalStateResponse{Status: code}, err
}

// ChangeResourceProcessForDumps is RA section 1.14.
func (s *Server) ChangeResourceProcessForDumps(
	ctx context.Context, r *providerv1.ChangeResourceProcessForDumpsRequest,
) (*providerv1.ChangeResourceProcessForDumpsResponse, error) {
	if len(r.GetProcessName()) > maxName {
		return &providerv1.ChangeResourceProcessForDumpsResponse{Status: uint32(engine.CodeInvalidParameter)}, nil
	}
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{
		ChangeProcessForDumps: &engine.ChangeProcessForDumps{
			Name: r.GetProcessName(), PID: r.GetProcessId(), Add: r.GetIsAdd(),
		},
	})
	return &providerv1.ChangeResourceProcessForDumpsResponse{Status: code}, err
}

// RequestDump is RA section 1.19.
func (s *Server) RequestDump(
	ctx context.Context, r *providerv1.RequestDumpRequest,
) (*providerv1.RequestDumpResponse, error) {
	code, err := s.resource(ctx, r.GetResourceHandle(), engine.Callback{RequestDump: &engine.RequestDump{
		DueToCallInProgress: r.GetDumpDueToCallInProgress(), Delay: ms(r.GetDumpDelayInMs()),
	}})
	return &providerv1.RequestDumpResponse{Status: code}, err
}
