// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application_test

import (
	"encoding/json"
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

// server runs a program to be checked, beside the provider, and is its ports.
func server(t *testing.T, args ...string) (web, rpc int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ports")
	cmd := exec.Command(self(t), append([]string{"server", "--ports", file}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ports := strings.Fields(content(t, file))
	return number(t, ports[0]), number(t, ports[1])
}

func TestChecks(t *testing.T) {
	web, rpc := server(t)
	h := launch(t)
	closed := 1 // nothing listens there
	daemon := filepath.Join(t.TempDir(), "daemon")
	for name, c := range map[string]struct {
		check map[string]any
		// fault is what IsAlive says, empty if alive
		fault string
	}{
		"process":          {map[string]any{"process": map[string]any{}}, ""},
		"exec":             {map[string]any{"exec": map[string]any{"command": command(t, "exit", "0")}}, ""},
		"exec fails":       {map[string]any{"exec": map[string]any{"command": command(t, "exit", "4", "no", "good")}}, "exited with code 4: no good"},
		"exec hangs":       {map[string]any{"exec": map[string]any{"command": command(t, "stubborn")}, "timeoutMilliseconds": 200}, "200 ms"},
		"exec absent":      {map[string]any{"exec": map[string]any{"command": []any{"no-such-program"}}}, `no program "no-such-program" in PATH`},
		"exec leaves some": {map[string]any{"exec": map[string]any{"command": command(t, "daemon", "--leave", "--lock", daemon)}}, ""},
		"tcp":              {map[string]any{"tcp": map[string]any{"port": web}}, ""},
		"tcp refused":      {map[string]any{"tcp": map[string]any{"port": closed}}, "connection refused"},
		"tcp host":         {map[string]any{"tcp": map[string]any{"port": web, "host": "localhost"}}, ""},
		"http":             {map[string]any{"http": map[string]any{"port": web, "path": "/ok?x=y"}}, ""},
		"http fails":       {map[string]any{"http": map[string]any{"port": web, "path": "/bad"}}, "500 Internal Server Error"},
		"http redirect":    {map[string]any{"http": map[string]any{"port": web, "path": "/moved"}}, ""},
		"http root":        {map[string]any{"http": map[string]any{"port": web}}, "404 Not Found"},
		"http hangs":       {map[string]any{"http": map[string]any{"port": web, "path": "/slow"}, "timeoutMilliseconds": 200}, "no answer within 200 ms"},
		"grpc":             {map[string]any{"grpc": map[string]any{"port": rpc}}, ""},
		"grpc service":     {map[string]any{"grpc": map[string]any{"port": rpc, "service": "good"}}, ""},
		"grpc fails":       {map[string]any{"grpc": map[string]any{"port": rpc, "service": "bad"}}, "NOT_SERVING"},
		"grpc unknown":     {map[string]any{"grpc": map[string]any{"port": rpc, "service": "other"}}, "unknown service"},
		"grpc refused":     {map[string]any{"grpc": map[string]any{"port": closed}}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, h.handle = t, "uid-"+name // many resources in one provider
			if c.check["timeoutMilliseconds"] == nil {
				c.check["timeoutMilliseconds"] = 10000 // the default may be short on a busy machine
			}
			h.open(map[string]any{"command": command(t, "stubborn"), "looksAlive": c.check, "isAlive": c.check})
			resp := h.online()
			if _, byProcess := c.check["process"]; resp.GetStatus() != 0 || resp.GetEventHandle() != byProcess {
				t.Fatalf("Online: %v", resp)
			}
			if a := h.isAlive(); a.GetAlive() != (c.fault == "") || !strings.Contains(a.GetMessage(), c.fault) {
				t.Errorf("IsAlive: %v, want %q", a, c.fault)
			}
			defer func() {
				if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
					t.Errorf("Terminate: %v", resp)
				}
				if a := h.isAlive(); a.GetAlive() {
					t.Error("alive after Terminate")
				}
			}()
			if name == "exec leaves some" {
				return // a second one would find the first
			}
			a, err := h.LooksAlive(h.within(10*time.Second), &pb.LooksAliveRequest{ResourceId: h.id})
			if err != nil || a.GetAlive() != (c.fault == "") {
				t.Errorf("LooksAlive: %v, %v", a, err)
			}
		})
	}
	if alive(pidIn(t, daemon)) {
		t.Error("what a check left behind outlived Terminate")
	}
	h.t = t
}

func TestReady(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	web, _ := server(t, "--while", flag)
	h := start(t, map[string]any{
		"command": command(t, "stubborn"),
		"ready":   map[string]any{"http": map[string]any{"port": web, "path": "/ok"}},
	})
	if resp := h.online(); resp.GetStatus() != 997 {
		t.Fatalf("Online: %v", resp)
	}
	if st := h.monitor.WaitState(t, pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING); !strings.Contains(st.GetMessage(), "500") {
		t.Errorf("checkpoint: %v", st)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if st := h.monitor.WaitState(t, pb.ResourceState_RESOURCE_STATE_ONLINE); !st.GetEventHandle() {
		t.Errorf("the end: %v", st)
	}
}

func TestNeverReady(t *testing.T) {
	for name, c := range map[string]struct {
		props map[string]any
		fault string
	}{
		"too late": {map[string]any{
			"command": command(t, "stubborn"), "startTimeoutMilliseconds": 300, "ready": map[string]any{"tcp": map[string]any{"port": 1}},
		}, "not ready within startTimeoutMilliseconds 300: tcp:"},
		"exits": {map[string]any{
			"command": command(t, "exit", "3"), "ready": map[string]any{"tcp": map[string]any{"port": 1}},
		}, "the program exited with code 3 before it was ready"},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, c.props)
			if resp := h.online(); resp.GetStatus() != 997 {
				t.Fatalf("Online: %v", resp)
			}
			if st := h.monitor.WaitState(t, pb.ResourceState_RESOURCE_STATE_FAILED); !strings.Contains(st.GetMessage(), c.fault) {
				t.Errorf("got %v, want %q", st, c.fault)
			}
			if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
				t.Errorf("Terminate: %v", resp)
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	h := launch(t)
	for name, c := range map[string]struct {
		props map[string]any
		fault string
	}{
		"not found":      {map[string]any{"command": []any{"no-such-program"}}, `no program "no-such-program" in PATH`},
		"no such file":   {map[string]any{"command": []any{"/no/such/file"}}, "/no/such/file: no such file"},
		"not executable": {map[string]any{"command": []any{"/dev/null"}}, "permission denied"},
		"no directory":   {map[string]any{"command": command(t, "stubborn"), "workingDirectory": "/no/such"}, "/no/such is not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, h.handle = t, "uid-"+name
			h.open(c.props)
			if resp := h.online(); resp.GetStatus() != 5018 || !strings.Contains(resp.GetMessage(), c.fault) {
				t.Errorf("Online: %v, want %q", resp, c.fault)
			}
			if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
				t.Errorf("Terminate: %v", resp)
			}
		})
	}
	h.t = t
}

// TestWhatCannotBeKilledIsNamed runs the provider as a user without privileges, and
// a program that becomes root.
func TestWhatCannotBeKilledIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a setuid-root file")
	}
	dir, err := os.MkdirTemp("", "foreign") // t.TempDir is for one user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	for file, mode := range map[string]os.FileMode{"provider": 0o755, "root": 0o755 | os.ModeSetuid} {
		if err := os.WriteFile(filepath.Join(dir, file), binary, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, file), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	m := testmonitor.NewIn(t, dir)
	if err := os.Chmod(m.Socket, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "provider"), "serve")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	h := launchWith(t, m, cmd)
	pidFile := filepath.Join(dir, "pid")
	h.open(map[string]any{"command": []any{filepath.Join(dir, "root"), "foreign", "--pid", pidFile}})
	h.mustOnline()
	var pid int
	eventually(t, "the program runs as root", func() bool {
		if !h.isAlive().GetAlive() {
			t.Skip("no setuid here")
		}
		_, err := os.Stat(pidFile)
		return err == nil
	})
	pid = pidIn(t, pidFile)
	resp := h.terminate(2 * time.Second)
	if resp.GetStatus() == 0 || !strings.Contains(resp.GetMessage(), "user 0") || !strings.Contains(resp.GetMessage(), "operation not permitted") {
		t.Errorf("Terminate: %v", resp)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if resp := h.terminate(5 * time.Second); resp.GetStatus() != 0 {
		t.Errorf("Terminate once it is gone: %v", resp)
	}
}

// TestBadProperties: a test of the manager reads the same table, so that both refuse
// the same.
func TestBadProperties(t *testing.T) {
	text, err := os.ReadFile("../../api/application/v1/testdata/bad-properties.json")
	if err != nil {
		t.Fatal(err)
	}
	var table []struct {
		Properties      map[string]any
		Field, Provider string
	}
	if err := json.Unmarshal(text, &table); err != nil || len(table) == 0 {
		t.Fatalf("%d entries, %v", len(table), err)
	}
	h := launch(t)
	for _, c := range table {
		want := "properties." + c.Field + ": " + c.Provider
		resp, err := h.Open(h.within(5*time.Second), &pb.OpenRequest{
			ResourceHandle: "x", ResourceType: application.Name, Properties: structOf(t, c.Properties),
		})
		if err != nil || resp.GetStatus() != 13 || !strings.Contains(resp.GetMessage(), want) {
			t.Errorf("%v:\ngot  %q (%d, %v)\nwant %q", c.Properties, resp.GetMessage(), resp.GetStatus(), err, want)
		}
	}
}
