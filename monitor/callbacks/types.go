// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// ofType hands on a callback that concerns a type and answers with a code.
func (s *Server) ofType(ctx context.Context, name string, cb engine.Callback) (uint32, error) {
	if name == "" {
		return uint32(engine.CodeTypeNotFound), nil
	}
	cb.TypeName = nameable(name)
	reply, err := s.call(ctx, cb)
	return uint32(reply.Code), err
}

// RaiseResTypeNotification is RA section 1.13.
func (s *Server) RaiseResTypeNotification(
	ctx context.Context, r *providerv1.RaiseResTypeNotificationRequest,
) (*providerv1.RaiseResTypeNotificationResponse, error) {
	if len(r.GetPayload()) > maxPayload {
		return &providerv1.RaiseResTypeNotificationResponse{Status: uint32(engine.CodeInvalidParameter)}, nil
	}
	code, err := s.ofType(ctx, r.GetResourceType(), engine.Callback{
		RaiseNotification: &engine.RaiseNotification{Payload: r.GetPayload()},
	})
	return &providerv1.RaiseResTypeNotificationResponse{Status: code}, err
}

// ChangeResTypeProcessForDumps is RA section 1.15.
func (s *Server) ChangeResTypeProcessForDumps(
	ctx context.Context, r *providerv1.ChangeResTypeProcessForDumpsRequest,
) (*providerv1.ChangeResTypeProcessForDumpsResponse, error) {
	if len(r.GetProcessName()) > maxName {
		return &providerv1.ChangeResTypeProcessForDumpsResponse{Status: uint32(engine.CodeInvalidParameter)}, nil
	}
	code, err := s.ofType(ctx, r.GetResourceTypeName(), engine.Callback{
		ChangeProcessForDumps: &engine.ChangeProcessForDumps{
			Name: r.GetProcessName(), PID: r.GetProcessId(), Add: r.GetIsAdd(),
		},
	})
	return &providerv1.ChangeResTypeProcessForDumpsResponse{Status: code}, err
}
