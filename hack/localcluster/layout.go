// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The addresses of the cluster. Nodes and control plane share one link, the bridge; each node routes to the pods of
// the others by their addresses, so nothing depends on forwarding in the host.
const (
	bridge        = "understudy0"
	hostIP        = "10.213.0.1"
	nodeRange     = "10.213.0.0/24"
	podRange      = "10.244.0.0/16"
	serviceRange  = "10.96.0.0/16"
	serviceIP     = "10.96.0.1"
	apiPort       = 6443
	etcdPort      = 23790
	etcdPeerPort  = 23800
	uplink        = "eth0"
	sandboxImage  = "understudy-pause:dev"
	cgroupRoot    = "/understudy-localcluster"
	stateMarker   = ".understudy-localcluster"
	defaultState  = "/var/lib/understudy-localcluster"
	stateVariable = "UNDERSTUDY_LOCALCLUSTER_STATE"
)

// Layout says where the files of the cluster are.
type Layout struct {
	// State is the folder of everything that the cluster keeps.
	State string
}

// Node is one worker node: everything about it follows from its number.
type Node struct {
	// Number counts from 1.
	Number int
	// State is the folder of everything that the node keeps.
	State string
}

// currentLayout reads the environment.
func currentLayout() (Layout, error) {
	state := os.Getenv(stateVariable)
	if state == "" {
		state = defaultState
	}
	if !filepath.IsAbs(state) || filepath.Clean(state) != state || strings.Count(state, "/") < 2 {
		return Layout{}, fmt.Errorf("%s is %q: want a clean absolute path at least two levels deep", stateVariable, state)
	}
	// A unix socket's path has 107 bytes at most, and containerd's is the longest below.
	if len(state) > 60 {
		return Layout{}, fmt.Errorf("%s is %q: want at most 60 characters, for unix sockets below it", stateVariable, state)
	}
	return Layout{State: state}, nil
}

// Path joins names below the state folder.
func (l Layout) Path(names ...string) string {
	return filepath.Join(append([]string{l.State}, names...)...)
}

// Kubeconfig is the file for people and tests.
func (l Layout) Kubeconfig() string { return l.Path("kubeconfig") }

// PKI is the path of a certificate or key.
func (l Layout) PKI(name string) string { return l.Path("pki", name) }

// Nodes are the worker nodes.
func (l Layout) Nodes() []Node {
	nodes := make([]Node, 3)
	for i := range nodes {
		nodes[i] = Node{Number: i + 1, State: l.Path(fmt.Sprintf("node-%d", i+1))}
	}
	return nodes
}

// Node finds a node by its name.
func (l Layout) Node(name string) (Node, error) {
	nodes := l.Nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name() == name })
	if i < 0 {
		return Node{}, fmt.Errorf("no node %q: there are %s to %s", name, nodes[0].Name(), nodes[len(nodes)-1].Name())
	}
	return nodes[i], nil
}

// Name is the node's name in Kubernetes.
func (n Node) Name() string { return fmt.Sprintf("node-%d", n.Number) }

// Netns is the name of the node's network namespace.
func (n Node) Netns() string { return "understudy-" + n.Name() }

// NetnsPath is where the node's network namespace is mounted.
func (n Node) NetnsPath() string { return "/run/netns/" + n.Netns() }

// Veth is the host's end of the node's cable.
func (n Node) Veth() string { return fmt.Sprintf("us-node-%d", n.Number) }

// IP is the node's address.
func (n Node) IP() string { return fmt.Sprintf("10.213.0.%d", 10+n.Number) }

// PodRange holds the addresses of the node's pods.
func (n Node) PodRange() string { return fmt.Sprintf("10.244.%d.0/24", n.Number) }

// Path joins names below the node's folder.
func (n Node) Path(names ...string) string {
	return filepath.Join(append([]string{n.State}, names...)...)
}

// Socket is containerd's.
func (n Node) Socket() string { return n.Path("run", "containerd.sock") }

// Cgroup is the parent of every process of the node.
func (n Node) Cgroup() string { return cgroupRoot + "/" + n.Name() }
