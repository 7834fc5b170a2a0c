//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// waits until a call says for whom it waits.
func waits(g Gomega, t *testing.T, ns, name, message string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		have := get(g, t, ns, name, &understudyv1alpha1.ControlCall{})
		g.Expect(apimeta.FindStatusCondition(have.Status.Conditions, understudyv1alpha1.ConditionFinished)).To(HaveValue(And(
			HaveField("Status", metav1.ConditionFalse), HaveField("Reason", understudyv1alpha1.ReasonWaiting),
			HaveField("Message", ContainSubstring(message)))), name)
		g.Expect(have.Status.CompletionTime).To(BeNil(), name)
	}, 2*soon, "100ms").Should(Succeed())
}

// ends waits until a call has an outcome.
func ends(g Gomega, t *testing.T, ns, name, reason, status, message string) {
	t.Helper()
	g.Eventually(func(g Gomega) {
		have := get(g, t, ns, name, &understudyv1alpha1.ControlCall{})
		g.Expect(apimeta.FindStatusCondition(have.Status.Conditions, understudyv1alpha1.ConditionFinished)).
			To(HaveValue(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", reason))), name)
		g.Expect(have.Status.StatusName).To(Equal(status), name)
		g.Expect(have.Status.Message).To(ContainSubstring(message), name)
		g.Expect(have.Status.CompletionTime).NotTo(BeNil())
	}, 2*soon, "100ms").Should(Succeed())
}

// Calls that nobody can claim are refused with a reason; finished ones expire.
func TestControlCalls(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	unused := &understudyv1alpha1.ResourceType{
		ObjectMeta: metav1.ObjectMeta{Name: "unused-" + ns},
		Spec: understudyv1alpha1.ResourceTypeSpec{Provider: understudyv1alpha1.ProviderSource{
			Inject: &understudyv1alpha1.InjectedProvider{Command: []string{"/provider"}},
		}},
	}
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"), newGroup(ns, "other"), unused)
	t.Cleanup(func() { _ = c.Delete(context.Background(), unused) })
	call := func(name, group, resource, code string) *understudyv1alpha1.ControlCall {
		return &understudyv1alpha1.ControlCall{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec:       understudyv1alpha1.ControlCallSpec{GroupName: group, ResourceName: resource, Code: code},
		}
	}
	ofType := func(name, typeName string) *understudyv1alpha1.ControlCall {
		one := call(name, "db", "", "COUNT")
		one.Spec.TypeName = typeName
		return one
	}
	onHost := func(name, host string) *understudyv1alpha1.ControlCall {
		one := call(name, "db", "redis", "PROCESS")
		one.Spec.Access, one.Spec.HostName = understudyv1alpha1.ControlRead, host
		return one
	}
	short := call("no-group", "nowhere", "", understudyv1alpha1.CodeMove)
	short.Spec.TTLSecondsAfterFinished = new(int32(4))
	create(g, t, short, call("no-resource", "db", "mysql", "PROCESS"),
		call("wrong-group", "other", "redis", "PROCESS"), call("good", "db", "redis", "PROCESS"),
		ofType("no-type", "nonesuch"), ofType("unused-type", "unused-"+ns), ofType("good-type", "application"),
		onHost("no-host", "db-9"), onHost("no-node", "node-9"))
	for name, want := range map[string]string{
		"no-group": "5013 ERROR_GROUP_NOT_FOUND", "no-resource": "5007 ERROR_RESOURCE_NOT_FOUND",
		"wrong-group": "5007 ERROR_RESOURCE_NOT_FOUND",
		"no-type":     "5078 ERROR_CLUSTER_RESOURCE_TYPE_NOT_FOUND",
		"unused-type": "5078 ERROR_CLUSTER_RESOURCE_TYPE_NOT_FOUND",
		"no-host":     "5005 ERROR_HOST_NODE_NOT_AVAILABLE", "no-node": "5005 ERROR_HOST_NODE_NOT_AVAILABLE",
	} {
		g.Eventually(func(g Gomega) {
			have := get(g, t, ns, name, &understudyv1alpha1.ControlCall{})
			condition := apimeta.FindStatusCondition(have.Status.Conditions, understudyv1alpha1.ConditionFinished)
			g.Expect(condition).To(HaveValue(HaveField("Reason", understudyv1alpha1.ReasonRefused)), name)
			g.Expect(fmt.Sprint(ptr.Deref(have.Status.StatusCode, 0), " ", have.Status.StatusName)).To(Equal(want), name)
		}, soon, "50ms").Should(Succeed())
	}
	for name, message := range map[string]string{
		"no-type": `"nonesuch" does not exist`, "unused-type": "name one of these in another call: application",
		"no-host": "in another call: db-0, db-1",
	} {
		g.Expect(get(g, t, ns, name, &understudyv1alpha1.ControlCall{}).Status.Message).To(ContainSubstring(message), name)
	}
	waits(g, t, ns, "good", "which had no owner yet")
	waits(g, t, ns, "good-type", "which had no owner yet")
	g.Eventually(func(g Gomega) { gone(g, t, short) }, soon, "100ms").Should(Succeed())
	get(g, t, ns, "no-resource", &understudyv1alpha1.ControlCall{})
}

// A call does not outlive its target: what nobody claimed is refused, of what was
// claimed the outcome is unknown.
func TestControlCallsOfWhatIsDeleted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	create(g, t, newGroup(ns, "other"), newResource(ns, "other", "mysql"))
	call := func(name, group, resource, code string) {
		create(g, t, &understudyv1alpha1.ControlCall{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec:       understudyv1alpha1.ControlCallSpec{GroupName: group, ResourceName: resource, Code: code},
		})
	}
	call("claimed", "db", "redis", "PROCESS")
	call("waiting", "db", "", understudyv1alpha1.CodeMove)
	call("asking", "other", "mysql", "PROCESS")
	g.Expect(monitor.Status().Patch(t.Context(), &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "claimed"},
	}, client.RawPatch(types.MergePatchType, []byte(
		`{"status":{"owner":{"epoch":1000,"podUID":"`+string(owner.UID)+`","podName":"db-0"}}}`)))).To(Succeed())
	// Also when the grace of calls that come before their target is over, after which nothing looks again.
	g.Consistently(func(g Gomega) {
		for _, name := range []string{"claimed", "waiting", "asking"} {
			g.Expect(get(g, t, ns, name, &understudyv1alpha1.ControlCall{}).Status.CompletionTime).To(BeNil(), name)
		}
	}, "6s", "200ms").Should(Succeed())
	g.Expect(c.Delete(t.Context(), newResource(ns, "other", "mysql"))).To(Succeed())
	ends(g, t, ns, "asking", understudyv1alpha1.ReasonRefused, "ERROR_RESOURCE_NOT_FOUND", `"mysql" does not exist`)

	g.Expect(c.Delete(t.Context(), newGroup(ns, "db"))).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(apimeta.IsStatusConditionTrue(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionRetiring)).To(BeTrue())
	}, soon, "50ms").Should(Succeed())
	g.Expect(take(t.Context(), monitor, ns, nil, 1_000)).To(Succeed(), "released")
	g.Eventually(func(g Gomega) {
		for _, p := range pods(g, t, ns, "db") { // kubelet's part
			if !p.DeletionTimestamp.IsZero() {
				g.Expect(client.IgnoreNotFound(c.Delete(t.Context(), &p, client.GracePeriodSeconds(0)))).To(Succeed())
			}
		}
		gone(g, t, newGroup(ns, "db"))
	}, 2*soon, "100ms").Should(Succeed())
	ends(g, t, ns, "claimed", understudyv1alpha1.ReasonOutcomeUnknown, "ERROR_OPERATION_ABORTED", "it is not run again")
	ends(g, t, ns, "waiting", understudyv1alpha1.ReasonRefused, "ERROR_GROUP_NOT_FOUND", `"db" does not exist`)
}

// readOn makes a call with access Read, of the resource redis, on a host; "" is the owner.
func readOn(g Gomega, t *testing.T, ns, name, host string) {
	t.Helper()
	create(g, t, &understudyv1alpha1.ControlCall{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: understudyv1alpha1.ControlCallSpec{
			GroupName: "db", ResourceName: "redis", Code: "PROCESS", Access: understudyv1alpha1.ControlRead, HostName: host,
		},
	})
}

// claim has the caller claim a call, with more in its status.
func claim(ctx context.Context, w caller, name, more string) error {
	return w.status(ctx, &understudyv1alpha1.ControlCall{}, name, `{"status":{"owner":`+w.owner("")+more+`}}`)
}

// A call on a named host is that host's, by the name of its pod or of its node; it is
// claimed once, and only a larger epoch takes a claim over.
func TestClaimsOfANamedHost(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	ctx := t.Context()
	owner := caller{monitorOf(g, t, &hosts[0]), ns, &hosts[0], "7"}
	standby := caller{monitorOf(g, t, &hosts[1]), ns, &hosts[1], "7"}
	readOn(g, t, ns, "by-pod", "db-1")
	readOn(g, t, ns, "by-node", ns+"-db-1")
	readOn(g, t, ns, "of-the-owner", "")
	for _, name := range []string{"by-pod", "by-node"} {
		g.Eventually(func() error { return claim(ctx, owner, name, "") }, soon, "100ms").
			Should(MatchError(ContainSubstring("the caller is the pod db-0 on the node "+ns+"-db-0")), name)
		g.Expect(claim(ctx, caller{standby.client, ns, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: "db-0", UID: hosts[1].UID,
		}}, "7"}, name, "")).To(MatchError(ContainSubstring("the name of the caller, the pod db-1")), name)
		g.Expect(claim(ctx, standby, name, "")).To(Succeed(), name)
		g.Expect(claim(ctx, owner, name, "")).NotTo(Succeed(), "%s: a second claim", name)
		for _, epoch := range []string{"6", "7"} {
			g.Expect(claim(ctx, caller{owner.client, ns, owner.pod, epoch}, name, `,"completionTime":"2026-01-01T00:00:00.000000Z"`)).
				To(MatchError(ContainSubstring("its claimer's")), "%s under epoch %s", name, epoch)
		}
	}
	// Who cannot run it may still say so: an end is no run.
	readOn(g, t, ns, "refused", "db-1")
	g.Expect(claim(ctx, owner, "refused", `,"completionTime":"2026-01-01T00:00:00.000000Z"`)).To(Succeed())
	g.Expect(claim(ctx, owner, "of-the-owner", "")).To(Succeed())
	// Of what another host runs nobody makes up an outcome.
	end := func(more string) error {
		return standby.status(ctx, &understudyv1alpha1.ControlCall{}, "of-the-owner",
			`{"status":{"completionTime":"2026-01-01T00:00:00.000000Z",`+more+`}}`)
	}
	for _, forged := range []string{`"statusCode":0`, `"output":"forged"`, `"statusCode":995,"output":"forged"`} {
		g.Expect(end(forged)).To(MatchError(ContainSubstring("its outcome is unknown, statusCode 995")), forged)
	}
	g.Expect(end(`"statusCode":995`)).To(Succeed())
}

// A call that nobody claims says for whom it waits, and goes on saying what is so now;
// of one that is claimed the manager says nothing.
func TestCallsThatWait(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	_, monitor := ownedGroup(g, t, ns)
	owner := get(g, t, ns, "db-0", &corev1.Pod{})
	readOn(g, t, ns, "waiting", "")
	readOn(g, t, ns, "elsewhere", "db-1")
	readOn(g, t, ns, "claimed", "")
	g.Expect(claim(t.Context(), caller{monitor, ns, owner, "1000"}, "claimed",
		`,"conditions":[{"type":"Finished","status":"False","reason":"Running","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]`)).
		To(Succeed())
	version := get(g, t, ns, "claimed", &understudyv1alpha1.ControlCall{}).ResourceVersion
	waits(g, t, ns, "waiting", "the host db-0, or the one that comes after it")
	waits(g, t, ns, "elsewhere", "the monitor of the host db-1")
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.DesiredState = understudyv1alpha1.DesiredOffline })
	waits(g, t, ns, "waiting", "set its spec.desiredState to Online")
	g.Expect(get(g, t, ns, "claimed", &understudyv1alpha1.ControlCall{}).ResourceVersion).To(Equal(version))
}

// What nobody claims in its time ends, and what is claimed does not.
func TestCallsThatMustStartInTime(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	_, monitor := ownedGroup(g, t, ns)
	owner := get(g, t, ns, "db-0", &corev1.Pod{})
	ask := func(name string, deadline int32) {
		create(g, t, &understudyv1alpha1.ControlCall{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec: understudyv1alpha1.ControlCallSpec{
				GroupName: "db", ResourceName: "redis", Code: "PROCESS", StartingDeadlineSeconds: &deadline,
			},
		})
	}
	ask("late", 1)
	ask("claimed", 1)
	ask("patient", 3600)
	g.Expect(claim(t.Context(), caller{monitor, ns, owner, "1000"}, "claimed", "")).To(Succeed())
	ends(g, t, ns, "late", understudyv1alpha1.ReasonNotStarted, "ERROR_RESOURCE_CALL_TIMED_OUT",
		"It was not claimed by 20")
	waits(g, t, ns, "patient", "the host db-0")
	have := get(g, t, ns, "late", &understudyv1alpha1.ControlCall{})
	g.Expect(have.Status.Owner).To(BeNil())
	g.Expect(have.Status.CompletionTime.Sub(have.CreationTimestamp.Time)).
		To(BeNumerically(">=", 6*time.Second), "the monitors' turn")
	g.Expect(get(g, t, ns, "claimed", &understudyv1alpha1.ControlCall{}).Status.CompletionTime).To(BeNil())
}

// A call whose host is gone ends if nobody comes after it: that of a named host; that
// of an owner only once its group is to have none.
func TestCallsOfAHostThatIsGone(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	owner, monitor := ownedGroup(g, t, ns)
	ctx := t.Context()
	standby := get(g, t, ns, "db-1", &corev1.Pod{})
	second := caller{monitorOf(g, t, standby), ns, standby, "1000"}
	readOn(g, t, ns, "standby", "db-1")
	readOn(g, t, ns, "there", "db-0")
	readOn(g, t, ns, "owner", "")
	readOn(g, t, ns, "silent", "db-1")
	g.Eventually(func() error { return claim(ctx, second, "standby", "") }, soon, "100ms").Should(Succeed())
	g.Expect(claim(ctx, second, "silent", `,"deadlineTime":"2026-01-01T00:00:00.000000Z"`)).To(Succeed())
	ends(g, t, ns, "silent", understudyv1alpha1.ReasonOutcomeUnknown, "ERROR_OPERATION_ABORTED", "The host db-1 is silent")
	for _, name := range []string{"there", "owner"} {
		g.Expect(claim(ctx, caller{monitor, ns, owner, "1000"}, name, "")).To(Succeed())
	}
	g.Expect(c.Delete(ctx, standby, client.GracePeriodSeconds(0))).To(Succeed())
	podOf(g, t, ns, "db-1") // another one of that name
	ends(g, t, ns, "standby", understudyv1alpha1.ReasonOutcomeUnknown, "ERROR_OPERATION_ABORTED", "The host db-1 was lost")
	for _, name := range []string{"there", "owner"} {
		g.Expect(get(g, t, ns, name, &understudyv1alpha1.ControlCall{}).Status.CompletionTime).To(BeNil(), name)
	}
	g.Expect(c.Delete(ctx, owner, client.GracePeriodSeconds(0))).To(Succeed())
	ends(g, t, ns, "there", understudyv1alpha1.ReasonOutcomeUnknown, "ERROR_OPERATION_ABORTED", "The host db-0 was lost")
	g.Consistently(func(g Gomega) {
		g.Expect(get(g, t, ns, "owner", &understudyv1alpha1.ControlCall{}).Status.CompletionTime).To(BeNil())
	}, "6s", "200ms").Should(Succeed(), "the next owner ends it")
	changeGroup(g, t, ns, func(s *understudyv1alpha1.ResourceGroupSpec) { s.DesiredState = understudyv1alpha1.DesiredOffline })
	ends(g, t, ns, "owner", understudyv1alpha1.ReasonOutcomeUnknown, "ERROR_OPERATION_ABORTED", "it is not run again")
}
