// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// kubeconfig renders one. Everybody uses the bridge's address: it works on the host and in the nodes alike. JSON is
// YAML, and certificates stand inside so that the file can be copied.
func kubeconfig(user string, ca, certificate, key []byte) []byte {
	type object = map[string]any
	text, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": "understudy",
		"clusters": []object{{"name": "understudy", "cluster": object{
			"server": fmt.Sprintf("https://%s:%d", hostIP, apiPort), "certificate-authority-data": ca,
		}}},
		"users":    []object{{"name": user, "user": object{"client-certificate-data": certificate, "client-key-data": key}}},
		"contexts": []object{{"name": "understudy", "context": object{"cluster": "understudy", "user": user}}},
	}, "", "  ")
	if err != nil {
		panic(err) // strings and bytes always marshal
	}
	return append(text, '\n')
}

// kubeconfigFor is the kubeconfig of a component or node.
func (l Layout) kubeconfigFor(user string) string { return l.Path("kubeconfigs", user) }

// ensureKubeconfigs writes those of the components and nodes, and the one for people.
func (l Layout) ensureKubeconfigs() error {
	users := map[string]string{"admin": l.Kubeconfig()}
	for _, user := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		users[user] = l.kubeconfigFor(user)
	}
	for _, node := range l.Nodes() {
		users[node.Name()] = l.kubeconfigFor(node.Name())
	}
	for user, path := range users {
		var parts [3][]byte
		for i, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
			content, err := os.ReadFile(l.PKI(file))
			if err != nil {
				return err
			}
			parts[i] = content
		}
		if err := writeIfChanged(path, kubeconfig(user, parts[0], parts[1], parts[2]), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writeIfChanged(path string, content []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return tool.WriteFile(path, content, mode)
}
