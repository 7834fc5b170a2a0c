// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/understudy-dev/understudy/hack/internal/image"
	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// ensureSandboxImage builds the image of pod sandboxes, which would otherwise come from a registry.
func (l Layout) ensureSandboxImage(ctx context.Context) error {
	if _, err := os.Stat(l.sandboxArchive()); err == nil {
		return nil
	}
	root, err := tool.SourceRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(l.State, ".pause.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "pause")
	_, err = tool.Command{
		Args: []string{"go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", program, "./hack/images/pause"},
		Dir:  root,
		Env:  []string{"CGO_ENABLED=0"},
	}.Run(ctx)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "layer.tar"))
	if err != nil {
		return err
	}
	defer file.Close()
	layer, err := image.Tree{"pause": {Source: program, Mode: 0o755}}.WriteLayer(file)
	if err != nil {
		return err
	}
	arch, err := image.Architecture([]string{program})
	if err != nil {
		return err
	}
	config := image.Config{Name: sandboxImage, Architecture: arch, Entrypoint: []string{"/pause"}, User: "65535:65535"}
	return image.Write(l.sandboxArchive(), config, []image.Layer{layer})
}

func (l Layout) sandboxArchive() string { return l.Path("pause.tar") }
