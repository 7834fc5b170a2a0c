// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// epochFile is how commands that are no children of the program, of kubectl exec for
// instance, find the epoch: a file while the program runs, none while it does not.
//
// It has a lock of its own, and nobody waits for its end: a disk that is dead must
// not hold up a stop.
type epochFile struct {
	path string

	mu sync.Mutex
	// writes counts them: each run of the program removes only what was written for it.
	writes int
}

// newEpochFile names the file of a resource. Names have no slash where they come from
// Kubernetes.
func newEpochFile(dir, name string) *epochFile {
	return &epochFile{path: filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))}
}

// write makes the file, whole or not at all, and returns its path and what removes it
// again. A program that is started after this finds its own epoch there.
func (f *epochFile) write(epoch int64) (path string, remove func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	mine := f.writes
	dir, name := filepath.Split(f.path)
	// No resource's name begins with a dot.
	fresh := filepath.Join(dir, "."+name)
	err = os.MkdirAll(dir, 0o755) // for programs of any user, as the file
	if err == nil {
		err = os.WriteFile(fresh, []byte(strconv.FormatInt(epoch, 10)+"\n"), 0o644)
	}
	if err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err != nil {
		// Rather none than an older one.
		_, _ = gone(fresh), gone(f.path)
		return "", func() {}, err
	}
	return f.path, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.writes == mine {
			_ = gone(f.path) // the next write replaces it
		}
	}, nil
}

// gone removes a file that may not be there.
func gone(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
