// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/understudy-dev/understudy/monitor/instant"
)

// The bounds of dumps. RA sections 1.14, 1.15 and 1.19 have none, so they are ours.
const (
	// maxDumpProcesses is how many processes a resource can have registered, a type as
	// many, and how many one dump names.
	maxDumpProcesses = 32
	// maxProcessName and maxPID bound what names a process.
	maxProcessName = 63
	maxPID         = 1 << 22
	// maxDumpDelay is the longest delay of a RequestDump.
	maxDumpDelay = time.Hour
	// dumpGap is the least time between two dumps of a resource that were asked for.
	dumpGap = 10 * time.Second
	// dumpLimit is how long a dump is waited for before it is said that none comes.
	dumpLimit = 10 * time.Second
	// dumpWait is the longest that a kill or a Terminate waits for a dump.
	dumpWait = 150 * time.Millisecond
	// maxDumpFile is the longest name of a file.
	maxDumpFile = 253
)

// DumpProcess is a process of a container: by Name, by PID, or by both, which then must
// agree.
type DumpProcess struct {
	// Name of at most 63 characters of printable ASCII but " \ < > &.
	Name string `json:"name,omitempty"`
	// PID in the PID namespace of the container.
	PID uint32 `json:"pid,omitempty"`
}

// DumpPolicy says when a dump is collected without being asked for (RA section 5.2,
// whose bits are not published).
type DumpPolicy struct {
	// OnDeadlock: a call did not return in time.
	OnDeadlock bool `json:"onDeadlock,omitempty"`
	// OnFailure: the resource failed, and its provider lives.
	OnFailure bool `json:"onFailure,omitempty"`
	// Core asks for core files in every dump.
	Core bool `json:"core,omitempty"`
}

// LastDump is the latest dump of a resource.
type LastDump struct {
	// Time at which it was asked for.
	Time   instant.Instant `json:"time"`
	Reason Reason          `json:"reason"`
	// Pending: init has not answered yet.
	Pending bool `json:"pending,omitempty"`
	// File is its name in the dump volume, empty if there is none; Bytes what was
	// written, core files included.
	File  string `json:"file,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	// Message says why there is none, or not all.
	Message string `json:"message,omitempty"`
}

// TypeSnapshot is what is known of a resource type in this group.
type TypeSnapshot struct {
	Name string `json:"name"`
	// DumpProcesses are those of ChangeResTypeProcessForDumps.
	DumpProcesses []TypeDumpProcess `json:"dumpProcesses,omitempty"`
	// LastDump of its resources, nil if there was none.
	LastDump *LastDump `json:"lastDump,omitempty"`
	// ControlResults: the last 4 finished control calls of the type, oldest first.
	ControlResults []ControlResult `json:"controlResults,omitempty"`
}

// TypeDumpProcess is a process that belongs to a type, in the container whose provider
// said so.
type TypeDumpProcess struct {
	Container string `json:"container"`
	DumpProcess
}

// dumps is what the engine knows of the dumps of a resource.
type dumps struct {
	processes []DumpProcess
	last      *LastDump
	// asked is a RequestDump that waits for its time, nil if there is none.
	asked *askedDump
}

type askedDump struct {
	at int64
	// call is the one that it depends on, 0 if none: a dump that is due after that
	// has returned is not collected.
	call uint64
}

// typeDumps is the set of a type.
type typeDumps struct {
	name      string
	processes []TypeDumpProcess
}

// changeProcessForDumps is ChangeResourceProcessForDumps (RA section 1.14).
func (e *Engine) changeProcessForDumps(r *resource, c ChangeProcessForDumps) Code {
	p := DumpProcess{Name: c.Name, PID: c.PID}
	if !p.valid() {
		return CodeInvalidParameter
	}
	set, changed, code := change(r.dumps.processes, p, c.Add)
	if changed {
		r.dumps.processes = set
		r.touched, e.journal = true, true
	}
	return code
}

// changeTypeProcessForDumps is ChangeResTypeProcessForDumps (RA section 1.15).
func (e *Engine) changeTypeProcessForDumps(name, container string, c ChangeProcessForDumps) Code {
	p := TypeDumpProcess{Container: container, DumpProcess: DumpProcess{Name: c.Name, PID: c.PID}}
	if !p.valid() {
		return CodeInvalidParameter
	}
	i, found := slices.BinarySearchFunc(e.typeDumps, name, func(t typeDumps, n string) int {
		return cmp.Compare(t.name, n)
	})
	var old []TypeDumpProcess
	if found {
		old = e.typeDumps[i].processes
	}
	set, changed, code := change(old, p, c.Add)
	switch {
	case !changed:
		return code
	case !found:
		e.typeDumps = slices.Insert(e.typeDumps, i, typeDumps{name: name, processes: set})
	default:
		e.typeDumps[i].processes = set
	}
	e.group, e.journal = true, true
	return code
}

// change adds to a set or takes away from it. Both can be repeated.
func change[P comparable](set []P, p P, add bool) (changed []P, did bool, code Code) {
	i := slices.Index(set, p)
	switch {
	case add == (i >= 0):
		return set, false, CodeSuccess
	case !add:
		return slices.Delete(slices.Clone(set), i, i+1), true, CodeSuccess
	case len(set) >= maxDumpProcesses:
		return set, false, CodeResourcesLacking
	}
	return append(slices.Clip(set), p), true, CodeSuccess
}

func (p DumpProcess) valid() bool {
	for _, c := range []byte(p.Name) {
		switch {
		case c < ' ' || c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false // it would need more room on the wire
		}
	}
	return len(p.Name) <= maxProcessName && p.PID <= maxPID && p != DumpProcess{}
}

// forgetDumpProcesses: the provider process that registered them is gone, and their
// numbers may come to mean others.
func (e *Engine) forgetDumpProcesses(c *container) {
	for _, r := range e.resources {
		if r.c == c && len(r.dumps.processes) > 0 {
			r.dumps.processes = nil
			e.touch(r, false)
		}
	}
	for i := range e.typeDumps {
		t := &e.typeDumps[i]
		t.processes = slices.DeleteFunc(slices.Clone(t.processes), func(p TypeDumpProcess) bool {
			return p.Container == c.name
		})
	}
	e.typeDumps = slices.DeleteFunc(e.typeDumps, func(t typeDumps) bool { return len(t.processes) == 0 })
}

// requestDump is RA section 1.19. A second request replaces the one that waits.
func (e *Engine) requestDump(r *resource, d RequestDump) Code {
	if d.Delay < 0 || d.Delay > maxDumpDelay {
		return CodeInvalidParameter
	}
	asked := askedDump{at: e.after(d.Delay)}
	if d.DueToCallInProgress {
		c := e.inProgress(r)
		if c == nil {
			return CodeInvalidState
		}
		asked.call = c.id
	}
	if asked.at > e.now.Boot {
		r.dumps.asked = &asked
		return CodeSuccess
	}
	r.dumps.asked = nil
	return e.dumpAsked(r)
}

// inProgress is the call of the resource that runs, the one begun last if there are
// several, nil if there is none.
func (e *Engine) inProgress(r *resource) *call {
	for _, c := range slices.Backward(e.calls) {
		if c.r == r {
			return c
		}
	}
	return nil
}

// dumpAsked collects a dump that somebody asked for, unless that was done just now.
func (e *Engine) dumpAsked(r *resource) Code {
	if l := r.dumps.last; l != nil && add(l.Time.Boot, dumpGap) > e.now.Boot {
		return CodeResourcesLacking
	}
	return e.dump(r, ReasonDumpRequested)
}

// dump has init write down what the processes of a resource are doing. Dumped follows.
func (e *Engine) dump(r *resource, why Reason) Code {
	if r.c.gone || r.c.killing != "" || r.c.nonce == "" {
		return CodeMonitorInvalidState // nothing runs there, or not for long
	}
	if slices.ContainsFunc(e.resources, func(x *resource) bool { return x.c == r.c && x.dumps.pending() }) {
		return CodeResourcesLacking // init collects one at a time
	}
	d := Dump{
		Container: r.c.name, Nonce: r.c.nonce, Resource: r.spec.UID, Name: r.spec.Name, Reason: why,
		Processes: slices.Clone(r.dumps.processes), Core: r.spec.dumpPolicy().Core,
	}
	for _, t := range e.typeDumps {
		for _, p := range t.processes {
			if t.name == r.spec.TypeName && p.Container == r.c.name && !slices.Contains(d.Processes, p.DumpProcess) {
				d.Processes = append(d.Processes, p.DumpProcess)
			}
		}
	}
	if d.More = len(d.Processes) - maxDumpProcesses; d.More > 0 {
		d.Processes = d.Processes[:maxDumpProcesses]
	} else {
		d.More = 0
	}
	r.dumps.last = &LastDump{Time: e.now, Reason: why, Pending: true}
	e.touch(r, false)
	e.group, e.journal = true, true
	e.out = append(e.out, Action{Dump: &d})
	return CodeSuccess
}

// dumpDeadlock: a call did not return in time, and the process is about to be killed.
// In an emergency nothing is worth a wait.
func (e *Engine) dumpDeadlock(r *resource) {
	if r.spec.dumpPolicy().OnDeadlock && (e.phase != Stopping || e.mode == Ordered) {
		e.dump(r, ReasonDeadlock)
	}
}

// dumpFailure: the resource failed, and is to be terminated.
func (e *Engine) dumpFailure(r *resource, f failure) {
	if r.spec.dumpPolicy().OnFailure && !f.noDump && r.c.callable() {
		e.dump(r, f.reason)
	}
}

// pending: a dump is being collected.
func (d *dumps) pending() bool { return d.last != nil && d.last.Pending }

// dumping says whether a dump of the resource that began just now is worth a wait.
func (r *resource) dumping(now int64) bool {
	return r.dumps.pending() && add(r.dumps.last.Time.Boot, dumpWait) > now
}

// dumpingIn says so of the resources of a container.
func (e *Engine) dumpingIn(c *container) bool {
	return slices.ContainsFunc(e.resources, func(r *resource) bool { return r.c == c && r.dumping(e.now.Boot) })
}

// dueDump collects a dump that was asked for with a delay, and gives up on one that
// nobody answers.
func (e *Engine) dueDump(r *resource) {
	if a := r.dumps.asked; a != nil && a.at <= e.now.Boot {
		r.dumps.asked = nil
		if a.call == 0 || slices.ContainsFunc(e.calls, func(c *call) bool { return c.id == a.call }) {
			e.dumpAsked(r)
		}
	}
	if r.dumps.pending() && add(r.dumps.last.Time.Boot, dumpLimit) <= e.now.Boot {
		e.dumpEnded(r, Dumped{
			Message: "the init of container " + r.c.name + " has not answered within " + dumpLimit.String(),
		})
	}
}

// nextDump tells the times of it.
func (r *resource) nextDump(sooner func(int64)) {
	if a := r.dumps.asked; a != nil {
		sooner(a.at)
	}
	if r.dumps.pending() {
		sooner(add(r.dumps.last.Time.Boot, dumpLimit))
		sooner(add(r.dumps.last.Time.Boot, dumpWait)) // what waits for it waits no longer
	}
}

// dumped: init has answered. One that comes late replaces what was said meanwhile.
func (e *Engine) dumped(d Dumped) {
	r := e.find(d.Resource)
	if r == nil || r.c.name != d.Container || r.dumps.last == nil {
		return
	}
	e.dumpEnded(r, d)
}

func (e *Engine) dumpEnded(r *resource, d Dumped) {
	l := *r.dumps.last
	l.Pending, l.Bytes = false, max(d.Bytes, 0)
	l.File, l.Message = legible(d.File, maxDumpFile), legible(d.Message, maxMessage)
	r.dumps.last = &l
	e.touch(r, false)
	e.group, e.journal, e.again = true, true, true
	if l.File == "" {
		e.note(LevelWarning, r, ReasonNoDump, "no dump of "+r.spec.Name+" ("+string(l.Reason)+"): "+l.Message, true)
		return
	}
	text := "a dump of " + r.spec.Name + " was collected (" + string(l.Reason) + "): " + l.File
	if l.Message != "" {
		text += ", not whole: " + l.Message
	}
	e.note(LevelInformation, r, ReasonDumped, text, true)
}

// legible is a text that a status can hold.
func legible(s string, n int) string {
	if !utf8.ValidString(s) {
		return ""
	}
	return clip(s, n)
}

// dumpPolicy is the plan's, or the default: at a deadlock, without core files.
func (r Resource) dumpPolicy() DumpPolicy {
	if r.DumpPolicy == nil {
		return DumpPolicy{OnDeadlock: true}
	}
	return *r.DumpPolicy
}

// typeSnapshots are the types of the resources here, sorted by name.
func (e *Engine) typeSnapshots() []TypeSnapshot {
	var all []TypeSnapshot
	at := func(name string) *TypeSnapshot {
		i, found := slices.BinarySearchFunc(all, name, func(t TypeSnapshot, n string) int { return cmp.Compare(t.Name, n) })
		if !found {
			all = slices.Insert(all, i, TypeSnapshot{Name: name})
		}
		return &all[i]
	}
	for _, t := range e.typeDumps {
		at(t.name).DumpProcesses = slices.Clone(t.processes)
	}
	for _, t := range e.typeResults {
		at(t.name).ControlResults = slices.Clone(t.results)
	}
	for _, r := range e.resources {
		l := r.dumps.last
		if l == nil {
			continue
		}
		if t := at(r.spec.TypeName); t.LastDump == nil || t.LastDump.Time.Boot <= l.Time.Boot {
			c := *l
			t.LastDump = &c
		}
	}
	return all
}

// restoreTypes takes the sets of types over from a snapshot.
func (e *Engine) restoreTypes(all []TypeSnapshot) {
	for _, t := range all {
		for _, r := range t.ControlResults {
			e.keepTypeResult(t.Name, r)
		}
		if len(t.DumpProcesses) > 0 {
			e.typeDumps = append(e.typeDumps, typeDumps{
				name: t.Name, processes: slices.Clone(t.DumpProcesses[:min(len(t.DumpProcesses), maxDumpProcesses)]),
			})
		}
	}
	slices.SortFunc(e.typeDumps, func(a, b typeDumps) int { return cmp.Compare(a.name, b.name) })
}

// snapshot and restore of what the engine knows of the dumps of a resource. A request
// that waits is not kept: it belonged to a moment.
func (d *dumps) snapshot(s *ResourceSnapshot) {
	s.DumpProcesses = slices.Clone(d.processes)
	if d.last != nil {
		l := *d.last
		s.LastDump = &l
	}
}

func (d *dumps) restore(s ResourceSnapshot) {
	d.processes = slices.Clone(s.DumpProcesses[:min(len(s.DumpProcesses), maxDumpProcesses)])
	if s.LastDump != nil {
		l := *s.LastDump
		d.last = &l
	}
}
