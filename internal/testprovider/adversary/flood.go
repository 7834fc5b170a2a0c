// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// As many as the monitor takes.
const (
	connections = 8
	unary       = 12 // callers on each connection
	streams     = 4  // on each connection
)

// Counts are the calls of a flood that were answered, with whatever, and the reports that
// streams took.
type Counts struct{ Calls, Reports atomic.Int64 }

// Flood makes all callbacks as fast as it can until ctx ends, about one resource: what
// each says changes all the time.
func Flood(ctx context.Context, socket string, to Target) (*Counts, error) {
	var n Counts
	return &n, crowd(socket, func(c *Caller, caller int) {
		if caller < streams {
			c.reports(ctx, to, &n)
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
				if _, err := c.Call(ctx, m, r); ctx.Err() == nil && err != nil && Read(nil, err) == "Unavailable" {
					continue // it waited for seconds, or for nobody
				}
				n.Calls.Add(1)
			}
		}
	})
}

// BombAll makes all callbacks as large as they can be until ctx ends, and returns how many.
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
	err := crowd(socket, func(c *Caller, caller int) {
		for i := caller; ctx.Err() == nil; i++ {
			m := Callbacks()[i%len(bombs)]
			_, _ = c.Call(ctx, m, bombs[string(m.Name())])
			n.Add(1)
		}
	})
	return n.Load(), err
}

// crowd runs callers on several connections, each with its number there.
func crowd(socket string, run func(c *Caller, caller int)) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	for range connections {
		c, err := Dial(socket, nil)
		if err != nil {
			return err
		}
		var mine sync.WaitGroup
		for caller := range unary + streams {
			mine.Go(func() { run(c, caller) })
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
