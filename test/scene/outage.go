// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"errors"
	"fmt"
	"time"
)

// Change is a moment at which a client's attempts began to fail or to succeed.
type Change struct {
	Up    bool
	At    time.Time
	Error string
}

// Outage is a time in which a client was not served.
type Outage struct {
	Down, Up time.Time
	// Parts is how many times it was down in between: one, unless service came back
	// for a moment.
	Parts int
}

// Length of the outage.
func (o Outage) Length() time.Duration { return o.Up.Sub(o.Down) }

// String tells how long it was.
func (o Outage) String() string {
	if o.Parts == 0 {
		return "none"
	}
	text := o.Length().Round(time.Millisecond).String()
	if o.Parts > 1 {
		text += fmt.Sprintf(" in %d parts", o.Parts)
	}
	return text
}

// outageSince joins all that a client missed since a time, from when it was first
// down to when it was up for good; one that had begun before counts from that time.
func outageSince(changes []Change, since time.Time) Outage {
	var o Outage
	for _, c := range changes {
		switch {
		case c.At.Before(since):
			o = Outage{}
			if !c.Up {
				o = Outage{Down: since, Parts: 1}
			}
		case c.Up:
			if o.Parts > 0 {
				o.Up = c.At
			}
		default:
			if o.Parts == 0 {
				o.Down = c.At
			}
			o.Parts++
			o.Up = time.Time{}
		}
	}
	return o
}

// Tolerance is how far a client and the timeline may disagree: the attempts of the
// client are 5 ms apart and kube-proxy takes some 20 ms to follow an endpoint.
const Tolerance = 100 * time.Millisecond

// Agree compares what a client saw with what the timeline says of an interruption
// that the cluster noticed at once: both ends must agree.
func Agree(o Outage, e Entry) error {
	if o.Parts == 0 && Ended(e).Sub(Began(e)) <= Tolerance {
		return nil
	}
	return errors.Join(
		near("the client was down", o.Down, "the cluster says detectedTime", Began(e)),
		near("the client was up again", o.Up, "the cluster says", Ended(e)),
	)
}

// AgreeOnSilence compares them for an owner that was cut off by a command: the
// cluster cannot know when, but must say that it was heard before and missed after.
func AgreeOnSilence(o Outage, e Entry, command Span) error {
	errs := []error{near("the client was up again", o.Up, "the cluster says", Ended(e))}
	if o.Down.Before(command.Began.Add(-Tolerance)) || o.Down.After(command.Ended.Add(Tolerance)) {
		errs = append(errs, fmt.Errorf("the client was down at %s, not while the node was cut off, %s to %s",
			stamp(o.Down), stamp(command.Began), stamp(command.Ended)))
	}
	if e.LastHeardTime == nil || e.LastHeardTime.After(o.Down) {
		errs = append(errs, fmt.Errorf("lastHeardTime %s is not before the client was down, %s", clockOf(e.LastHeardTime), stamp(o.Down)))
	}
	if e.DetectedTime == nil || e.DetectedTime.Time.Before(o.Down) {
		errs = append(errs, fmt.Errorf("detectedTime %s is not after the client was down, %s", clockOf(e.DetectedTime), stamp(o.Down)))
	}
	return errors.Join(errs...)
}

// Span is a time that something took.
type Span struct{ Began, Ended time.Time }

// During measures what do takes.
func During(do func() error) (Span, error) {
	s := Span{Began: time.Now()}
	err := do()
	s.Ended = time.Now()
	return s, err
}

// Disagreement is a difference between client and timeline beyond the Tolerance.
type Disagreement struct {
	By   time.Duration
	text string
}

// Error tells both times.
func (d *Disagreement) Error() string { return d.text }

// Disagreements parts those of a scene from all else that went wrong in it.
func Disagreements(err error) (list []*Disagreement, others error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			more, other := Disagreements(e)
			list, others = append(list, more...), errors.Join(others, other)
		}
		return list, others
	}
	if d := (*Disagreement)(nil); errors.As(err, &d) {
		return []*Disagreement{d}, nil
	}
	return nil, err
}

func near(what string, a time.Time, other string, b time.Time) error {
	if difference := a.Sub(b).Abs(); difference > Tolerance {
		return &Disagreement{By: difference, text: fmt.Sprintf("%s at %s, %s %s: %d ms apart, more than %d",
			what, stamp(a), other, stamp(b), difference.Milliseconds(), Tolerance.Milliseconds())}
	}
	return nil
}
