// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package caller_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/provider"
)

func TestCallMakesTheCallback(t *testing.T) {
	m := testmonitor.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- provider.Serve(ctx, caller.Provider(), provider.WithSockets(m.Provider, m.Socket),
			provider.WithLogger(slog.New(slog.DiscardHandler)))
	}()
	t.Cleanup(func() { cancel(); <-done })
	api := m.Dial(t)
	opened, err := api.Open(t.Context(), &pb.OpenRequest{ResourceName: "ns/r", ResourceHandle: "uid", ResourceType: "caller"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := api.BeginResourceControl(t.Context(), &pb.BeginResourceControlRequest{
		ResourceId: opened.GetResourceId(), Context: 1, Input: &pb.ControlInput{
			ControlCode: caller.Call, OutBufferSize: 1000,
			InBuffer: []byte(`{"method":"SetInternalState","request":{"stateType":"APPLICATION_STATE_READY","active":true},"times":2}`),
		},
	})
	if err != nil || !resp.GetReturnedAsynchronously() {
		t.Fatalf("%v %v", resp, err)
	}
	end, _ := testmonitor.Wait[*pb.EndControlCallRequest](t, m, nil)
	made, _ := testmonitor.Wait[*pb.SetInternalStateRequest](t, m, nil)
	if made.GetResourceHandle() != "uid" || !made.GetActive() || len(m.Heard()) != 3 {
		t.Errorf("%v", m.Heard())
	}
	var answer caller.Answer
	if err := json.Unmarshal(end.GetOutBuffer(), &answer); err != nil || string(answer.Response) == "" || answer.Error != "" {
		t.Errorf("%s: %v", end.GetOutBuffer(), err)
	}
}
