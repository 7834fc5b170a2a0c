//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// managerClient has the manager's own kind of token.
func managerClient(g Gomega, t *testing.T) client.Client {
	t.Helper()
	with, err := managerConfig(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	out, err := client.New(with, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return out
}

// The manager may write Leases, Services, Roles and pods, but only its own; so says
// a policy, since RBAC knows no labels. That it does all that it must, the other
// tests show: the manager that they run has the same token.
func TestManagerKeepsToItsOwn(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	manager, ctx := managerClient(g, t), t.Context()
	meta := func(name string, ours bool) metav1.ObjectMeta {
		out := metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{understudyv1alpha1.LabelManagedBy: "Helm"}}
		if ours {
			out.Labels = builders.Labels("db")
		}
		return out
	}
	role := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}
	}
	stays := func(o client.Object) bool { // RBAC alone keeps it from changing these
		switch o.(type) {
		case *appsv1.ControllerRevision, *batchv1.Job:
			return true
		}
		return false
	}
	for _, one := range []func(name string, ours bool) client.Object{
		func(name string, ours bool) client.Object {
			return &coordinationv1.Lease{ObjectMeta: meta(name, ours)}
		},
		func(name string, ours bool) client.Object {
			return &corev1.Service{ObjectMeta: meta(name, ours), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		},
		func(name string, ours bool) client.Object {
			return &corev1.Pod{ObjectMeta: meta(name, ours), Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "app", Image: "example.test/app:1"}},
			}}
		},
		func(name string, ours bool) client.Object {
			return &discoveryv1.EndpointSlice{ObjectMeta: meta(name, ours), AddressType: discoveryv1.AddressTypeIPv4}
		},
		func(name string, ours bool) client.Object {
			return &appsv1.ControllerRevision{
				ObjectMeta: meta(name, ours), Revision: 1, Data: runtime.RawExtension{Raw: []byte(`{}`)},
			}
		},
		func(name string, ours bool) client.Object {
			return &batchv1.Job{ObjectMeta: meta(name, ours), Spec: jobSpec()}
		},
		func(name string, ours bool) client.Object { return &rbacv1.Role{ObjectMeta: meta(name, ours)} },
		func(name string, ours bool) client.Object {
			return &rbacv1.RoleBinding{ObjectMeta: meta(name, ours), RoleRef: role(name)}
		},
	} {
		refused := MatchError(ContainSubstring("label app.kubernetes.io/managed-by=understudy"))
		g.Expect(manager.Create(ctx, one("understudy-theirs", false))).To(refused)
		create(g, t, one("understudy-theirs", false))
		g.Expect(manager.Delete(ctx, one("understudy-theirs", false))).To(refused)
		if !stays(one("", true)) {
			g.Expect(manager.Patch(ctx, one("understudy-theirs", false), merge(
				`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"understudy"}}}`))).To(refused, "stealing by the label")
		}
		g.Expect(manager.Create(ctx, one("understudy-ours", true))).To(Succeed())
		if !stays(one("", true)) {
			g.Expect(manager.Patch(ctx, one("understudy-ours", true), merge(
				`{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`))).To(refused, "letting it go")
		}
		if _, bound := one("", true).(*rbacv1.Role); !bound {
			g.Expect(manager.Delete(ctx, one("understudy-ours", true))).To(Succeed())
		}
	}

	// Roles: only those that have our name, and bound to accounts of their namespace alone.
	g.Expect(manager.Create(ctx, &rbacv1.Role{ObjectMeta: meta("db", true)})).
		To(MatchError(ContainSubstring("names begin with understudy-")))
	subject := func(kind, space, name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: kind, Namespace: space, Name: name}}
	}
	// One that gives nothing which the manager does not have: RBAC would let it bind that.
	weak := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "understudy-" + ns}}
	create(g, t, weak)
	for _, one := range []*rbacv1.RoleBinding{
		{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: weak.Name},
			Subjects: subject(rbacv1.ServiceAccountKind, ns, "default")},
		{RoleRef: role("understudy-theirs"), Subjects: subject(rbacv1.ServiceAccountKind, ns, "default")},
		{RoleRef: role("understudy-ours"), Subjects: subject(rbacv1.ServiceAccountKind, "default", "default")},
		{RoleRef: role("understudy-ours"), Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "eve"}}},
	} {
		if one.ObjectMeta = meta("understudy-ours", true); one.RoleRef.Kind == "ClusterRole" {
			one.Name = one.RoleRef.Name
		}
		g.Expect(manager.Create(ctx, one)).To(MatchError(ContainSubstring("binds a group's Role")))
	}
	// What it does not hold itself, it cannot give: it has no escalate.
	g.Expect(manager.Create(ctx, &rbacv1.Role{ObjectMeta: meta("understudy-more", true), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"},
	}}})).To(MatchError(ContainSubstring("attempting to grant RBAC permissions not currently held")))
	g.Expect(manager.List(ctx, &corev1.SecretList{})).To(MatchError(ContainSubstring("forbidden")))

	// Its election is its own, in its namespace.
	election := func(space string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "manager.understudy.dev"}}
	}
	g.Expect(manager.Create(ctx, election("understudy-system"))).To(Succeed())
	g.Expect(manager.Create(ctx, election(ns))).To(MatchError(ContainSubstring("managed-by=understudy")))
}
