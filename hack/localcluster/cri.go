// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// criAnswers asks containerd the first thing that kubelet asks it. It answers others long
// before: after a loss of power it looks at every pod that there was, and a kubelet that
// comes meanwhile gives up.
func criAnswers(ctx context.Context, socket string) error {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	// Neither what is asked nor what is answered matters.
	err = conn.Invoke(ctx, "/runtime.v1.RuntimeService/Version", &emptypb.Empty{}, &emptypb.Empty{})
	if err != nil {
		return fmt.Errorf("%s: %w", socket, err)
	}
	return nil
}
