// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// cut says which packets of a node are dropped.
type cut struct {
	// from is whom the node is cut off from: api, peers or all.
	from string
	// oneWay drops only what the node sends.
	oneWay bool
}

func (c cut) String() string {
	if c.oneWay {
		return "from " + c.from + ", outgoing only"
	}
	return "from " + c.from
}

// partitionTable is the table, in the host and in the node.
func partitionTable(n Node) string { return fmt.Sprintf("understudy_partition_%d", n.Number) }

// match is the condition for a packet to be dropped, by the address of the other side.
func (c cut) match(n Node, peers []Node, field string) (string, error) {
	switch c.from {
	case "all":
		return "", nil
	case "api":
		return "ip " + field + " " + hostIP + " ", nil
	case "peers":
		var list []string
		for _, peer := range peers {
			if peer.Number != n.Number {
				list = append(list, peer.IP(), peer.PodRange())
			}
		}
		return "ip " + field + " { " + strings.Join(list, ", ") + " } ", nil
	}
	return "", fmt.Errorf("cannot cut off from %q: want api, peers or all", c.from)
}

// rules renders the nft transactions for the host and for the node. Both drop what has just come out of the cable, at
// the other end of it: the sender sees no error, as with a broken switch, and rules see pods and node alike, after
// and before all address translation, established connections included.
func (c cut) rules(n Node, peers []Node) (host, node string, err error) {
	outgoing, err := c.match(n, peers, "daddr")
	if err != nil {
		return "", "", err
	}
	incoming, _ := c.match(n, peers, "saddr")
	host = replaceTable("netdev", partitionTable(n), dropChain("outgoing", n.Veth(), outgoing))
	node = removeTable("netdev", partitionTable(n))
	if !c.oneWay {
		node = replaceTable("netdev", partitionTable(n), dropChain("incoming", uplink, incoming))
	}
	return host, node, nil
}

func dropChain(name, device, match string) string {
	return fmt.Sprintf(`
	chain %s {
		type filter hook ingress device %q priority -500; policy accept;
		%scounter drop
	}
`, name, device, match)
}

// partition cuts a node off, instead of how it is cut off now.
func (l Layout) partition(ctx context.Context, n Node, c cut) error {
	host, node, err := c.rules(n, l.Nodes())
	if err != nil {
		return err
	}
	if _, err := os.Stat(n.NetnsPath()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not running: run `localcluster up` or `localcluster start %s` first", n.Name(), n.Name())
	}
	if err := writeIfChanged(n.partitionFile(), []byte(c.String()+"\n"), 0o644); err != nil {
		return err
	}
	if err := applyRules(ctx, "", host); err != nil {
		return err
	}
	return applyRules(ctx, n.NetnsPath(), node)
}

// heal lets all packets of a node through again. It works on a node that is not cut off, or not even running.
func (n Node) heal(ctx context.Context) error {
	if err := dropTable(ctx, "", "netdev", partitionTable(n)); err != nil {
		return err
	}
	if _, err := os.Stat(n.NetnsPath()); err == nil {
		if err := dropTable(ctx, n.NetnsPath(), "netdev", partitionTable(n)); err != nil {
			return err
		}
	}
	if err := os.Remove(n.partitionFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// partitionFile tells `status` how the node is cut off.
func (n Node) partitionFile() string { return n.Path("partition") }
