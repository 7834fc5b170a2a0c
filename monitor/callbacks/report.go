// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"context"
	"errors"
	"io"
	"sync"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// maxReports bounds the reports of one stream that wait for the engine; then the
// stream is read no further, which holds the provider up.
const maxReports = 16

// Report takes status reports from a stream until that ends, or one is answered with
// TERMINATE.
func (s *Server) Report(stream providerv1.MonitorService_ReportServer) error {
	q := &reports{grown: make(chan struct{}, 1), shrunk: make(chan struct{}, 1)}
	// It ends with the stream, at the latest when this function has returned.
	go q.read(stream)
	answer := &providerv1.ReportResponse{ExitState: exitState(engine.Reply{})}
	for {
		r, err := q.next(stream.Context())
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(answer)
		}
		if err != nil {
			return err
		}
		reply, err := s.call(stream.Context(), r.callback)
		if err != nil {
			return err
		}
		answer.Reports, answer.ExitState = r.number, exitState(reply)
		if reply.ExitState == engine.ExitTerminate {
			return stream.SendAndClose(answer)
		}
	}
}

// reports are those of one stream that the engine has yet to take, in order.
type reports struct {
	mu   sync.Mutex
	list []report
	// count of those that were read; err is why there will be no more.
	count uint64
	err   error

	grown, shrunk chan struct{}
}

// report is one, or a row of those of which only the newest counts.
type report struct {
	callback engine.Callback
	// number of the newest in the stream, from 1.
	number uint64
}

// read queues what the stream brings.
func (q *reports) read(stream providerv1.MonitorService_ReportServer) {
	for {
		r, err := stream.Recv()
		if err == nil {
			cb := engine.Callback{Handle: nameable(r.GetResourceHandle()), SetResourceStatus: statusEx(r.GetResourceStatus())}
			err = q.put(stream.Context(), cb)
		}
		if err != nil {
			q.end(err)
			return
		}
	}
}

// put queues a report, and waits while there is no room.
func (q *reports) put(ctx context.Context, cb engine.Callback) error {
	for !q.add(cb) {
		select {
		case <-q.shrunk:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(q.grown)
	return nil
}

func (q *reports) add(cb engine.Callback) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.list)
	switch {
	case n > 0 && supersedes(cb, q.list[n-1].callback):
		q.list = q.list[:n-1]
	case n >= maxReports:
		return false
	}
	q.count++
	q.list = append(q.list, report{callback: cb, number: q.count})
	return true
}

// supersedes tells whether a report makes the one right before it pointless: both tell
// of the progress of the same operation, and of nothing else that is kept.
func supersedes(cb, before engine.Callback) bool {
	now, then := *cb.SetResourceStatus, *before.SetResourceStatus
	if now.State != engine.ReportedOnlinePending && now.State != engine.ReportedOfflinePending {
		return false
	}
	then.CheckPoint, then.Message = now.CheckPoint, now.Message
	return cb.Handle == before.Handle && now == then
}

// end says that nothing more comes.
func (q *reports) end(err error) {
	q.mu.Lock()
	q.err = err
	q.mu.Unlock()
	signal(q.grown)
}

// next is the next report; an error is why there is none, once all were taken.
func (q *reports) next(ctx context.Context) (report, error) {
	for {
		q.mu.Lock()
		if len(q.list) > 0 {
			r := q.list[0]
			q.list = append(q.list[:0], q.list[1:]...)
			q.mu.Unlock()
			signal(q.shrunk)
			return r, nil
		}
		err := q.err
		q.mu.Unlock()
		if err != nil {
			return report{}, err
		}
		select {
		case <-q.grown:
		case <-ctx.Done():
			return report{}, ctx.Err()
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
