// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
)

// Volume is the folder of a volume of a pod, on this machine.
func (l *Local) Volume(pod *corev1.Pod, kind, name string) string {
	return filepath.Join(l.State(), pod.Spec.NodeName, "kubelet", "pods", string(pod.UID), "volumes", "kubernetes.io~"+kind, name)
}

// EraseVolume empties a volume that lives as long as the pod.
func (l *Local) EraseVolume(pod *corev1.Pod, name string) error {
	folder := l.Volume(pod, "empty-dir", name)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s is empty already", folder)
	}
	var errs []error
	for _, entry := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(folder, entry.Name())))
	}
	return errors.Join(errs...)
}

// AsMonitor is a client with the token of the monitor of a host: it may do what that
// may do.
func (g Group) AsMonitor(ctx context.Context, podName string) (client.Client, error) {
	pod, err := g.Pod(ctx, podName)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(g.Local.Volume(pod, "projected", "understudy-token"), corev1.ServiceAccountTokenKey))
	if err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(g.REST)
	config.BearerToken = strings.TrimSpace(string(token))
	return client.New(config, client.Options{Scheme: g.Client.Scheme()})
}

// Encode writes a record into a Lease.
func Encode(record leasev1.Record, lease *coordinationv1.Lease) {
	old := leasev1.Lease{
		UID: string(lease.UID), ResourceVersion: lease.ResourceVersion, Annotations: maps.Clone(lease.Annotations),
	}
	l := leasev1.Encode(record, old)
	lease.Annotations = l.Annotations
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = l.HolderIdentity, l.LeaseDurationSeconds
	lease.Spec.LeaseTransitions = l.LeaseTransitions
	if l.AcquireTime != nil {
		lease.Spec.AcquireTime = ptr.To(metav1.NewMicroTime(*l.AcquireTime))
	}
	if l.RenewTime != nil {
		lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(*l.RenewTime))
	}
}
