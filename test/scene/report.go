// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Report is all that helps to understand why a test failed in a namespace.
func (c *Cluster) Report(ctx context.Context, namespace string) string {
	var out strings.Builder
	show := func(args ...string) {
		text, err := c.Kubectl(ctx, append([]string{"-n", namespace}, args...)...)
		fmt.Fprintf(&out, "\n$ kubectl %s\n%s", strings.Join(args, " "), text)
		if err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	show("get", "nodes,cres,rgroup,ccall,pods,endpointslices", "-o", "wide")
	show("get", "rgroup,lease", "-o", "yaml")
	show("get", "events", "--sort-by=.metadata.creationTimestamp")
	pods := &corev1.PodList{}
	if err := c.Client.List(ctx, pods, client.InNamespace(namespace), client.HasLabels{understudyv1alpha1.LabelGroup}); err != nil {
		fmt.Fprintln(&out, err)
	}
	for i := range pods.Items {
		out.WriteString(c.Local.MonitorLog(&pods.Items[i], 60))
	}
	return out.String()
}

// MonitorLog is the end of the cluster log of a host, also if its node cannot be
// reached.
func (l *Local) MonitorLog(pod *corev1.Pod, lines int) string {
	folder := fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID)
	files, _ := filepath.Glob(filepath.Join(l.State(), pod.Spec.NodeName, "pod-logs", folder, "understudy-monitor", "*.log"))
	var out strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		all := strings.SplitAfter(string(text), "\n")
		fmt.Fprintf(&out, "\n%s, %s:\n%s", pod.Name, filepath.Base(file), strings.Join(all[max(0, len(all)-lines):], ""))
		if err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	return out.String()
}

// RemoveGroups removes all groups of a namespace and waits for their end.
func (c *Cluster) RemoveGroups(ctx context.Context, namespace string) error {
	groups := &understudyv1alpha1.ResourceGroupList{}
	if err := c.Client.List(ctx, groups, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range groups.Items {
		if err := (Group{Cluster: c, Namespace: namespace, Name: groups.Items[i].Name}).Remove(ctx); err != nil {
			return err
		}
	}
	return nil
}
