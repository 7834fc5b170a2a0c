// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// status prints what runs.
func (l Layout) status(ctx context.Context) error {
	if err := l.checkOwner(); err != nil {
		return err
	}
	if !l.isState() {
		fmt.Println("There is no cluster: run `localcluster up`.")
		return nil
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "COMPONENT\tSTATE\tPID")
	daemons := l.controlPlane("")
	for _, n := range l.Nodes() {
		daemons = append(daemons, n.daemons(l, "")...)
	}
	for _, d := range daemons {
		state, pid := "stopped", ""
		if id, running := l.running(d.name); running {
			state, pid = "running", strconv.Itoa(id)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", d.name, state, pid)
	}
	fmt.Fprintln(out, "\nNODE\tADDRESS\tPODS\tCABLE\tSTATE")
	client, err := l.api()
	if err != nil {
		return err
	}
	for _, n := range l.Nodes() {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", n.Name(), n.IP(), n.PodRange(), l.cable(n), l.nodeState(ctx, client, n))
	}
	return nil
}

// cable tells how a node is cut off.
func (l Layout) cable(n Node) string {
	if _, err := os.Stat(n.NetnsPath()); err != nil {
		return "unplugged"
	}
	if text, err := os.ReadFile(n.partitionFile()); err == nil {
		return "cut " + strings.TrimSpace(string(text))
	}
	return "whole"
}

func (l Layout) nodeState(ctx context.Context, client *api, n Node) string {
	if _, running := l.running(n.Name() + "-kubelet"); !running {
		return "killed"
	}
	if err := client.nodeReady(ctx, n.Name(), time.Time{}); err != nil {
		return err.Error()
	}
	return "ready"
}

// logs prints the log of a component.
func (l Layout) logs(ctx context.Context, args []string, tail int, follow bool) error {
	path := l.logPath(args[0])
	if len(args) == 2 {
		n, err := l.Node(args[1])
		if err != nil {
			return err
		}
		path = l.logPath(n.Name() + "-" + args[0])
	} else if args[0] == "audit" {
		path = l.Path("audit.log")
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no log of %s: %w (see `localcluster help logs`)", strings.Join(args, " of "), err)
	}
	command := []string{"-n", "+1"}
	if tail > 0 {
		command[1] = strconv.Itoa(tail)
	}
	if follow {
		command = append(command, "-F")
	}
	cmd := exec.CommandContext(ctx, "tail", append(command, path)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
