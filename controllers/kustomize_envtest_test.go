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
	"sigs.k8s.io/yaml"
)

// Host pods run the image that kustomize gives the manager.
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
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		d := &appsv1.Deployment{}
		if g.Expect(yaml.Unmarshal([]byte(document), d)).To(Succeed()); d.Kind != "Deployment" {
			continue
		}
		manager := d.Spec.Template.Spec.Containers[0]
		g.Expect(manager.Image).To(Equal("example.test/own:v7"))
		g.Expect(manager.Env).To(ContainElement(And(HaveField("Name", "IMAGE"), HaveField("Value", manager.Image))))
		return
	}
	t.Error("no Deployment")
}
