// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows a failover on real kubelets: it brings up a cluster on this
// machine, installs the project, lets redis suffer what can happen to it, and
// compares what a client saw with what the cluster says of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/understudy-dev/understudy/hack/internal/tool"
	"github.com/understudy-dev/understudy/test/scene"
)

const intro = `demo brings up a cluster of three nodes on this machine (the first time: about ten minutes), installs
Understudy, applies examples/quickstart and lets redis suffer: kill -9, kill -9 again, a planned move, the loss of
its node. A client probes redis every 5 ms and says what it missed.

With KUBECONFIG set it uses that cluster instead, and leaves out the cut of the network. Its nodes must find the
images by their names.

`

func main() {
	namespace := flag.String("namespace", "default", "`NAMESPACE` to apply the quickstart to")
	report := flag.String("o", "dist/demo.json", "`FILE` for the results")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), intro, "usage: demo [--namespace NAMESPACE] [-o FILE]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *namespace, *report)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, namespace, path string) error {
	progress := tool.NewProgress(os.Stderr)
	cluster, quickstart, err := setUp(ctx, namespace, progress.Say)
	if err != nil {
		return err
	}
	play := &play{quickstart: quickstart}
	failed := play.all(ctx)
	// Whatever became of it: what was seen is shown, and the client goes.
	if ctx.Err() == nil {
		failed = errors.Join(failed, play.show(ctx, path))
	}
	failed = errors.Join(failed, quickstart.Client.Stop(context.WithoutCancel(ctx)))
	lookAround(cluster, namespace)
	return failed
}

// setUp brings everything on the stage.
func setUp(ctx context.Context, namespace string, say scene.Say) (*scene.Cluster, *scene.Quickstart, error) {
	cluster, err := scene.Open(ctx, say)
	if err != nil {
		return nil, nil, err
	}
	if cluster.Local == nil {
		say("KUBECONFIG is set: using that cluster, without the cut of the network")
	}
	if err := cluster.LoadImages(ctx); err != nil {
		return nil, nil, err
	}
	if err := cluster.Install(ctx); err != nil {
		return nil, nil, err
	}
	// What an earlier demonstration left has used up its restarts.
	old := scene.Group{Cluster: cluster, Namespace: namespace, Name: scene.QuickstartGroup}
	if err := remove(ctx, old); err != nil {
		return nil, nil, err
	}
	say("kubectl apply -f %s", scene.QuickstartFolder)
	quickstart, err := cluster.OpenQuickstart(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	say("the group is online; a client probes it from %s", quickstart.Client.Node)
	return cluster, quickstart, nil
}

// remove removes the group of an earlier demonstration. On a cluster that is not this
// machine's, it may be somebody's.
func remove(ctx context.Context, g scene.Group) error {
	if g.Local != nil {
		return g.Remove(ctx)
	}
	_, err := g.Get(ctx)
	if err == nil {
		return fmt.Errorf("the group %s/%s is there already: remove it with `kubectl delete -n %[1]s -f %[3]s`, "+
			"or name another namespace with `go run ./hack/demo --namespace NAMESPACE`", g.Namespace, g.Name, scene.QuickstartFolder)
	}
	return client.IgnoreNotFound(err)
}

func lookAround(cluster *scene.Cluster, namespace string) {
	fmt.Printf(`
Look around:
  %s
  kubectl get cres,rgroup,pods -n %s -o wide
  kubectl get rgroup quickstart -n %[2]s -o yaml
  kubectl logs -n %[2]s -l understudy.dev/group=quickstart -c understudy-monitor --prefix
`, cluster.Hint(), namespace)
	if cluster.Local != nil {
		fmt.Println("Take the cluster down:\n  make demo-down")
	}
}
