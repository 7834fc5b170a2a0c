// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Quickstart is examples/quickstart in a namespace, and a client of it.
type Quickstart struct {
	Group
	Client *Client
}

// The quickstart's names.
const (
	QuickstartFolder = "examples/quickstart"
	QuickstartGroup  = "quickstart"
	// MainResource is redis; clients reach it through the Service.
	MainResource = "redis"
	// RedisContainer is the container it runs in.
	RedisContainer = "redis"
)

// Redis is the process of MainResource.
var Redis = Program{Command: "redis-server", Argument: ":6379"}

// ApplyQuickstart applies examples/quickstart to a namespace, as a newcomer would.
func (c *Cluster) ApplyQuickstart(ctx context.Context, namespace string) (Group, error) {
	g := Group{Cluster: c, Namespace: namespace, Name: QuickstartGroup}
	_, err := c.Kubectl(ctx, "apply", "--namespace", namespace, "-f", QuickstartFolder)
	return g, err
}

// OpenQuickstart applies it, waits until it is ready and starts a client.
func (c *Cluster) OpenQuickstart(ctx context.Context, namespace string) (*Quickstart, error) {
	g, err := c.ApplyQuickstart(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if err := g.WaitReady(ctx, 3*time.Minute); err != nil {
		return nil, err
	}
	probe, err := g.StartClient(ctx)
	return &Quickstart{Group: g, Client: probe}, err
}

// Remove deletes a group with its resources and waits until it is gone.
func (g Group) Remove(ctx context.Context) error {
	o, err := g.Get(ctx)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	resources, err := g.Resources(ctx)
	if err != nil {
		return err
	}
	for i := range resources {
		if err := client.IgnoreNotFound(g.Cluster.Client.Delete(ctx, &resources[i])); err != nil {
			return err
		}
	}
	if err := client.IgnoreNotFound(g.Cluster.Client.Delete(ctx, o)); err != nil {
		return err
	}
	return g.Wait(ctx, "the end of group "+g.Name, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := g.Get(ctx)
		if client.IgnoreNotFound(err) != nil {
			return false, "", err
		}
		resources, listErr := g.Resources(ctx)
		if err == nil {
			return false, Describe(o, resources), nil
		}
		return listErr == nil && len(resources) == 0, fmt.Sprintf("%d resources", len(resources)), listErr
	})
}

// KillProgram kills redis with SIGKILL, from within its container: so it works on
// any cluster.
func (q *Quickstart) KillProgram(ctx context.Context) error {
	owner, err := q.Owner(ctx)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, q.Namespace, owner.PodName, RedisContainer, "bash", "-c",
		`kill -9 "$(redis-cli -p 6379 info server | tr -d '\r' | sed -n 's/^process_id://p')"`)
	return err
}

// Settled fails unless group and client are as they were before anything happened.
func (q *Quickstart) Settled(ctx context.Context) error {
	if err := q.WaitReady(ctx, 3*time.Minute); err != nil {
		return err
	}
	return q.Client.WaitUp(ctx, time.Now(), 30*time.Second)
}

// Print is what `kubectl get` prints of all groups and resources in the namespace.
func (g Group) Print(ctx context.Context) (string, error) {
	return g.Kubectl(ctx, "get", "cres,rgroup", "--namespace", g.Namespace)
}
