// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/provider/application"
)

func TestStartAndStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	work := t.TempDir()
	t.Setenv("PATH", "")           // no shell, no helper: nothing can be looked up
	t.Setenv("FROM_IMAGE", "kept") //nolint:usetesting // is
	h := start(t, map[string]any{
		"command":          command(t, "env", file, "$HOME", "a b", "; rm -rf"),
		"workingDirectory": work,
		"environment":      []any{map[string]any{"name": "ADDED", "value": "x=y z"}},
	})
	resp := h.online()
	if resp.GetStatus() != 0 || !resp.GetEventHandle() {
		t.Fatalf("Online: %v", resp)
	}
	got := content(t, file)
	for _, line := range []string{
		"FROM_IMAGE=kept", "ADDED=x=y z", "UNDERSTUDY_EPOCH=7", "UNDERSTUDY_RESOURCE=default/app",
		"UNDERSTUDY_RESOURCE_UID=uid-1", "CWD=" + work, "ARGS=$HOME|a b|; rm -rf",
	} {
		if !strings.Contains("\n"+got+"\n", "\n"+line+"\n") {
			t.Errorf("the program does not find %q in\n%s", line, got)
		}
	}
	if strings.Contains(got, "_SOCKET=") {
		t.Errorf("the program finds a socket of the provider's in\n%s", got)
	}
	if a := h.isAlive(); !a.GetAlive() {
		t.Errorf("IsAlive: %v", a)
	}
	c, err := h.BeginResourceControl(context.Background(), &pb.BeginResourceControlRequest{
		ResourceId: h.id, Input: &pb.ControlInput{ControlCode: application.ControlProcess, OutBufferSize: 1 << 16},
	})
	if out := string(c.GetOutput().GetOutBuffer()); err != nil || !strings.Contains(out, `"running":true`) {
		t.Errorf("PROCESS: %v, %v", c, err)
	}
	h.mustOffline()
	if a := h.isAlive(); a.GetAlive() || a.GetMessage() != "the program does not run" && !strings.Contains(a.GetMessage(), "signal 15") {
		t.Errorf("IsAlive after Offline: %v", a)
	}
	h.mustOnline() // and again
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
		t.Errorf("Terminate: %v", resp)
	}
	if _, err := h.Close(context.Background(), &pb.CloseRequest{ResourceId: h.id}); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestStubbornProgramIsKilledAfterGrace(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := start(t, map[string]any{"command": command(t, "stubborn", "--pid", pidFile), "stopGraceMilliseconds": 1500})
	h.mustOnline()
	pid := pidIn(t, pidFile)
	began := time.Now()
	resp, err := h.Offline(context.Background(), &pb.OfflineRequest{ResourceId: h.id})
	if err != nil || resp.GetStatus() != 997 {
		t.Fatalf("Offline: %v, %v", resp, err)
	}
	if st := h.monitor.WaitState(t, pb.ResourceState_RESOURCE_STATE_OFFLINE_PENDING); st.GetCheckPoint() != 1 {
		t.Errorf("the first checkpoint: %v", st)
	}
	if st := h.monitor.WaitState(t, pb.ResourceState_RESOURCE_STATE_OFFLINE); st.GetCheckPoint() < 2 {
		t.Errorf("the end: %v", st)
	}
	if alive(pid) {
		t.Error("it still runs")
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("its grace was cut to %v", took)
	}
}

func TestDaemonIsGoneBeforeOfflineIsReported(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock)})
	for range 3 {
		h.mustOnline()
		pid := pidIn(t, lock)
		if !alive(pid) {
			t.Fatal("the daemon does not run")
		}
		h.mustOffline()
		if alive(pid) {
			t.Fatal("the daemon outlived Offline")
		}
		_ = os.Remove(lock)
	}
	h.mustOnline()
	pid := pidIn(t, lock)
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 || alive(pid) {
		t.Errorf("Terminate: %v, the daemon runs: %v", resp, alive(pid))
	}
	if _, err := os.Stat(lock + ".conflict"); err == nil {
		t.Error("two ran at once")
	}
}

func TestExitIsReportedAtOnce(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := start(t, map[string]any{"command": command(t, "stubborn", "--pid", pidFile)})
	h.mustOnline()
	pid := pidIn(t, pidFile)
	began := time.Now()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	f, at := testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
	t.Logf("reported after %v", at.Sub(began))
	if !f.GetExited() || f.GetResourceHandle() != h.handle || f.GetApplicationSpecificErrorCode() != 137 || !strings.Contains(f.GetMessage(), "signal 9") {
		t.Errorf("SignalFailure: %v", f)
	}
	if a := h.isAlive(); a.GetAlive() {
		t.Error("still alive")
	}
	resp, err := h.Open(context.Background(), &pb.OpenRequest{ResourceHandle: h.handle, ResourceType: "Application", OpenFlags: 1})
	if err != nil || resp.GetState() != pb.ResourceState_RESOURCE_STATE_FAILED || resp.GetResourceId() != h.id {
		t.Errorf("Open to recover: %v, %v", resp, err)
	}
	h.terminate(5 * time.Second)
	h.mustOnline()
}

func TestExitRightAfterStartIsReported(t *testing.T) {
	h := start(t, map[string]any{"command": command(t, "exit", "3")})
	h.mustOnline()
	f, _ := testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
	if f.GetMessage() != "the program exited with code 3" || f.GetApplicationSpecificErrorCode() != 3 {
		t.Errorf("SignalFailure: %v", f)
	}
}

// What a program prints goes where the provider's own output goes: kubectl logs shows it.
func TestOutputOfPrograms(t *testing.T) {
	file := func(name string) *os.File {
		t.Helper()
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	for _, c := range []struct{ name, argument, want string }{
		{"stdout", "0", "hello\n"}, {"stderr", "hello", `parsing "hello"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]*os.File{"stdout": file("out"), "stderr": file("err")}
			cmd := exec.Command(self(t), "serve")
			cmd.Stdout, cmd.Stderr = files["stdout"], files["stderr"]
			h := launchWith(t, testmonitor.New(t), cmd)
			h.open(map[string]any{"command": command(t, "exit", c.argument, "hello")})
			h.mustOnline()
			testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil) // it has ended, so all of it is written
			text, err := os.ReadFile(files[c.name].Name())
			if err != nil || !strings.Contains(string(text), c.want) {
				t.Errorf("%s has %q, %v; want %q in it", c.name, text, err, c.want)
			}
		})
	}
}

func TestLeftoversOfAnExitAreKilled(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock, "--leave")})
	h.mustOnline()
	testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
		t.Fatalf("Terminate: %v", resp)
	}
	eventually(t, "the provider has no child", func() bool { return len(children(h.process.Pid)) == 0 })
	if _, err := os.Stat(lock); err == nil && alive(pidIn(t, lock)) {
		t.Error("the daemon outlived Terminate")
	}
}

func TestShimKilled(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock)})
	h.mustOnline()
	daemon := pidIn(t, lock)
	shims := children(h.process.Pid)
	if len(shims) != 1 {
		t.Fatalf("the provider's children: %v", shims)
	}
	programs := children(shims[0])
	_ = syscall.Kill(shims[0], syscall.SIGKILL)
	f, _ := testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
	if !f.GetExited() {
		t.Errorf("SignalFailure: %v", f)
	}
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
		t.Fatalf("Terminate: %v", resp)
	}
	for _, pid := range append(programs, daemon) {
		if alive(pid) {
			t.Errorf("process %d outlived its shim and Terminate", pid)
		}
	}
	h.mustOnline() // and all is as before
	h.mustOffline()
}

func TestShimStopped(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock)})
	h.mustOnline()
	daemon := pidIn(t, lock)
	for _, shim := range children(h.process.Pid) {
		_ = syscall.Kill(shim, syscall.SIGSTOP)
	}
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 || alive(daemon) {
		t.Errorf("Terminate: %v, the daemon runs: %v", resp, alive(daemon))
	}
}

// TestShimStoppedWithFullSocket: a command to the shim that does not fit into the
// socket holds up neither the check that it belongs to nor what comes after.
func TestShimStoppedWithFullSocket(t *testing.T) {
	check := command(t, "exit", "0")
	for range 20 {
		check = append(check, strings.Repeat("x", 32<<10))
	}
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{
		"command": command(t, "daemon", "--lock", lock),
		"isAlive": map[string]any{"exec": map[string]any{"command": check}, "timeoutMilliseconds": 60000},
	})
	h.mustOnline()
	daemon := pidIn(t, lock)
	if a := h.isAlive(); !a.GetAlive() {
		t.Fatalf("IsAlive before: %v", a)
	}
	for _, shim := range children(h.process.Pid) {
		_ = syscall.Kill(shim, syscall.SIGSTOP)
		t.Cleanup(func() { _ = syscall.Kill(shim, syscall.SIGCONT) }) // should it live on
	}
	began := time.Now()
	if a := h.isAlive(); a.GetAlive() || !strings.Contains(a.GetMessage(), "supervisor") {
		t.Errorf("IsAlive: %v", a)
	}
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 || alive(daemon) {
		t.Errorf("Terminate: %v, the daemon runs: %v", resp, alive(daemon))
	}
	t.Logf("both took %v", time.Since(began))
	h.mustOnline() // and all is as before
}

func TestProviderKilled(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock)})
	h.mustOnline()
	daemon := pidIn(t, lock)
	shims := children(h.process.Pid)
	_ = h.process.Kill()
	<-h.exited
	for _, pid := range append(shims, daemon) {
		eventually(t, "shim and daemon are gone", func() bool { return !alive(pid) })
	}
}

// TestSoftGuard is SIGTERM from init: everything ends, then the provider.
func TestSoftGuard(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h := start(t, map[string]any{"command": command(t, "daemon", "--lock", lock), "stopGraceMilliseconds": 60000})
	h.mustOnline()
	daemon := pidIn(t, lock)
	_ = h.process.Signal(syscall.SIGTERM)
	select {
	case <-h.exited:
	case <-time.After(testmonitor.Patience):
		t.Fatal("the provider did not end")
	}
	if alive(daemon) {
		t.Error("the daemon outlived the provider")
	}
}

func TestMonitorComesAndGoes(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := start(t, map[string]any{"command": command(t, "stubborn", "--pid", pidFile)})
	h.mustOnline()
	pid := pidIn(t, pidFile)
	h.monitor.Stop()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "the program is gone", func() bool { return !alive(pid) })
	h.monitor.Start(t)
	f, _ := testmonitor.Wait[*pb.SignalFailureRequest](t, h.monitor, nil)
	if !f.GetExited() {
		t.Errorf("SignalFailure: %v", f)
	}
}
