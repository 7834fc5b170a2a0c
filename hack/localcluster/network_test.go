// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

func TestNodeCommands(t *testing.T) {
	nodes := Layout{State: "/state"}.Nodes()
	want := []string{
		"link set lo up",
		"address add 10.213.0.12/24 dev eth0",
		"link set eth0 up",
		"route add default via 10.213.0.1",
		"route add 10.244.1.0/24 via 10.213.0.11",
		"route add 10.244.3.0/24 via 10.213.0.13",
	}
	if got := nodeCommands(nodes[1], nodes); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, n := range nodes {
		if len(n.Veth()) > 15 {
			t.Errorf("the kernel refuses %q as a link's name", n.Veth())
		}
		if !slices.Contains(nodeHostCommands(n), "netns add "+n.Netns()) {
			t.Errorf("%s gets no network namespace", n.Name())
		}
	}
}

func TestParseAddresses(t *testing.T) {
	text := `[{"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1"}]},
		{"ifname":"eth0","addr_info":[{"family":"inet6","local":"fe80::1"},{"family":"inet","local":"10.213.0.11"}]}, {}]`
	up, ips, err := parseAddresses(text, "eth0")
	if err != nil || !up || !slices.Equal(ips, []string{"10.213.0.11"}) {
		t.Errorf("got %v, %q, %v", up, ips, err)
	}
	if up, _, _ := parseAddresses(text, "eth1"); up {
		t.Error("a link that is not there is up")
	}
}

func TestOverlappingRoute(t *testing.T) {
	for routes, want := range map[string]string{
		`[{"dst":"default","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0"}]`: "",
		`[{"dst":"10.213.0.0/24","dev":"understudy0"}]`:                        "",
		`[{"dst":"10.0.0.0/8","dev":"eth0"}]`:                                  "10.0.0.0/8 on eth0",
		`[{"dst":"10.244.7.0/24","dev":"cni0"}]`:                               "10.244.7.0/24 on cni0",
		`[{"dst":"10.96.0.10","dev":"tun0"}]`:                                  "10.96.0.10 on tun0",
	} {
		got, err := overlappingRoute(routes)
		if err != nil || !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: got %q, %v", routes, got, err)
		}
	}
}
