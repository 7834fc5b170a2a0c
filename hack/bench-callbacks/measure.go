// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// callsEvery is the pace of the round trips: 1000 a second.
	callsEvery = time.Millisecond
	// calls are measured, after as many as warmUp.
	calls    = 4000
	warmUp   = 1000
	floodFor = 5 * time.Second
	// floodRate is what has to be handled of one provider in a second.
	floodRate = 20000
	// rounds of transitions of every resource.
	rounds = 5
	// transitionEvery is the pause between two transitions of different resources.
	transitionEvery = 100 * time.Millisecond
	// flapFor is how long a resource comes and goes as fast as it can.
	flapFor = 8 * time.Second
	// burst is how many writes may come at once, before one a second.
	burst = 5
)

const pending = pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING

func statusEx(handle string, state pb.ResourceState, checkPoint uint32) *pb.SetResourceStatusExRequest {
	return &pb.SetResourceStatusExRequest{ResourceHandle: handle, ResourceStatus: &pb.ResourceStatusEx{
		ResourceState: state, CheckPoint: checkPoint,
	}}
}

// call is a callback whose round trip is measured.
type call struct {
	name string
	make func(n uint32) error
}

// measureCalls is the round trip of calls, one at a time, 1000 a second.
func measureCalls(ctx context.Context, h *host) ([]figure, error) {
	handle := h.handles[0]
	progress := func(n uint32) error {
		r, err := h.callback.SetResourceStatusEx(ctx, statusEx(handle, pending, n))
		if err == nil && r.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE {
			err = errors.New("the resource is not pending any more")
		}
		return err
	}
	alone := call{"gRPC alone, nothing of ours behind it", func(uint32) error {
		_, err := h.callback.SetResourceWprPolicy(ctx, &pb.SetResourceWprPolicyRequest{ResourceHandle: handle})
		if status.Code(err) == codes.Unimplemented {
			return nil
		}
		return errors.Join(err, errors.New("SetResourceWprPolicy is not Unimplemented"))
	}}
	var figures []figure
	for _, c := range []call{
		alone,
		{"SetResourceStatusEx", progress},
		{"LogEvent", func(uint32) error {
			_, err := h.callback.LogEvent(ctx, &pb.LogEventRequest{ResourceHandle: handle, Message: "a line of the log"})
			return err
		}},
		{"SignalFailure, refused", func(uint32) error {
			r, err := h.callback.SignalFailure(ctx, &pb.SignalFailureRequest{ResourceHandle: "nobody"})
			if err == nil && r.GetStatus() != 6 {
				err = fmt.Errorf("answered %d", r.GetStatus())
			}
			return err
		}},
	} {
		times, err := c.paced(ctx, callsEvery)
		if err != nil {
			return nil, err
		}
		f := latency("round trip at 1000/s: "+c.name, times)
		if c.name != alone.name {
			f = f.within(100*time.Microsecond, time.Millisecond)
		}
		figures = append(figures, f)
	}
	// Without a pause no processor falls asleep between two calls.
	for _, c := range []call{alone, {"SetResourceStatusEx", progress}} {
		times, err := c.paced(ctx, 0)
		if err != nil {
			return nil, err
		}
		figures = append(figures, latency("round trip, one right after the other: "+c.name, times))
	}
	return figures, nil
}

// paced makes calls at absolute times, and returns how long each took, from the time at
// which it was due if one before it took that long.
func (c call) paced(ctx context.Context, every time.Duration) ([]time.Duration, error) {
	times := make([]time.Duration, 0, calls)
	begin := time.Now()
	for n := range warmUp + calls {
		start := time.Now()
		if every > 0 {
			due := begin.Add(time.Duration(n) * every)
			waitUntil(due)
			// Waking up late is this program's affair, as long as it is not for the calls.
			if due.After(start) {
				start = time.Now()
			} else {
				start = due
			}
		}
		if err := c.make(uint32(n) + 1); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.name, err), ctx.Err())
		}
		if n >= warmUp {
			times = append(times, time.Since(start))
		}
	}
	return times, nil
}

// measureFlood is as many calls as one provider can make.
func measureFlood(ctx context.Context, h *host) ([]figure, error) {
	handle := h.handles[1]
	const callers = 16
	var number atomic.Uint32
	call := func() error {
		r, err := h.callback.SetResourceStatus(ctx, &pb.SetResourceStatusRequest{
			ResourceHandle: handle,
			ResourceStatus: &pb.ResourceStatus{ResourceState: pending, CheckPoint: number.Add(1)},
		})
		if err == nil && r.GetExitState() != pb.ResourceExitState_RESOURCE_EXIT_STATE_CONTINUE {
			err = errors.New("the resource is not pending any more")
		}
		return err
	}
	return h.flood(ctx, "SetResourceStatus", handle, func(end time.Time) (int64, error) {
		var done atomic.Int64
		errs := make([]error, callers)
		var wait sync.WaitGroup
		for i := range callers {
			wait.Go(func() {
				for time.Now().Before(end) {
					if errs[i] = call(); errs[i] != nil {
						return
					}
					done.Add(1)
				}
			})
		}
		wait.Wait()
		return done.Load(), errors.Join(errs...)
	})
}

// measureStream is the same by the stream that the protocol has for it.
func measureStream(ctx context.Context, h *host) ([]figure, error) {
	handle := h.handles[2]
	return h.flood(ctx, "Report", handle, func(end time.Time) (int64, error) {
		s, err := h.callback.Report(ctx)
		if err != nil {
			return 0, err
		}
		n := uint32(0)
		for time.Now().Before(end) {
			n++
			r := statusEx(handle, pending, n)
			if err := s.Send(&pb.ReportRequest{ResourceHandle: handle, ResourceStatus: r.GetResourceStatus()}); err != nil {
				break // CloseAndRecv has the reason
			}
		}
		r, err := s.CloseAndRecv()
		if err == nil && r.GetReports() != uint64(n) {
			err = fmt.Errorf("%d of %d reports were taken", r.GetReports(), n)
		}
		return int64(r.GetReports()), err
	})
}

func (h *host) flood(
	ctx context.Context, name, handle string, run func(end time.Time) (int64, error),
) ([]figure, error) {
	mark, stores := h.watch.mark(), h.journal.stores()
	begin := time.Now()
	n, err := run(begin.Add(floodFor))
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	if err := sleep(ctx, time.Second); err != nil { // the last write
		return nil, err
	}
	return []figure{
		rate(name+" a second, of one provider", float64(n)/took.Seconds(), atLeast(floodRate)),
		h.writes(name, mark, handle, took+time.Second),
		rate("journal writes a second under it", float64(h.journal.stores()-stores)/took.Seconds(), nothing),
	}, nil
}

// writes is how many API writes a second a resource cost, beyond the burst.
func (h *host) writes(name string, mark int, handle string, within time.Duration) figure {
	n := len(h.watch.since(mark, handle))
	return rate(fmt.Sprintf("API writes of the resource a second under %s (%d in all)", name, n),
		max(0, float64(n-burst))/within.Seconds(), atMost(1))
}

// measureVisible is the time from the answer of the callback to the event at a watcher.
func measureVisible(ctx context.Context, h *host) ([]figure, error) {
	mine := h.handles[5:]
	var up, down []time.Duration
	for range rounds {
		more, err := h.transitions(ctx, mine, func(handle string) error {
			_, err := h.callback.SetResourceStatusEx(ctx, statusEx(handle, pb.ResourceState_RESOURCE_STATE_ONLINE, 1))
			return err
		}, func(s v1alpha1.ResourceState) bool { return s == v1alpha1.StateOnline })
		if err != nil {
			return nil, err
		}
		up = append(up, more...)
		before := h.provider.onlines.Load()
		more, err = h.transitions(ctx, mine, func(handle string) error {
			_, err := h.callback.SignalFailure(ctx, &pb.SignalFailureRequest{ResourceHandle: handle, Exited: true})
			return err
		}, func(s v1alpha1.ResourceState) bool { return s != v1alpha1.StateOnline })
		if err != nil {
			return nil, err
		}
		down = append(down, more...)
		if err := h.until(ctx, "the restarts", func() bool {
			return h.provider.onlines.Load() == before+int64(len(mine))
		}); err != nil {
			return nil, err
		}
	}
	const p50, p99 = 20 * time.Millisecond, 100 * time.Millisecond
	return []figure{
		latency("visible after the callback returned: online", up).within(p50, p99),
		latency("visible after the callback returned: failed", down).within(p50, p99),
	}, nil
}

// transitions makes one of each resource, and returns when each was seen.
func (h *host) transitions(
	ctx context.Context, handles []string, act func(string) error, reached func(v1alpha1.ResourceState) bool,
) ([]time.Duration, error) {
	times := make([]time.Duration, 0, len(handles))
	for _, handle := range handles {
		mark := h.watch.mark()
		if err := act(handle); err != nil {
			return nil, err
		}
		returned := time.Now()
		at, err := h.watch.first(ctx, mark, func(s seen) bool { return s.handle == handle && reached(s.state) })
		if err != nil {
			return nil, err
		}
		times = append(times, max(0, at.Sub(returned)))
		if err := sleep(ctx, transitionEvery); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// measureFlap is a resource that fails as soon as it is asked to come online, and is
// restarted without delay.
func measureFlap(ctx context.Context, h *host) ([]figure, error) {
	handle := h.handles[3]
	fail := func(string) {
		_, _ = h.callback.SetResourceStatusEx(ctx, statusEx(handle, pb.ResourceState_RESOURCE_STATE_FAILED, 1))
	}
	mark, stores, starts := h.watch.mark(), h.journal.stores(), h.provider.onlines.Load()
	begin := time.Now()
	h.provider.whenOnline(func(of string) {
		if of == handle {
			fail(handle)
		}
	})
	fail(handle)
	err := sleep(ctx, flapFor)
	h.provider.whenOnline(nil)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	return []figure{
		rate("restarts a second of a resource that fails at once", float64(h.provider.onlines.Load()-starts)/took.Seconds(), nil),
		h.writes("restarts", mark, handle, took),
		rate("journal writes a second under restarts", float64(h.journal.stores()-stores)/took.Seconds(), nil),
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
