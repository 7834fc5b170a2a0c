//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/understudy-dev/understudy/controllers"
	"github.com/understudy-dev/understudy/internal/testpolicy"
)

const image = "understudy.test/understudy:test"

var (
	// config is the administrator's; c a client for it without a cache.
	config *rest.Config
	c      client.Client
	// requestsOf sees what the manager does.
	requestsOf = &traffic{}
)

// TestMain starts one API server with the CRDs, the policies and one manager
// for the whole package.
func TestMain(m *testing.M) {
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runSuite(m *testing.M) (code int, err error) {
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	// envtest turns ServiceAccount admission off; host pods shall pass all of it.
	env.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	if config, err = env.Start(); err != nil {
		return 0, fmt.Errorf("starting the API server: %w", err)
	}
	defer func() {
		if stopErr := env.Stop(); err == nil {
			err = stopErr
		}
	}()
	config.QPS, config.Burst = 200, 400
	if os.Getenv("UNDERSTUDY_TEST_LOG") != "" {
		ctrl.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(2))))
	} else {
		ctrl.SetLogger(logr.Discard())
	}
	scheme, err := controllers.NewScheme()
	if err != nil {
		return 0, err
	}
	if c, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 0, err
	}
	if err := testpolicy.Install(context.Background(), c, filepath.Join("..", "config", "policy")); err != nil {
		return 0, err
	}
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "understudy-system"}}
	if err := c.Create(context.Background(), system); err != nil {
		return 0, err
	}
	for _, folder := range []string{"rbac", "flowcontrol"} {
		if err := testpolicy.Apply(context.Background(), c, filepath.Join("..", "config", folder)); err != nil {
			return 0, err
		}
	}
	managers, err := managerConfig(context.Background())
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	defer func() {
		cancel()
		if stopErr := <-done; err == nil {
			err = stopErr
		}
	}()
	mgr, err := ctrl.NewManager(managers, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		done <- nil
		return 0, err
	}
	if err := controllers.Setup(ctx, mgr, controllers.Options{Image: image, MaxRollingGroups: 1000, MaxFencingNodes: 1000}); err != nil {
		done <- nil
		return 0, err
	}
	go func() { done <- mgr.Start(ctx) }()
	return m.Run(), nil
}

// managerConfig is that of the manager's service account, with a token of its own
// and the rights that config/rbac gives it: what it grants to monitors, it must
// hold itself.
func managerConfig(ctx context.Context) (*rest.Config, error) {
	managers, err := tokenConfig(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "understudy-system", Name: "understudy-manager"},
	}, nil)
	if err != nil {
		return nil, err
	}
	managers.Wrap(requestsOf.wrap)
	return managers, nil
}

// tokenConfig is that of a service account, with a token that the API server
// issued for it; bound to a pod, unless that is nil.
func tokenConfig(ctx context.Context, account *corev1.ServiceAccount, pod *corev1.Pod) (*rest.Config, error) {
	request := &authenticationv1.TokenRequest{}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		}
	}
	if err := c.SubResource("token").Create(ctx, account, request); err != nil {
		return nil, err
	}
	with := rest.AnonymousClientConfig(config)
	with.BearerToken, with.QPS, with.Burst = request.Status.Token, config.QPS, config.Burst
	return with, nil
}

// namespace makes a namespace of its own for a test.
func namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	// envtest has no controller that makes it.
	if err := c.Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "default"},
	}); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}
