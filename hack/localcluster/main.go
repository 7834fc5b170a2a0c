// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command localcluster runs a real Kubernetes cluster on this one machine, from Go modules and Debian packages: three
// worker nodes with their own kubelets, which can be cut off, killed and brought back.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

const intro = `localcluster runs a real Kubernetes cluster on this one machine: control plane on the host, worker
nodes node-1, node-2 and node-3 each in a network namespace with its own containerd, kubelet and kube-proxy.

It needs root, Debian 12 or later, and Go. Everything it keeps is in ` + defaultState + `
($` + stateVariable + `); binaries are built once, into ~/.cache/understudy ($UNDERSTUDY_CACHE).

There is no registry, no cluster DNS and no default storage class: load images with ` + "`localcluster load`" + `, find
Services by their addresses or environment variables.`

// init keeps what becomes a daemon on its first thread. While another thread becomes a
// program, /proc shows the process as a zombie, and whoever looks takes it for ended.
func init() {
	if len(os.Args) > 1 && os.Args[1] == launchCommand {
		runtime.LockOSThread()
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == launchCommand {
		fmt.Fprintln(os.Stderr, "localcluster:", launch(os.Args[2:]))
		os.Exit(1)
	}
	layout, err := currentLayout()
	if err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(2)
	}
	os.Exit(tool.Main("localcluster", intro, commands(layout, tool.NewProgress(os.Stderr)), os.Args[1:]))
}
