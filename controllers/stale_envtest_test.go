//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers"
)

// frozenBody is a watch that brings nothing more once it is frozen, and no error.
type frozenBody struct {
	io.ReadCloser
	frozen *atomic.Bool
	end    <-chan struct{}
}

func (b frozenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.frozen.Load() {
		<-b.end
	}
	return n, err
}

// managerWithFrozenLeases runs one more manager, for one namespace, whose watch on
// Leases hangs once the result is called.
func managerWithFrozenLeases(g Gomega, t *testing.T, ns string) (freeze func()) {
	t.Helper()
	frozen, end := &atomic.Bool{}, make(chan struct{})
	managers := rest.CopyConfig(config)
	managers.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if err == nil && strings.Contains(r.URL.Path, "/leases") && r.URL.Query().Get("watch") != "" {
				response.Body = frozenBody{response.Body, frozen, end}
			}
			return response, err
		})
	})
	ours := controllers.CacheOptions()
	ours.DefaultNamespaces = map[string]cache.Config{ns: {}}
	mgr, err := ctrl.NewManager(managers, ctrl.Options{
		Scheme: c.Scheme(), Cache: ours, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	t.Cleanup(func() {
		close(end)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	g.Expect(controllers.Setup(ctx, mgr, controllers.Options{Image: image, MaxRollingGroups: 1000, MaxFencingNodes: 1000, SkipNameValidation: true})).To(Succeed())
	go func() { done <- mgr.Start(ctx) }()
	g.Expect(mgr.GetCache().WaitForCacheSync(ctx)).To(BeTrue())
	return func() { frozen.Store(true) }
}

// frozenGroup is a group whose owner renews, and a second manager that does not see it.
func frozenGroup(g Gomega, t *testing.T) (ns string, renew func() error) {
	t.Helper()
	ns = namespace(t, nil)
	freeze := managerWithFrozenLeases(g, t, ns)
	owner, monitor := ownedGroup(g, t, ns)
	time.Sleep(500 * time.Millisecond) // until the other manager's cache has it, which nothing shows
	freeze()
	return ns, func() error { return take(t.Context(), monitor, ns, owner, 1_000) }
}

// A watch that hangs makes an owner look silent. The manager asks before it says so.
func TestFrozenWatchLosesNoOwner(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns, renew := frozenGroup(g, t)
	g.Consistently(func(g Gomega) {
		g.Expect(renew()).To(Succeed())
		g.Expect(apimeta.IsStatusConditionTrue(
			group(g, t, ns, "db").Status.Conditions, understudyv1alpha1.ConditionOwnerLost)).To(BeFalse())
	}, leasev1.W(2*time.Second)+11*time.Second, "500ms").Should(Succeed())
}

// It also asks before it lets a resource go that the owner still runs.
func TestFrozenWatchReleasesNothing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ns, renew := frozenGroup(g, t)
	standby := monitorOf(g, t, get(g, t, ns, "db-1", &corev1.Pod{}))
	node(g, t, ns+"-db-0", corev1.ConditionFalse) // barred: as a host it does not count, as the owner it does
	g.Expect(c.Delete(t.Context(), newResource(ns, "db", "redis"))).To(Succeed())
	g.Consistently(func(g Gomega) {
		g.Expect(renew()).To(Succeed())
		get(g, t, ns, "redis", &understudyv1alpha1.ClusterResource{})
		// The standby runs the plan without it; the owner never says so.
		one := group(g, t, ns, "db")
		g.Expect(standby.Status().Patch(t.Context(), one, client.RawPatch(types.MergePatchType, []byte(
			`{"status":{"hosts":{"db-1":{"planRevision":"`+one.Status.PlanRevision+`"}}}}`)))).To(Succeed())
	}, 3*leasev1.W(2*time.Second), "500ms").Should(Succeed())
	g.Expect(apimeta.FindStatusCondition(get(g, t, ns, "redis", &understudyv1alpha1.ClusterResource{}).Status.Conditions,
		understudyv1alpha1.ConditionAccepted)).To(HaveValue(And(
		HaveField("Status", metav1.ConditionFalse), HaveField("Reason", understudyv1alpha1.ReasonDeleting),
		HaveField("Message", ContainSubstring("the owner of the group db-0")))))
}
