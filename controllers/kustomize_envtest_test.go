//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Host pods run the image that kustomize gives the manager, and all that it installs can
// be found by one label, which the manual deletes the kinds by.
func TestKustomizeSetsTheImageOfHosts(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.CopyFS(dir, os.DirFS(filepath.Join("..", "config")))).To(Succeed())
	file := filepath.Join(dir, "default", "kustomization.yaml")
	before, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	// What kustomize edit set image writes.
	g.Expect(os.WriteFile(file, append(before, "images:\n- name: understudy\n  newName: example.test/own\n  newTag: v7\n"...),
		0o600)).To(Succeed())
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Dir(file)).Output()
	g.Expect(err).NotTo(HaveOccurred())
	deployments := 0
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		o := &metav1.PartialObjectMetadata{}
		g.Expect(yaml.Unmarshal([]byte(document), o)).To(Succeed())
		g.Expect(o.Labels).To(HaveKeyWithValue("app.kubernetes.io/part-of", "understudy"), "%s %s", o.Kind, o.Name)
		if o.Kind != "Deployment" {
			continue
		}
		deployments++
		d := &appsv1.Deployment{}
		g.Expect(yaml.Unmarshal([]byte(document), d)).To(Succeed())
		manager := d.Spec.Template.Spec.Containers[0]
		g.Expect(manager.Image).To(Equal("example.test/own:v7"))
		g.Expect(manager.Env).To(ContainElement(And(HaveField("Name", "IMAGE"), HaveField("Value", manager.Image))))
	}
	g.Expect(deployments).To(Equal(1))
}
