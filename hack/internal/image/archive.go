// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image writes container images as docker-archive tarballs without a container engine. The same input gives
// the same bytes.
package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is what an image says about how to run it.
type Config struct {
	// Name is the image's name and tag: understudy:dev.
	Name string
	// Architecture that its programs are for, as Go names it.
	Architecture string
	// Entrypoint and Cmd are the program and its arguments.
	Entrypoint, Cmd []string
	// Env is a list of NAME=value.
	Env []string
	// User is a name or number, with a group after a colon.
	User string
	// WorkingDir is where the program starts.
	WorkingDir string
	// StopSignal is what kubelet sends first to end a container; SIGTERM if empty.
	StopSignal string
}

// Layer is a tar file on disk, with the digest that an image names it by.
type Layer struct {
	// Path is where it is.
	Path string
	// Digest is the SHA-256 of its bytes, in hex.
	Digest string
}

// OpenLayer reads a layer's digest.
func OpenLayer(path string) (Layer, error) {
	file, err := os.Open(path)
	if err != nil {
		return Layer{}, err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return Layer{}, err
	}
	return Layer{Path: path, Digest: hex.EncodeToString(sum.Sum(nil))}, nil
}

// configJSON renders the image's configuration.
func (c Config) configJSON(layers []Layer, created time.Time) ([]byte, error) {
	digests := make([]string, len(layers))
	for i, layer := range layers {
		digests[i] = "sha256:" + layer.Digest
	}
	config := map[string]any{}
	for key, value := range map[string][]string{"Entrypoint": c.Entrypoint, "Cmd": c.Cmd, "Env": c.Env} {
		if len(value) > 0 {
			config[key] = value
		}
	}
	for key, value := range map[string]string{
		"User": c.User, "WorkingDir": c.WorkingDir, "StopSignal": c.StopSignal,
	} {
		if value != "" {
			config[key] = value
		}
	}
	return json.Marshal(map[string]any{
		"architecture": c.Architecture,
		"os":           "linux",
		"created":      created.UTC().Format(time.RFC3339),
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": digests},
	})
}

// checkName wants the plain form, because kubelet and containerd must find the image under the same name and neither
// may look for it in a registry.
func checkName(name string) error {
	repository, tag, found := strings.Cut(name, ":")
	if !found || repository == "" || tag == "" || strings.Contains(tag, "/") || tag == "latest" {
		return fmt.Errorf("image name %q: want name:tag with a tag other than latest, which kubelet would always pull", name)
	}
	return nil
}

// Write writes an image to a file, which appears when it is complete.
func Write(path string, config Config, layers []Layer) (err error) {
	if err := checkName(config.Name); err != nil {
		return err
	}
	if config.Architecture == "" {
		return fmt.Errorf("image %s: the architecture is missing", config.Name)
	}
	created, err := SourceDate()
	if err != nil {
		return err
	}
	configJSON, err := config.configJSON(layers, created)
	if err != nil {
		return err
	}
	configSum := sha256.Sum256(configJSON)
	configName := hex.EncodeToString(configSum[:]) + ".json"
	layerNames := make([]string, len(layers))
	for i, layer := range layers {
		layerNames[i] = layer.Digest + "/layer.tar"
	}
	manifest, err := json.Marshal(
		[]map[string]any{{"Config": configName, "RepoTags": []string{config.Name}, "Layers": layerNames}},
	)
	if err != nil {
		return err
	}

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			os.Remove(file.Name())
			return
		}
		if err = os.Chmod(file.Name(), 0o644); err == nil {
			err = os.Rename(file.Name(), path)
		}
	}()
	out := tar.NewWriter(file)
	for i, layer := range layers {
		if err := copyLayer(out, layerNames[i], layer.Path, created); err != nil {
			return err
		}
	}
	for _, entry := range []struct {
		name    string
		content []byte
	}{{configName, configJSON}, {"manifest.json", manifest}} {
		header := &tar.Header{
			Name:    entry.name,
			Mode:    0o644,
			Size:    int64(len(entry.content)),
			ModTime: created,
			Format:  tar.FormatPAX,
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(entry.content); err != nil {
			return err
		}
	}
	return out.Close()
}

func copyLayer(out *tar.Writer, name, path string, created time.Time) error {
	layer, err := os.Open(path)
	if err != nil {
		return err
	}
	defer layer.Close()
	stat, err := layer.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(
		&tar.Header{Name: name, Mode: 0o644, Size: stat.Size(), ModTime: created, Format: tar.FormatPAX},
	); err != nil {
		return err
	}
	_, err = io.Copy(out, layer)
	return err
}
