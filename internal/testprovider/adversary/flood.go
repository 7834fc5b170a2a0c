// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// As many as the monitor takes, but for one connection: some is to be left for a test.
const (
	connections = 7
	callers     = 16 // of bombs, on each connection
	// unary callers of a flood on each connection. One connection is for streams, which
	// fill it: many leave the processors of a small machine to nothing else.
	unary = 4
)

// Counts are the calls of a flood that were answered, with whatever, and the reports that
// streams took.
type Counts struct{ Calls, Reports atomic.Int64 }

// Flood makes all callbacks as fast as it can until ctx ends, about one resource: what
// each says changes all the time, and counts them. At most 4 streams of reports are among them.
func Flood(ctx context.Context, socket string, to Target, streams int, n *Counts) error {
	return crowd(socket, unary, func(c *Caller, caller int) {
		if caller < unary {
			if caller < streams {
				c.reports(ctx, to, n)
			}
			return
		}
		for i := uint32(caller); ctx.Err() == nil; i++ {
			for _, m := range Callbacks() {
				if m.IsStreamingClient() {
					continue
				}
				r, err := Request(m, to)
				if err != nil {
					return
				}
				vary(r, i)
				if took(c.Call(ctx, m, r)) {
					n.Calls.Add(1)
				}
			}
		}
	})
}

// took: the call came as far as its callback.
func took(_ proto.Message, err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.Unimplemented:
		return true
	}
	return false
}

// BombAll makes all callbacks as large as they can be until ctx ends, as many at once as
// the monitor takes, and returns how many it took.
func BombAll(ctx context.Context, socket string) (int64, error) {
	var n atomic.Int64
	bombs := map[string]proto.Message{}
	for _, m := range Callbacks() {
		r, err := Bomb(m)
		if err != nil {
			return 0, err
		}
		bombs[string(m.Name())] = r
	}
	err := crowd(socket, callers, func(c *Caller, caller int) {
		for i := caller; ctx.Err() == nil; i++ {
			m := Callbacks()[i%len(bombs)]
			if took(c.Call(ctx, m, bombs[string(m.Name())])) {
				n.Add(1)
			}
		}
	})
	return n.Load(), err
}

// crowd runs so many callers on each of several connections. They are numbered.
func crowd(socket string, callers int, run func(c *Caller, caller int)) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	for i := range connections {
		c, err := Dial(socket, nil)
		if err != nil {
			return err
		}
		var mine sync.WaitGroup
		for j := range callers {
			mine.Go(func() { run(c, i*callers+j) })
		}
		wait.Go(func() {
			mine.Wait()
			_ = c.Close()
		})
	}
	return nil
}

// vary makes the n-th of many like requests differ from the one before.
func vary(r proto.Message, n uint32) {
	odd := n%2 == 1
	switch r := r.(type) {
	case *pb.SetResourceStatusRequest:
		r.GetResourceStatus().CheckPoint = n
	case *pb.SetResourceStatusExRequest:
		r.GetResourceStatus().CheckPoint, r.GetResourceStatus().Flags = n, n
	case *pb.SignalFailureRequest:
		r.FailureType = pb.FailureType(n % 4)
		r.Exited, r.Message = n%64 == 0, fmt.Sprint("harm ", n)
	case *pb.LogEventRequest:
		r.LogLevel, r.Message = pb.LogLevel(n%5), fmt.Sprint("harm ", n)
	case *pb.EndControlCallRequest:
		r.Context = int64(n)
	case *pb.EndTypeControlCallRequest:
		r.Context = int64(n)
	case *pb.SetResourceLockedModeRequest:
		r.LockedModeEnabled, r.LockedModeReason = odd, n
	case *pb.SetResourceLockedModeExRequest:
		r.LockedModeEnabled, r.LockedModeReason = odd, n
	case *pb.SetResourceInMemoryNodeLocalPropertiesRequest:
		r.PropertyList = properties(fmt.Sprint(n))
	case *pb.SetInternalStateRequest:
		r.Active = odd
	case *pb.RaiseResTypeNotificationRequest:
		r.Payload = fmt.Append(nil, n)
	case *pb.ChangeResourceProcessForDumpsRequest:
		r.ProcessId, r.IsAdd = n%64+1, odd
	case *pb.ChangeResTypeProcessForDumpsRequest:
		r.ProcessId, r.IsAdd = n%64+1, odd
	case *pb.RequestDumpRequest:
		r.DumpDelayInMs, r.DumpDueToCallInProgress = n%2000, odd
	}
}

// reports sends reports down one stream after the other.
func (c *Caller) reports(ctx context.Context, to Target, n *Counts) {
	for at := uint32(0); ctx.Err() == nil; {
		s, err := pb.NewMonitorServiceClient(c.conn).Report(ctx)
		if err != nil {
			continue
		}
		for ctx.Err() == nil && err == nil {
			at++
			err = s.Send(&pb.ReportRequest{ResourceHandle: to.Handle, ResourceStatus: &pb.ResourceStatusEx{
				ResourceState: pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING, CheckPoint: at,
			}})
			if err == nil {
				n.Reports.Add(1)
			}
		}
		_, _ = s.CloseAndRecv()
	}
}
