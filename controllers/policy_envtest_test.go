//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// monitorOf is a client with a token of the kind that a monitor has: issued by
// the API server for one very pod.
func monitorOf(g Gomega, t *testing.T, pod *corev1.Pod) client.Client {
	t.Helper()
	with, err := tokenConfig(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName,
	}}, pod)
	g.Expect(err).NotTo(HaveOccurred())
	monitor, err := client.New(with, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return monitor
}

// twoHosts makes a group with two hosts and a monitor's client for each.
func twoHosts(g Gomega, t *testing.T, ns string) (hosts []corev1.Pod, monitors []client.Client) {
	t.Helper()
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	accepted(g, t, ns, "db")
	g.Eventually(func(g Gomega) {
		hosts = pods(g, t, ns, "db")
		g.Expect(hosts).To(HaveLen(2), hostsMessage(g, t, ns, "db"))
		// A token names the node of its pod: without a controller, nobody schedules.
		lease := get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})
		g.Expect(lease.Annotations).To(HaveKey(leasev1.KeyReleasedEpoch))
	}, soon, "50ms").Should(Succeed())
	for i := range hosts {
		monitors = append(monitors, monitorOf(g, t, &hosts[i]))
	}
	return hosts, monitors
}

// take writes a record as a monitor does.
func take(ctx context.Context, monitor client.Client, ns string, pod *corev1.Pod, epoch int64) error {
	lease := &coordinationv1.Lease{}
	if err := monitor.Get(ctx, client.ObjectKey{Namespace: ns, Name: leasev1.Name("db")}, lease); err != nil {
		return err
	}
	record := leasev1.Unheld(epoch, 2*time.Second)
	record.Inc, record.Seq = "inc", time.Now().UnixNano()
	if pod != nil {
		record.HolderName, record.HolderUID = pod.Name, string(pod.UID)
	} else {
		record.ReleasedEpoch = epoch
	}
	encoded := leasev1.Encode(record, leasev1.Lease{Annotations: lease.Annotations})
	lease.Annotations, lease.Spec.HolderIdentity = encoded.Annotations, encoded.HolderIdentity
	return monitor.Update(ctx, lease)
}

func epochOf(g Gomega, t *testing.T, ns string) int64 {
	record, err := leasev1.Decode(leaseOf(get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})))
	g.Expect(err).NotTo(HaveOccurred())
	return record.Epoch
}

func leaseOf(l *coordinationv1.Lease) leasev1.Lease {
	return leasev1.Lease{
		UID: string(l.UID), ResourceVersion: l.ResourceVersion, HolderIdentity: l.Spec.HolderIdentity,
		LeaseDurationSeconds: l.Spec.LeaseDurationSeconds, Annotations: l.Annotations,
	}
}

// The rules of the record, each from both sides.
func TestLeasePolicy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx, epoch := t.Context(), epochOf(g, t, ns)

	g.Eventually(func() error { return take(ctx, monitors[0], ns, &hosts[1], epoch+1) }, soon, "100ms").
		Should(MatchError(ContainSubstring("only itself")), "another pod as the holder")
	g.Expect(take(ctx, monitors[0], ns, &hosts[0], epoch)).
		To(MatchError(ContainSubstring("larger epoch")), "the old epoch")
	g.Expect(take(ctx, monitors[0], ns, &hosts[0], epoch+5)).To(Succeed())
	g.Expect(take(ctx, monitors[0], ns, &hosts[0], epoch+5)).To(Succeed(), "a renewal")
	g.Expect(take(ctx, monitors[1], ns, nil, epoch+5)).
		To(MatchError(ContainSubstring("only the holder itself")), "release by another")
	g.Expect(take(ctx, monitors[1], ns, &hosts[1], epoch+4)).
		To(MatchError(ContainSubstring("only grows")), "a smaller epoch")
	g.Expect(take(ctx, monitors[1], ns, &hosts[1], epoch+6)).To(Succeed(), "a take-over by silence")
	g.Expect(take(ctx, monitors[0], ns, &hosts[0], epoch+5)).
		To(MatchError(ContainSubstring("only grows")), "a late renewal of the old owner")
	g.Expect(take(ctx, monitors[1], ns, nil, epoch+6)).To(Succeed(), "its own release")

	// Break-glass and strangers.
	lease := get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})
	lease.Spec.HolderIdentity = ptr.To("db-9/somebody")
	lease.Annotations[leasev1.KeyEpoch] = "99999999999"
	g.Expect(c.Update(ctx, lease)).To(MatchError(ContainSubstring("only itself")), "not even an administrator")
	lease = get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})
	lease.Annotations[leasev1.KeyFencedBy] = "a person"
	g.Expect(c.Update(ctx, lease)).To(Succeed(), "a person may fence")
	g.Expect(c.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "understudy-not"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("x")}})).To(Succeed(), "a Lease of somebody else")
	g.Expect(c.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "any-"},
	})).To(Succeed(), "one without a name yet")
	g.Expect(c.Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "any-"}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
	})).To(Succeed(), "a slice of somebody else")
}

// status.owner is the owner's alone, and a captured write of the old owner is
// refused when it is replayed.
func TestStatusOwnerPolicy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx := t.Context()
	write := func(monitor client.Client, pod *corev1.Pod, epoch int64) error {
		one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
		now := metav1.NowMicro().UTC().Format("2006-01-02T15:04:05.000000Z")
		patch := `{"status":{"owner":{"epoch":` + itoa(epoch) + `,"podUID":"` + string(pod.UID) +
			`","state":"Online","stateTime":"` + now + `"}}}`
		return monitor.Status().Patch(ctx, one, client.RawPatch("application/merge-patch+json", []byte(patch)))
	}
	g.Eventually(func() error { return write(monitors[0], &hosts[1], 10) }, soon, "100ms").
		Should(MatchError(ContainSubstring("alone")))
	g.Expect(write(monitors[0], &hosts[0], 10)).To(Succeed())
	g.Expect(write(monitors[1], &hosts[1], 9)).To(MatchError(ContainSubstring("smaller epoch")))
	g.Expect(write(monitors[1], &hosts[1], 11)).To(Succeed())
	g.Expect(write(monitors[0], &hosts[0], 10)).To(MatchError(ContainSubstring("smaller epoch")), "replayed")
	g.Expect(write(c, &hosts[0], 12)).To(MatchError(ContainSubstring("no pod")), "an administrator")

	remove := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"owner":null}}`))
	one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
	g.Expect(monitors[1].Status().Patch(ctx, one, remove)).NotTo(Succeed(), "its removal")

	host := func(pod *corev1.Pod) client.Patch {
		return client.RawPatch("application/merge-patch+json",
			[]byte(`{"status":{"hosts":{"`+pod.Name+`":{"podUID":"`+string(pod.UID)+`","ready":true}}}}`))
	}
	g.Expect(monitors[0].Status().Patch(ctx, one, host(&hosts[1]))).To(MatchError(ContainSubstring("that host alone")))
	g.Expect(monitors[0].Status().Patch(ctx, one, host(&hosts[0]))).To(Succeed())

	// The manager goes on writing what is its own.
	g.Eventually(func(g Gomega) {
		condition := apimeta.FindStatusCondition(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionHostsReady)
		g.Expect(condition).NotTo(BeNil())
	}, soon, "50ms").Should(Succeed())
}

// The endpoint is the owner's, under its epoch.
func TestEndpointSlicePolicy(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx := t.Context()
	write := func(monitor client.Client, pod *corev1.Pod, epoch string) error {
		slice := &discoveryv1.EndpointSlice{}
		if err := monitor.Get(ctx, client.ObjectKey{Namespace: ns, Name: "db-understudy"}, slice); err != nil {
			return err
		}
		if slice.Annotations == nil {
			slice.Annotations = map[string]string{}
		}
		if delete(slice.Annotations, understudyv1alpha1.AnnotationEpoch); epoch != "" {
			slice.Annotations[understudyv1alpha1.AnnotationEpoch] = epoch
		}
		slice.Endpoints = nil
		if pod != nil {
			slice.Endpoints = []discoveryv1.Endpoint{{
				Addresses: []string{"10.1.2.3"},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: pod.Name, UID: pod.UID},
			}}
		}
		return monitor.Update(ctx, slice)
	}
	g.Eventually(func() error { return write(monitors[0], &hosts[1], "7") }, soon, "100ms").
		Should(MatchError(ContainSubstring("only itself")))
	g.Expect(write(monitors[0], &hosts[0], "")).To(MatchError(ContainSubstring("comes with the epoch")))
	g.Expect(write(monitors[0], &hosts[0], "7")).To(Succeed())
	g.Expect(write(monitors[1], &hosts[1], "8")).To(Succeed())
	g.Expect(write(monitors[0], &hosts[0], "7")).To(MatchError(ContainSubstring("smaller epoch")), "replayed")
	g.Expect(write(c, &hosts[0], "9")).To(MatchError(ContainSubstring("only itself")), "an administrator")
	g.Expect(write(monitors[0], &hosts[0], "8")).To(MatchError(ContainSubstring("its owner's")), "another pod, same epoch")
	g.Expect(write(monitors[0], nil, "8")).To(MatchError(ContainSubstring("its owner's")), "emptied by another pod")
	g.Expect(write(monitors[1], nil, "8")).To(Succeed(), "emptied")
	g.Expect(write(monitors[1], &hosts[1], "8")).To(Succeed(), "and filled again")
}

// The Role is as small as RBAC can say it.
func TestMonitorsReachTheirGroupAlone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	_, monitors := twoHosts(g, t, ns)
	// Groups that share a service account share what it may reach.
	other := newGroup(ns, "other")
	other.Spec.Template.Spec.ServiceAccountName = "other"
	create(g, t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "other"}},
		other, newResource(ns, "other", "mysql"))
	accepted(g, t, ns, "other")
	ctx, m := t.Context(), monitors[0]
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: ns, Name: name} }

	g.Eventually(func() error { return m.Get(ctx, key("db"), &understudyv1alpha1.ResourceGroup{}) }, soon, "100ms").Should(Succeed())
	g.Expect(m.Get(ctx, key("redis"), &understudyv1alpha1.ClusterResource{})).To(Succeed())
	g.Expect(m.List(ctx, &understudyv1alpha1.ControlCallList{}, client.InNamespace(ns))).To(Succeed())
	g.Expect(m.List(ctx, &understudyv1alpha1.ResourceGroupList{}, client.InNamespace(ns),
		client.MatchingFields{"metadata.name": "db"})).To(Succeed(), "its own by name")

	for what, err := range map[string]error{
		"another group":           m.Get(ctx, key("other"), &understudyv1alpha1.ResourceGroup{}),
		"another group's Lease":   m.Get(ctx, key(leasev1.Name("other")), &coordinationv1.Lease{}),
		"another's resource":      m.Get(ctx, key("mysql"), &understudyv1alpha1.ClusterResource{}),
		"all groups":              m.List(ctx, &understudyv1alpha1.ResourceGroupList{}, client.InNamespace(ns)),
		"pods":                    m.List(ctx, &corev1.PodList{}, client.InNamespace(ns)),
		"secrets":                 m.List(ctx, &corev1.SecretList{}, client.InNamespace(ns)),
		"types":                   m.List(ctx, &understudyv1alpha1.ResourceTypeList{}),
		"its own Role":            m.Get(ctx, key("understudy-db"), &rbacv1.Role{}),
		"deletion of its Lease":   m.Delete(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: leasev1.Name("db")}}),
		"the spec of its own":     m.Patch(ctx, newGroup(ns, "db"), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"hosts":3}}`))),
		"a Lease in another name": m.Get(ctx, client.ObjectKey{Namespace: "default", Name: leasev1.Name("db")}, &coordinationv1.Lease{}),
	} {
		g.Expect(err).To(MatchError(ContainSubstring("forbidden")), what)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
