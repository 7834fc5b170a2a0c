// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/internal/layout"
	"github.com/understudy-dev/understudy/monitor"
)

// childVariable makes the test binary a monitor in a process of its own, so that what it
// needs can be measured.
const childVariable = "UNDERSTUDY_TEST_MONITOR"

// logSuffix is what its log is called after its state folder, which may be too small
// for it.
const logSuffix = ".log"

// childConfig is what a monitor is told that is in a process of its own.
type childConfig struct {
	Namespace, Group, PodName, PodUID, NodeName, StateDir, ContainersDir string
	// Host, Token and CA reach the API server.
	Host, Token string
	CA          []byte
}

// runChild runs a monitor by the settings in the first line of standard input. Each
// further line asks how many goroutines there are; at the end of them it ends.
func runChild() int {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	debug.SetMemoryLimit(layout.MonitorCollects) // as the real one does
	var c childConfig
	if !in.Scan() || json.Unmarshal(in.Bytes(), &c) != nil {
		return 2
	}
	log, err := os.OpenFile(c.StateDir+logSuffix, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 2
	}
	config := monitor.Config{
		Namespace: c.Namespace, Group: c.Group, PodName: c.PodName, PodUID: c.PodUID, PodIP: "10.0.0.1",
		NodeName: c.NodeName, StateDir: c.StateDir, ContainersDir: c.ContainersDir, Log: log,
		REST: &rest.Config{Host: c.Host, BearerToken: c.Token, TLSClientConfig: rest.TLSClientConfig{CAData: c.CA}},
	}
	ctx, end := context.WithCancel(context.Background())
	go func() {
		defer end()
		for in.Scan() {
			fmt.Println(runtime.NumGoroutine())
		}
	}()
	if err := monitor.Run(ctx, config); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a monitor in a process of its own.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log string
	// said is what it wrote to stderr; ended is closed at its end.
	said  bytes.Buffer
	ended chan struct{}
}

// logged tells whether its log has some text.
func (p *process) logged(text string) bool {
	log, err := os.ReadFile(p.log)
	must(p.t, err)
	return bytes.Contains(log, []byte(text))
}

// kill ends it as the kernel does.
func (p *process) kill() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Kill())
	<-p.ended
}

// startProcess starts a monitor, by a command that becomes it if there is one.
func startProcess(t *testing.T, config monitor.Config, token string, by ...string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	by = append(by, self)
	p := &process{t: t, cmd: exec.Command(by[0], by[1:]...), log: config.StateDir + logSuffix, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childVariable+"=1")
	p.cmd.Stderr = io.MultiWriter(os.Stderr, &p.said)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	// The parent's death is that of the thread that started it.
	started := make(chan error)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	must(t, <-started)
	t.Cleanup(func() {
		_ = p.in.Close()
		<-p.ended
		if t.Failed() {
			text, _ := os.ReadFile(p.log)
			t.Logf("the monitor said\n%s", text[max(0, len(text)-6000):])
		}
	})
	to := json.NewEncoder(p.in)
	must(t, to.Encode(childConfig{
		Namespace: config.Namespace, Group: config.Group, PodName: config.PodName, PodUID: config.PodUID,
		NodeName: config.NodeName, StateDir: config.StateDir, ContainersDir: config.ContainersDir,
		Host: restConfig.Host, Token: token, CA: restConfig.CAData,
	}))
	return p
}

// usage is what a process has.
type usage struct {
	resident, peak      int64 // KiB
	goroutines, handles int
	logLines            int
}

func (u usage) String() string {
	return fmt.Sprintf("%d KiB resident, %d KiB at most, %d goroutines, %d descriptors, %d lines of log",
		u.resident, u.peak, u.goroutines, u.handles, u.logLines)
}

func (p *process) usage() (u usage) {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	must(p.t, err)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			u.resident = n
		case "VmHWM":
			u.peak = n
		}
	}
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	must(p.t, err)
	u.handles = len(open)
	_, err = fmt.Fprintln(p.in)
	must(p.t, err)
	_, err = fmt.Fscan(p.out, &u.goroutines)
	must(p.t, err)
	lines, err := os.ReadFile(p.log)
	must(p.t, err)
	u.logLines = strings.Count(string(lines), "\n")
	return u
}
