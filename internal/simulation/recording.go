// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteRecordings writes what each life of each monitor was given and did, as monitor replay
// reads it: one file a life.
func WriteRecordings(r Result, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("recordings: %w", err)
	}
	for _, l := range r.lives {
		f, err := os.Create(filepath.Join(dir, l.inc+".jsonl"))
		if err != nil {
			return fmt.Errorf("recordings: %w", err)
		}
		err = l.write(f)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("recording of %s: %w", l.inc, err)
		}
	}
	return nil
}

func (l *life) write(out io.Writer) error {
	lines := json.NewEncoder(out)
	for _, line := range l.lines {
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
