//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestPausedOwner plays examples/fencing: all that is on the owner's host stands still,
// the guard as well, until another host has taken over and announced its epoch to the
// store. Then the program goes on, and for a while it alone: nothing on its host can end
// it. The store refuses what it writes.
func TestPausedOwner(t *testing.T) {
	must(t, cluster.LoadPostgres(t.Context()))
	f := fencing{Group: scene.Group{Cluster: cluster, Namespace: stage(t), Name: "fencing"}}
	_, err := cluster.Kubectl(t.Context(), "apply", "--namespace", f.Namespace, "-k", "examples/fencing")
	must(t, err)
	must(t, f.WaitReady(t.Context(), 3*time.Minute))
	t.Run("EpochFile", f.epochFile)
	t.Run("Refused", func(t *testing.T) {
		stale := f.pauseOwner(t, func(old int64) (bool, string, error) {
			log, err := cluster.Kubectl(t.Context(), "logs", "--namespace", f.Namespace, "deploy/fencing-store")
			n := strings.Count(log, fmt.Sprintf("stale epoch %d:", old))
			return n > 0, fmt.Sprintf("%d refusals", n), err
		})
		if stale != 0 {
			t.Errorf("%d rows were written under a stale epoch", stale)
		}
		if twice := f.count(t, "SELECT count(*) - count(DISTINCT n) FROM entries"); twice != 0 {
			t.Errorf("%d numbers stand there twice", twice)
		}
	})
	// The same store without its check takes what a program writes that goes on: the
	// above could have failed.
	t.Run("NotRefused", func(t *testing.T) {
		f.ask(t, `CREATE OR REPLACE FUNCTION check_epoch(mine bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'`)
		before := f.count(t, "SELECT count(*) - count(DISTINCT n) FROM entries")
		stale := f.pauseOwner(t, func(int64) (bool, string, error) {
			twice := f.count(t, "SELECT count(*) - count(DISTINCT n) FROM entries")
			return twice > before, fmt.Sprintf("%d numbers stand there twice", twice), nil
		})
		if stale == 0 {
			t.Error("no row was written under a stale epoch")
		}
	})
}

// fencing is examples/fencing in a namespace.
type fencing struct{ scene.Group }

// writer is its program.
var writer = scene.Program{Command: "sh", Argument: "/fencing/writer.sh"}

// ask asks the store.
func (f fencing) ask(t *testing.T, statement string) string {
	t.Helper()
	return ok(cluster.Kubectl(t.Context(), "exec", "--namespace", f.Namespace, "deploy/fencing-store", "--",
		"psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement))(t)
}

func (f fencing) count(t *testing.T, statement string) int64 {
	t.Helper()
	return ok(strconv.ParseInt(strings.TrimSpace(f.ask(t, statement)), 10, 64))(t)
}

func (f fencing) written(t *testing.T, epoch int64) int64 {
	t.Helper()
	return f.count(t, fmt.Sprintf("SELECT count(*) FROM entries WHERE epoch = %d", epoch))
}

// epochFile checks that a command of kubectl exec finds the program's epoch.
func (f fencing) epochFile(t *testing.T) {
	owner := ok(f.Owner(t.Context()))(t)
	const path = "/understudy/provider/epoch/writer"
	text := ok(cluster.Exec(t.Context(), f.Namespace, owner.PodName, "writer", "cat", path))(t)
	if text != fmt.Sprintln(owner.Epoch) {
		t.Errorf("%s has %q, want %d", path, text, owner.Epoch)
	}
	standby, _, err := f.Standby(t.Context())
	must(t, err)
	if _, err := cluster.Exec(t.Context(), f.Namespace, standby, "writer", "cat", path); err == nil {
		t.Error("the standby has such a file, too")
	}
}

// pauseOwner has all of the owner stand still until another host writes, and then its
// program go on, without anything that could end it until something is seen. It returns
// how many rows were written under the stale epoch.
func (f fencing) pauseOwner(t *testing.T, seen func(old int64) (bool, string, error)) int64 {
	t.Helper()
	must(t, f.WaitRight(t.Context(), 2*time.Minute))
	old := ok(f.Owner(t.Context()))(t)
	f.until(t, "rows of the owner", func() (bool, string, error) {
		n := f.written(t, old.Epoch)
		return n >= 5, fmt.Sprintf("%d rows", n), nil
	})
	program := ok(f.OwnerContainer(t.Context(), "writer"))(t)
	monitor := ok(f.OwnerContainer(t.Context(), monitorContainer))(t)
	resume := func() error {
		for _, c := range []scene.Container{program, monitor} {
			if err := c.Resume(func(scene.Process) bool { return true }); err != nil {
				return err
			}
		}
		return nil
	}
	t.Cleanup(func() { // before the stage's
		if err := resume(); err != nil {
			t.Error(err)
		}
	})
	must(t, cluster.Pause(t.Context(), program, monitor))

	f.until(t, "another host to write", func() (bool, string, error) {
		owner, err := f.Owner(t.Context())
		if err != nil {
			return false, "", err
		}
		epoch := f.count(t, "SELECT epoch FROM fence")
		n := f.written(t, owner.Epoch)
		return owner.PodUID != old.PodUID && owner.State == understudyv1alpha1.GroupOnline && epoch == owner.Epoch && n >= 5,
			fmt.Sprintf("%s on %s, epoch %d with %d rows, announced %d", owner.State, owner.PodName, owner.Epoch, n, epoch), nil
	})
	next := ok(f.Owner(t.Context()))(t)
	if pids := ok(program.Find(writer))(t); len(pids) == 0 {
		t.Fatal("the old program is dead, not stopped: this proves nothing")
	}
	before := f.written(t, old.Epoch)

	must(t, program.Resume(func(p scene.Process) bool { return p.Command != "init" && p.Command != "provider" }))
	f.until(t, "what the old program does", func() (bool, string, error) { return seen(old.Epoch) })
	must(t, resume())
	f.until(t, "the end of the old program", func() (bool, string, error) {
		pids, err := program.Find(writer)
		return len(pids) == 0, fmt.Sprint(pids), err
	})

	// The old host stands by, and is good for it: the group can go back there.
	must(t, f.WaitRight(t.Context(), 2*time.Minute))
	if now := ok(f.Owner(t.Context()))(t); now.PodUID != next.PodUID || now.Epoch != next.Epoch {
		t.Errorf("the owner is %s, epoch %d; it was %s, %d", now.PodName, now.Epoch, next.PodName, next.Epoch)
	}
	stale := f.written(t, old.Epoch) - before
	ok(f.Call(t.Context(), understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, time.Minute))(t)
	must(t, f.WaitRight(t.Context(), 2*time.Minute))
	if now := ok(f.Owner(t.Context()))(t); now.PodUID != old.PodUID {
		t.Errorf("the owner is %s after the move, want %s", now.PodName, old.PodName)
	}
	t.Logf("epoch %d was paused, %d took over; %d stale rows", old.Epoch, next.Epoch, stale)
	return stale
}

// until waits for a condition.
func (f fencing) until(t *testing.T, what string, check func() (bool, string, error)) {
	t.Helper()
	must(t, cluster.Wait(t.Context(), what, time.Minute, func(context.Context) (bool, string, error) { return check() }))
}
