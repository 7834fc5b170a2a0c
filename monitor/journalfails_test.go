// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// broken is a disk that fails while it is told to, and knows what it has.
type broken struct {
	fails atomic.Bool
	has   atomic.Value
}

func (b *broken) Store(data []byte) error {
	if b.fails.Load() {
		return errors.New("no space left on device")
	}
	b.has.Store(string(data))
	return nil
}

// Who waits for a state that a barrier replaced is not told that it is durable if the
// barrier failed; and that state is tried again.
func TestBarrierFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		disk := &broken{}
		disk.fails.Store(true)
		var told []core.Input
		s := newStore(disk, func(in core.Input) { told = append(told, in) }, func(error) {})
		s.later([]byte("1"), 7)
		if s.now([]byte("2")) == nil {
			t.Error("a barrier on a broken disk")
		}
		go s.run(ctx)
		synctest.Wait()
		if len(told) != 1 || told[0].Persisted.ID != 7 || told[0].Persisted.Error == "" {
			t.Errorf("told %+v", told[0].Persisted)
		}
		disk.fails.Store(false)
		time.Sleep(2 * storeAgain)
		synctest.Wait()
		if disk.has.Load() != "2" {
			t.Errorf("the disk has %v", disk.has.Load())
		}
		cancel()
		synctest.Wait()
	})
}

// A reply that waited for nothing does not end the monitor when the journal fails behind
// it, and nothing that the journal must know of begins.
func TestJournalFailsBehindAReply(t *testing.T) {
	disk := &broken{}
	disk.fails.Store(true)
	l := &loop{
		core: core.New(core.Config{}, nil), store: newStore(disk, func(core.Input) {}, func(error) {}),
		inputs: make(chan core.Input, 1), log: newClusterLog(io.Discard),
	}
	answer := make(chan engine.Reply, 1)
	l.asking = asked{callback: &engine.Callback{ID: 7}, reply: answer}
	for _, op := range []engine.Op{engine.OpOnline, engine.OpArbitrate} {
		effects := []core.Effect{
			{Reply: &engine.Reply{ID: 7}}, {Journal: &core.Journal{Barrier: true}}, {Call: &engine.Call{ID: 5, Op: op}},
		}
		if _, err := l.carryOutAll(t.Context(), effects); err != nil {
			t.Errorf("%s: the monitor ends: %v", op, err)
			continue
		}
		select {
		case in := <-l.inputs:
			if in.Returned == nil || in.Returned.Call != 5 || in.Returned.Message == "" {
				t.Errorf("%s: %+v", op, in.Returned)
			}
		case <-time.After(time.Second):
			t.Errorf("%s was begun", op)
		}
	}
}
