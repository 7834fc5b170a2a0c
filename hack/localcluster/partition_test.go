// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestCutRules(t *testing.T) {
	l := Layout{State: "/state"}
	n := l.Nodes()[1]
	for _, test := range []struct {
		cut                cut
		outgoing, incoming string
	}{
		{cut{from: "all"}, "counter drop", "counter drop"},
		{cut{from: "api"}, "ip daddr 10.213.0.1 counter drop", "ip saddr 10.213.0.1 counter drop"},
		{
			cut{from: "peers"},
			"ip daddr { 10.213.0.11, 10.244.1.0/24, 10.213.0.13, 10.244.3.0/24 } counter drop",
			"ip saddr { 10.213.0.11, 10.244.1.0/24, 10.213.0.13, 10.244.3.0/24 } counter drop",
		},
		{cut{from: "all", oneWay: true}, "counter drop", ""},
		{cut{from: "api", oneWay: true}, "ip daddr 10.213.0.1 counter drop", ""},
	} {
		host, node, err := test.cut.rules(n, l.Nodes())
		if err != nil {
			t.Fatalf("%s: %v", test.cut, err)
		}
		wantHost := `table netdev understudy_partition_2
delete table netdev understudy_partition_2
table netdev understudy_partition_2 {
	chain outgoing {
		type filter hook ingress device "us-node-2" priority -500; policy accept;
		` + test.outgoing + `
	}
}
`
		if host != wantHost {
			t.Errorf("%s: host got\n%s\nwant\n%s", test.cut, host, wantHost)
		}
		// A partition replaces another one, so the node's table must go even if only the host drops.
		if !strings.HasPrefix(node, "table netdev understudy_partition_2\ndelete table netdev understudy_partition_2\n") {
			t.Errorf("%s: node keeps an older table:\n%s", test.cut, node)
		}
		if test.incoming == "" {
			if strings.Contains(node, "drop") {
				t.Errorf("%s: node drops what comes in:\n%s", test.cut, node)
			}
		} else if !strings.Contains(node, "\t\t"+test.incoming+"\n") || !strings.Contains(node, `device "eth0"`) {
			t.Errorf("%s: node got\n%s", test.cut, node)
		}
	}
	if _, _, err := (cut{from: "nobody"}).rules(
		n,
		l.Nodes(),
	); err == nil ||
		!strings.Contains(err.Error(), "api, peers or all") {
		t.Errorf("got %v", err)
	}
}
