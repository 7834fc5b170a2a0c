// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"testing"
)

func TestParseProcStat(t *testing.T) {
	line := "4711 (a) b (c) R 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000\n"
	stat, err := parseProcStat([]byte(line))
	if err != nil || stat.state != 'R' || stat.startTicks != 987654 {
		t.Errorf("got %+v, %v", stat, err)
	}
	for _, broken := range []string{"", "1 (x", "1 (x) R 1 2", "1 (x) R 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 x"} {
		if _, err := parseProcStat([]byte(broken)); err == nil {
			t.Errorf("no error for %q", broken)
		}
	}
}

func TestProcessRecordIs(t *testing.T) {
	record := processRecord{PID: 7, StartTicks: 100, BootID: "a"}
	for _, test := range []struct {
		name string
		boot string
		stat procStat
		want bool
	}{
		{"itself", "a", procStat{'S', 100}, true},
		{"a later process with its id", "a", procStat{'S', 101}, false},
		{"the same numbers after a reboot", "b", procStat{'S', 100}, false},
		{"dead but not reaped", "a", procStat{'Z', 100}, false},
	} {
		if got := record.is(test.boot, test.stat); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestOwnProcessIsAlive(t *testing.T) {
	stat, err := readProcStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	record := processRecord{PID: os.Getpid(), StartTicks: stat.startTicks, BootID: bootID()}
	if !record.alive() {
		t.Error("this process is not alive")
	}
}

func TestInCgroup(t *testing.T) {
	for text, want := range map[string]bool{
		"8:pids:/understudy-localcluster/node-1\n0::/\n":                    true,
		"0::/understudy-localcluster/node-1/pods/kubepods/podx/abc\n":       true,
		"8:pids:/understudy-localcluster/node-10\n":                         false,
		"8:pids:/other/understudy-localcluster/node-1\n":                    false,
		"4:memory:/x\n8:pids:/\n":                                           false,
		"9:name=systemd:/understudy-localcluster/node-1/system\n8:pids:/\n": true,
	} {
		if got := inCgroup(text, "/understudy-localcluster/node-1"); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	mountinfo := `27 1 254:0 / / rw - ext4 /dev/vda rw
50 27 0:1 / /state/node-1/kubelet rw shared:1 - ext4 /dev/vda rw
51 50 0:2 / /state/node-1/kubelet/pods/a\040b rw - tmpfs tmpfs rw
52 27 0:3 / /state rw - tmpfs tmpfs rw
53 27 0:4 / /state2/x rw - tmpfs tmpfs rw
`
	want := []string{"/state/node-1/kubelet/pods/a b", "/state/node-1/kubelet"}
	if got := mountsBelow(mountinfo, "/state"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
