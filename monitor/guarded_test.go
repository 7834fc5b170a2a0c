// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/core"
)

// providerVariable makes the test binary a provider in a process of its own, on the
// socket that it names.
const providerVariable = "UNDERSTUDY_TEST_PROVIDER"

// enter makes a container of new namespaces and becomes its init: with a /proc, and the
// small disk that the monitor has in memory.
const enter = `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"`

// guardedHost is a host pod whose monitor, init and provider are processes; init is
// the real one.
type guardedHost struct {
	w       *world
	config  monitor.Config
	token   string
	init    *exec.Cmd
	monitor *process
}

func (w *world) startGuarded(name string) *guardedHost {
	t := w.t
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "needs root: it runs init as PID 1 of a PID namespace")
	}
	self, err := os.Executable()
	must(t, err)
	dirs, err := os.MkdirTemp("", "u")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dirs) })
	path := filepath.Join(t.TempDir(), "init")
	build := exec.Command("go", "build", "-o", path, "../cmd/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build init: %v\n%s", err, out)
	}
	folder := func(name string) string {
		dir := filepath.Join(dirs, "main", name)
		must(t, os.MkdirAll(dir, 0o755))
		return dir
	}
	pod := w.pod(name)
	h := &guardedHost{w: w, token: w.token(pod), config: monitor.Config{
		Namespace: w.namespace, Group: "db", PodName: name, PodUID: string(pod.UID), NodeName: pod.Spec.NodeName,
		StateDir: t.TempDir(), ContainersDir: dirs,
	}}
	h.init = exec.Command("sh", "-c", enter, "sh", h.config.StateDir, path, "--guard-dir", folder(monitor.MonitorFolder), "--", self)
	h.init.Env = append(os.Environ(), providerVariable+"="+filepath.Join(folder(monitor.ProviderFolder), "provider.sock"))
	h.init.Stderr = testLog{t, name}
	h.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // whose death is the parent's
		err := h.init.Start()
		started <- err
		if err == nil {
			_ = h.init.Wait()
		}
	}()
	if err := <-started; errors.Is(err, syscall.EPERM) {
		skip(t, "may not make a PID namespace: run the tests with CAP_SYS_ADMIN")
	} else {
		must(t, err)
	}
	t.Cleanup(func() {
		_ = h.init.Process.Kill()
		<-ended
	})
	wait(t, "init", func() bool {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", h.init.Process.Pid))
		return link == path
	})
	h.monitor = h.startMonitor()
	return h
}

// startMonitor starts a monitor that shares the small disk with those before it.
func (h *guardedHost) startMonitor() *process {
	h.w.t.Helper()
	return startProcess(h.w.t, h.config, h.token, "nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", h.init.Process.Pid), "--")
}

// provider is the process of the provider, 0 if there is none.
func (h *guardedHost) provider() int {
	// A thread's children, and init starts its own from its main one.
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", h.init.Process.Pid))
	for field := range strings.FieldsSeq(string(text)) {
		pid, _ := strconv.Atoi(field)
		return pid
	}
	return 0
}

// disk is a path in the state folder, as seen from outside.
func (h *guardedHost) disk(name string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", h.init.Process.Pid), h.config.StateDir, name)
}

// fill leaves no room on the small disk, for the moment: a state that is replaced just
// then makes some. empty takes away what fills it.
func (h *guardedHost) fill() {
	h.w.t.Helper()
	f, err := os.OpenFile(h.disk("fill"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(h.w.t, err)
	defer func() { _ = f.Close() }()
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		h.w.t.Fatal(err)
	}
}

func (h *guardedHost) empty() {
	h.w.t.Helper()
	must(h.w.t, os.Remove(h.disk("fill")))
}

// guarded brings up a group on one such host.
func guarded(t *testing.T) (*world, *guardedHost) {
	t.Helper()
	t.Parallel()
	w := newWorld(t)
	h := w.startGuarded("db-1")
	w.eventually("ready", ready("db-1"))
	w.succession("db-1")
	w.eventually("online", onlineOn("db-1"))
	return w, h
}

// TestMonitorStopped: a monitor that is stopped by SIGSTOP renews nothing any more. What
// runs under it is dead before another host has the group, and when it goes on it leaves
// that alone.
func TestMonitorStopped(t *testing.T) {
	w, a := guarded(t)
	b := w.start("db-2")
	w.eventually("both ready", ready("db-1", "db-2"))
	w.succession("db-1", "db-2")
	provider := a.provider()
	must(t, a.monitor.cmd.Process.Signal(syscall.SIGSTOP))
	_, last := w.lease()
	wait(t, "the guard", func() bool { return a.provider() != provider })
	if _, r := w.lease(); r.HolderUID != last.HolderUID || r.Epoch != last.Epoch {
		t.Errorf("epoch %d of %s began before the one before it was dead", r.Epoch, r.HolderName)
	}
	if b.provider.onlines.Load() != 0 {
		t.Error("online on both")
	}
	taken := w.eventually("online on db-2", onlineOn("db-2"))
	must(t, a.monitor.cmd.Process.Signal(syscall.SIGCONT))
	wait(t, "the monitor to see that it lost the group", func() bool {
		return w.told("Lost") || w.told("Expired")
	})
	w.renewals(2)
	if _, r := w.lease(); r.Epoch != taken.Status.Owner.Epoch || r.HolderName != "db-2" {
		t.Errorf("%s has epoch %d", r.HolderName, r.Epoch)
	}
}

// TestTwoMonitors: a second monitor on the same folder ends and says why, and the first
// does not notice. When that is killed, the next one goes on where it was.
func TestTwoMonitors(t *testing.T) {
	w, h := guarded(t)
	provider := h.provider()
	_, owned := w.lease()
	second := h.startMonitor()
	<-second.ended
	if code := second.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.said.String(), "another monitor holds the state folder") {
		t.Errorf("it ended with %d and said %s", code, second.said.String())
	}
	must(t, monitor.Ready(h.disk("")))
	w.renewals(2)
	h.monitor.kill()
	h.monitor = h.startMonitor()
	wait(t, "the next one to have the group", func() bool { _, r := w.lease(); return r.Inc != owned.Inc })
	w.renewals(1)
	if _, r := w.lease(); r.Epoch != owned.Epoch || h.provider() != provider {
		t.Errorf("epoch %d after %d, provider %d after %d", r.Epoch, owned.Epoch, h.provider(), provider)
	}
}

// TestFullDisk: nothing is taken that the disk does not have; what runs goes on, also
// past a restart of the monitor; and as soon as there is room, all is well.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// What cannot be started for want of room has failed, as often as the policy allows.
	w.plan.Resources[0].RetryPeriodOnFailure = 2000
	w.savePlan("retries")
	w.patchStatus(map[string]any{"planRevision": "retries"})
	h := w.startGuarded("db-1")
	w.eventually("ready", ready("db-1"))
	h.fill()
	w.succession("db-1")
	wait(t, "an Event about the disk", func() bool {
		h.fill()
		if _, r := w.lease(); r.Held() && h.stored() < r.Epoch {
			t.Fatalf("epoch %d is taken, and the disk has %d", r.Epoch, h.stored())
		}
		return w.told("DiskFailed")
	})
	if _, r := w.lease(); r.Held() {
		t.Error("the disk was not full")
	}
	h.empty()
	w.eventually("online", onlineOn("db-1"))
	provider := h.provider()
	_, owned := w.lease()
	if h.stored() != owned.Epoch {
		t.Errorf("epoch %d, and the disk has %d", owned.Epoch, h.stored())
	}

	h.fill()
	w.renewals(2)
	h.monitor.kill()
	// As if it had ended by itself; that leaves some room, which others take.
	must(t, os.Remove(h.disk(monitor.ReadyFile)))
	h.fill()
	h.monitor = h.startMonitor()
	wait(t, "the next one to have the group", func() bool { _, r := w.lease(); return r.Inc != owned.Inc })
	w.renewals(2)
	if _, r := w.lease(); r.Epoch != owned.Epoch || h.provider() != provider {
		t.Errorf("epoch %d after %d, provider %d after %d", r.Epoch, owned.Epoch, h.provider(), provider)
	}

	// What runs ends: it is not started again before there is room.
	h.fill()
	must(t, syscall.Kill(provider, syscall.SIGKILL))
	w.eventually("told why it is not online", func(*v1alpha1.ResourceGroup) bool {
		h.fill()
		return w.told("JournalFailed") || h.monitor.logged("the journal cannot be written")
	})
	h.empty()
	w.eventually("online again", onlineOn("db-1"))
}

// stored is the epoch that the journal has.
func (h *guardedHost) stored() int64 {
	h.w.t.Helper()
	text, err := os.ReadFile(h.disk("journal.json"))
	must(h.w.t, err)
	var state core.State
	must(h.w.t, json.Unmarshal(text, &state))
	return state.Disk.Epoch
}

// told tells whether there is an Event for some reason.
func (w *world) told(reason string) bool {
	w.t.Helper()
	list := &corev1.EventList{}
	must(w.t, api.List(w.t.Context(), list, client.InNamespace(w.namespace)))
	return slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return e.Reason == reason })
}

// skip skips a test that needs what is not here, unless all must run: what is skipped unseen
// proves nothing.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("UNDERSTUDY_TESTS") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}
