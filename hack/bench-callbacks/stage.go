// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/hack/internal/tool"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/testpolicy"
)

const (
	namespace = "bench"
	groupName = "bench"
	podName   = "bench-1"
	account   = "hosts"
	container = "main"
	// leaseSeconds leaves room for a machine that is busy with something else.
	leaseSeconds = 15
	// resources of the group. Each is written about once a second at most, so many are
	// needed to see many transitions.
	resources = 20
)

// stage is an API server, and in it what the manager would have made for one group.
type stage struct {
	env     *envtest.Environment
	api     client.WithWatch
	pod     *corev1.Pod
	token   string
	handles []string // of the resources, in the order of their names
}

func newStage(ctx context.Context) (s *stage, err error) {
	root, err := tool.SourceRoot()
	if err != nil {
		return nil, err
	}
	s = &stage{env: &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join(root, "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
	}}
	config, err := s.env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the API server: %w", err), s.env.Stop())
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	config.QPS = -1
	if s.api, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if err := testpolicy.Install(ctx, s.api, filepath.Join(root, "config", "policy")); err != nil {
		return nil, err
	}
	err = s.fill(ctx)
	return s, err
}

func (s *stage) close() {
	if err := s.env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
	}
}

// fill makes the group with its resources, plan, Role, Lease and pod.
func (s *stage) fill(ctx context.Context) error {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: container, Image: "none"}},
	}}
	group := &v1alpha1.ResourceGroup{ObjectMeta: meta(groupName), Spec: v1alpha1.ResourceGroupSpec{
		LeaseDurationSeconds: leaseSeconds, Template: template,
	}}
	template.Spec.ServiceAccountName, template.Spec.NodeName = account, "node-1"
	s.pod = &corev1.Pod{ObjectMeta: meta(podName), Spec: template.Spec}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: meta(account)}, group, s.pod,
	} {
		if err := s.api.Create(ctx, o); err != nil {
			return err
		}
	}
	plan := planv1.Plan{
		Version: planv1.Version, Namespace: namespace, Group: groupName, GroupUID: string(group.UID), Online: true,
		LeaseDurationSeconds: leaseSeconds, FailoverThreshold: 5, FailoverPeriodSeconds: 3600,
		Containers: []string{container}, Service: &planv1.Service{Name: groupName, Ports: []planv1.Port{{Port: 80}}},
	}
	in := builders.AccessInput{
		Namespace: namespace, Group: groupName, ServiceAccounts: []string{account}, Revisions: []string{groupName + "-1"},
	}
	for i := range resources {
		r := &v1alpha1.ClusterResource{
			ObjectMeta: meta(fmt.Sprintf("r%02d", i)),
			Spec:       v1alpha1.ClusterResourceSpec{GroupName: groupName, TypeName: "bench", ContainerName: container},
		}
		if err := s.api.Create(ctx, r); err != nil {
			return err
		}
		s.handles = append(s.handles, string(r.UID))
		in.Resources = append(in.Resources, r.Name)
		plan.Resources = append(plan.Resources, planned(r))
	}
	for _, o := range []runtime.ApplyConfiguration{builders.Role(in), builders.RoleBinding(in)} {
		if err := s.api.Apply(ctx, o, client.FieldOwner("bench")); err != nil {
			return err
		}
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	if err := s.api.Create(ctx, &appsv1.ControllerRevision{
		ObjectMeta: meta(in.Revisions[0]), Data: runtime.RawExtension{Raw: data}, Revision: 1,
	}); err != nil {
		return err
	}
	if err := s.api.Create(ctx, builders.Slice(&plan, corev1.IPv4Protocol)); err != nil {
		return err
	}
	record, _ := leasev1.ReleaseInitial(leasev1.Unheld(0, leaseSeconds*time.Second))
	lease := leasev1.Encode(record, leasev1.Lease{})
	leaseMeta := meta(leasev1.Name(groupName))
	leaseMeta.Annotations = lease.Annotations
	if err := s.api.Create(ctx, &coordinationv1.Lease{ObjectMeta: leaseMeta, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: lease.HolderIdentity, LeaseDurationSeconds: lease.LeaseDurationSeconds,
	}}); err != nil {
		return err
	}
	if err := s.permit(ctx); err != nil {
		return err
	}
	return s.point(ctx, group, in.Revisions[0])
}

// planned is a resource that may fail as often as it likes: RestartThreshold is more
// than what is counted.
func planned(r *v1alpha1.ClusterResource) planv1.Resource {
	return planv1.Resource{
		UID: string(r.UID), Name: r.Name, Generation: 1, Type: "bench", Container: container, Online: true,
		LooksAlivePollInterval: 5000, IsAlivePollInterval: 60000, PendingTimeout: 600000, DeadlockTimeout: 30000,
		TerminateTimeout: 5000, RestartAction: "RestartNoNotify", RestartThreshold: 1000, RestartPeriod: 900000,
		RestartDelay: 0, RetryPeriodOnFailure: 3600000,
	}
}

// permit makes the token that kubelet would put into the monitor.
func (s *stage) permit(ctx context.Context) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: s.pod.Name, UID: s.pod.UID,
		},
	}}
	of := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	err := s.api.SubResource("token").Create(ctx, of, request)
	s.token = request.Status.Token
	return err
}

// point has the group follow the plan, with our pod as the only successor.
func (s *stage) point(ctx context.Context, group *v1alpha1.ResourceGroup, revision string) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"planRevision": revision,
		"succession": map[string]any{"line": []any{
			map[string]any{"podUID": s.pod.UID, "podName": podName, "nodeName": s.pod.Spec.NodeName},
		}},
	}})
	if err != nil {
		return err
	}
	return s.api.Status().Patch(ctx, group, client.RawPatch(types.MergePatchType, patch))
}
