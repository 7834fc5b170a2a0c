// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where the product is installed.
const (
	SystemNamespace = "understudy-system"
	Release         = "understudy"
	// ManagerDeployment is the chart's Deployment of the manager.
	ManagerDeployment = "understudy-manager"
)

// markAnnotation keeps, in the manager's pods, which build of the image they run:
// the name of the image does not change.
const markAnnotation = "demo.understudy.dev/image"

// Install installs the chart of this clone, or brings it up to date.
func (c *Cluster) Install(ctx context.Context) error {
	c.Say("installing charts/understudy into the namespace %s", SystemNamespace)
	helm := []string{
		"go", "tool", "-modfile=hack/tools/helm/go.mod", "helm", "upgrade", "--install", Release, "charts/understudy",
		"--namespace", SystemNamespace, "--create-namespace", "--kubeconfig", c.kubeconfig,
		"--set", "image.repository=understudy,image.tag=dev",
	}
	if _, err := (Command{Args: helm, Dir: c.root, Within: 15 * time.Minute}).Run(ctx); err != nil {
		return err
	}
	// helm neither updates nor waits for the CRDs of a chart that is there already.
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", "config/crd/bases"); err != nil {
		return err
	}
	if c.Local != nil {
		if err := c.freshManager(ctx); err != nil {
			return err
		}
	}
	return c.WaitManager(ctx)
}

// freshManager replaces the manager's pods if the image was built anew.
func (c *Cluster) freshManager(ctx context.Context) error {
	mark, err := c.imageMark()
	if err != nil {
		return err
	}
	d, err := c.manager(ctx)
	if err != nil {
		return err
	}
	if d.Spec.Template.Annotations[markAnnotation] == mark {
		return nil
	}
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%q}}}}}`, markAnnotation, mark)
	return c.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", []byte(patch)))
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
