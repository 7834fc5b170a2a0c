// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	guardv1 "github.com/understudy-dev/understudy/api/guard/v1"
)

// stuckFile is the file that the liveness probe of one container looks for.
type stuckFile struct {
	path   string
	wanted atomic.Bool
	// writing has the newest wish stand at the end, whoever comes first.
	writing sync.Mutex
}

// newStuckFile begins without a file: what an earlier life knew, this one says anew.
func newStuckFile(monitorDir string) (*stuckFile, error) {
	f := &stuckFile{path: filepath.Join(monitorDir, guardv1.StuckName)}
	if err := f.apply(); err != nil {
		return nil, err
	}
	return f, nil
}

// apply makes the file be there, or not, as it is wanted.
func (f *stuckFile) apply() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	var err error
	if f.wanted.Load() {
		err = os.WriteFile(f.path, nil, 0o644)
	} else if err = os.Remove(f.path); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("telling kubelet whether the container is stuck: %w", err)
	}
	return nil
}
