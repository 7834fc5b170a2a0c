// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a node keeps outside its folder would be shared with other nodes, or be left behind.
func TestNodeConfigStaysInItsFolder(t *testing.T) {
	l := Layout{State: "/state"}
	for _, n := range l.Nodes() {
		for _, config := range [][]byte{containerdConfig(n, "overlayfs"), cniConfig(n)} {
			for _, word := range strings.FieldsFunc(string(config), func(r rune) bool { return r == '"' }) {
				if strings.HasPrefix(word, "/") && word != cniPlugins && !strings.HasPrefix(word, "/state/"+n.Name()+"/") {
					t.Errorf("%s keeps something in %s", n.Name(), word)
				}
			}
		}
		if len(n.Socket()) > 107 {
			t.Errorf("%s is too long for a socket", n.Socket())
		}
	}
}

func TestKubeletConfig(t *testing.T) {
	l := Layout{State: "/state"}
	var config map[string]any
	if err := json.Unmarshal(kubeletConfig(l, l.Nodes()[2]), &config); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"cgroupRoot":               "/understudy-localcluster/node-3/pods",
		"containerRuntimeEndpoint": "unix:///state/node-3/run/containerd.sock",
		"address":                  "10.213.0.13",
		"failCgroupV1":             false,
	} {
		if config[key] != want {
			t.Errorf("%s: got %v, want %v", key, config[key], want)
		}
	}
	// What our failover times are compared with must be what everybody has.
	if _, set := config["nodeStatusUpdateFrequency"]; set {
		t.Error("the node's heartbeat is not the default")
	}
}

func TestControlPlaneKeepsDefaults(t *testing.T) {
	for _, d := range (Layout{State: "/state"}).controlPlane("/bin") {
		for _, arg := range d.args {
			if strings.Contains(arg, "grace-period") || strings.Contains(arg, "feature-gates") ||
				strings.Contains(arg, "toleration-seconds") {
				t.Errorf("%s: %s", d.name, arg)
			}
		}
		if d.cgroup == "" {
			t.Errorf("%s could not be found again", d.name)
		}
	}
}

func TestFingerprint(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fingerprint := func(d daemon) string {
		f, err := d.fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	write("a")
	d := daemon{args: []string{"x"}, configs: []string{config}}
	first := fingerprint(d)
	if fingerprint(d) != first {
		t.Error("it changes by itself")
	}
	write("b")
	if fingerprint(d) == first {
		t.Error("it does not see a changed file")
	}
	write("a")
	d.args = []string{"x", "y"}
	if fingerprint(d) == first {
		t.Error("it does not see changed arguments")
	}
}

func TestCurrentLayout(t *testing.T) {
	for state, ok := range map[string]bool{
		"": true, "/var/lib/other": true,
		"/": false, "/var": false, "relative/path": false, "/var/lib/../..": false, "/var/" + strings.Repeat("x", 80): false,
	} {
		t.Setenv(stateVariable, state)
		if _, err := currentLayout(); (err == nil) != ok {
			t.Errorf("%q: got %v", state, err)
		}
	}
}

func TestCheckOwnerRefusesForeignFolder(t *testing.T) {
	l := Layout{State: t.TempDir()}
	if err := os.WriteFile(l.Path("precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.checkOwner(); err == nil {
		t.Error("somebody's folder would be taken, and removed by `down`")
	}
	if _, err := l.Node("node-4"); err == nil || !strings.Contains(err.Error(), "node-1 to node-3") {
		t.Errorf("got %v", err)
	}
}

func TestRemoveStateLeavesNothing(t *testing.T) {
	l := Layout{State: filepath.Join(t.TempDir(), "state")}
	for _, name := range []string{stateMarker, "logs/etcd.log", "pki/ca.crt"} {
		if err := writeIfChanged(l.Path(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.removeState(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.State); err == nil {
		t.Error("the folder is still there")
	}
}
