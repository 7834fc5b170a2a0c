// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// binary is a program of Kubernetes or etcd.
type binary struct{ name, pkg string }

// binaries in the order in which they are built; the first three are what envtest wants.
var binaries = []binary{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
	{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
}

var envtestBinaries = binaries[:3]

// versions are what hack/kubernetes pins.
type versions struct{ kubernetes, etcd string }

func readVersions(goMod string) (v versions, err error) {
	if v.kubernetes, err = tool.RequiredVersion(goMod, "k8s.io/kubernetes"); err != nil {
		return v, err
	}
	v.etcd, err = tool.RequiredVersion(goMod, "go.etcd.io/etcd/server/v3")
	return v, err
}

// cacheKey names the folder that binaries of these versions are kept in.
func (v versions) cacheKey() string {
	return fmt.Sprintf("kubernetes-%s-etcd-%s-linux-%s", v.kubernetes, v.etcd, runtime.GOARCH)
}

// linkerFlags make the programs small and let them know their version.
func (v versions) linkerFlags() string {
	flags := []string{"-s", "-w"}
	numbers := strings.SplitN(strings.TrimPrefix(v.kubernetes, "v"), ".", 3)
	values := map[string]string{"gitVersion": v.kubernetes, "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z"}
	if len(numbers) == 3 {
		values["gitMajor"], values["gitMinor"] = numbers[0], numbers[1]
	}
	for _, name := range []string{"gitMajor", "gitMinor", "gitVersion", "gitTreeState", "buildDate"} {
		flags = append(flags, "-X k8s.io/component-base/version."+name+"="+values[name])
	}
	return strings.Join(flags, " ")
}

// ensureBinaries builds what is missing and returns the folder of all.
func ensureBinaries(ctx context.Context, progress *tool.Progress, wanted []binary) (string, error) {
	root, err := tool.SourceRoot()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "hack", "kubernetes")
	goMod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	pinned, err := readVersions(string(goMod))
	if err != nil {
		return "", err
	}
	dir, err := tool.CacheDir(pinned.cacheKey())
	if err != nil {
		return "", err
	}
	if len(missingBinaries(dir, wanted)) == 0 {
		return dir, nil
	}
	lock, err := tool.Lock(ctx, filepath.Join(dir, ".lock"), "a build of Kubernetes", progress)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	missing := missingBinaries(dir, wanted)
	for i, b := range missing {
		if err := b.build(ctx, progress, module, dir, pinned, fmt.Sprintf("%d of %d", i+1, len(missing))); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func missingBinaries(dir string, wanted []binary) []binary {
	var missing []binary
	for _, b := range wanted {
		if _, err := os.Stat(filepath.Join(dir, b.name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, b)
		}
	}
	return missing
}

func (b binary) build(
	ctx context.Context,
	progress *tool.Progress,
	module, dir string,
	pinned versions,
	count string,
) error {
	defer progress.During("building %s (%s; all of them take about 10 minutes on 2 cores, once)", b.name, count)()
	temporary := filepath.Join(dir, "."+b.name+".tmp")
	_, err := tool.Command{
		Args:     []string{"nice", "-n", "5", "go", "build", "-ldflags", pinned.linkerFlags(), "-o", temporary, b.pkg},
		Dir:      module,
		Env:      []string{"CGO_ENABLED=0", "GOWORK=off"},
		Deadline: time.Hour,
	}.Run(ctx)
	if err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, b.name))
}
