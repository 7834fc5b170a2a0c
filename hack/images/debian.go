// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/image"
	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// recipe is part of the key of cached file systems: raise it when they are made differently.
const recipe = "1"

// layerKey names a root file system by what it is made of, in whatever order that was said.
func layerKey(release, arch string, packages []string, date time.Time) string {
	packages = slices.Compact(slices.Sorted(slices.Values(packages)))
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %q %d", recipe, release, arch, packages, date.Unix()))
	return fmt.Sprintf("debian-%s-%x.tar", release, sum[:8])
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// debianLayer returns the layer of a Debian root file system with some packages, and makes it if it is not cached.
func debianLayer(ctx context.Context, progress *tool.Progress, packages []string) (image.Layer, error) {
	for _, name := range packages {
		if !packageName.MatchString(name) {
			return image.Layer{}, fmt.Errorf("%q is not the name of a Debian package", name)
		}
	}
	osRelease, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return image.Layer{}, err
	}
	release, err := debianRelease(string(osRelease))
	if err != nil {
		return image.Layer{}, err
	}
	date, err := image.SourceDate()
	if err != nil {
		return image.Layer{}, err
	}
	cache, err := tool.CacheDir("images")
	if err != nil {
		return image.Layer{}, err
	}
	path := filepath.Join(cache, layerKey(release, runtime.GOARCH, packages, date))
	lock, err := tool.Lock(ctx, path+".lock", "a build of an image", progress)
	if err != nil {
		return image.Layer{}, err
	}
	defer lock.Close()
	if _, err := os.Stat(path); err != nil {
		if err := makeLayer(ctx, progress, path, release, packages, date); err != nil {
			return image.Layer{}, err
		}
	}
	return image.OpenLayer(path)
}

// debianRelease reads the release's name from the text of os-release.
func debianRelease(text string) (string, error) {
	id, codename := "", ""
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.Trim(value, `"`); key {
		case "ID":
			id = value
		case "VERSION_CODENAME":
			codename = value
		}
	}
	if id != "debian" || codename == "" {
		return "", errors.New("this machine does not run a release of Debian, whose packages the image would hold")
	}
	return codename, nil
}

func makeLayer(
	ctx context.Context,
	progress *tool.Progress,
	path, release string,
	packages []string,
	date time.Time,
) error {
	if os.Geteuid() != 0 {
		return errors.New("building a Debian image needs root")
	}
	sources, err := machineSources(release)
	if err != nil {
		return err
	}
	if err := tool.EnsurePackages(ctx, progress, "mmdebstrap"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".debian.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := filepath.Join(dir, "root.tar")
	done := progress.During("building a Debian file system with %s", strings.Join(packages, ", "))
	_, err = tool.Command{
		Args: []string{
			"mmdebstrap", "--mode=root", "--variant=essential", "--format=tar", "--include=" + strings.Join(packages, ","),
			"--aptopt=APT::Install-Recommends \"false\"",
			"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
			"--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
			release, root, "-",
		},
		Stdin:    strings.NewReader(strings.Join(sources, "\n") + "\n"),
		Env:      []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", date.Unix()), "TMPDIR=" + dir},
		Deadline: 20 * time.Minute,
	}.Run(ctx)
	done()
	if err != nil {
		return err
	}
	in, err := os.Open(root)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, "layer.tar"))
	if err != nil {
		return err
	}
	if err := errors.Join(image.NormaliseLayer(out, in, date), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

// machineSources returns the lines of a sources.list with Debian's own suites, from where this machine gets them.
func machineSources(release string) ([]string, error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	var lines []string
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		if ext := filepath.Ext(file); ext != ".list" && ext != ".sources" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, source := range image.ParseSources(file, string(text), release) {
			if line := source.Line(); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("apt's sources on this machine name none of Debian's suites of %s", release)
	}
	return lines, nil
}
