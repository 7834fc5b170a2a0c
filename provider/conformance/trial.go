// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// trial is one case, run for one type.
type trial struct {
	*suite
	ctx context.Context
	c   Case
	typ *Type

	resources []*resource
	late      []func()
	failure   string
	skipped   string
	story     []string
	took      time.Duration
}

// open says whether nothing is decided yet.
func (t *trial) open() bool { return t.failure == "" && t.skipped == "" }

// fail ends the case: what was expected, and what came.
func (t *trial) fail(format string, args ...any) {
	t.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// skip ends the case without judgement.
func (t *trial) skip(format string, args ...any) {
	t.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// later has f judge after everything, when what must not come had time to.
func (t *trial) later(f func()) { t.late = append(t.late, f) }

// perform runs the case, and leaves the provider as it was before.
func (t *trial) perform() {
	started := time.Now()
	defer func() { t.took = time.Since(started) }()
	if t.typ != nil && t.typ.unusable != "" {
		t.skipped = t.typ.unusable
		return
	}
	for _, need := range t.c.Needs {
		if t.skipped = need.missing(t.suite, t.typ); t.skipped != "" {
			return
		}
	}
	if t.c.run == nil {
		return
	}
	t.journal.enter(t)
	t.guarded(func() { t.c.run(t) })
	if t.failure != "" {
		t.story = story(t.journal.some(func(e *event) bool { return e.trial == t }))
	}
	t.monitor.script(nil)
	t.cleanUp()
	t.revive()
}

// cleanUp ends what the case left.
func (t *trial) cleanUp() {
	for _, r := range t.resources {
		if r.id == "" || r.forgotten || r.closed {
			continue
		}
		_, _ = t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id})
		_, _ = t.provider.Close(t.ctx, &pb.CloseRequest{ResourceId: r.id})
		r.closed = true
	}
}

// revive starts a provider that ended; the case is to blame.
func (t *trial) revive() {
	if t.process == nil || !t.ended() {
		return
	}
	t.died = append(t.died, t.title())
	if t.failure == "" {
		t.failure = fmt.Sprintf("the provider's process ended: %v", t.process.err)
		t.story = story(t.journal.some(func(e *event) bool { return e.trial == t }))
	}
	if err := t.restart(t.ctx); err != nil {
		t.failure += "; it could not be started again: " + err.Error()
	}
}

// ended says whether the provider's process has ended, or is about to.
func (t *trial) ended() bool {
	if t.failure == "" {
		return t.process.gone()
	}
	_, err := t.provider.Probe(t.ctx, &pb.ProbeRequest{}, grpc.WaitForReady(false))
	if status.Code(err) == codes.Unavailable {
		select {
		case <-t.process.exited:
		case <-time.After(time.Second):
		}
	}
	return t.process.gone()
}

func (t *trial) title() string { return t.c.Name }

// afterwards judges what had to wait.
func (t *trial) afterwards() {
	for _, f := range t.late {
		if t.open() {
			t.guarded(f)
		}
	}
	if t.c.judge != nil && t.open() {
		t.guarded(func() { t.c.judge(t) })
	}
	if t.failure != "" && t.story == nil && t.c.run != nil {
		t.story = story(t.journal.some(func(e *event) bool { return e.trial == t }))
	}
}

func (t *trial) result(several bool) Result {
	r := Result{Name: t.c.Name, Rule: t.c.Rule, Outcome: Passed, Took: t.took}
	if several && t.typ != nil {
		r.Type = t.typ.Name
	}
	switch {
	case t.failure != "":
		r.Outcome, r.Reason, r.Story = Failed, t.failure, t.story
	case t.skipped != "":
		r.Outcome, r.Reason = Skipped, t.skipped
	}
	return r
}

// await waits until the journal shows something.
func (t *trial) await(what string, met func([]event) bool) {
	timeout := time.NewTimer(t.config.Limits.pending())
	defer timeout.Stop()
	for {
		events, grew := t.journal.all()
		if met(events) {
			return
		}
		select {
		case <-grew:
		case <-timeout.C:
			t.fail("expected %s within %v, but it never came", what, t.config.Limits.pending())
		case <-t.ctx.Done():
			t.skip("the run was cancelled")
		}
	}
}

// eventually asks again and again until it is so.
func (t *trial) eventually(what string, met func() bool) {
	deadline := time.Now().Add(t.config.Limits.pending())
	for !met() {
		if time.Now().After(deadline) {
			t.fail("expected %s within %v, but it never came to be", what, t.config.Limits.pending())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.ctx.Done():
			t.skip("the run was cancelled")
		}
	}
}

// answered fails the case if a call got no answer of the contract.
func (t *trial) answered(call string, err error) {
	if err != nil {
		t.fail("%s: expected an answer, got the gRPC status %s: %s", call, status.Code(err),
			cut(status.Convert(err).Message(), 200))
	}
}

// refused wants a call not to succeed, and not to leave its outcome unknown.
func (t *trial) refused(call string, code uint32, err error) {
	switch {
	case unknownOutcome(err):
		t.fail("%s: expected a refusal, got the gRPC status %s, which leaves the outcome unknown", call, status.Code(err))
	case err == nil && (code == success || code == ioPending):
		t.fail("%s: expected a status that refuses it, got %d", call, code)
	}
}

// survives wants the provider to go on answering after something odd.
func (t *trial) survives() {
	r, err := t.provider.Probe(t.ctx, &pb.ProbeRequest{})
	t.answered("Probe, after it", err)
	if !r.GetReady() {
		t.fail("Probe, after it: expected ready, got ready=false")
	}
}

func unknownOutcome(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}

// unimplemented says whether a call is not supported.
func unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

// shell runs a command of the configuration.
func (t *trial) shell(r *resource, command string) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.config.Limits.call())
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", r.names().text(command))
	cmd.Dir = t.scratch
	cmd.Env = append(os.Environ(), "DIR="+t.scratch, "N="+fmt.Sprint(r.n), "HANDLE="+r.handle)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, cut(strings.TrimSpace(string(out)), 200))
	}
	return nil
}

// callbacks are those about a resource so far.
func (t *trial) callbacks(r *resource) []event {
	return t.journal.some(func(e *event) bool {
		h, ok := e.req.(handled)
		return e.callback && ok && h.GetResourceHandle() == r.handle
	})
}

// status is a report of either form.
type report struct {
	state       pb.ResourceState
	checkPoint  uint32
	eventHandle bool
	message     string
}

// reportOf is the status that a callback reports; false for other callbacks.
func reportOf(m proto.Message) (report, bool) {
	switch r := m.(type) {
	case *pb.SetResourceStatusRequest:
		st := r.GetResourceStatus()
		return report{st.GetResourceState(), st.GetCheckPoint(), st.GetEventHandle(), ""}, true
	case *pb.SetResourceStatusExRequest:
		st := r.GetResourceStatus()
		return report{st.GetResourceState(), st.GetCheckPoint(), st.GetEventHandle(), st.GetMessage()}, true
	}
	return report{}, false
}
