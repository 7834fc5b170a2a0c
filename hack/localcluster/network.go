// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// bridgeCommands are the `ip` commands that make the link between control plane and nodes.
func bridgeCommands() []string {
	return []string{
		"link add " + bridge + " address " + mac(0) + " type bridge",
		"address add " + hostIP + "/24 dev " + bridge,
		"link set " + bridge + " up",
	}
}

// mac is the hardware address of a node, or of the host as number 0. A machine keeps its own when it is started again. By
// default a new one would be made up each time, also for the bridge when a node leaves, and who remembers the old one
// would send into the void for eight seconds.
func mac(number int) string { return fmt.Sprintf("0a:75:73:64:79:%02x", number) }

// nodeHostCommands are the `ip` commands, run in the host, that plug a node in.
func nodeHostCommands(n Node) []string {
	return []string{
		"netns add " + n.Netns(),
		fmt.Sprintf("link add %s type veth peer name %s address %s netns %s", n.Veth(), uplink, mac(n.Number), n.Netns()),
		fmt.Sprintf("link set %s master %s up", n.Veth(), bridge),
		fmt.Sprintf("route replace %s via %s dev %s", n.PodRange(), n.IP(), bridge),
	}
}

// nodeCommands are the `ip` commands run in the node.
func nodeCommands(n Node, peers []Node) []string {
	commands := []string{
		"link set lo up",
		fmt.Sprintf("address add %s/24 dev %s", n.IP(), uplink),
		"link set " + uplink + " up",
		"route add default via " + hostIP,
	}
	for _, peer := range peers {
		if peer.Number != n.Number {
			commands = append(commands, fmt.Sprintf("route add %s via %s", peer.PodRange(), peer.IP()))
		}
	}
	return commands
}

func ipBatch(ctx context.Context, netns string, commands []string) error {
	args := []string{"ip", "-batch", "-"}
	if netns != "" {
		args = []string{"ip", "-netns", netns, "-batch", "-"}
	}
	_, err := tool.Command{Args: args, Stdin: strings.NewReader(strings.Join(commands, "\n") + "\n")}.Run(ctx)
	return err
}

// addresses tells the state and IPv4 addresses of a link, and whether it is there at all.
func addresses(ctx context.Context, netns, link string) (up bool, ips []string, err error) {
	args := []string{"ip", "-json", "address", "show", "up"}
	if netns != "" {
		args = []string{"ip", "-netns", netns, "-json", "address", "show", "up"}
	}
	text, err := tool.Run(ctx, args...)
	if err != nil {
		return false, nil, err
	}
	return parseAddresses(text, link)
}

func parseAddresses(text, link string) (up bool, ips []string, err error) {
	var links []struct {
		Name      string `json:"ifname"`
		Addresses []struct {
			Family string `json:"family"`
			Local  string `json:"local"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(text), &links); err != nil {
		return false, nil, fmt.Errorf("ip address: %w", err)
	}
	for _, l := range links {
		if l.Name != link {
			continue
		}
		up = true
		for _, a := range l.Addresses {
			if a.Family == "inet" {
				ips = append(ips, a.Local)
			}
		}
	}
	return up, ips, nil
}

// overlappingRoute finds a route of the machine that claims addresses of the cluster.
func overlappingRoute(routes string) (string, error) {
	var list []struct {
		Destination string `json:"dst"`
		Device      string `json:"dev"`
	}
	if err := json.Unmarshal([]byte(routes), &list); err != nil {
		return "", fmt.Errorf("ip route: %w", err)
	}
	for _, route := range list {
		if route.Device == bridge || route.Destination == "default" {
			continue
		}
		prefix, err := netip.ParsePrefix(route.Destination)
		if err != nil {
			ip, err := netip.ParseAddr(route.Destination)
			if err != nil {
				continue
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		for _, ours := range []string{nodeRange, podRange, serviceRange} {
			if prefix.Overlaps(netip.MustParsePrefix(ours)) {
				return fmt.Sprintf("%s on %s (ours: %s)", route.Destination, route.Device, ours), nil
			}
		}
	}
	return "", nil
}

// ensureBridge makes the link between control plane and nodes.
func ensureBridge(ctx context.Context) error {
	up, ips, err := addresses(ctx, "", bridge)
	if err != nil {
		return err
	}
	if !up || len(ips) == 0 {
		routes, err := tool.Run(ctx, "ip", "-json", "-4", "route", "show")
		if err != nil {
			return err
		}
		if route, err := overlappingRoute(routes); err != nil || route != "" {
			return errors.Join(err, fmt.Errorf("the machine already routes %s: the cluster cannot run beside it", route))
		}
		if err := removeLink(ctx, bridge); err != nil {
			return err
		}
		if err := ipBatch(ctx, "", bridgeCommands()); err != nil {
			return err
		}
	}
	return applyRules(ctx, "", guardRules())
}

// guardRules keep the API server, which listens on all addresses, from being reached by other links.
func guardRules() string {
	return replaceTable("inet", guardTable, fmt.Sprintf(`
	chain input {
		type filter hook input priority -10; policy accept;
		tcp dport %d iifname != { "lo", %q } drop
	}
`, apiPort, bridge))
}

const guardTable = "understudy_localcluster"

// replaceTable renders an nft transaction that makes a table just so, whether it was there or not.
func replaceTable(family, table, body string) string {
	return fmt.Sprintf("table %[1]s %[2]s\ndelete table %[1]s %[2]s\ntable %[1]s %[2]s {%[3]s}\n", family, table, body)
}

// removeTable renders an nft transaction that removes a table, whether it was there or not.
func removeTable(family, table string) string {
	return fmt.Sprintf("table %[1]s %[2]s\ndelete table %[1]s %[2]s\n", family, table)
}

// dropTable removes a table, whether it is there or not. Without the program nft there is none of ours.
func dropTable(ctx context.Context, netns, family, table string) error {
	if path, _ := exec.LookPath("nft"); path == "" {
		return nil
	}
	return applyRules(ctx, netns, removeTable(family, table))
}

// applyRules runs an nft transaction in a network namespace, the host's if netns is empty.
func applyRules(ctx context.Context, netns, rules string) error {
	args := []string{"nft", "-f", "-"}
	if netns != "" {
		args = append([]string{"nsenter", "--net=" + netns, "--"}, args...)
	}
	_, err := tool.Command{Args: args, Stdin: strings.NewReader(rules)}.Run(ctx)
	return err
}

// networkReady tells whether a node is plugged in, completely.
func (n Node) networkReady(ctx context.Context) (bool, error) {
	if !exists(n.NetnsPath()) || !exists(n.Path("run", "network-ready")) {
		return false, nil
	}
	hostUp, _, err := addresses(ctx, "", n.Veth())
	if err != nil || !hostUp {
		return false, err
	}
	// It fails if the mount of the namespace is gone and only the file is left.
	_, ips, err := addresses(ctx, n.Netns(), uplink)
	return err == nil && len(ips) > 0, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// plugIn makes a node's network namespace and its cable to the bridge.
func plugIn(ctx context.Context, n Node, peers []Node) error {
	if err := removeNodeNetwork(ctx, n); err != nil {
		return err
	}
	if err := ipBatch(ctx, "", nodeHostCommands(n)); err != nil {
		return err
	}
	if err := ipBatch(ctx, n.Netns(), nodeCommands(n, peers)); err != nil {
		return err
	}
	_, err := tool.Command{
		Args:  []string{"nsenter", "--net=" + n.NetnsPath(), "--", "tee", "/proc/sys/net/ipv4/ip_forward"},
		Stdin: strings.NewReader("1"),
	}.Run(ctx)
	if err != nil {
		return err
	}
	return writeIfChanged(n.Path("run", "network-ready"), nil, 0o644)
}

// removeNodeNetwork pulls a node's cable and removes its network namespace.
func removeNodeNetwork(ctx context.Context, n Node) error {
	// The cable first: what ends afterwards cannot say goodbye to anybody.
	if err := removeLink(ctx, n.Veth()); err != nil {
		return err
	}
	if _, err := os.Stat(n.NetnsPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := tool.Run(ctx, "ip", "netns", "delete", n.Netns())
	return err
}

func removeLink(ctx context.Context, link string) error {
	if _, err := os.Stat("/sys/class/net/" + link); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := tool.Run(ctx, "ip", "link", "delete", link)
	return err
}
