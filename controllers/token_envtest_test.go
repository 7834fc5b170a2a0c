//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// caller is somebody with a token of a pod, who writes in the name of some pod
// under some epoch.
type caller struct {
	client client.Client
	ns     string
	pod    *corev1.Pod
	epoch  string
}

func (w caller) status(ctx context.Context, o client.Object, name, patch string) error {
	o.SetNamespace(w.ns)
	o.SetName(name)
	return w.client.Status().Patch(ctx, o, merge(patch))
}

func merge(patch string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(patch)) }

// owner is how a status names its owner.
func (w caller) owner(more string) string {
	return `{"epoch":` + w.epoch + `,"podUID":"` + string(w.pod.UID) + `","podName":"` + w.pod.Name + `"` + more + `}`
}

// conditionOf is one that is true.
func conditionOf(kind string) string {
	return `{"type":"` + kind + `","status":"True","reason":"Online","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}`
}

// act is one write.
type act = func(context.Context, caller) error

// acts are what the monitor of the owner of the group db does. Those of its
// resource and its calls stand for all of them.
var acts = map[string]act{
	"take the record": func(ctx context.Context, w caller) error {
		return take(ctx, w.client, w.ns, w.pod, number(w.epoch))
	},
	"speak as the owner": func(ctx context.Context, w caller) error {
		return w.status(ctx, &understudyv1alpha1.ResourceGroup{}, "db",
			`{"status":{"owner":`+w.owner(`,"state":"Online","stateTime":"2026-01-01T00:00:00.000000Z"`)+`}}`)
	},
	"speak of a type": func(ctx context.Context, w caller) error {
		return w.status(ctx, &understudyv1alpha1.ResourceGroup{}, "db",
			`{"status":{"owner":`+w.owner(`,"state":"Online"`)+`,"types":[{"name":"application","lastSequence":`+w.epoch+`}]}}`)
	},
	"speak of the resource": func(ctx context.Context, w caller) error {
		return w.status(ctx, &understudyv1alpha1.ClusterResource{}, "redis",
			`{"status":{"owner":`+w.owner(`,"state":"Online","stateTime":"2026-01-01T00:00:00.000000Z"`)+`}}`)
	},
	"be the endpoint": func(ctx context.Context, w caller) error {
		return w.client.Patch(ctx, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: w.ns, Name: "db-understudy",
		}}, merge(`{"metadata":{"annotations":{"understudy.dev/epoch":"`+w.epoch+`"}},"endpoints":[{"addresses":["10.1.2.3"],
			"targetRef":{"kind":"Pod","name":"`+w.pod.Name+`","uid":"`+string(w.pod.UID)+`"}}]}`))
	},
	"name the ports": func(ctx context.Context, w caller) error {
		return w.client.Patch(ctx, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: w.ns, Name: "db-understudy",
		}}, merge(`{"ports":[{"port":80`+w.epoch+`}]}`))
	},
	"claim a call": func(ctx context.Context, w caller) error {
		return w.status(ctx, &understudyv1alpha1.ControlCall{}, "ask", `{"status":{"owner":`+w.owner("")+`}}`)
	},
}

// standbyActs are what the monitor of every host does.
var standbyActs = map[string]act{
	"speak of the host": func(ctx context.Context, w caller) error {
		return w.status(ctx, &understudyv1alpha1.ResourceGroup{}, "db",
			`{"status":{"hosts":{"`+w.pod.Name+`":{"podUID":"`+string(w.pod.UID)+`","ready":true}}}}`)
	},
}

// refuseAll checks that the policies refuse all acts, of a caller whom RBAC lets.
func refuseAll(ctx context.Context, g Gomega, who string, w caller, all ...map[string]act) {
	for _, some := range all {
		for _, name := range slices.Sorted(maps.Keys(some)) {
			g.Expect(some[name](ctx, w)).To(MatchError(ContainSubstring("ValidatingAdmissionPolicy")), "%s: %s", who, name)
		}
	}
}

// podOf makes a pod under the service account of the namespace.
func podOf(g Gomega, t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: "default", Containers: []corev1.Container{{Name: "app", Image: "example.test/app:1"}},
		},
	}
	create(g, t, pod)
	return pod
}

// person is a client with a token that no pod has, and with roles in a namespace.
func person(g Gomega, t *testing.T, ns, name string, rules []rbacv1.PolicyRule, roles ...string) client.Client {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	create(g, t, account, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: rules})
	bind := func(kind, role string) {
		create(g, t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: name + "-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}},
		})
	}
	bind("Role", name)
	for _, role := range roles {
		bind("ClusterRole", role)
	}
	with, err := tokenConfig(t.Context(), account, nil)
	g.Expect(err).NotTo(HaveOccurred())
	out, err := client.New(with, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return out
}

// editor is a person with Kubernetes' own role edit, whose rules nobody aggregates here.
func editor(g Gomega, t *testing.T, ns string, more ...string) client.Client {
	return person(g, t, ns, "editor", nil, append([]string{
		"system:aggregate-to-view", "system:aggregate-to-edit", "understudy-viewer", "understudy-editor",
	}, more...)...)
}

// The token decides whose host the caller is, not the service account, which two
// groups and any program of the namespace may share.
func TestTokensOfOneServiceAccount(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	create(g, t, newGroup(ns, "other"), newResource(ns, "other", "mysql"), &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ask"},
		Spec:       understudyv1alpha1.ControlCallSpec{GroupName: "db", ResourceName: "redis", Code: "PROCESS"},
	})
	accepted(g, t, ns, "other")
	var others []corev1.Pod
	g.Eventually(func(g Gomega) {
		others = pods(g, t, ns, "other")
		g.Expect(others).To(HaveLen(2), hostsMessage(g, t, ns, "other"))
	}, soon, "50ms").Should(Succeed())
	ctx, epoch := t.Context(), itoa(epochOf(g, t, ns)+1)

	// A monitor of another group, and pods that are nobody's hosts; each has all
	// that RBAC gives the hosts of db.
	for _, pod := range []*corev1.Pod{
		&others[0], podOf(g, t, ns, "tool-7c9d8b6f5-x2x4z"), podOf(g, t, ns, "db-1-1"), podOf(g, t, ns, "db"),
	} {
		w := caller{monitorOf(g, t, pod), ns, pod, epoch}
		g.Eventually(func() error {
			return w.client.Get(ctx, client.ObjectKey{Namespace: ns, Name: "db"}, &understudyv1alpha1.ResourceGroup{})
		}, soon, "100ms").Should(Succeed(), "RBAC lets it")
		refuseAll(ctx, g, pod.Name, w, acts, standbyActs)
		refuseAll(ctx, g, pod.Name+" in the name of a host", caller{w.client, ns, &hosts[0], epoch}, acts, standbyActs)
		for _, lease := range []*coordinationv1.Lease{bare(ns, "understudy-db2"), record(ns, "understudy-db2", nil)} {
			g.Expect(w.client.Create(ctx, lease)).To(MatchError(ContainSubstring("hosts of its group, db2")), pod.Name)
		}
	}
	// A pod with the name of a host, in another namespace, whose account has rights here.
	elsewhere := namespace(t, nil)
	namesake := podOf(g, t, elsewhere, hosts[0].Name)
	create(g, t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "elsewhere"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "understudy-db"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: elsewhere, Name: "default"}},
	})
	w := caller{monitorOf(g, t, namesake), ns, namesake, epoch}
	g.Eventually(func() error {
		return w.client.Get(ctx, client.ObjectKey{Namespace: ns, Name: "db"}, &understudyv1alpha1.ResourceGroup{})
	}, soon, "100ms").Should(Succeed(), "RBAC lets it")
	refuseAll(ctx, g, "a namesake", w, acts, standbyActs)
	// The hosts themselves do all of it, and a standby what is a standby's.
	own, standby := caller{monitors[0], ns, &hosts[0], epoch}, caller{monitors[1], ns, &hosts[1], epoch}
	for _, some := range []map[string]act{standbyActs, acts} {
		for _, name := range slices.Sorted(maps.Keys(some)) {
			g.Eventually(func() error { return some[name](ctx, own) }, soon, "100ms").Should(Succeed(), name)
		}
	}
	g.Expect(standbyActs["speak of the host"](ctx, standby)).To(Succeed())

	// The owner is dethroned: under the old epoch nothing is left to it.
	later := caller{standby.client, ns, &hosts[1], itoa(number(epoch) + 1)}
	for _, name := range slices.Sorted(maps.Keys(acts)) {
		g.Expect(acts[name](ctx, later)).To(Succeed(), name)
	}
	for _, name := range slices.Sorted(maps.Keys(acts)) {
		g.Expect(acts[name](ctx, own)).NotTo(Succeed(), "the old owner: %s", name)
	}
	g.Expect(take(ctx, own.client, ns, nil, number(epoch))).NotTo(Succeed(), "the old owner: release")

	// A record that is gone is made anew by its owner, for itself alone.
	g.Expect(take(ctx, later.client, ns, nil, number(later.epoch))).To(Succeed())
	gone := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: leasev1.Name("db")}}
	g.Expect(c.Patch(ctx, gone, merge(`{"metadata":{"finalizers":null}}`))).To(Succeed())
	g.Expect(c.Delete(ctx, gone)).To(Succeed())
	g.Expect(later.client.Create(ctx, record(ns, gone.Name, &hosts[0]))).To(MatchError(ContainSubstring("only itself")))
	g.Expect(later.client.Create(ctx, record(ns, gone.Name, &hosts[1]))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(get(g, t, ns, gone.Name, &coordinationv1.Lease{}).Labels).
			To(HaveKeyWithValue(understudyv1alpha1.LabelManagedBy, understudyv1alpha1.ManagedBy))
	}, soon, "100ms").Should(Succeed(), "the manager takes it up, though it had not its label")
}

// What is the manager's, a monitor cannot write: not the plan that its group runs,
// nor who may take over, nor what the manager thinks of it.
func TestMonitorsLeaveWhatIsTheManagers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx := t.Context()
	own, standby := caller{monitors[0], ns, &hosts[0], "9"}, caller{monitors[1], ns, &hosts[1], "9"}
	for _, w := range []caller{own, standby} {
		g.Eventually(func() error { return standbyActs["speak of the host"](ctx, w) }, soon, "100ms").Should(Succeed())
	}
	g.Expect(acts["speak as the owner"](ctx, own)).To(Succeed())
	g.Expect(own.status(ctx, &understudyv1alpha1.ResourceGroup{}, "db",
		`{"status":{"types":[{"name":"t","lastSequence":2}]}}`)).To(Succeed())
	g.Expect(c.Status().Patch(ctx, &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}},
		merge(`{"status":{"types":[{"name":"t","lastSequence":3}]}}`))).
		To(MatchError(ContainSubstring("status.types is written by the monitor of the owner")), "an administrator")
	group, resource := &understudyv1alpha1.ResourceGroup{}, &understudyv1alpha1.ClusterResource{}
	for _, one := range []struct {
		who         caller
		on          client.Object
		name, patch string
		refused     string
	}{
		{own, group, "db", `{"status":{"planRevision":"db-evil"}}`, "other than owner, hosts, conditions"},
		{own, group, "db", `{"status":{"planRevision":null}}`, "other than owner, hosts, conditions"},
		{own, group, "db", `{"status":{"nextHost":0}}`, "other than owner, hosts, conditions"},
		{own, group, "db", `{"status":{"succession":{"barred":[{"podUID":"x","podName":"db-1","reason":"Rival"}]}}}`,
			"other than owner, hosts, conditions"},
		{standby, group, "db", `{"status":{"types":[{"name":"t","lastSequence":9}]}}`, "status.types is written by the monitor of the owner"},
		{standby, group, "db", `{"status":{"types":null}}`, "status.types is written by the monitor of the owner"},
		{own, group, "db", `{"status":{"types":[{"name":"t","lastSequence":1}]}}`, "numbers of notifications only grow"},
		{own, group, "db", `{"status":{"conditions":[` + conditionOf("Ready") + `]}}`, "conditions other than Ready"},
		{own, group, "db", `{"status":{"conditions":null}}`, "conditions other than Ready"},
		{own, group, "db", `{"status":{"hosts":{"db-1":null}}}`, "only the manager removes"},
		{own, group, "db", `{"status":{"hosts":{"db-1":{"podUID":"` + string(hosts[0].UID) + `"}}}}`, "that host alone"},
		{own, resource, "redis", `{"status":{"conditions":null}}`, "conditions other than Ready"},
	} {
		g.Expect(one.who.status(ctx, one.on.DeepCopyObject().(client.Object), one.name, one.patch)).
			To(MatchError(ContainSubstring(one.refused)), one.patch)
	}
	// One more condition beside those of the manager.
	with := func(w caller) error {
		one := get(g, t, ns, "db", &understudyv1alpha1.ResourceGroup{})
		patch := client.MergeFromWithOptions(one.DeepCopy(), client.MergeFromWithOptimisticLock{})
		one.Status.Conditions = append(one.Status.Conditions, metav1.Condition{
			Type: understudyv1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Online",
			LastTransitionTime: metav1.Now(),
		})
		return w.client.Status().Patch(ctx, one, patch)
	}
	g.Eventually(func() error { return with(standby) }, soon, "50ms").
		Should(MatchError(ContainSubstring("the monitor of the owner alone")))
	g.Eventually(func() error { return with(own) }, soon, "50ms").Should(Succeed())
}

// The largest status that the kinds allow costs the policies less than the API
// server lets them spend: else nobody could write it any more.
func TestPoliciesAffordTheLargestStatus(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx, long := t.Context(), strings.Repeat("x", 32_000)
	for n := len(hosts); n < 32; n++ {
		pod := podOf(g, t, ns, "db-1"+itoa(int64(n)))
		monitor := monitorOf(g, t, pod)
		g.Eventually(func() error {
			return caller{monitor, ns, pod, "9"}.status(ctx, &understudyv1alpha1.ResourceGroup{}, "db",
				`{"status":{"hosts":{"`+pod.Name+`":{"podUID":"`+string(pod.UID)+`","ready":false,"message":"`+long[:1024]+`"}}}}`)
		}, soon, "100ms").Should(Succeed())
	}
	for _, one := range hosts {
		g.Expect(standbyActs["speak of the host"](ctx, caller{monitorOf(g, t, &one), ns, &one, "9"})).To(Succeed())
	}
	g.Eventually(func(g Gomega) {
		one := group(g, t, ns, "db")
		patch := client.MergeFromWithOptions(one.DeepCopy(), client.MergeFromWithOptimisticLock{})
		for n := len(one.Status.Conditions); n < 10; n++ {
			one.Status.Conditions = append(one.Status.Conditions, metav1.Condition{
				Type: "Long" + itoa(int64(n)), Status: metav1.ConditionTrue, Reason: "Long", Message: long,
				LastTransitionTime: metav1.Now(),
			})
		}
		g.Expect(c.Status().Patch(ctx, one, patch)).To(Succeed())
	}, soon, "50ms").Should(Succeed())
	own := caller{monitors[0], ns, &hosts[0], "9"}
	g.Eventually(func() error { return acts["speak as the owner"](ctx, own) }, soon, "50ms").Should(Succeed())
	// As many notifications as the monitor writes: 256 KiB, and the latest of each type.
	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		patch := client.MergeFromWithOptions(one.DeepCopy(), client.MergeFromWithOptimisticLock{})
		one.Status.Types = nil
		for n := range 32 {
			large := understudyv1alpha1.GroupTypeStatus{Name: "type-" + itoa(int64(n)), LastSequence: 16}
			for i := range 16 {
				size := 4096
				if n >= 4 && i < 15 {
					size = 0
				}
				large.Notifications = append(large.Notifications, understudyv1alpha1.TypeNotification{
					Sequence: int64(i + 1), Time: metav1.NowMicro(), PodName: long[:253], Payload: []byte(long[:size]),
				})
			}
			one.Status.Types = append(one.Status.Types, large)
		}
		return own.client.Status().Patch(ctx, one, patch)
	}, soon, "50ms").Should(Succeed())
	g.Expect(standbyActs["speak of the host"](ctx, caller{monitors[1], ns, &hosts[1], "9"})).To(Succeed())
	g.Eventually(func() error {
		one := group(g, t, ns, "db")
		g.Expect(one.Status.Hosts).To(HaveLen(32))
		patch := client.MergeFromWithOptions(one.DeepCopy(), client.MergeFromWithOptimisticLock{})
		for _, kind := range []string{understudyv1alpha1.ConditionReady, understudyv1alpha1.ConditionStopFailed} {
			one.Status.Conditions = append(one.Status.Conditions, metav1.Condition{
				Type: kind, Status: metav1.ConditionTrue, Reason: "Long", Message: long, LastTransitionTime: metav1.Now(),
			})
		}
		return own.client.Status().Patch(ctx, one, patch)
	}, soon, "50ms").Should(Succeed())
}

// bare is a Lease that is no record.
func bare(ns, name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}

// record is one that a pod holds, or nobody.
func record(ns, name string, pod *corev1.Pod) *coordinationv1.Lease {
	r := leasev1.Unheld(7_000_000_000, 2*time.Second)
	if pod != nil {
		r.HolderName, r.HolderUID = pod.Name, string(pod.UID)
	}
	encoded := leasev1.Encode(r, leasev1.Lease{})
	lease := bare(ns, name)
	lease.Annotations, lease.Spec.HolderIdentity = encoded.Annotations, encoded.HolderIdentity
	lease.Spec.LeaseDurationSeconds = encoded.LeaseDurationSeconds
	return lease
}
