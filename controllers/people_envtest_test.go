//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Whoever may edit a namespace, Leases included, cannot forge who owns a group, nor
// take what a group needs; to declare a host stopped is a right of its own.
func TestPeopleWithEdit(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts, monitors := twoHosts(g, t, ns)
	ctx, epoch := t.Context(), epochOf(g, t, ns)+1
	g.Eventually(func() error { return take(ctx, monitors[0], ns, &hosts[0], epoch) }, soon, "100ms").Should(Succeed())
	edit := editor(g, t, ns)
	admin := person(g, t, ns, "admin", []rbacv1.PolicyRule{{
		APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "update", "patch"},
	}}, "understudy-admin")
	change := func(as client.Client, change func(*coordinationv1.Lease)) error {
		lease := get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{})
		change(lease)
		return as.Update(ctx, lease)
	}
	annotate := func(as client.Client, pairs ...string) error {
		return change(as, func(l *coordinationv1.Lease) {
			for i := 0; i < len(pairs); i += 2 {
				l.Annotations[pairs[i]] = pairs[i+1]
			}
		})
	}
	g.Eventually(func() error { return annotate(edit, "example.test/note", "seen") }, soon, "100ms").
		Should(Succeed(), "what is not of the record")
	unfinalized := group(g, t, ns, "db")
	g.Expect(controllerutil.RemoveFinalizer(unfinalized, understudyv1alpha1.Finalizer)).To(BeTrue())
	for _, one := range []struct {
		refused string
		err     error
	}{
		{"hosts of its group", annotate(edit, leasev1.KeyMembers, "nobody")},
		{"hosts of its group", annotate(edit, leasev1.KeyEpoch, itoa(epoch+1))},
		{"hosts of its group", edit.Create(ctx, record(ns, "understudy-new", nil))},
		{"only grows", annotate(edit, leasev1.KeyEpoch, "1")},
		{"only itself", change(edit, func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = ptr.To("db-1/" + string(hosts[1].UID))
		})},
		{"only the holder itself", change(edit, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil })},
		{"stays one", change(edit, func(l *coordinationv1.Lease) { delete(l.Annotations, leasev1.KeyProtocol) })},
		{"while it is held", edit.Delete(ctx, bare(ns, leasev1.Name("db")))},
		{"verb fence", annotate(edit, leasev1.KeyFencedEpoch, itoa(epoch))},
		{"verb fence", annotate(monitors[1], leasev1.KeyFencedEpoch, itoa(epoch))},
		{"the present owner", annotate(admin, leasev1.KeyFencedEpoch, itoa(epoch+1))},
		{"hosts of its group", annotate(admin, leasev1.KeyMembers, "nobody", leasev1.KeyFencedEpoch, itoa(epoch))},
		{"only the manager removes the finalizer", edit.Update(ctx, unfinalized)},
		// What RBAC alone keeps from them.
		{`cannot patch resource "resourcegroups/status"`,
			edit.Status().Patch(ctx, newGroup(ns, "db"), merge(`{"status":{"nextHost":0}}`))},
		{`cannot delete resource "endpointslices"`, edit.Delete(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db-understudy"},
		})},
	} {
		g.Expect(one.err).To(MatchError(ContainSubstring(one.refused)))
	}
	g.Expect(edit.Create(ctx, bare(ns, "understudy-of-mine"))).To(Succeed(), "a Lease that is no record")
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + ns + ":editor"}
	plain, err := client.New(as, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plain.Create(ctx, bare(ns, "understudy-of-theirs"))).To(Succeed(), "of whom nothing is known but the name")
	g.Expect(annotate(admin, leasev1.KeyFencedEpoch, itoa(epoch), leasev1.KeyFencedBy, "admin")).To(Succeed())
	g.Expect(change(monitors[0], func(l *coordinationv1.Lease) {
		delete(l.Annotations, leasev1.KeyFencedEpoch)
		delete(l.Annotations, leasev1.KeyFencedBy)
	})).To(MatchError(ContainSubstring("verb fence")), "the one that is fenced")
	g.Expect(take(ctx, monitors[1], ns, &hosts[1], epoch+1)).To(Succeed(), "who takes over clears the fence")
	g.Expect(get(g, t, ns, leasev1.Name("db"), &coordinationv1.Lease{}).Annotations).NotTo(HaveKey(leasev1.KeyFencedEpoch))
}

// What a namespace that goes takes with it: a held record only as far as the
// finalizer lets it, and the finalizer is the manager's.
func TestHeldRecordOfANamespaceThatGoes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	ctx, names := t.Context(), []string{"understudy-held", "understudy-plain"}
	edit := editor(g, t, ns)
	held := map[string]*coordinationv1.Lease{}
	for _, name := range names {
		pod := podOf(g, t, ns, name[len(leasev1.NamePrefix):]+"-0")
		monitor := monitorOf(g, t, pod)
		create(g, t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-edit"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "default"}},
		})
		held[name] = record(ns, name, pod)
		if name == names[0] {
			held[name].Finalizers = []string{understudyv1alpha1.Finalizer}
		}
		g.Eventually(func() error { return monitor.Create(ctx, held[name].DeepCopy()) }, soon, "100ms").Should(Succeed())
		g.Eventually(func() error { return edit.Delete(ctx, held[name]) }, soon, "100ms").
			Should(MatchError(ContainSubstring("while it is held")), name)
	}
	g.Expect(c.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	g.Eventually(func() error { return edit.Delete(ctx, held[names[0]]) }, soon, "100ms").Should(Succeed())
	g.Expect(edit.Delete(ctx, held[names[1]])).To(MatchError(ContainSubstring("while it is held")), "nothing would hold it")
	release := merge(`{"metadata":{"finalizers":null}}`)
	g.Expect(edit.Patch(ctx, held[names[0]].DeepCopy(), release)).To(MatchError(ContainSubstring("only the manager")))
	manager := managerClient(g, t)
	g.Expect(manager.Patch(ctx, get(g, t, ns, names[0], &coordinationv1.Lease{}),
		merge(`{"metadata":{"finalizers":null,"labels":{"app.kubernetes.io/managed-by":"understudy"}}}`))).To(Succeed())
	gone(g, t, held[names[0]])
	g.Expect(c.Delete(ctx, held[names[1]])).To(Succeed(), "break-glass")
}

// Who may create ControlCalls may not yet call.
func TestControlCallVerbs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	rule := func(resource, name, verb string) rbacv1.PolicyRule {
		r := rbacv1.PolicyRule{APIGroups: []string{understudyv1alpha1.GroupName}, Resources: []string{resource}, Verbs: []string{verb}}
		if name != "" {
			r.ResourceNames = []string{name}
		}
		return r
	}
	creates := rule("controlcalls", "", "create")
	people := map[string]client.Client{
		"creates": person(g, t, ns, "creates", []rbacv1.PolicyRule{creates}),
		"moves":   person(g, t, ns, "moves", []rbacv1.PolicyRule{creates, rule("resourcegroups", "db", "move")}),
		"reads":   person(g, t, ns, "reads", []rbacv1.PolicyRule{creates, rule("clusterresources", "redis", "controlread")}),
		"writes":  person(g, t, ns, "writes", []rbacv1.PolicyRule{creates, rule("clusterresources", "redis", "controlwrite")}),
		"asks":    person(g, t, ns, "asks", []rbacv1.PolicyRule{creates, rule("resourcegroups", "db", "controlread")}),
		"runs":    person(g, t, ns, "runs", []rbacv1.PolicyRule{creates, rule("resourcegroups", "db", "controlwrite")}),
		"views":   person(g, t, ns, "views", []rbacv1.PolicyRule{creates}, "understudy-viewer"),
		"edits":   editor(g, t, ns),
	}
	const read, write = understudyv1alpha1.ControlRead, understudyv1alpha1.ControlWrite
	for who, as := range people {
		for _, one := range []struct {
			group, resource, typeName, code string
			access                          understudyv1alpha1.ControlAccess
			may                             []string
			verb                            string
		}{
			{"db", "", "", "MOVE", "", []string{"moves", "edits"}, "verb move on the ResourceGroup db"},
			{"db", "", "", "CANCEL", "", []string{"moves", "edits"}, "verb move on the ResourceGroup db"},
			{"other", "", "", "MOVE", "", []string{"edits"}, "verb move on the ResourceGroup other"},
			{"db", "", "", "GET_STATE", read, []string{"asks", "runs", "edits"}, "verb controlread on the ResourceGroup db"},
			{"db", "", "", "GET_STATE", "", []string{"runs", "edits"}, "verb controlwrite on the ResourceGroup db"},
			{"db", "", "", "DUMP", write, []string{"runs", "edits"}, "verb controlwrite on the ResourceGroup db"},
			{"db", "", "application", "COUNT", read, []string{"asks", "runs", "edits"}, "verb controlread on the ResourceGroup db"},
			{"db", "", "application", "BALANCE", "", []string{"runs", "edits"}, "verb controlwrite on the ResourceGroup db"},
			{"db", "", "application", "CANCEL", "", []string{"runs", "edits"}, "verb controlwrite on the ResourceGroup db"},
			{"db", "redis", "", "PROCESS", read, []string{"reads", "writes", "edits"}, "verb controlread on the ClusterResource redis"},
			{"db", "redis", "", "PROCESS", write, []string{"writes", "edits"}, "verb controlwrite on the ClusterResource redis"},
			{"db", "redis", "", "PROCESS", "", []string{"writes", "edits"}, "verb controlwrite on the ClusterResource redis"},
			{"db", "redis", "", "FAIL", "", []string{"writes", "edits"}, "verb controlwrite on the ClusterResource redis"},
			{"db", "redis", "", "CANCEL", "", []string{"writes", "edits"}, "verb controlwrite on the ClusterResource redis"},
			{"db", "mysql", "", "PROCESS", read, []string{"edits"}, "verb controlread on the ClusterResource mysql"},
		} {
			err := as.Create(t.Context(), &understudyv1alpha1.ControlCall{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "call-"},
				Spec: understudyv1alpha1.ControlCallSpec{
					GroupName: one.group, ResourceName: one.resource, TypeName: one.typeName, Code: one.code, Access: one.access,
				},
			})
			if slices.Contains(one.may, who) {
				g.Expect(err).NotTo(HaveOccurred(), "%s: %+v", who, one)
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(one.verb)), "%s: %+v", who, one)
			}
		}
	}
}

// A call is made as nobody but its creator, as the API server knows them.
func TestControlCallsAsAUser(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	edit := editor(g, t, ns)
	me, uid := "system:serviceaccount:"+ns+":editor", string(get(g, t, ns, "editor", &corev1.ServiceAccount{}).UID)
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "eve", Groups: []string{"system:masters"}}
	plain, err := client.New(as, client.Options{Scheme: c.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"}
	for _, one := range []struct {
		who     client.Client
		user    understudyv1alpha1.ControlUser
		refused string
	}{
		{edit, understudyv1alpha1.ControlUser{Username: me, UID: uid, Groups: groups}, ""},
		{edit, understudyv1alpha1.ControlUser{Username: me, UID: uid, Groups: groups[1:2]}, ""},
		{edit, understudyv1alpha1.ControlUser{Username: me, UID: uid}, ""},
		{edit, understudyv1alpha1.ControlUser{Username: me}, "spec.asUser is who creates the call: username " + me + " and uid " + uid},
		{edit, understudyv1alpha1.ControlUser{Username: me, UID: "1"}, "spec.asUser is who creates the call"},
		{edit, understudyv1alpha1.ControlUser{Username: "eve", UID: uid}, "spec.asUser is who creates the call"},
		{edit, understudyv1alpha1.ControlUser{Username: me, UID: uid, Groups: append(slices.Clone(groups), "system:masters")},
			"and these are not: system:masters"},
		{plain, understudyv1alpha1.ControlUser{Username: "eve", Groups: []string{"system:masters"}}, ""},
		{plain, understudyv1alpha1.ControlUser{Username: "eve", UID: "1"}, "username eve and no uid"},
		{plain, understudyv1alpha1.ControlUser{Username: me}, "username eve and no uid"},
	} {
		call := &understudyv1alpha1.ControlCall{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "call-"},
			Spec: understudyv1alpha1.ControlCallSpec{
				GroupName: "db", ResourceName: "redis", Code: "PROCESS", AsUser: &one.user,
			},
		}
		if err := one.who.Create(t.Context(), call); one.refused == "" {
			g.Expect(err).NotTo(HaveOccurred(), "%+v", one.user)
		} else {
			g.Expect(err).To(MatchError(ContainSubstring(one.refused)), "%+v", one.user)
		}
	}
}

// What a call asks for stays, whatever its input, and whoever may update it.
func TestControlCallsDoNotChange(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	updates := person(g, t, ns, "updates", []rbacv1.PolicyRule{{
		APIGroups: []string{understudyv1alpha1.GroupName}, Resources: []string{"controlcalls"}, Verbs: []string{"get", "patch"},
	}})
	call := &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ask"},
		Spec: understudyv1alpha1.ControlCallSpec{
			GroupName: "db", ResourceName: "redis", Code: "PROCESS", Input: &runtime.RawExtension{Raw: []byte(`{"a":1}`)},
		},
	}
	create(g, t, call)
	for _, input := range []string{`{"a":null,"b":1}`, `{"a":2}`, `{"b":1}`, `null`} {
		err := updates.Patch(t.Context(), bareCall(ns, "ask"), merge(`{"spec":{"input":`+input+`}}`))
		g.Expect(err).To(MatchError(ContainSubstring("create another ControlCall")), input)
	}
	g.Expect(updates.Patch(t.Context(), bareCall(ns, "ask"), merge(`{"metadata":{"labels":{"a":"b"}}}`))).
		To(Succeed(), "a label is no call")
}

func bareCall(ns, name string) *understudyv1alpha1.ControlCall {
	return &understudyv1alpha1.ControlCall{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
}
