// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// at is a moment of the tests, in milliseconds.
func at(ms int64) time.Time { return time.UnixMilli(1_900_000_000_000 + ms) }

func stored(ms int64) *metav1.MicroTime { return &metav1.MicroTime{Time: at(ms)} }

func TestOutageSince(t *testing.T) {
	down, up := func(ms int64) Change { return Change{At: at(ms)} }, func(ms int64) Change { return Change{At: at(ms), Up: true} }
	for name, test := range map[string]struct {
		changes []Change
		since   int64
		want    Outage
	}{
		"none":                    {[]Change{up(0)}, 10, Outage{}},
		"over before":             {[]Change{up(0), down(10), up(20)}, 30, Outage{}},
		"whole":                   {[]Change{up(0), down(10), up(20)}, 5, Outage{Down: at(10), Up: at(20), Parts: 1}},
		"had begun before":        {[]Change{up(0), down(10), up(20)}, 15, Outage{Down: at(15), Up: at(20), Parts: 1}},
		"goes on since before":    {[]Change{up(0), down(10)}, 15, Outage{Down: at(15), Parts: 1}},
		"goes on":                 {[]Change{up(0), down(10)}, 5, Outage{Down: at(10), Parts: 1}},
		"two":                     {[]Change{up(0), down(10), up(20), down(30), up(50)}, 5, Outage{Down: at(10), Up: at(50), Parts: 2}},
		"the second goes on":      {[]Change{up(0), down(10), up(20), down(30)}, 5, Outage{Down: at(10), Parts: 2}},
		"only the second is ours": {[]Change{up(0), down(10), up(20), down(30), up(50)}, 25, Outage{Down: at(30), Up: at(50), Parts: 1}},
	} {
		if got := outageSince(test.changes, at(test.since)); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestAgree(t *testing.T) {
	entry := Entry{Kind: KindRestart, DetectedTime: stored(1000), OnlineTime: stored(1200)}
	for name, test := range map[string]struct {
		outage Outage
		agree  bool
	}{
		"the same":           {Outage{Down: at(1000), Up: at(1200), Parts: 1}, true},
		"within":             {Outage{Down: at(901), Up: at(1299), Parts: 1}, true},
		"down too early":     {Outage{Down: at(899), Up: at(1200), Parts: 1}, false},
		"up too late":        {Outage{Down: at(1000), Up: at(1301), Parts: 1}, false},
		"never up":           {Outage{Down: at(1000), Parts: 1}, false},
		"nothing was missed": {Outage{}, false},
	} {
		err := Agree(test.outage, entry)
		if (err == nil) != test.agree {
			t.Errorf("%s: %v", name, err)
		}
		if list, others := Disagreements(errors.Join(err)); others != nil || !test.agree && len(list) == 0 {
			t.Errorf("%s: %v besides %v", name, others, list)
		}
	}
	// What is shorter than the attempts are apart may go unseen.
	if err := Agree(Outage{}, Entry{Kind: KindRestart, DetectedTime: stored(1000), OnlineTime: stored(1004)}); err != nil {
		t.Error(err)
	}
}

func TestAgreeOnSilence(t *testing.T) {
	command := Span{at(1000), at(1100)}
	outage := Outage{Down: at(1050), Up: at(6500), Parts: 1}
	entry := func() Entry {
		return Entry{Kind: KindFailover, LastHeardTime: stored(500), DetectedTime: stored(6000), OnlineTime: stored(6450), EndpointTime: stored(6480)}
	}
	if err := AgreeOnSilence(outage, entry(), command); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Outage, *Entry){
		"heard while it was gone":  func(_ *Outage, e *Entry) { e.LastHeardTime = stored(2000) },
		"never heard":              func(_ *Outage, e *Entry) { e.LastHeardTime = nil },
		"missed before it was":     func(_ *Outage, e *Entry) { e.DetectedTime = stored(900) },
		"down before the cut":      func(o *Outage, _ *Entry) { o.Down = at(800) },
		"up later than it is said": func(o *Outage, _ *Entry) { o.Up = at(6600) },
	} {
		o, e := outage, entry()
		if spoil(&o, &e); AgreeOnSilence(o, e, command) == nil {
			t.Errorf("%s: no objection", name)
		}
	}
}

func TestDisagreements(t *testing.T) {
	other := errors.New("the wrong owner")
	list, others := Disagreements(errors.Join(other, errors.Join(near("a", at(0), "b", at(500)), nil)))
	if len(list) != 1 || list[0].By != 500*time.Millisecond || !errors.Is(others, other) {
		t.Errorf("%v, %v", list, others)
	}
	if list, others := Disagreements(nil); list != nil || others != nil {
		t.Errorf("%v, %v", list, others)
	}
}
