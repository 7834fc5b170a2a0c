// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// TestHardGuard: whatever runs in the container, all of it is dead by G2 + K.
// The monitor does not say a word after it has set the guard.
func TestHardGuard(t *testing.T) {
	for _, c := range []struct {
		actor   string
		options boxOptions
		more    int // processes beside the first that tell when they are up
		least   int // processes that must die
	}{
		{"stubborn", boxOptions{}, 0, 1},
		{"stubborn", boxOptions{uid: nobody}, 0, 1},
		{"stopped", boxOptions{uid: nobody}, 0, 1},
		{"tree", boxOptions{uid: nobody}, 2, 3},
		{"root", boxOptions{}, 0, 1},
		{"bomb", boxOptions{uid: nobody, enter: "nproc"}, 0, 100},
		{"hide", boxOptions{}, 0, 1},
		{"closed", boxOptions{uid: nobody}, 0, 1},
		{"flood", boxOptions{uid: nobody, undrained: true}, 0, 1},
	} {
		t.Run(c.actor+"/"+strconv.Itoa(c.options.uid), func(t *testing.T) {
			b, p, nonce := guardedBox(t, c.options, c.actor)
			// A tree that still grows counts who is about to leave it, and not who
			// is within exec.
			for range c.more {
				b.up()
			}
			hardGuard(b, p, nonce, c.least)
		})
	}
}

// hardGuard sets a guard and shows that it ends the period of nonce, in which at
// least so many processes live, and that the next one begins.
func hardGuard(b *box, p *peer, nonce string, least int) {
	b.t.Helper()
	b.crowd(nonce, least)
	g := p.guardUp(1, 200*time.Millisecond, 400*time.Millisecond)
	if boottime() < g.G2 && len(b.alive(nonce)) < least && boottime() < g.G2 {
		b.t.Fatal("the processes did not live until the hard guard")
	}
	onTime(b.t, "dead", b.dead(nonce), g.G2)
	empty := p.expect(guardv1.Empty)
	onTime(b.t, "told", boottime(), g.G2)
	if empty.Nonce == nonce || empty.Nonce == "" {
		b.t.Fatalf("empty %+v after the period %s", empty, nonce)
	}
	// The standby is back.
	b.crowd(empty.Nonce, 1)
}

// TestHardGuardStoppedTree: a child, its child and a daemon are all stopped by
// SIGSTOP, so that none of them hears the soft guard.
func TestHardGuardStoppedTree(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "tree")
	for range 2 {
		b.up() // the other two
	}
	var pids []int
	eventually(t, "three processes", func() bool { pids = b.alive(nonce); return len(pids) == 3 })
	for _, pid := range pids {
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		eventually(t, "a process to stop", func() bool { return state(t, pid) == 'T' })
	}
	hardGuard(b, p, nonce, 3)
}

// TestHardGuardForeignUser: init may not kill another user's process, so it
// exits, and the kernel kills it.
func TestHardGuardForeignUser(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "foreign")
	b.up() // both: the other one is root only from there on
	g := p.guardUp(1, 200*time.Millisecond, 400*time.Millisecond)
	onTime(t, "closed", p.gone(), g.G2)
	onTime(t, "dead", b.dead(nonce), g.G2)
	if code := b.exit(); code != 1 {
		t.Fatalf("exit code %d", code)
	}
}

// TestForeignUserAndDeath: the same when the child dies by itself.
func TestForeignUserAndDeath(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "foreign")
	b.up() // both: the other one is root only from there on
	var mine int
	for _, pid := range b.alive(nonce) {
		if cmdline(pid) == "/actor foreign" {
			mine = pid
		}
	}
	must(t, syscall.Kill(mine, syscall.SIGKILL))
	at := boottime()
	onTime(t, "closed", p.gone(), at)
	onTime(t, "dead", b.dead(nonce), at)
	if code := b.exit(); code != 1 {
		t.Fatalf("exit code %d", code)
	}
}

// TestStoppedMonitor: a monitor that is stopped by SIGSTOP, with the connection
// open, holds nothing up.
func TestStoppedMonitor(t *testing.T) {
	root := newRoot(t)
	bin, err := binaries()
	must(t, err)
	monitor := exec.Command(filepath.Join(bin, "actor"), "monitor", filepath.Join(root, "guard", guardv1.SocketName))
	out, err := monitor.StdoutPipe()
	must(t, err)
	must(t, monitor.Start())
	t.Cleanup(func() { _ = monitor.Process.Kill(); _ = monitor.Wait() })
	b := startBox(t, root, boxOptions{}, "--guard-dir", "/guard", "--", "/actor", "stubborn")
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	g2, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	must(t, err)
	nonce := b.up()
	eventually(t, "the monitor to stop", func() bool { return state(t, monitor.Process.Pid) == 'T' })
	onTime(t, "dead", b.dead(nonce), g2)
	if again := b.up(); again == nonce || again == "" {
		t.Fatalf("the next child runs under %q after %q", again, nonce)
	}
}

// TestInitKilled: init's own death is the end of all.
func TestInitKilled(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "tree")
	b.crowd(nonce, 3)
	at := boottime()
	b.signal(syscall.SIGKILL)
	onTime(t, "closed", p.gone(), at)
	onTime(t, "dead", b.dead(nonce), at)
}

// TestSoftGuard: at G1 the child, and the child alone, is asked to end.
func TestSoftGuard(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "obedient")
	g := p.guardUp(1, 200*time.Millisecond, 10*time.Second)
	empty := p.expect(guardv1.Empty)
	onTime(t, "empty", boottime(), g.G1)
	if next := b.up(); next != empty.Nonce || next == nonce {
		t.Fatalf("the next child runs under %q, empty said %q", next, empty.Nonce)
	}
}

func TestExtendedGuard(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	for range 6 {
		// Long enough that a busy machine does not miss one.
		p.guardUp(3, 700*time.Millisecond, time.Second)
		next := boottime() + int64(300*time.Millisecond)
		eventually(t, "time to pass", func() bool { return boottime() > next })
	}
	// Neither a smaller epoch nor what has to do with it counts.
	p.guard(2, time.Hour, time.Hour)
	p.send(guardv1.Message{Type: guardv1.Guard, Epoch: 2})
	p.guard(2, -time.Hour, -time.Hour)
	g := p.guardUp(3, 150*time.Millisecond, 300*time.Millisecond)
	if len(b.alive(nonce)) != 1 {
		t.Fatal("the child did not survive a guard that was extended in time")
	}
	onTime(t, "dead", b.dead(nonce), g.G2)
}

func TestDisarmedGuard(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	g := p.guardUp(3, 100*time.Millisecond, 200*time.Millisecond)
	p.send(guardv1.Message{Type: guardv1.Guard, Epoch: 3})
	if got := p.expect(guardv1.Guarded); got.G1 != 0 || got.G2 != 0 || got.Epoch != 3 {
		t.Fatalf("%+v", got)
	}
	eventually(t, "time to pass", func() bool { return boottime() > g.G2+int64(boundK) })
	if len(b.alive(nonce)) != 1 {
		t.Fatal("killed by a guard that was disarmed")
	}
}

func TestPastGuard(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	p.guardUp(1, time.Minute, time.Minute)
	p.guard(1, -time.Second, -time.Millisecond)
	at := boottime()
	p.expect(guardv1.Empty)
	onTime(t, "dead", b.dead(nonce), at)
}

func TestKillAndExit(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "tree")
	b.crowd(nonce, 3)
	at := boottime()
	p.send(guardv1.Message{Type: guardv1.Kill})
	next := p.expect(guardv1.Empty).Nonce
	onTime(t, "dead", b.dead(nonce), at)
	b.crowd(next, 3)
	p.send(guardv1.Message{Type: guardv1.Exit})
	p.expect(guardv1.Empty)
	p.gone()
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if left := b.alive(""); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}

// TestPausedInit: an init that was stopped over its deadline kills when it runs
// again, however many extensions have come in meanwhile.
func TestPausedInit(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	g := p.guardUp(1, 200*time.Millisecond, 300*time.Millisecond)
	b.signal(syscall.SIGSTOP)
	eventually(t, "init to stop", func() bool { return state(t, b.cmd.Process.Pid) == 'T' })
	p.guard(1, time.Hour, time.Hour)
	p.guard(2, time.Hour, time.Hour)
	eventually(t, "the deadline", func() bool { return boottime() > g.G2 })
	if len(b.alive(nonce)) != 1 {
		t.Fatal("killed by whom?")
	}
	at := boottime()
	b.signal(syscall.SIGCONT)
	p.expect(guardv1.Empty)
	onTime(t, "dead", b.dead(nonce), at)
}

// TestBoottime: the clock that init reads and the clock of its timer are
// CLOCK_BOOTTIME, which here is 1000 s ahead of every other.
func TestBoottime(t *testing.T) {
	const ahead = int64(1000 * time.Second)
	root := newRoot(t)
	m := listen(t, root)
	b := startBox(t, root, boxOptions{enter: "timens"}, "--guard-dir", "/guard", "--", "/actor", "clock")
	p := m.accept()
	nonce := p.welcome()
	child, err := strconv.ParseInt(b.line("clock "), 10, 64)
	must(t, err)
	if child < boottime()+ahead/2 {
		t.Skip("needs Linux 6.3: older ones do not enter a time namespace by exec")
	}
	if off := p.hello.BoottimeNanos - ahead - boottime(); time.Duration(off).Abs() > patience {
		t.Fatalf("init reads another clock, %v off", time.Duration(off))
	}
	g := p.guardUp(1, 1000*time.Second+200*time.Millisecond, 1000*time.Second+300*time.Millisecond)
	onTime(t, "dead", b.dead(nonce), g.G2-ahead)
}

// TestProbe: a process that came in from outside, as those of exec probes and
// of kubectl exec do, is not init's to reap, and no obstacle to the proof.
func TestProbe(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{}, "stubborn")
	bin, err := binaries()
	must(t, err)
	probe := exec.Command(filepath.Join(bin, "actor"), "join", strconv.Itoa(b.cmd.Process.Pid))
	probe.Env = []string{"UNDERSTUDY_NONCE=" + nonce}
	out, err := probe.StdoutPipe()
	must(t, err)
	must(t, probe.Start())
	t.Cleanup(func() { _ = probe.Process.Kill(); _ = probe.Wait() })
	b.crowd(nonce, 2)
	p.send(guardv1.Message{Type: guardv1.Kill})
	p.expect(guardv1.Empty)
	if left := b.alive(nonce); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
	for in := bufio.NewScanner(out); in.Scan(); {
		if in.Text() == "ended true" {
			return
		}
	}
	t.Fatal("the probe's process was not killed")
}

// TestStuckProcess: a process that does not die of SIGKILL, as in an
// uninterruptible sleep. As long as it may, init claims nothing; then it exits.
// The freezer of cgroup v1 makes one: unlike that of v2 it holds up SIGKILL.
func TestStuckProcess(t *testing.T) {
	b, p, nonce := guardedBox(t, boxOptions{uid: nobody}, "stubborn")
	group := "/sys/fs/cgroup/freezer/" + filepath.Base(b.root)
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("needs the freezer of cgroup v1, as only that holds up SIGKILL:", err)
	}
	write := func(file, text string) { must(t, os.WriteFile(filepath.Join(group, file), []byte(text), 0)) }
	t.Cleanup(func() {
		write("freezer.state", "THAWED")
		<-b.exited
		eventually(t, "the cgroup to be empty", func() bool { return os.Remove(group) == nil })
	})
	freeze := func(nonce string) {
		write("cgroup.procs", strconv.Itoa(b.alive(nonce)[0]))
		write("freezer.state", "FROZEN")
		eventually(t, "the freezer", func() bool {
			state, _ := os.ReadFile(filepath.Join(group, "freezer.state"))
			return string(state) == "FROZEN\n"
		})
	}
	freeze(nonce)
	at := boottime()
	p.send(guardv1.Message{Type: guardv1.Kill})
	eventually(t, "time to pass", func() bool { return boottime() > at+int64(boundK) })
	if len(b.alive(nonce)) != 1 {
		t.Fatal("the process is not stuck")
	}
	thawed := boottime()
	write("freezer.state", "THAWED")
	next := p.expect(guardv1.Empty).Nonce
	onTime(t, "empty", boottime(), thawed)
	b.crowd(next, 1)

	freeze(next)
	at = boottime()
	p.send(guardv1.Message{Type: guardv1.Kill})
	onTime(t, "closed", p.gone(), at+int64(killBudget))
	b.logged("outlived SIGKILL")
	write("freezer.state", "THAWED")
	if code := b.exit(); code != 1 {
		t.Fatalf("exit code %d", code)
	}
}
