// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where the product is installed.
const (
	SystemNamespace = "understudy-system"
	Release         = "understudy"
	// ManagerDeployment is the chart's Deployment of the manager.
	ManagerDeployment = "understudy-manager"
)

// Install installs the chart of this clone, or brings it up to date. What is installed
// on a cluster that is not this machine's is left as it is.
func (c *Cluster) Install(ctx context.Context) error {
	if c.Local == nil {
		switch _, err := c.manager(ctx); {
		case err == nil:
			c.Say("Understudy is installed in the namespace %s already: it is used as it is", SystemNamespace)
			return c.WaitManager(ctx)
		case !apierrors.IsNotFound(err):
			return err
		}
	}
	return c.Upgrade(ctx, "dev")
}

// Upgrade brings the chart of this clone, and the image of that tag, into force.
func (c *Cluster) Upgrade(ctx context.Context, tag string) error {
	c.Say("installing charts/understudy with the image understudy:%s into the namespace %s", tag, SystemNamespace)
	set := "image.repository=understudy,image.tag=" + tag
	if c.Local != nil {
		// The image's name does not change when it is built anew: this does, so that
		// the manager is replaced.
		mark, err := c.imageMark()
		if err != nil {
			return err
		}
		set += ",manager.podAnnotations.image-build=" + mark
	}
	_, err := Command{Dir: c.root, Within: 15 * time.Minute, Args: []string{
		"go", "tool", "-modfile=hack/tools/helm/go.mod", "helm", "upgrade", "--install", Release, "charts/understudy",
		"--namespace", SystemNamespace, "--create-namespace", "--set-string", set,
	}, Env: c.env()}.Run(ctx)
	if err != nil {
		return err
	}
	return c.WaitManager(ctx)
}

// Uninstall uninstalls the chart from the local cluster.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := Command{Dir: c.root, Within: 5 * time.Minute, Args: []string{
		"go", "tool", "-modfile=hack/tools/helm/go.mod", "helm", "uninstall", Release,
		"--namespace", SystemNamespace, "--wait",
	}, Env: c.env()}.Run(ctx)
	return err
}

func (c *Cluster) manager(ctx context.Context) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: SystemNamespace, Name: ManagerDeployment}, d)
	return d, err
}

// WaitManager waits until the manager's Deployment is as it is wanted.
func (c *Cluster) WaitManager(ctx context.Context) error {
	return c.Wait(ctx, "the manager", 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		d, err := c.manager(ctx)
		if err != nil {
			return false, "", err
		}
		want, s := *d.Spec.Replicas, d.Status
		seen := fmt.Sprintf("%d pods, %d new, %d available, want %d", s.Replicas, s.UpdatedReplicas, s.AvailableReplicas, want)
		done := s.ObservedGeneration >= d.Generation &&
			s.Replicas == want && s.UpdatedReplicas == want && s.AvailableReplicas == want
		return done, seen, nil
	})
}

// ScaleManager sets the number of the manager's pods and waits until it is so.
func (c *Cluster) ScaleManager(ctx context.Context, replicas int32) error {
	d, err := c.manager(ctx)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	if err := c.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		return err
	}
	return c.WaitManager(ctx)
}
