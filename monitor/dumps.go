// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// dumpName is how init names dumps. Programs can write to the folder, too: of what
// they put there nothing is shown.
var dumpName = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[A-Za-z0-9._-]{1,200}\.(txt|core)$`)

// Dump is a file that init has written.
type Dump struct {
	// Container in which it was collected.
	Container string
	Name      string
	Bytes     int64
}

// Dumps lists the dumps of a pod, oldest first.
func Dumps(containersDir string) ([]Dump, error) {
	containers, err := folders(containersDir)
	if err != nil {
		return nil, err
	}
	var all []Dump
	for _, name := range containers {
		files, err := os.ReadDir(filepath.Join(containersDir, name, DumpFolder))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a pod of an earlier release
		}
		if err != nil {
			return nil, fmt.Errorf("dumps of container %s: %w", name, err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err == nil && info.Mode().IsRegular() && dumpName.MatchString(f.Name()) {
				all = append(all, Dump{Container: name, Name: f.Name(), Bytes: info.Size()})
			}
		}
	}
	slices.SortFunc(all, func(a, b Dump) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// OpenDump opens a dump by its name.
func OpenDump(containersDir, name string) (*os.File, error) {
	all, err := Dumps(containersDir)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(d Dump) bool { return d.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no dump %q here: the command dumps lists those that there are", name)
	}
	// It may have been replaced since it was listed: no link out of the folder is
	// followed, and no pipe waited for.
	root, err := os.OpenRoot(filepath.Join(containersDir, all[i].Container, DumpFolder))
	if err != nil {
		return nil, fmt.Errorf("dump %s: %w", name, err)
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("dump %s: %w", name, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("dump %s is no regular file any more", name)
	}
	return f, nil
}
