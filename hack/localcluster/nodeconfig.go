// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
)

// Programs of Debian's packages containerd and containernetworking-plugins.
const cniPlugins = "/usr/lib/cni"

// containerdConfig renders a node's containerd configuration. Everything it keeps is below the node's folder, so
// that several run side by side and all can be removed.
func containerdConfig(n Node, snapshotter string) []byte {
	return fmt.Appendf(nil, `version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = %[3]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  # Both need rights that root in a container or micro virtual machine may lack.
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %[5]q
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = %[6]q
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[7]q
    conf_dir = %[8]q
`,
		n.Path("containerd"), n.Path("run", "containerd"), n.Socket(), sandboxImage, snapshotter, n.Path("run", "runc"),
		cniPlugins, n.Path("cni"))
}

// cniConfig renders the network of a node's pods. The plugin is ptp rather than bridge: every packet is routed by the
// node, so that Services work between pods of one node without br_netfilter, and packet filters see all.
func cniConfig(n Node) []byte {
	return mustJSON(map[string]any{
		"cniVersion": "0.4.0",
		"name":       cniNetwork(n),
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{
				"type":    "host-local",
				"dataDir": n.Path("run", "ipam"),
				"ranges":  []any{[]any{map[string]any{"subnet": n.PodRange()}}},
				"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
}

// cniNetwork names the network in the results that the CNI library keeps in a folder of the machine.
func cniNetwork(n Node) string { return n.Netns() }

// kubeletConfig renders a node's kubelet configuration. Limits of the machine that are not those of a node are off:
// images cannot be pulled again, and the disk belongs to somebody else.
func kubeletConfig(l Layout, n Node) []byte {
	return mustJSON(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": l.PKI("ca.crt")},
		},
		"authorization":                 map[string]any{"mode": "Webhook"},
		"tlsCertFile":                   l.PKI(n.Name() + "-serving.crt"),
		"tlsPrivateKeyFile":             l.PKI(n.Name() + "-serving.key"),
		"containerRuntimeEndpoint":      "unix://" + n.Socket(),
		"address":                       n.IP(),
		"clusterDomain":                 "cluster.local",
		"resolvConf":                    l.Path("resolv.conf"),
		"podLogsDir":                    n.Path("pod-logs"),
		"volumePluginDir":               n.Path("volume-plugins"),
		"cgroupDriver":                  "cgroupfs",
		"cgroupRoot":                    n.Cgroup() + "/pods",
		"cgroupsPerQOS":                 true,
		"enforceNodeAllocatable":        []string{},
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"localStorageCapacityIsolation": false,
		"makeIPTablesUtilChains":        false,
		"imageGCHighThresholdPercent":   100,
		"evictionHard": map[string]string{
			"imagefs.available": "0%",
			"nodefs.available":  "0%",
			"nodefs.inodesFree": "0%",
		},
		"serializeImagePulls": false,
		"rotateCertificates":  false,
	})
}

// resolvConf names a server that is not there, as there is no cluster DNS; without one, containerd would give pods
// the resolv.conf of the machine.
const resolvConf = `# There is no cluster DNS: use addresses or the environment variables of Services.
nameserver 127.0.0.1
`

// daemons lists what runs on a node besides pods, in the order in which they start.
func (n Node) daemons(l Layout, bin string) []daemon {
	list := []daemon{
		{name: n.Name() + "-containerd", configs: []string{n.Path("containerd.toml")}, args: []string{
			"containerd", "--config=" + n.Path("containerd.toml"),
		}},
		{name: n.Name() + "-kubelet", configs: []string{n.Path("kubelet.json")}, args: []string{
			bin + "/kubelet",
			"--config=" + n.Path("kubelet.json"),
			"--kubeconfig=" + l.kubeconfigFor(n.Name()),
			"--hostname-override=" + n.Name(),
			"--node-ip=" + n.IP(),
			"--root-dir=" + n.Path("kubelet"),
			"--cert-dir=" + n.Path("kubelet", "pki"),
		}},
		{name: n.Name() + "-kube-proxy", args: []string{
			bin + "/kube-proxy",
			"--kubeconfig=" + l.kubeconfigFor("kube-proxy"),
			"--hostname-override=" + n.Name(),
			"--proxy-mode=nftables",
			"--cluster-cidr=" + podRange,
			"--bind-address=" + n.IP(),
			// These are limits of the whole machine.
			"--conntrack-max-per-core=0",
			"--conntrack-tcp-timeout-established=0",
			"--conntrack-tcp-timeout-close-wait=0",
		}},
	}
	for i := range list {
		list[i].netns = n.NetnsPath()
		list[i].cgroup = n.Cgroup() + "/system"
	}
	return list
}

func mustJSON(value any) []byte {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(err) // only maps, slices, strings, numbers and booleans come here
	}
	return append(text, '\n')
}
