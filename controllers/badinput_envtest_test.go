//go:build envtest

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/understudy-dev/understudy/test/badinput"
)

// The API server itself refuses what the manifests say it does. What conditions tell is
// tried on a cluster, where hosts run.
func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	ns := namespace(t, nil)
	cases, err := badinput.Cases()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, one := range cases {
		if len(one.Steps) > 1 || len(one.Steps[0].Refused) == 0 {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			g := NewWithT(t)
			var refused []string
			for document := range strings.SplitSeq(one.Steps[0].YAML, "\n---\n") {
				u := &unstructured.Unstructured{}
				g.Expect(yaml.Unmarshal([]byte(document), &u.Object)).To(Succeed())
				if u.GetName() == "store" {
					t.Skip("it changes what the group on the cluster has")
				}
				u.SetNamespace(ns)
				if u.GetKind() == "ResourceType" {
					u.SetNamespace("")
				}
				if err := c.Create(t.Context(), u, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
					refused = append(refused, err.Error())
				}
			}
			for _, text := range one.Steps[0].Refused {
				g.Expect(refused).To(ContainElement(ContainSubstring(text)))
			}
		})
	}
}
