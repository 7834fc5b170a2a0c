// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"slices"
	"testing"
	"time"
)

func TestPKI(t *testing.T) {
	l := Layout{State: t.TempDir()}
	now := time.Now()
	if err := l.ensurePKI(now); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		content, err := os.ReadFile(l.PKI(name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	roots := map[string]*x509.CertPool{}
	for _, c := range certificates(l.Nodes()) {
		block, _ := pem.Decode(read(c.file + ".crt"))
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if c.issuer == "" {
			roots[c.file] = x509.NewCertPool()
			roots[c.file].AddCert(parsed)
			continue
		}
		if _, err := tls.X509KeyPair(read(c.file+".crt"), read(c.file+".key")); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		hosts := c.hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			usage := x509.ExtKeyUsageServerAuth
			if host == "" {
				usage = x509.ExtKeyUsageClientAuth
			}
			_, err := parsed.Verify(
				x509.VerifyOptions{Roots: roots[c.issuer], DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now},
			)
			if err != nil {
				t.Errorf("%s for %q: %v", c.file, host, err)
			}
		}
		if parsed.Subject.CommonName != c.name || !slices.Equal(parsed.Subject.Organization, c.groups) {
			t.Errorf("%s: subject %s", c.file, parsed.Subject)
		}
	}
	before := read("ca.crt")
	if err := l.ensurePKI(now); err != nil || !slices.Equal(before, read("ca.crt")) {
		t.Errorf("the authority changed, %v", err)
	}
	if err := l.ensureKubeconfigs(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(l.Kubeconfig())
	if err != nil || !json.Valid(text) {
		t.Errorf("kubeconfig: %v", err)
	}
}
