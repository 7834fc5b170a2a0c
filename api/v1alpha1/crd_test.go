// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package v1alpha1

import (
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// api is a client of the API server that all tests of this package share, and server
// how to reach it.
var (
	api    client.Client
	server *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run starts an API server. That it takes the CRDs is the first of the tests: it refuses rules that cost too much or
// name a field that is not there, which nothing else tells.
func run(m *testing.M) int {
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}()
	config, err := environment.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the API server with the CRDs:", err)
		return 1
	}
	server = config
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		fmt.Fprintln(os.Stderr, "register the kinds:", err)
		return 1
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, "make a client:", err)
		return 1
	}
	return m.Run()
}

func TestNameLengths(t *testing.T) {
	group := func(length int) *ResourceGroup {
		group := &ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: strings.Repeat("n", length)}}
		group.Spec.Template.Spec.Containers = []corev1.Container{{Name: "program", Image: "program"}}
		return group
	}
	provider := ProviderSource{Inject: &InjectedProvider{Command: []string{"/understudy/bin/provider"}}}
	resourceType := func(length int) *ResourceType {
		return &ResourceType{
			ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("n", length)},
			Spec:       ResourceTypeSpec{Provider: provider},
		}
	}
	for _, c := range []struct {
		what    string
		object  client.Object
		refused string
	}{
		{"longest group", group(40), ""},
		{"group too long", group(41), "a group's name has at most 40 characters"},
		{"longest type", resourceType(63), ""},
		{"type too long", resourceType(64), "a type's name has at most 63 characters"},
	} {
		t.Run(c.what, func(t *testing.T) {
			err := api.Create(t.Context(), c.object)
			switch {
			case c.refused == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case c.refused != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), c.refused)):
				t.Fatalf("want it refused with %q, got %v", c.refused, err)
			case c.refused != "" && !strings.Contains(err.Error(), "metadata"):
				t.Fatalf("the refusal does not name the field: %v", err)
			}
		})
	}
}
