// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/understudy-dev/understudy/monitor/engine"
)

const (
	// ringName is the file in the state folder that the cluster log is kept in besides
	// stdout, ringOld the one before it.
	ringName = "cluster.log"
	ringOld  = "cluster.log.1"
	// ringBytes is the largest size of each. They live in memory, as the state does.
	ringBytes = 1 << 20
	// followEvery is how often a reader that follows looks for more.
	followEvery = 200 * time.Millisecond
)

// logRing keeps the latest lines of the cluster log. Nothing is synced: it outlives the
// monitor, and not the pod.
type logRing struct {
	dir  string
	most int64
	file *os.File
	size int64
}

func newLogRing(dir string) *logRing { return &logRing{dir: dir, most: ringBytes} }

// Write appends one line.
func (r *logRing) Write(line []byte) (int, error) {
	if r.file != nil && r.size+int64(len(line)) > r.most {
		r.close()
		if err := os.Rename(filepath.Join(r.dir, ringName), filepath.Join(r.dir, ringOld)); err != nil {
			return 0, fmt.Errorf("cluster log: %w", err)
		}
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Write(line)
	r.size += int64(n)
	if err != nil {
		r.close() // a new one may do better
		return n, fmt.Errorf("cluster log: %w", err)
	}
	return n, nil
}

func (r *logRing) open() error {
	f, err := os.OpenFile(filepath.Join(r.dir, ringName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cluster log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("cluster log: %w", err), f.Close())
	}
	r.file, r.size = f, info.Size()
	return nil
}

func (r *logRing) close() {
	_ = r.file.Close()
	r.file, r.size = nil, 0
}

// LogQuery selects lines of the cluster log.
type LogQuery struct {
	// Resource is a resource's name; empty: all lines.
	Resource string
	// Level is the least one. LevelSevere counts as LevelError: the log does not tell
	// them apart (RA section 9).
	Level engine.Level
	// Follow goes on until ctx ends.
	Follow bool
}

// ReadLog writes the kept lines of the cluster log that q selects, oldest first.
func ReadLog(ctx context.Context, stateDir string, q LogQuery, out io.Writer) error {
	r := ringReader{LogQuery: q, dir: stateDir, out: out}
	if err := r.read(ctx, ringOld, false); err != nil {
		return err
	}
	for {
		if err := r.read(ctx, ringName, q.Follow); err != nil {
			return err
		}
		if !q.Follow || !wait(ctx, followEvery) {
			return nil
		}
	}
}

// ringReader reads the files of a ring.
type ringReader struct {
	LogQuery
	dir string
	out io.Writer
	// half is the beginning of a line that is being written.
	half string
}

// read copies a file, if there is one, and follows it until it is not the newest any
// more.
func (r *ringReader) read(ctx context.Context, name string, follow bool) error {
	f, err := os.Open(filepath.Join(filepath.Clean(r.dir), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing has been logged yet
	}
	if err != nil {
		return fmt.Errorf("cluster log: %w", err)
	}
	defer func() { _ = f.Close() }()
	r.half = ""
	in := bufio.NewReader(f)
	for {
		// Asked first: what was written before the next one was begun is read below.
		last := !follow || r.replaced(f)
		if err := r.copy(in); err != nil || last {
			return err
		}
		if !wait(ctx, followEvery) {
			return nil
		}
	}
}

// copy copies the lines that are there.
func (r *ringReader) copy(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		line = r.half + line
		r.half = ""
		switch {
		case errors.Is(err, io.EOF):
			r.half = line
			return nil
		case err != nil:
			return fmt.Errorf("cluster log: %w", err)
		case !r.selects(line):
			continue
		}
		if _, err := io.WriteString(r.out, line); err != nil {
			return fmt.Errorf("writing the log: %w", err)
		}
	}
}

// replaced says whether another file has the name now.
func (r *ringReader) replaced(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(filepath.Join(r.dir, ringName))
	return err != nil || !os.SameFile(mine, now)
}

// selects judges a line "pid::time LEVEL [component] <resource>: ...".
func (q LogQuery) selects(line string) bool {
	_, rest, _ := strings.Cut(line, " ")
	level, rest, _ := strings.Cut(rest, "[")
	_, text, ok := strings.Cut(rest, "] ")
	if !ok || levelNamed(strings.TrimSpace(level)) < min(q.Level, engine.LevelError) {
		return false
	}
	return q.Resource == "" || strings.HasPrefix(text, "<"+q.Resource+">: ")
}

func levelNamed(name string) engine.Level {
	switch name {
	case "ERR":
		return engine.LevelError
	case "WARN":
		return engine.LevelWarning
	}
	return engine.LevelInformation
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
