// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate says what a certificate is for. One with addresses serves, one without is a client's.
type certificate struct {
	file   string
	issuer string
	name   string
	groups []string
	hosts  []string
}

// certificates lists what the cluster needs, each after its issuer.
func certificates(nodes []Node) []certificate {
	list := []certificate{
		{file: "ca", name: "understudy-localcluster"},
		{file: "etcd-ca", name: "understudy-localcluster-etcd"},
		{file: "front-proxy-ca", name: "understudy-localcluster-front-proxy"},
		{file: "etcd", issuer: "etcd-ca", name: "etcd", hosts: []string{"127.0.0.1", "localhost"}},
		{file: "etcd-client", issuer: "etcd-ca", name: "kube-apiserver"},
		{file: "front-proxy-client", issuer: "front-proxy-ca", name: "front-proxy-client"},
		{file: "apiserver", issuer: "ca", name: "kube-apiserver", hosts: []string{
			hostIP, "127.0.0.1", serviceIP, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		}},
		{
			file:   "apiserver-kubelet-client",
			issuer: "ca",
			name:   "kube-apiserver-kubelet-client",
			groups: []string{"system:masters"},
		},
		{file: "admin", issuer: "ca", name: "kubernetes-admin", groups: []string{"system:masters"}},
		{file: "kube-controller-manager", issuer: "ca", name: "system:kube-controller-manager"},
		{file: "kube-scheduler", issuer: "ca", name: "system:kube-scheduler"},
		{file: "kube-proxy", issuer: "ca", name: "system:kube-proxy"},
	}
	for _, node := range nodes {
		list = append(
			list,
			certificate{file: node.Name(), issuer: "ca", name: "system:node:" + node.Name(), groups: []string{"system:nodes"}},
			certificate{
				file:   node.Name() + "-serving",
				issuer: "ca",
				name:   node.Name(),
				hosts:  []string{node.IP(), node.Name(), "127.0.0.1"},
			},
		)
	}
	return list
}

// ensurePKI makes all keys and certificates, unless they are there. They appear all at once.
func (l Layout) ensurePKI(now time.Time) error {
	if _, err := os.Stat(l.PKI("")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temporary, err := os.MkdirTemp(l.State, ".pki.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	issuers := map[string]*issuer{}
	for _, c := range certificates(l.Nodes()) {
		made, err := c.make(issuers[c.issuer], now)
		if err == nil {
			issuers[c.file] = made
			err = made.write(filepath.Join(temporary, c.file))
		}
		if err != nil {
			return err
		}
	}
	if err := writeServiceAccountKey(filepath.Join(temporary, "service-accounts")); err != nil {
		return err
	}
	return os.Rename(temporary, l.PKI(""))
}

type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (c certificate) make(by *issuer, now time.Time) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: c.name, Organization: c.groups},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(c.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if by == nil {
		template.IsCA, template.ExtKeyUsage = true, nil
		template.KeyUsage |= x509.KeyUsageCertSign
		by = &issuer{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	return &issuer{certificate: parsed, key: key}, err
}

func (i *issuer) write(base string) error {
	if err := writePEM(base+".crt", "CERTIFICATE", i.certificate.Raw, 0o644); err != nil {
		return err
	}
	return writeKey(base+".key", i.key)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func writeServiceAccountKey(base string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err == nil {
		err = writePEM(base+".pub", "PUBLIC KEY", der, 0o644)
	}
	if err != nil {
		return err
	}
	return writeKeyEC(base+".key", key)
}

// writeKeyEC writes the form that the API server reads service account keys in.
func writeKeyEC(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}
