// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/understudy-dev/understudy/controllers/placement"
)

func TestNextMonitor(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "",
		"0:ro 1:r":            "",
		"0:rom 1:rm":          "db-1", // standby first
		"0:rom 1:ru":          "",     // kubelet still speaks of the one before
		"0:rom 1:rs":          "db-0", // back: the owner last
		"0:rom 1:":            "",     // it came back and is not ready
		"0:rom 1:m":           "db-1", // nothing is lost with it
		"0:om 1:r":            "db-0", // ready or not: the new monitor may be the cure
		"0:om 1:":             "",
		"0:rom 1:rm 2:rm":     "db-1",
		"0:rom 1:ru 2:rm":     "", // one at a time
		"0:rom 1:rs 2:rm":     "db-2",
		"0:rom 1:rm 2:m":      "db-2", // what is not ready first
		"0:rom 1:rm 2:":       "",     // a new host is starting
		"0:rom 1:rmn":         "db-0", // no kubelet would act there
		"0:rom 1:rmd":         "db-0", // it goes anyhow
		"0:rom 1:mf":          "db-0",
		"0:romn 1:r":          "",
		"0:rom":               "db-0", // alone: there is no other way
		"0:rm 1:rm":           "db-0", // nobody owns it
		"0:rom 1:mp":          "db-1", // on no node yet
		"0:r 1:rmo 2:rs 3:rn": "db-1",
	} {
		t.Run(text, func(t *testing.T) {
			name := ""
			if p := placement.NextMonitor(world(text), "new"); p != nil {
				name = p.Name
			}
			NewWithT(t).Expect(name).To(Equal(want))
		})
	}
}

// A group that hangs keeps its turn only if the roll-out is why: what waits for a host
// that was not ready before may wait for ever, and others with it.
func TestSettled(t *testing.T) {
	for text, want := range map[string]bool{
		"0:ro 1:r":        true,
		"0:ro 1:rs":       true,
		"0:ro 1:ru":       false, // not back yet
		"0:ro 1:rm":       false,
		"0:ro 1:rb":       false,
		"0:ro 1:":         false,
		"0:ro":            false,
		"0:ro 1:r 2:rdmb": true, // it is leaving
		"0:ro 1:r 2:rlmb": true, // and this one would if it could
		"0:ro 1:rnmb":     false,
	} {
		t.Run(text, func(t *testing.T) {
			NewWithT(t).Expect(placement.Settled(world(text), 2, 2, "new", false, "new")).To(Equal(want))
		})
	}
	for text, want := range map[string]bool{
		"0:rom 1:p":      true, // on no node, as before: its owner waits
		"0:rob 1:p":      true,
		"0:rob 1:":       true,
		"0:ro 1:p":       true,
		"0:rom 1:rs":     false, // it came: the owner is next
		"0:rob 1:pb":     false, // the next
		"0:ou 1:p":       false, // the owner's is not back
		"0:o 1:p":        false, // what was ready is not
		"0:rob 1:r 2:rd": false, // the owner waits only for the one that is leaving
	} {
		t.Run("of one "+text, func(t *testing.T) {
			NewWithT(t).Expect(placement.Settled(world(text), 2, 1, "new", false, "new")).To(Equal(want))
		})
	}
	g := NewWithT(t)
	g.Expect(placement.Settled(world("0:ro 1:rb"), 2, 2, "new", true, "new")).To(BeTrue(), "it may stay")
	g.Expect(placement.Settled(world("0:ro 1:rbm"), 2, 2, "new", true, "new")).To(BeFalse(), "its monitor follows all the same")
}

// Locked mode holds a roll-out back from the owner's host, and from no other.
func TestLockedOwnerIsNotRolled(t *testing.T) {
	for text, want := range map[string]string{
		"0:romb 1:rmb":      "db-1",
		"0:romb 1:rs":       "",
		"0:romb":            "",
		"0:omb 1:rs":        "db-0", // it is not ready: the new one may be the cure
		"0:rmb 1:rs":        "db-0", // nobody owns it
		"0:romb 1:rmb 2:mb": "db-2",
	} {
		t.Run(text, func(t *testing.T) {
			in := world(text)
			in.Locked = true
			monitor, host := "", ""
			if p := placement.NextMonitor(in, "new"); p != nil {
				monitor = p.Name
			}
			if p := placement.Hosts(in, len(in.Pods), "new").Roll; p != nil {
				host = p.Name
			}
			g := NewWithT(t)
			g.Expect(monitor).To(Equal(want))
			g.Expect(host).To(Equal(want))
		})
	}
}
