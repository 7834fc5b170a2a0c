// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

const (
	// maxThreads and maxDescriptors are how many of a process are told.
	maxThreads     = 256
	maxDescriptors = 256
	// maxFlush is how much text waits for a write.
	maxFlush = 16 << 10
)

// report writes the text of a dump: what says most about a hang comes first, so that
// a dump that is cut short has it.
type report struct {
	*reader
	out     *file
	symbols *symbols
	text    bytes.Buffer
}

func (r *report) printf(format string, args ...any) {
	fmt.Fprintf(&r.text, format, args...)
	if r.text.Len() > maxFlush {
		r.flush()
	}
}

func (r *report) flush() {
	_, _ = r.out.Write(r.text.Bytes())
	r.text.Reset()
}

func (r *report) write(m guardv1.Message, now time.Time, pids []int, missing []guardv1.Process) {
	r.printf("dump of resource %s: %s\ntime: %s\nprocesses: %d\n", m.Dump.Resource, m.Reason,
		now.UTC().Format("2006-01-02T15:04:05.000Z"), len(pids))
	for _, p := range missing {
		r.printf("not found: %s\n", describe(p))
	}
	if m.Dump.More > 0 {
		r.printf("left out: %d more processes\n", m.Dump.More)
	}
	for _, pid := range pids {
		r.threads(pid)
	}
	r.flush()
	for _, pid := range pids {
		r.stacks(pid)
	}
	r.flush()
	for _, pid := range pids {
		r.process(pid)
	}
	if err := r.over(); err != nil {
		r.printf("\nnot whole: %v\n", err)
	}
	r.flush()
}

func describe(p guardv1.Process) string {
	switch {
	case p.PID == 0:
		return p.Name
	case p.Name == "":
		return "process " + strconv.Itoa(int(p.PID))
	}
	return fmt.Sprintf("process %d, named %s", p.PID, p.Name)
}

// threads tells where each thread of a process is.
func (r *report) threads(pid int) {
	dir := strconv.Itoa(pid)
	r.printf("\n== process %d %s\ncmdline: %s\n", pid, r.line(dir+"/comm"),
		strings.ReplaceAll(r.line(dir+"/cmdline"), "\x00", " "))
	tids := r.list(dir + "/task")
	for i, tid := range tids {
		if i == maxThreads {
			r.printf("... and %d more threads\n", len(tids)-i)
			break
		}
		t := fmt.Sprintf("%d/task/%d", pid, tid)
		r.printf("thread %d %s state %s wchan %s syscall %s\n", tid, r.line(t+"/comm"), stateOf(r.line(t+"/stat")),
			orNone(r.line(t+"/wchan")), orNone(r.line(t+"/syscall")))
		// Only with privileges that a container hardly has.
		if kernel := r.line(t + "/stack"); kernel != "" {
			r.printf("  kernel: %s\n", strings.ReplaceAll(kernel, "\n", "\n  kernel: "))
		}
	}
}

// stateOf is the letter that ps shows.
func stateOf(stat string) string {
	if i := strings.LastIndexByte(stat, ')'); i >= 0 && i+2 < len(stat) {
		return stat[i+2 : i+3]
	}
	return "?"
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// stacks tells what is on the stack of each thread that waits in a system call:
// addresses that a function would return to, as file and offset. Some may be left
// over from earlier calls, since there is no unwinding here.
func (r *report) stacks(pid int) {
	m, err := r.memory(pid)
	if err != nil {
		r.printf("\n== stacks of process %d: %v\n", pid, err)
		return
	}
	defer m.close()
	r.printf("\n== stacks of process %d\n", pid)
	for i, tid := range r.list(strconv.Itoa(pid) + "/task") {
		if i == maxThreads {
			return
		}
		sp, pc, ok := registers(r.line(fmt.Sprintf("%d/task/%d/syscall", pid, tid)))
		if !ok {
			continue
		}
		r.printf("thread %d\n", tid)
		for _, at := range m.frames(sp, pc) {
			area := m.area(at)
			if area == nil {
				r.printf("  %#x\n", at)
				continue
			}
			off := at - area.start + area.offset
			r.printf("  %s+%#x%s\n", area.name, off, r.symbols.name(pid, area, off))
		}
	}
}

// process tells the rest of a process.
func (r *report) process(pid int) {
	dir := strconv.Itoa(pid) + "/"
	for _, name := range []string{"status", "limits", "io", "oom_score", "oom_score_adj"} {
		b, err := r.file(dir + name)
		if err != nil {
			r.printf("\n== %s of process %d: %v\n", name, pid, err)
			continue
		}
		r.printf("\n== %s of process %d\n", name, pid)
		r.text.Write(b)
	}
	r.printf("\n== maps of process %d, summed up by file\n", pid)
	if m, err := r.areas(pid); err == nil {
		for _, s := range summary(m) {
			r.printf("%s\n", s)
		}
	}
	fds := r.list(dir + "fd")
	r.printf("\n== descriptors of process %d: %d\n", pid, len(fds))
	for i, fd := range fds {
		if i == maxDescriptors {
			r.printf("... and %d more\n", len(fds)-i)
			break
		}
		r.printf("%d -> %s\n", fd, r.link(dir+"fd/"+strconv.Itoa(fd)))
	}
	r.flush()
}
