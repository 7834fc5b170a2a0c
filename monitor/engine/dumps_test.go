// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var _ = everySame("Callback/ChangeProcessForDumps", Event{Callback: &Callback{
	ID: 1, Container: "c", Handle: "a", ChangeProcessForDumps: &ChangeProcessForDumps{Name: "p", Add: true},
}}, "Reply(0,0)")

var _ = everySame("Callback/RequestDump", Event{Callback: &Callback{
	ID: 1, Container: "c", Handle: "a", RequestDump: &RequestDump{},
}}, "Dump Reply(0,0)")

var _ = everySame("Dumped", Event{Dumped: &Dumped{Container: "c", Resource: "a", File: "f"}}, "")

// onFailure has a resource dumped when it fails, with core files.
func onFailure(r Resource) Resource {
	r.DumpPolicy = &DumpPolicy{OnFailure: true, Core: true}
	return r
}

func (g *rig) dumps() []Dump {
	var all []Dump
	for _, a := range g.last {
		if a.Dump != nil {
			all = append(all, *a.Dump)
		}
	}
	return all
}

func (g *rig) process(uid, name string, pid uint32, add bool) Code {
	g.t.Helper()
	return g.cb(Callback{Container: "c", Handle: uid, ChangeProcessForDumps: &ChangeProcessForDumps{
		Name: name, PID: pid, Add: add,
	}}).Code
}

func (g *rig) typeProcess(container, name string, pid uint32, add bool) Code {
	g.t.Helper()
	return g.cb(Callback{Container: container, TypeName: "TEST", ChangeProcessForDumps: &ChangeProcessForDumps{
		Name: name, PID: pid, Add: add,
	}}).Code
}

func (g *rig) requestDump(d RequestDump) Code {
	g.t.Helper()
	return g.cb(Callback{Container: "c", Handle: "a", RequestDump: &d}).Code
}

func (g *rig) dumped(d Dumped) {
	g.t.Helper()
	d.Container, d.Resource = "c", "a"
	g.send(Event{Dumped: &d})
}

// hung has IsAlive of "a" run out of its deadline.
func (g *rig) hung() {
	g.t.Helper()
	g.pass(5 * sec)
	g.answer(OpLooksAlive, "a", Returned{Outcome: DeadlineExceeded})
}

// A set of processes can be added to and taken from, again and again, and has a bound.
// Shows: ChangeResourceProcessForDumps.
func TestDumpProcesses(t *testing.T) {
	g := online(t, res("a"), res("b"))
	for range 2 {
		g.want(g.process("a", "postgres", 0, true) == 0, "add")
		g.want(g.process("a", "", 17, true) == 0, "add by PID")
		g.want(g.process("b", "other", 3, true) == 0, "of another resource")
	}
	want := []DumpProcess{{Name: "postgres"}, {PID: 17}}
	g.want(slices.Equal(g.snap("a").DumpProcesses, want), "%v", g.snap("a").DumpProcesses)
	for range 2 {
		g.want(g.process("a", "postgres", 0, false) == 0, "remove")
	}
	g.want(slices.Equal(g.snap("a").DumpProcesses, want[1:]), "%v", g.snap("a").DumpProcesses)
	for name, bad := range map[string]DumpProcess{
		"nothing": {}, "long": {Name: strings.Repeat("x", maxProcessName+1)}, "line break": {Name: "a\nb"},
		"quote": {Name: `a"b`}, "PID": {PID: maxPID + 1},
	} {
		g.want(g.process("a", bad.Name, bad.PID, true) == CodeInvalidParameter, "%s was taken", name)
	}
	for i := range uint32(maxDumpProcesses - 1) {
		g.want(g.process("a", "", 100+i, true) == 0, "process %d", i)
	}
	g.want(g.process("a", "", 99, true) == CodeResourcesLacking, "no bound")
	g.want(g.process("a", "", 100, true) == 0, "known")
}

// The set of a type is that of the container whose provider speaks.
// Shows: ChangeResTypeProcessForDumps.
func TestTypeDumpProcesses(t *testing.T) {
	other := with(res("o"), func(r *Resource) { r.Container = "d" })
	g := online(t, res("a"), other)
	g.want(g.typeProcess("c", "postgres", 0, true) == 0 && g.typeProcess("d", "mysqld", 0, true) == 0, "add")
	g.want(g.cb(Callback{Container: "c", TypeName: "none", ChangeProcessForDumps: &ChangeProcessForDumps{
		Name: "p", Add: true,
	}}).Code == CodeTypeNotFound, "a type that nobody has")
	types := g.e.Snapshot(g.now).Types
	g.want(len(types) == 1 && types[0].Name == "test" && len(types[0].DumpProcesses) == 2, "%+v", types)
	g.process("a", "", 17, true)
	g.process("a", "postgres", 0, true) // in both sets
	g.want(g.requestDump(RequestDump{}) == 0, "request")
	want := []DumpProcess{{PID: 17}, {Name: "postgres"}}
	g.want(slices.Equal(g.dumps()[0].Processes, want), "%v", g.dumps()[0].Processes)
	for i := range uint32(maxDumpProcesses) {
		code := g.typeProcess("c", "", 100+i, true)
		g.want((code == CodeResourcesLacking) == (i >= maxDumpProcesses-2), "process %d: %d", i, code)
	}
	g.process("a", "one too many", 0, true)
	g.dumped(Dumped{File: "f"})
	g.pass(dumpGap)
	g.want(g.requestDump(RequestDump{}) == 0, "request")
	d := g.dumps()[0]
	g.want(len(d.Processes) == maxDumpProcesses && d.More == 1, "%d and %d more", len(d.Processes), d.More)
	types = g.e.Snapshot(g.now).Types
	g.want(types[0].LastDump != nil && types[0].LastDump.Pending, "%+v", types)
	for range 2 {
		g.want(g.typeProcess("d", "mysqld", 0, false) == 0, "remove")
	}
}

// A new provider process registers its own.
func TestNewProviderForgetsDumpProcesses(t *testing.T) {
	other := with(res("o"), func(r *Resource) { r.Container = "d" })
	g := online(t, res("a"), other)
	g.process("a", "p", 0, true)
	g.typeProcess("c", "p", 0, true)
	g.typeProcess("d", "q", 0, true)
	g.empty("c", "c2")
	s := g.e.Snapshot(g.now)
	g.want(len(g.snap("a").DumpProcesses) == 0, "%v", g.snap("a").DumpProcesses)
	g.want(len(s.Types) == 1 && len(s.Types[0].DumpProcesses) == 1 && s.Types[0].DumpProcesses[0].Container == "d", "%+v", s.Types)
}

// A deadlock is dumped before the process that hangs is killed.
func TestDeadlockDumps(t *testing.T) {
	g := online(t, res("a"))
	g.process("a", "p", 7, true)
	g.hung()
	var order []string
	for _, a := range g.last {
		switch {
		case a.Dump != nil:
			order = append(order, "dump "+string(a.Dump.Reason))
			g.want(a.Dump.Nonce == "c1" && a.Dump.Name == "a" && !a.Dump.Core && len(a.Dump.Processes) == 1, "%+v", a.Dump)
		case a.Restart != nil:
			order = append(order, fmt.Sprintf("restart %v", a.Restart.AfterDump))
		}
	}
	g.want(slices.Equal(order, []string{"dump Deadlock", "restart true"}), "%v", order)
	g.want(g.snap("a").LastDump.Pending, "%+v", g.snap("a").LastDump)

	// The proof is late only after the wait for the dump, too.
	g.pass(500 * ms)
	g.want(!g.noted(ReasonStopFailed), "impatient")
	g.dumped(Dumped{File: "f.txt", Bytes: 5})
	g.want(g.noted(ReasonDumped), "no Event")
	l := g.snap("a").LastDump
	g.want(l.File == "f.txt" && l.Bytes == 5 && !l.Pending && l.Reason == ReasonDeadlock, "%+v", l)
	g.pass(dumpWait)
	g.want(g.noted(ReasonStopFailed), "too patient")
	rs := g.restarts()
	g.want(len(rs) > 0 && !rs[0].AfterDump, "the repetition waits again: %v", rs)
}

// Who wants none gets none, and in an emergency nothing is worth a wait.
func TestDeadlockWithoutDump(t *testing.T) {
	g := online(t, with(res("a"), func(r *Resource) { r.DumpPolicy = &DumpPolicy{OnFailure: true} }))
	g.hung()
	g.want(len(g.dumps()) == 0 && len(g.restarts()) == 1 && !g.restarts()[0].AfterDump, "%v", g.last)

	g = online(t, res("a"))
	g.revoke(Emergency)
	g.pass(sec) // Terminate does not return
	g.want(len(g.dumps()) == 0 && len(g.restarts()) == 1 && !g.restarts()[0].AfterDump, "%v", g.last)
}

// A failure is dumped, if the policy says so, before Terminate, which waits a moment.
func TestFailureDumps(t *testing.T) {
	g := online(t, onFailure(res("a")))
	g.signal("a", true)
	g.want(len(g.dumps()) == 1 && g.dumps()[0].Core && g.dumps()[0].Reason == ReasonExited, "%v", g.dumps())
	g.is("a", Failed)
	g.want(g.call(OpTerminate, "a") == nil, "Terminate did not wait")
	g.dumped(Dumped{File: "f"})
	g.want(g.call(OpTerminate, "a") != nil, "Terminate does not come")

	// Nobody answers.
	g = online(t, onFailure(res("a")))
	g.signal("a", true)
	g.pass(dumpWait - 1)
	g.want(g.call(OpTerminate, "a") == nil, "Terminate did not wait")
	g.pass(1)
	g.want(g.call(OpTerminate, "a") != nil, "Terminate waits longer")
	g.pass(dumpLimit)
	l := g.snap("a").LastDump
	g.want(!l.Pending && l.File == "" && l.Message != "", "%+v", l)

	// Ownership is lost meanwhile.
	g = online(t, onFailure(res("a")))
	g.signal("a", true)
	g.revoke(Emergency)
	g.want(g.call(OpTerminate, "a") != nil, "Terminate waits in an emergency")

	// By default none is collected.
	g = online(t, res("a"))
	g.signal("a", true)
	g.want(len(g.dumps()) == 0 && g.call(OpTerminate, "a") != nil, "%v", g.last)
}

// The flags of a status report: no dump of this failure, and a dump now.
// Shows: SetResourceStatusEx.
func TestDumpFlags(t *testing.T) {
	report := func(g *rig, state int32, flags uint32) {
		g.cb(Callback{Container: "c", Handle: "a", SetResourceStatus: &SetResourceStatus{Ex: true, State: state, Flags: flags}})
	}
	g := ready(t, onFailure(res("a")))
	g.pend("a")
	report(g, ReportedFailed, FlagNoReport)
	g.is("a", Failed)
	g.want(len(g.dumps()) == 0, "%v", g.dumps())

	g = ready(t, onFailure(res("a")))
	g.pend("a")
	report(g, ReportedFailed, 0)
	g.want(len(g.dumps()) == 1, "%v", g.dumps())

	g = ready(t, res("a"))
	g.pend("a")
	report(g, ReportedOnlinePending, FlagDumpNow)
	g.want(len(g.dumps()) == 1 && g.dumps()[0].Reason == ReasonDumpRequested, "%v", g.dumps())
	g.dumped(Dumped{File: "f"})
	g.pass(dumpGap / 2)
	report(g, ReportedOnlinePending, FlagDumpNow)
	g.want(len(g.dumps()) == 0, "a flag that is still up dumps again")
}

// A request waits for its delay, is replaced by another, and has bounds.
// Shows: RequestDump.
func TestRequestDump(t *testing.T) {
	g := online(t, res("a"))
	g.want(g.requestDump(RequestDump{Delay: maxDumpDelay + 1}) == CodeInvalidParameter, "no bound")
	g.want(g.requestDump(RequestDump{Delay: time.Hour}) == 0 && g.requestDump(RequestDump{Delay: sec}) == 0, "refused")
	g.pass(sec - 1)
	g.want(len(g.dumps()) == 0, "early")
	g.pass(1)
	g.want(len(g.dumps()) == 1, "late")
	g.want(g.requestDump(RequestDump{}) == CodeResourcesLacking, "one beside another")
	g.dumped(Dumped{Message: "no room"})
	g.want(g.noted(ReasonNoDump), "no Event")
	g.want(g.requestDump(RequestDump{}) == CodeResourcesLacking, "as often as one likes")
	g.pass(dumpGap)
	g.want(g.requestDump(RequestDump{}) == 0 && len(g.dumps()) == 1, "never again")
}

// A request that is due to a call is not carried out if the call returns first.
// Shows: RequestDump.
func TestRequestDumpDueToCall(t *testing.T) {
	g := online(t, res("a"))
	due := RequestDump{DueToCallInProgress: true, Delay: 2 * sec}
	g.want(g.requestDump(due) == CodeInvalidState, "no call is in progress")
	g.pass(5 * sec)
	g.want(g.requestDump(due) == 0, "refused during a call")
	g.ok(OpLooksAlive, "a")
	g.pass(4 * sec)
	g.want(len(g.dumps()) == 0, "dumped though the call returned")

	g.pass(sec)
	g.want(g.requestDump(due) == 0, "refused during a call")
	g.pass(2 * sec)
	g.want(len(g.dumps()) == 1, "not dumped though the call goes on")

	// With the process the call is gone, and what was asked for.
	g = online(t, res("a"))
	g.pass(5 * sec)
	g.requestDump(RequestDump{Delay: sec})
	g.empty("c", "c2")
	g.pass(sec)
	g.want(len(g.dumps()) == 0, "dumped another process")
}

// Where nothing runs, nothing is dumped.
func TestDumpOfWhatIsGone(t *testing.T) {
	g := online(t, res("a"))
	g.send(Event{InitGone: &InitGone{Container: "c"}})
	g.want(g.requestDump(RequestDump{}) == CodeMonitorInvalidState && len(g.dumps()) == 0, "%v", g.dumps())
	g = online(t, res("a"))
	g.send(Event{ProviderDown: &ProviderDown{Container: "c"}})
	g.want(g.requestDump(RequestDump{}) == CodeMonitorInvalidState && len(g.dumps()) == 0, "%v", g.dumps())
}

// What a strange init answers does no harm.
func TestStrangeDumped(t *testing.T) {
	g := online(t, res("a"))
	g.send(Event{Dumped: &Dumped{Container: "c", Resource: "none"}})
	g.dumped(Dumped{File: "f"})
	g.want(g.snap("a").LastDump == nil, "%+v", g.snap("a").LastDump)
	g.requestDump(RequestDump{})
	g.send(Event{Dumped: &Dumped{Container: "d", Resource: "a", File: "f"}})
	g.want(g.snap("a").LastDump.Pending, "from another container")
	g.dumped(Dumped{File: strings.Repeat("x", 1000), Bytes: -1, Message: "\xff"})
	l := g.snap("a").LastDump
	g.want(len(l.File) == maxDumpFile && l.Bytes == 0 && l.Message == "", "%+v", l)
}

// A restarted monitor knows what was registered, and that a dump is under way.
func TestDumpsSurvive(t *testing.T) {
	g := online(t, res("a"))
	g.process("a", "p", 7, true)
	g.typeProcess("c", "q", 0, true)
	g.requestDump(RequestDump{})
	was := g.e.Snapshot(g.now)
	data, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	g.e = Restore(Config{}, s)
	g.armed, g.calls = 0, nil
	g.send(Event{Timer: &Timer{}})
	now := g.e.Snapshot(g.now)
	g.want(reflect.DeepEqual(now.Types, was.Types), "%+v, not %+v", now.Types, was.Types)
	g.want(reflect.DeepEqual(g.snap("a").DumpProcesses, was.Resources[0].DumpProcesses), "%+v", g.snap("a"))
	g.dumped(Dumped{File: "f"})
	g.want(g.snap("a").LastDump.File == "f", "%+v", g.snap("a").LastDump)
}
