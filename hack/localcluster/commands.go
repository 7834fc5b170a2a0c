// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// commands lists what localcluster can do.
func commands(l Layout, progress *tool.Progress) []tool.Subcommand {
	return append(lifecycleCommands(l, progress), faultCommands(l, progress)...)
}

func lifecycleCommands(l Layout, progress *tool.Progress) []tool.Subcommand {
	var loadNode string
	var tail int
	var follow bool
	return []tool.Subcommand{
		{
			Usage: "up", Short: "Start the cluster, or what of it does not run",
			Long: `Builds what is missing, starts what does not run, restarts what is configured otherwise, starts killed nodes,
and waits until all nodes take pods. It can be run at any time, also after it was interrupted.`,
			Example: "localcluster up\nexport KUBECONFIG=$(localcluster kubeconfig)",
			Run: func(ctx context.Context, _ []string) error {
				if err := l.up(ctx, progress); err != nil {
					return err
				}
				progress.Say("the cluster is up: export KUBECONFIG=%s", l.Kubeconfig())
				return nil
			},
		},
		{
			Usage: "down", Short: "Remove the cluster and every trace of it",
			Long: `Ends every process that localcluster started and removes network namespaces, links, packet filters, mounts,
cgroups and the state folder. Installed packages and the cache of binaries stay. It works after crashes, too.`,
			Example: "localcluster down",
			Run:     func(ctx context.Context, _ []string) error { return l.down(ctx, progress) },
		},
		{
			Usage: "status", Short: "Tell what runs, and which nodes are killed or cut off",
			Example: "localcluster status",
			Run:     func(ctx context.Context, _ []string) error { return l.status(ctx) },
		},
		{
			Usage: "kubeconfig", Short: "Print the path of the administrator's kubeconfig",
			Example: "export KUBECONFIG=$(localcluster kubeconfig)",
			Run: func(context.Context, []string) error {
				fmt.Println(l.Kubeconfig())
				return nil
			},
		},
		{
			Usage: "build",
			Short: "Build the binaries of Kubernetes and etcd and print their folder",
			Long: `They are built from the modules that hack/kubernetes pins, and kept for all clones. Progress goes to standard
error.`,
			Example: "localcluster build",
			Run:     func(ctx context.Context, _ []string) error { return printBinaries(ctx, progress, binaries) },
		},
		{
			Usage: "assets", Short: "Print the folder with etcd, kube-apiserver and kubectl, for envtest",
			Long:    "Builds them if they are missing. It needs neither root nor a running cluster.",
			Example: "KUBEBUILDER_ASSETS=$(localcluster assets) go test ./...",
			Run:     func(ctx context.Context, _ []string) error { return printBinaries(ctx, progress, envtestBinaries) },
		},
		{
			Usage:   "load IMAGE.tar [--node NODE]",
			Short:   "Load a docker-archive or OCI tarball into the nodes",
			Args:    [2]int{1, 1},
			Flags:   func(f *flag.FlagSet) { f.StringVar(&loadNode, "node", "", "only into this `NODE`") },
			Long:    "Pods use it with imagePullPolicy IfNotPresent, which is the default for tags other than latest.",
			Example: "localcluster load dist/images/understudy.tar\nlocalcluster load dist/images/redis.tar --node node-2",
			Run:     func(ctx context.Context, args []string) error { return l.load(ctx, progress, args[0], loadNode) },
		},
		{
			Usage: "logs COMPONENT [NODE]",
			Short: "Print the log of a component",
			Args:  [2]int{1, 2},
			Flags: func(f *flag.FlagSet) {
				f.IntVar(&tail, "tail", 0, "only the last `N` lines")
				f.BoolVar(&follow, "follow", false, "go on as the log grows")
			},
			Long: `Components are etcd, kube-apiserver, kube-controller-manager, kube-scheduler, audit and, of a node,
containerd, kubelet, kube-proxy.`,
			Example: "localcluster logs kube-apiserver\nlocalcluster logs kubelet node-2 --tail 50 --follow",
			Run:     func(ctx context.Context, args []string) error { return l.logs(ctx, args, tail, follow) },
		},
	}
}

func faultCommands(l Layout, progress *tool.Progress) []tool.Subcommand {
	var c cut
	return []tool.Subcommand{
		{
			Usage: "partition NODE [--from WHOM] [--one-way]",
			Short: "Cut a node off; every process on it goes on",
			Args:  [2]int{1, 1},
			Flags: func(f *flag.FlagSet) {
				f.StringVar(
					&c.from,
					"from",
					"all",
					"`WHOM` not to hear and reach: api (the control plane's host), peers (other nodes and their pods) or all",
				)
				f.BoolVar(&c.oneWay, "one-way", false, "drop only what the node sends")
			},
			Long: `Drops packets of the node and its pods on the cable, silently, established connections included. Another
partition of the same node replaces the first. A killed node comes back with its cable whole.`,
			Example: `localcluster partition node-1
localcluster partition node-1 --from api
localcluster partition node-2 --from peers --one-way`,
			Run: func(ctx context.Context, args []string) error {
				return l.onNode(
					ctx,
					progress,
					"partition",
					args[0],
					func(n Node, _ lockFile) error { return l.partition(ctx, n, c) },
				)
			},
		},
		{
			Usage: "heal NODE", Short: "Let all packets of a node through again", Args: [2]int{1, 1},
			Example: "localcluster heal node-1",
			Run: func(ctx context.Context, args []string) error {
				return l.onNode(ctx, progress, "heal", args[0], func(n Node, _ lockFile) error { return n.heal(ctx) })
			},
		},
		{
			Usage: "kill NODE",
			Short: "Take a node down as a power loss would",
			Args:  [2]int{1, 1},
			Long: `Pulls the cable, so that nobody can say goodbye, then kills kubelet, containerd, kube-proxy and every process
in the node's containers. Images and volumes on disk stay, as over a reboot.`,
			Example: "localcluster kill node-1",
			Run: func(ctx context.Context, args []string) error {
				return l.onNode(ctx, progress, "kill", args[0], func(n Node, _ lockFile) error { return l.powerOff(ctx, n) })
			},
		},
		{
			Usage: "start NODE",
			Short: "Bring a killed node back, and wait until it is ready",
			Args:  [2]int{1, 1},
			Long: `It comes back as after a reboot: kubelet starts its pods again in fresh containers, unless they were deleted
meanwhile. If only some of its processes ended, those are started, and all else goes on.`,
			Example: "localcluster start node-1",
			Run: func(ctx context.Context, args []string) error {
				return l.onNode(ctx, progress, "start", args[0], func(n Node, lock lockFile) error {
					bin, err := os.ReadFile(l.Path("binaries"))
					if err != nil {
						return fmt.Errorf("%w: run `localcluster up`", err)
					}
					return l.startNode(ctx, n, strings.TrimSpace(string(bin)), lock)
				})
			},
		},
	}
}
