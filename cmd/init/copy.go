// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// programMode lets every user of the pod run what was copied.
const programMode = 0o755

// copyPrograms copies files into dir, each under its own name and in one step: a
// container that starts meanwhile sees the old program or the new one.
func copyPrograms(dir string, files []string) error {
	for _, file := range files {
		if err := copyProgram(dir, file); err != nil {
			return fmt.Errorf("copy %s to %s: %w", file, dir, err)
		}
	}
	return syncDir(dir)
}

func copyProgram(dir, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(dir, ".copy-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if err := out.Chmod(programMode); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), filepath.Join(dir, filepath.Base(file)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
