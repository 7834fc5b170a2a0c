// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

func readConfig(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", "config"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRightsAreNarrow: neither the manager nor a monitor has a right by which it
// could get all others, or one that nobody thought of.
func TestRightsAreNarrow(t *testing.T) {
	role := &rbacv1.ClusterRole{}
	if err := yaml.Unmarshal([]byte(readConfig(t, "rbac", "role.yaml")), role); err != nil {
		t.Fatal(err)
	}
	monitors := builders.Rules(builders.AccessInput{Group: "db", Resources: []string{"redis"}, Revisions: []string{"db-1"}})
	if len(role.Rules) == 0 || len(monitors) == 0 {
		t.Fatal("no rules")
	}
	for who, rules := range map[string][]rbacv1.PolicyRule{"manager": role.Rules, "monitor": monitors} {
		for _, rule := range rules {
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
				if slices.Contains([]string{"*", "escalate", "bind", "impersonate", "approve", "sign", "deletecollection",
					"secrets", "serviceaccounts", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/ephemeralcontainers",
					"clusterroles", "clusterrolebindings", "nodes/proxy", "validatingadmissionpolicies",
				}, word) {
					t.Errorf("%s: %s in %+v", who, word, rule)
				}
			}
			if len(rule.NonResourceURLs) > 0 {
				t.Errorf("%s: %+v", who, rule)
			}
		}
	}
	for _, rule := range role.Rules {
		// It patches. What it gives to monitors it must hold, and they update.
		given := []string{"resourcegroups/status", "clusterresources/status", "controlcalls/status", "resourcegroups/finalizers"}
		if slices.Contains(rule.APIGroups, understudyv1alpha1.GroupName) && slices.Contains(rule.Verbs, "update") &&
			slices.ContainsFunc(rule.Resources, func(name string) bool { return !slices.Contains(given, name) }) {
			t.Errorf("manager: update in %+v", rule)
		}
	}
	for _, rule := range monitors {
		for _, verb := range []string{"manage", "fence", "move", "delete"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("monitor: %s in %+v", verb, rule)
			}
		}
	}
}

// TestPolicyKnowsTheConditions: which conditions are the monitors' stands in a
// policy and in the comments of the constants; a new one must be in both.
func TestPolicyKnowsTheConditions(t *testing.T) {
	kinds, err := os.ReadFile(filepath.Join("..", "api", "v1alpha1", "common.go"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	of := regexp.MustCompile(`// Condition\w+ \(monitor of the owner\)[^=]*= "(\w+)"`)
	for _, m := range of.FindAllStringSubmatch(string(kinds), -1) {
		want = append(want, m[1])
	}
	m := regexp.MustCompile(`name: types #.*\n +expression: "\[(.*)\]"`).FindStringSubmatch(readConfig(t, "policy", "status-owner.yaml"))
	if m == nil || len(want) == 0 {
		t.Fatalf("%q in the policy, %q in the comments", m, want)
	}
	have := strings.Split(strings.ReplaceAll(m[1], "'", ""), ", ")
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the monitors' conditions are %q in config/policy/status-owner.yaml, and %q in api/v1alpha1/common.go",
			have, want)
	}
}
