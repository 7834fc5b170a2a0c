//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// traffic is what the manager asks of the API server, watches aside.
type traffic struct {
	mu       sync.Mutex
	requests []string
}

func (t *traffic) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		t.mu.Lock()
		t.requests = append(t.requests, r.Method+" "+r.URL.Path)
		t.mu.Unlock()
		return next.RoundTrip(r)
	})
}

// of are the requests about a namespace since the last call.
func (t *traffic) of(ns string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out, rest []string
	for _, r := range t.requests {
		if strings.Contains(r, "/"+ns+"/") {
			out = append(out, r)
		} else {
			rest = append(rest, r)
		}
	}
	t.requests = rest
	return out
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A healthy group costs the manager no request at all, however often its lease
// is renewed; and a reconcile that finds all as it should be writes nothing.
func TestHealthyGroupIsQuiet(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	hosts := readyGroup(g, t, ns)
	monitor := monitorOf(g, t, &hosts[0])
	g.Eventually(func() error { return take(t.Context(), monitor, ns, &hosts[0], 1_000) }, soon, "100ms").Should(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed())
		g.Expect(requestsOf.of(ns)).To(BeEmpty(), "what the take-over brought is done")
	}, soon, "700ms").Should(Succeed())

	for range 10 { // renewals
		g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed())
		time.Sleep(300 * time.Millisecond)
	}
	g.Expect(requestsOf.of(ns)).To(BeEmpty())

	one := &understudyv1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}}
	g.Expect(c.Patch(t.Context(), one, client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"touched":"yes"}}}`)))).To(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(take(t.Context(), monitor, ns, &hosts[0], 1_000)).To(Succeed())
		g.Expect(requestsOf.of(ns)).To(BeEmpty())
	}, "2s", "500ms").Should(Succeed())
}

// Plans are kept, not for ever.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	first := accepted(g, t, ns, "db").Status.PlanRevision
	seen := map[string]bool{first: true}
	change := func(n int) string {
		var now string
		g.Eventually(func() error {
			one := group(g, t, ns, "db")
			one.Spec.FailoverThreshold = ptr.To(int32(n % 30))
			one.Spec.Template.Annotations = map[string]string{"n": fmt.Sprint(n)}
			return c.Update(t.Context(), one)
		}, soon, "20ms").Should(Succeed())
		g.Eventually(func(g Gomega) {
			now = group(g, t, ns, "db").Status.PlanRevision
			g.Expect(seen).NotTo(HaveKey(now))
		}, soon, "20ms").Should(Succeed())
		seen[now] = true
		return now
	}
	for n := range 13 {
		change(100 + n)
	}
	count := func(g Gomega) map[string]int {
		var list appsv1.ControllerRevisionList
		g.Expect(c.List(t.Context(), &list, client.InNamespace(ns))).To(Succeed())
		kinds := map[string]int{}
		for _, one := range list.Items {
			kinds[one.Labels["understudy.dev/revision"]]++
		}
		return kinds
	}
	g.Eventually(func(g Gomega) {
		change(200 + len(seen)) // pruning follows a plan
		kinds := count(g)
		g.Expect(kinds["plan"]).To(BeNumerically("<=", 12), "a cache behind may keep one more")
		g.Expect(kinds["host"]).To(BeNumerically("<=", 12))
	}, soon, "100ms").Should(Succeed())
}

// The Service follows the plan, also away.
func TestServiceFollowsThePlan(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns := namespace(t, nil)
	create(g, t, newGroup(ns, "db"), newResource(ns, "db", "redis"))
	change := func(service *understudyv1alpha1.GroupService) {
		g.Eventually(func() error {
			one := group(g, t, ns, "db")
			one.Spec.Service = service
			return c.Update(t.Context(), one)
		}, soon, "20ms").Should(Succeed())
	}
	ports := func(g Gomega) []corev1.ServicePort { return get(g, t, ns, "db", &corev1.Service{}).Spec.Ports }
	g.Eventually(func(g Gomega) {
		g.Expect(ports(g)).To(HaveExactElements(HaveField("Port", int32(6379))))
	}, soon, "50ms").Should(Succeed())
	change(&understudyv1alpha1.GroupService{Ports: []understudyv1alpha1.GroupServicePort{
		{Name: "a", Port: 1}, {Name: "b", Port: 2},
	}})
	g.Eventually(func(g Gomega) {
		g.Expect(ports(g)).To(HaveExactElements(HaveField("Name", "a"), HaveField("Name", "b")))
	}, soon, "50ms").Should(Succeed())
	change(&understudyv1alpha1.GroupService{Ports: []understudyv1alpha1.GroupServicePort{{Port: 1}}})
	g.Eventually(func(g Gomega) {
		g.Expect(ports(g)).To(HaveExactElements(And(HaveField("Port", int32(1)), HaveField("Name", ""))), "the name is gone")
	}, soon, "50ms").Should(Succeed())
	change(nil)
	g.Eventually(func(g Gomega) {
		gone(g, t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"}})
		gone(g, t, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db-understudy"}})
	}, soon, "50ms").Should(Succeed())
}
