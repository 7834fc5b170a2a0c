// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"errors"
	"os"
	"path/filepath"
)

// CacheDir returns the folder for what is costly to make, outside the clone so that a fresh clone finds it, and
// creates it: $UNDERSTUDY_CACHE, else $XDG_CACHE_HOME/understudy, else ~/.cache/understudy, and below it key.
func CacheDir(key string) (string, error) {
	base := os.Getenv("UNDERSTUDY_CACHE")
	if base == "" {
		xdg := os.Getenv("XDG_CACHE_HOME")
		if xdg == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", errors.New("no home directory to cache in: set UNDERSTUDY_CACHE to a folder")
			}
			xdg = filepath.Join(home, ".cache")
		}
		base = filepath.Join(xdg, "understudy")
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, key)
	return dir, os.MkdirAll(dir, 0o755)
}

// WriteFile replaces a file in one step: a reader sees the old content or the new one, never a part.
func WriteFile(path string, content []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(mode)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
