// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/journal"
)

// What waits for a journal that cannot be written is not begun: an Online fails, and all
// else goes on; with a control call it ends this life of the monitor.
func TestJournalFailsBeforeOnline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	must(t, os.Mkdir(dir, 0o700))
	j, err := journal.Open(dir)
	must(t, err)
	must(t, os.RemoveAll(dir))
	l := &loop{
		core: core.New(core.Config{}, nil), store: newStore(j, func(core.Input) {}, func(error) {}),
		inputs: make(chan core.Input, 1), log: newClusterLog(io.Discard),
	}
	barrier := core.Effect{Journal: &core.Journal{Barrier: true}}
	online := core.Effect{Call: &engine.Call{ID: 5, Op: engine.OpOnline}}
	if _, err := l.carryOutAll(t.Context(), []core.Effect{barrier, online}); err != nil {
		t.Errorf("the monitor ends: %v", err)
	}
	if in := <-l.inputs; in.Returned == nil || in.Returned.Call != 5 || in.Returned.Outcome != engine.Unavailable {
		t.Errorf("%+v, want a failed Online", in)
	}
	answer := make(chan engine.Reply, 1)
	l.asking = asked{callback: &engine.Callback{ID: 7}, reply: answer}
	lock := core.Effect{Reply: &engine.Reply{ID: 7, Otherwise: engine.CodeResourcesLacking}}
	if _, err := l.carryOutAll(t.Context(), []core.Effect{barrier, lock}); err != nil {
		t.Errorf("the monitor ends: %v", err)
	}
	if r := <-answer; r.Code != engine.CodeResourcesLacking {
		t.Errorf("locked mode was answered %+v", r)
	}
	if _, err := l.carryOutAll(t.Context(), []core.Effect{barrier, {Reply: &engine.Reply{ID: 8}}}); err == nil {
		t.Error("the end of a control call was answered")
	}
	control := core.Effect{Call: &engine.Call{ID: 6, Op: engine.OpBeginResourceControl, Control: &engine.ControlArgs{}}}
	if _, err := l.carryOutAll(t.Context(), []core.Effect{barrier, control}); err != nil {
		t.Errorf("the monitor ends: %v", err)
	}
	if in := <-l.inputs; in.Returned == nil || in.Returned.Call != 6 || in.Returned.Outcome != engine.Unavailable {
		t.Errorf("%+v, want a control call that was not begun", in)
	}
}

// A state that cannot be stored is tried again, also if nobody waits for it, and
// the log says so once.
func TestJournalFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	must(t, os.Mkdir(dir, 0o700))
	j, err := journal.Open(dir)
	must(t, err)
	must(t, os.RemoveAll(dir))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var told []core.Input
		failures := 0
		s := newStore(j, func(in core.Input) { told = append(told, in) }, func(error) { failures++ })
		go s.run(ctx)
		s.later([]byte(`{"a":1}`), 0)
		time.Sleep(10 * storeAgain)
		synctest.Wait()
		if failures != 1 || len(told) != 0 {
			t.Errorf("%d failures were told, %v", failures, told)
		}
		s.later([]byte(`{"a":2}`), 7)
		synctest.Wait()
		if len(told) != 1 || told[0].Persisted == nil || told[0].Persisted.ID != 7 || told[0].Persisted.Error == "" {
			t.Errorf("%+v", told)
		}
		must(t, os.Mkdir(dir, 0o700))
		time.Sleep(storeAgain)
		synctest.Wait()
		var got struct{ A int }
		if ok, err := j.Load(&got); !ok || err != nil || got.A != 2 {
			t.Errorf("%+v, %v, %v", got, ok, err)
		}
		// The next row of failures is told again.
		must(t, os.RemoveAll(dir))
		s.later([]byte(`{"a":3}`), 0)
		synctest.Wait()
		if failures != 2 {
			t.Errorf("%d failures were told", failures)
		}
		cancel()
		synctest.Wait()
	})
}

// counter counts what is stored.
type counter struct{ n atomic.Int64 }

func (c *counter) Store([]byte) error {
	c.n.Add(1)
	return nil
}

// TestJournalIsPaced: however often something changes, the disk is written to at a pace,
// and the newest state gets there; but what somebody waits for does at once.
func TestJournalIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		disk, told := &counter{}, make(chan core.Input, 1)
		l := &loop{core: core.New(core.Config{}, nil)}
		l.store = newStore(disk, func(in core.Input) { told <- in }, func(error) {})
		go l.store.run(ctx)
		change := func() {
			must(t, l.journal(core.Journal{}))
			synctest.Wait()
			select {
			case <-l.store.free:
				l.storeMore()
			default:
			}
		}
		change()
		if n := disk.n.Load(); n != 1 {
			t.Fatalf("%d states of one change are stored", n)
		}
		for range 1000 {
			time.Sleep(time.Millisecond)
			change()
		}
		if n, most := disk.n.Load(), int64(time.Second/storePace)+1; n < most/2 || n > most {
			t.Errorf("1000 changes in a second were stored %d times", n)
		}
		must(t, l.journal(core.Journal{ID: 7}))
		synctest.Wait()
		if in := <-told; in.Persisted.ID != 7 {
			t.Errorf("%+v", in)
		}
		change()
		if !l.unstored {
			t.Fatal("nothing is left to be stored")
		}
		before := disk.n.Load()
		must(t, l.storeLast())
		if disk.n.Load() != before+1 || l.unstored {
			t.Error("what was left is not stored at the end")
		}
		cancel()
		synctest.Wait()
	})
}

// failOnce fails at the first state, while a newer one is on its way.
type failOnce struct {
	during func()
	stored []string
}

func (f *failOnce) Store(data []byte) error {
	if during := f.during; during != nil {
		f.during = nil
		during()
		return errors.New("no space left on device")
	}
	f.stored = append(f.stored, string(data))
	return nil
}

// An older state never follows a newer one onto the disk.
func TestJournalKeepsItsOrder(t *testing.T) {
	f := &failOnce{}
	s := newStore(f, func(core.Input) {}, func(error) {})
	stored := make(chan error, 1)
	f.during = func() {
		go func() { stored <- s.now([]byte("new")) }()
		for newer := false; !newer; {
			s.mu.Lock()
			newer = s.version == 2
			s.mu.Unlock()
		}
	}
	s.later([]byte("old"), 0)
	if s.flush() {
		t.Error("it is said to be stored")
	}
	must(t, <-stored)
	s.flush()
	if len(f.stored) != 1 || f.stored[0] != "new" {
		t.Errorf("stored %q", f.stored)
	}
}
