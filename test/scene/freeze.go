// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Freeze stops the API server, so that it answers nobody; thaw lets it go on.
func (l *Local) Freeze() (thaw func() error, err error) {
	text, err := os.ReadFile(filepath.Join(l.State(), "processes", "kube-apiserver.json"))
	if err != nil {
		return nil, err
	}
	var record struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(text, &record); err != nil || record.PID <= 1 {
		return nil, fmt.Errorf("the API server's record %s names no process: %w", text, err)
	}
	if err := Signal(record.PID, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	return func() error { return Signal(record.PID, syscall.SIGCONT) }, nil
}
