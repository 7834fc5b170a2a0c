//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/understudy-dev/understudy/controllers"
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
	if err := applyFiles("policy"); err != nil {
		return 0, err
	}
	for _, folder := range []string{"rbac", "flowcontrol"} {
		if err := applyFiles(folder); err != nil {
			return 0, err
		}
	}
	managers, err := managerConfig(env)
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
	if err := controllers.Setup(ctx, mgr, controllers.Options{Image: image, MaxRollingGroups: 1000}); err != nil {
		done <- nil
		return 0, err
	}
	go func() { done <- mgr.Start(ctx) }()
	return m.Run(), nil
}

// managerConfig is that of a user with the rights of the manager's service
// account and no more: what it grants to monitors, it must hold itself.
func managerConfig(env *envtest.Environment) (*rest.Config, error) {
	user, err := env.AddUser(envtest.User{Name: "understudy-manager-of-the-test"}, nil)
	if err != nil {
		return nil, err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "understudy-manager-of-the-test"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "understudy-manager"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "understudy-manager-of-the-test"}},
	}
	if err := c.Create(context.Background(), binding); err != nil {
		return nil, err
	}
	managers := user.Config()
	managers.QPS, managers.Burst = 200, 400
	managers.Wrap(requestsOf.wrap)
	return managers, nil
}

// applyFiles installs a folder of config/, without what belongs to its namespace.
func applyFiles(folder string) error {
	files, err := filepath.Glob(filepath.Join("..", "config", folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if u.GetKind() == "" || u.GetNamespace() != "" {
				continue
			}
			if err := c.Create(context.Background(), u); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
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
