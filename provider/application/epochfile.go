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

// epochFiles has one for each name that the process ever knew. A resource that is made anew
// under its name gets that of the one before, and its count: the end of a program may be
// noticed late, when another runs already.
type epochFiles struct {
	dir string

	mu    sync.Mutex
	files map[string]*epochFile
}

func newEpochFiles(dir string) *epochFiles {
	return &epochFiles{dir: dir, files: map[string]*epochFile{}}
}

// of is the file of a resource. Names have no slash where they come from Kubernetes.
func (f *epochFiles) of(name string) *epochFile {
	path := filepath.Join(f.dir, strings.ReplaceAll(name, "/", "_"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files[path] == nil {
		f.files[path] = &epochFile{path: path}
	}
	return f.files[path]
}

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
