// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"bytes"
	"context"
	"time"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// EndControlCall is RA section 1.5.
func (s *Server) EndControlCall(
	ctx context.Context, r *providerv1.EndControlCallRequest,
) (*providerv1.EndControlCallResponse, error) {
	code, err := s.end(ctx, engine.EndControlCall{
		Context: r.GetContext(), Status: engine.Code(r.GetStatus()), Output: r.GetOutBuffer(),
		BytesReturned: r.GetBytesReturned(),
	})
	return &providerv1.EndControlCallResponse{Status: code}, err
}

// EndTypeControlCall is RA section 1.6.
func (s *Server) EndTypeControlCall(
	ctx context.Context, r *providerv1.EndTypeControlCallRequest,
) (*providerv1.EndTypeControlCallResponse, error) {
	code, err := s.end(ctx, engine.EndControlCall{
		Type: true, Context: r.GetContext(), Status: engine.Code(r.GetStatus()), Output: r.GetOutBuffer(),
		BytesReturned: r.GetBytesReturned(),
	})
	return &providerv1.EndTypeControlCallResponse{Status: code}, err
}

func (s *Server) end(ctx context.Context, e engine.EndControlCall) (uint32, error) {
	if len(e.Output) > maxOutput {
		e.Output = bytes.Clone(e.Output[:maxOutput])
	}
	reply, err := s.call(ctx, engine.Callback{EndControlCall: &e})
	return uint32(reply.Code), err
}

// ExtendControlCall is RA section 1.7.
func (s *Server) ExtendControlCall(
	ctx context.Context, r *providerv1.ExtendControlCallRequest,
) (*providerv1.ExtendControlCallResponse, error) {
	code, err := s.extend(ctx, engine.ExtendControlCall{Context: r.GetContext(), Timeout: ms(r.GetNewTimeoutInMs())})
	return &providerv1.ExtendControlCallResponse{Status: code}, err
}

// ExtendResTypeControlCall is RA section 1.8.
func (s *Server) ExtendResTypeControlCall(
	ctx context.Context, r *providerv1.ExtendResTypeControlCallRequest,
) (*providerv1.ExtendResTypeControlCallResponse, error) {
	code, err := s.extend(ctx, engine.ExtendControlCall{
		Type: true, Context: r.GetContext(), Timeout: ms(r.GetNewTimeoutInMs()),
	})
	return &providerv1.ExtendResTypeControlCallResponse{Status: code}, err
}

func (s *Server) extend(ctx context.Context, e engine.ExtendControlCall) (uint32, error) {
	reply, err := s.call(ctx, engine.Callback{ExtendControlCall: &e})
	return uint32(reply.Code), err
}

func ms(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
