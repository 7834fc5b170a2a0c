// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

var dumpOrder = guardv1.Message{
	Type: guardv1.Dump, ID: "id", Reason: "Deadlock", Dump: &guardv1.DumpOrder{Resource: "db"},
}

// dumpText is what init has written, as seen from outside.
func dumpText(t *testing.T, b *box, m guardv1.Message) string {
	t.Helper()
	if m.ID != "id" || m.File == "" {
		t.Fatalf("%+v", m)
	}
	text, err := os.ReadFile(filepath.Join(b.root, dumpDir, m.File))
	must(t, err)
	return string(text)
}

// TestDump: init, as any user, writes down what the child does, before the kill that
// waits for it, and kills then.
func TestDump(t *testing.T) {
	for _, uid := range []int{0, nobody} {
		b, p, nonce := guardedBox(t, boxOptions{uid: uid, env: []string{"PASSWORD=s3cret"}}, "stubborn")
		p.send(dumpOrder)
		p.send(guardv1.Message{Type: guardv1.Kill, AfterDump: true})
		text := dumpText(t, b, p.expect(guardv1.Dumped))
		for _, want := range []string{"cmdline: /actor stubborn", "state S", "== stacks", "VmRSS:", "descriptors of process"} {
			if !strings.Contains(text, want) {
				t.Errorf("user %d: no %q in\n%s", uid, want, text)
			}
		}
		if strings.Contains(text, "s3cret") || strings.Contains(text, "== process 1 ") {
			t.Errorf("user %d: the environment, or init, is in\n%s", uid, text)
		}
		if empty := p.expect(guardv1.Empty); empty.Nonce == nonce {
			t.Errorf("%+v", empty)
		}
		b.up()
	}
}

// TestDumpWithoutVolume: a pod of an earlier release has none.
func TestDumpWithoutVolume(t *testing.T) {
	root := newRoot(t)
	must(t, os.Remove(filepath.Join(root, dumpDir)))
	m := listen(t, root)
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	p := m.accept()
	p.welcome()
	b.up()
	p.send(dumpOrder)
	if m := p.expect(guardv1.Dumped); m.File != "" || !strings.Contains(m.Reason, "no dump volume") {
		t.Fatalf("%+v", m)
	}
}

// TestHardGuardDuringDump: a dump with much to do, core files included, does not hold
// the guard up, nor outlive what it reads.
func TestHardGuardDuringDump(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody, enter: "nproc"}, "bomb")
	b.crowd(nonce, 50)
	g := p.guardUp(1, 200*time.Millisecond, 400*time.Millisecond)
	m := dumpOrder
	order := *m.Dump
	order.Core = true
	m.Dump = &order
	for boottime() < g.G2-int64(100*time.Millisecond) {
		time.Sleep(time.Millisecond) // so that the dump is under way at the guard
	}
	p.send(m)
	p.send(guardv1.Message{Type: guardv1.Kill, AfterDump: true})
	if late := time.Duration(b.dead(nonce) - g.G2); late > boundK {
		t.Errorf("dead %v after the hard guard", late)
	}
	seen := map[guardv1.Type]bool{}
	for len(seen) < 2 {
		must(t, p.c.SetReadDeadline(time.Now().Add(patience)))
		got, err := p.in.Read()
		must(t, err)
		seen[got.Type] = true
		if got.Type == guardv1.Empty && got.Nonce == nonce {
			t.Fatalf("%+v", got)
		}
	}
	if !seen[guardv1.Empty] || !seen[guardv1.Dumped] {
		t.Errorf("%v", seen)
	}
}
