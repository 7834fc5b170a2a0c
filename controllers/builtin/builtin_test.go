// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/understudy-dev/understudy/controllers/builtin"
	"github.com/understudy-dev/understudy/controllers/plan"
)

func TestTypesAreAccepted(t *testing.T) {
	g := NewWithT(t)
	for _, one := range builtin.Types() {
		_, problems := plan.CheckType(&one)
		g.Expect(problems).To(BeEmpty(), one.Name)
	}
}

// The provider owns the schema of its properties.
func TestSchemaIsTheProviders(t *testing.T) {
	g := NewWithT(t)
	own, err := os.ReadFile("application.schema.json")
	g.Expect(err).NotTo(HaveOccurred())
	theirs, err := os.ReadFile(filepath.Join("..", "..", "provider", "application", "schema.json"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(own)).To(Equal(string(theirs)), "copy the provider's schema.json here")
}
