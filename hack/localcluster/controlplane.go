// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
)

// auditPolicy records who asked for what, not what was in it: enough for tests that count requests.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

const controlPlaneCgroup = cgroupRoot + "/control-plane"

// controlPlane lists its daemons in the order in which they start. bin is the folder of their programs.
func (l Layout) controlPlane(bin string) []daemon {
	etcdURL := fmt.Sprintf("https://127.0.0.1:%d", etcdPort)
	etcdPeerURL := fmt.Sprintf("https://127.0.0.1:%d", etcdPeerPort)
	list := []daemon{
		{name: "etcd", args: []string{
			bin + "/etcd",
			"--name=localcluster",
			"--data-dir=" + l.Path("etcd"),
			"--listen-client-urls=" + etcdURL,
			"--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=" + etcdPeerURL,
			"--initial-advertise-peer-urls=" + etcdPeerURL,
			"--initial-cluster=localcluster=" + etcdPeerURL,
			"--client-cert-auth=true",
			"--trusted-ca-file=" + l.PKI("etcd-ca.crt"),
			"--cert-file=" + l.PKI("etcd.crt"),
			"--key-file=" + l.PKI("etcd.key"),
			"--peer-client-cert-auth=true",
			"--peer-trusted-ca-file=" + l.PKI("etcd-ca.crt"),
			"--peer-cert-file=" + l.PKI("etcd.crt"),
			"--peer-key-file=" + l.PKI("etcd.key"),
		}},
		{name: "kube-apiserver", configs: []string{l.Path("audit-policy.yaml")}, args: []string{
			bin + "/kube-apiserver",
			// All addresses, so that loopback and bridge work; a packet filter keeps other links out.
			"--bind-address=0.0.0.0",
			fmt.Sprintf("--secure-port=%d", apiPort),
			"--advertise-address=" + hostIP,
			"--etcd-servers=" + etcdURL,
			"--etcd-cafile=" + l.PKI("etcd-ca.crt"),
			"--etcd-certfile=" + l.PKI("etcd-client.crt"),
			"--etcd-keyfile=" + l.PKI("etcd-client.key"),
			"--tls-cert-file=" + l.PKI("apiserver.crt"),
			"--tls-private-key-file=" + l.PKI("apiserver.key"),
			"--client-ca-file=" + l.PKI("ca.crt"),
			"--kubelet-certificate-authority=" + l.PKI("ca.crt"),
			"--kubelet-client-certificate=" + l.PKI("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + l.PKI("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--proxy-client-cert-file=" + l.PKI("front-proxy-client.crt"),
			"--proxy-client-key-file=" + l.PKI("front-proxy-client.key"),
			"--requestheader-client-ca-file=" + l.PKI("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + l.PKI("service-accounts.pub"),
			"--service-account-signing-key-file=" + l.PKI("service-accounts.key"),
			"--service-cluster-ip-range=" + serviceRange,
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--audit-policy-file=" + l.Path("audit-policy.yaml"),
			"--audit-log-path=" + l.Path("audit.log"),
			"--audit-log-maxsize=1024",
			"--audit-log-maxbackup=1",
		}},
		{name: "kube-controller-manager", args: []string{
			bin + "/kube-controller-manager",
			"--kubeconfig=" + l.kubeconfigFor("kube-controller-manager"),
			"--bind-address=127.0.0.1",
			// There is one, and a lease of a killed one would hold up the next.
			"--leader-elect=false",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + l.PKI("service-accounts.key"),
			"--root-ca-file=" + l.PKI("ca.crt"),
			"--flex-volume-plugin-dir=" + l.Path("volume-plugins"),
			"--cluster-signing-cert-file=" + l.PKI("ca.crt"),
			"--cluster-signing-key-file=" + l.PKI("ca.key"),
			"--requestheader-client-ca-file=" + l.PKI("front-proxy-ca.crt"),
			"--service-cluster-ip-range=" + serviceRange,
			"--cluster-cidr=" + podRange,
			// Each node's pod range follows from its number.
			"--allocate-node-cidrs=false",
		}},
		{name: "kube-scheduler", args: []string{
			bin + "/kube-scheduler",
			"--kubeconfig=" + l.kubeconfigFor("kube-scheduler"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
		}},
	}
	for i := range list {
		list[i].cgroup = controlPlaneCgroup
	}
	return list
}
