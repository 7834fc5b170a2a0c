//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/badinput"
	"github.com/understudy-dev/understudy/test/scene"
)

// TestBadInput applies what is wrong, one by one, beside a group that must not
// notice, and to it.
func TestBadInput(t *testing.T) {
	cases, err := badinput.Cases()
	must(t, err)
	namespace := stage(t)
	w := standWitness(t, namespace)
	for _, c := range cases {
		if !t.Run(c.Name, func(t *testing.T) {
			p := &play{namespace: namespace, dir: t.TempDir()}
			defer p.clear(t) // also of a case that cannot go on: the next ones have the same names
			for i, step := range c.Steps {
				p.step(t, i, step)
			}
			w.untouched(t)
		}) {
			t.Log(cluster.Report(t.Context(), namespace))
		}
	}
	w.accepted(t)
	w.untouched(t)
}

// witness is a group that works, whatever is done beside it.
type witness struct {
	scene.Group
	epoch     int64
	plan      string
	container scene.Container
	pid       int
}

func standWitness(t *testing.T, namespace string) *witness {
	t.Helper()
	g, err := cluster.Play(t.Context(), namespace, "witness", 2, scene.Run("store", "/hello"))
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	w := &witness{Group: g, epoch: ok(g.Owner(t.Context()))(t).Epoch}
	w.plan = ok(g.Get(t.Context()))(t).Status.PlanRevision
	w.container = ok(g.OwnerContainer(t.Context(), scene.ActorContainer))(t)
	w.pid = ok(w.container.One(hello))(t)
	return w
}

func (w *witness) untouched(t *testing.T) {
	t.Helper()
	o := ok(w.Get(t.Context()))(t)
	if o.Status.Owner.Epoch != w.epoch || o.Status.PlanRevision != w.plan {
		t.Errorf("the witness has epoch %d and plan %s, it had %d and %s",
			o.Status.Owner.Epoch, o.Status.PlanRevision, w.epoch, w.plan)
	}
	if pid := ok(w.container.One(hello))(t); pid != w.pid {
		t.Errorf("the witness runs as process %d, it was %d", pid, w.pid)
	}
}

// accepted waits until nothing is said against the witness any more.
func (w *witness) accepted(t *testing.T) {
	t.Helper()
	must(t, cluster.Wait(t.Context(), "the witness", time.Minute, func(ctx context.Context) (bool, string, error) {
		o, err := w.Get(ctx)
		return err == nil && apimeta.IsStatusConditionTrue(o.Status.Conditions, understudyv1alpha1.ConditionAccepted),
			scene.Describe(o, nil), err
	}))
}

// play is one case on the cluster.
type play struct {
	namespace, dir string
	taken          []string // files of which something was taken
}

func (p *play) step(t *testing.T, i int, s badinput.Step) {
	t.Helper()
	file := filepath.Join(p.dir, fmt.Sprintf("%d.yaml", i))
	must(t, os.WriteFile(file, []byte(s.YAML), 0o600))
	args := []string{"apply", "--namespace", p.namespace, "-f", file}
	if s.Delete {
		args = []string{"delete", "--wait=false", "--namespace", p.namespace, "-f", file}
	}
	_, err := cluster.Kubectl(t.Context(), args...)
	switch {
	case len(s.Refused) > 0 && err == nil:
		p.taken = append(p.taken, file)
		t.Errorf("it is taken; it should be refused with %q", s.Refused)
		return
	case len(s.Refused) == 0:
		must(t, err)
		p.taken = append(p.taken, file)
	}
	for _, text := range s.Refused {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal does not say %q: %v", text, err)
		}
	}
	for _, c := range s.Conditions {
		p.wait(t, c)
	}
}

func (p *play) wait(t *testing.T, want badinput.Condition) {
	t.Helper()
	err := cluster.Wait(t.Context(), fmt.Sprintf("%+v", want), 30*time.Second, func(ctx context.Context) (bool, string, error) {
		conditions, err := p.conditions(ctx, want.Kind, want.Name)
		if err != nil {
			return false, "", err
		}
		c := apimeta.FindStatusCondition(conditions, want.Type)
		return c != nil && string(c.Status) == want.Status && c.Reason == want.Reason && strings.Contains(c.Message, want.Text),
			fmt.Sprintf("%+v", conditions), nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (p *play) conditions(ctx context.Context, kind, name string) ([]metav1.Condition, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(understudyv1alpha1.GroupVersion.WithKind(kind))
	key := client.ObjectKey{Namespace: p.namespace, Name: name}
	if kind == "ResourceType" {
		key.Namespace = ""
	}
	if err := cluster.Client.Get(ctx, key, o); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	var of struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &of)
	return of.Status.Conditions, err
}

// clear deletes what was taken, and waits until the next case may use its names.
func (p *play) clear(t *testing.T) {
	t.Helper()
	for _, file := range p.taken {
		_, err := cluster.Kubectl(t.Context(), "delete", "--ignore-not-found", "--timeout=50s", "--namespace", p.namespace, "-f", file)
		if err != nil {
			t.Errorf("its end: %v", err)
		}
	}
}
