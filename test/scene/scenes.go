// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Event is what was done, what the cluster did about it, and what a client saw.
type Event struct {
	What string
	// Did is what the cluster did, in words; Entry is where its status says so.
	Did   string
	Entry *Entry
	// Client is what the client missed.
	Client Outage
	// Silence is true if the cluster cannot know when the outage began.
	Silence bool
}

// KillOnce kills the program once: it is restarted in place.
func (q *Quickstart) KillOnce(ctx context.Context) (Event, error) {
	before, err := q.Owner(ctx)
	if err != nil {
		return Event{}, err
	}
	event, err := q.interrupt(ctx, "kill -9 of redis-server", func() error { return q.KillProgram(ctx) })
	if err != nil {
		return event, err
	}
	return event, errors.Join(
		want("kind", event.Entry.Kind, KindRestart),
		want("epoch", event.Entry.Epoch, before.Epoch),
		want("resource", event.Entry.ResourceName, MainResource),
		want("host", event.Entry.ToPodName, before.PodName),
		Agree(event.Client, *event.Entry),
	)
}

// KillBeyondThreshold kills the program of a resource that has used up its restarts:
// the group fails over.
func (q *Quickstart) KillBeyondThreshold(ctx context.Context) (Event, error) {
	before, err := q.Owner(ctx)
	if err != nil {
		return Event{}, err
	}
	standby, _, err := q.Standby(ctx)
	if err != nil {
		return Event{}, err
	}
	event, err := q.interrupt(ctx, "kill -9 again: beyond the threshold", func() error { return q.KillProgram(ctx) })
	if err != nil {
		return event, err
	}
	return event, errors.Join(
		want("kind", event.Entry.Kind, KindFailover),
		want("resource", event.Entry.ResourceName, MainResource),
		q.moved(ctx, before, standby, *event.Entry),
		Agree(event.Client, *event.Entry),
	)
}

// Move moves the group on request.
func (q *Quickstart) Move(ctx context.Context) (Event, error) {
	before, err := q.Owner(ctx)
	if err != nil {
		return Event{}, err
	}
	standby, _, err := q.Standby(ctx)
	if err != nil {
		return Event{}, err
	}
	event, err := q.interrupt(ctx, "ControlCall MOVE", func() error {
		call, err := q.Call(ctx, understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, time.Minute)
		if err != nil {
			return err
		}
		return succeeded(call)
	})
	if err != nil {
		return event, err
	}
	return event, errors.Join(
		want("kind", event.Entry.Kind, KindMove),
		q.moved(ctx, before, standby, *event.Entry),
		Agree(event.Client, *event.Entry),
	)
}

// Ask calls a control code of the program's type and checks its answer: the client
// must not notice.
func (q *Quickstart) Ask(ctx context.Context) (Event, error) {
	before, err := q.Mark(ctx)
	if err != nil {
		return Event{}, err
	}
	event, began := Event{What: "ControlCall PROCESS of redis"}, time.Now()
	call, err := q.Call(ctx, understudyv1alpha1.ControlCallSpec{ResourceName: MainResource, Code: "PROCESS"}, 30*time.Second)
	if err != nil {
		return event, err
	}
	event.Did = "answered " + call.Status.Output
	if len(event.Did) > 60 {
		event.Did = event.Did[:57] + "..."
	}
	if err := errors.Join(succeeded(call), q.Client.WaitUp(ctx, time.Now(), 30*time.Second)); err != nil {
		return event, err
	}
	event.Client = q.Client.Outage(began)
	var answer struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(call.Status.Output), &answer); err != nil || answer.PID <= 0 {
		return event, fmt.Errorf("the output %q does not name a process", call.Status.Output)
	}
	after, err := q.Owner(ctx)
	if err != nil {
		return event, err
	}
	if news := before.News(after.Timeline); len(news) > 0 {
		return event, fmt.Errorf("the call interrupted the group:%s", describeEntries(news))
	}
	return event, errors.Join(q.Client.MissedNothing(began), q.summarised(ctx, call))
}

// summarised tells whether the resource's status has the outcome of a call.
func (q *Quickstart) summarised(ctx context.Context, call *understudyv1alpha1.ControlCall) error {
	return q.Wait(ctx, "the outcome in the status of "+call.Spec.ResourceName, 10*time.Second,
		func(ctx context.Context) (bool, string, error) {
			r, err := q.Resource(ctx, call.Spec.ResourceName)
			if err != nil || r.Status.Owner == nil {
				return false, "no status", err
			}
			for _, result := range r.Status.Owner.ControlResults {
				if result.Name == call.Name && result.Code == call.Spec.Code && result.StatusCode == 0 {
					return true, "", nil
				}
			}
			return false, fmt.Sprintf("controlResults %+v", r.Status.Owner.ControlResults), nil
		})
}

// interrupt does something that interrupts the group once, and waits until that is
// over for cluster and client.
func (q *Quickstart) interrupt(ctx context.Context, what string, do func() error) (Event, error) {
	event := Event{What: what}
	if err := q.Settled(ctx); err != nil {
		return event, err
	}
	before, err := q.Mark(ctx)
	if err != nil {
		return event, err
	}
	q.Say("%s", what)
	began := time.Now()
	if err := do(); err != nil {
		return event, err
	}
	entry, err := q.WaitEntry(ctx, before, time.Minute)
	if err != nil {
		return event, fmt.Errorf("%w\n  the client saw:%s", err, q.Client.Changes(began))
	}
	event.Entry, event.Did = &entry, DescribeEntry(entry)
	// What the client says of the time after the end proves that it is over.
	if err := q.Client.WaitUp(ctx, Ended(entry).Add(2*Tolerance), 30*time.Second); err != nil {
		return event, err
	}
	event.Client = q.Client.Outage(began)
	q.Say("  %s; the client missed %s", event.Did, event.Client)
	return event, nil
}

// moved checks that a group went from one host to another, once.
func (q *Quickstart) moved(ctx context.Context, before understudyv1alpha1.GroupOwnerStatus, standby string, e Entry) error {
	after, err := q.Owner(ctx)
	if err != nil {
		return err
	}
	errs := []error{
		want("old owner", e.FromPodName, before.PodName), want("new owner", e.ToPodName, standby),
		want("owner in the status", after.PodName, standby), want("epoch in the status", after.Epoch, e.Epoch),
	}
	if e.Epoch <= before.Epoch {
		errs = append(errs, fmt.Errorf("epoch %d is not larger than %d", e.Epoch, before.Epoch))
	}
	if n := len(after.History); n < 2 || after.History[n-2].Epoch != before.Epoch {
		errs = append(errs, fmt.Errorf("the history does not say that epoch %d followed %d: %+v", e.Epoch, before.Epoch, after.History))
	}
	return errors.Join(errs...)
}

func want[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: %v, want %v", what, got, want)
	}
	return nil
}
