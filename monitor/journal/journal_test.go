// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestOneMonitorAtATime(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("%v, want %v", err, ErrLocked)
	}
	must(t, j.Close())
	open(t, dir)
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	var got map[string]int
	if found, err := j.Load(&got); found || err != nil {
		t.Fatalf("found %v, %v", found, err)
	}
	must(t, j.Store([]byte(`{"a":1}`)))
	must(t, j.Store([]byte(`{"a":2}`)))
	if found, err := j.Load(&got); !found || err != nil || got["a"] != 2 {
		t.Errorf("found %v, %v, %v", found, err, got)
	}
	// One that was cut short by a crash of the node counts as none.
	for _, text := range []string{"", `{"a":`, "\x00\x00\x00\x00"} {
		must(t, os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600))
		if found, err := j.Load(&got); found || err != nil {
			t.Errorf("%q: found %v, %v", text, found, err)
		}
	}
}

// Whoever reads at any time sees one state or the other, whole.
func TestStateIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	state := func(c string) []byte { return []byte(`"` + strings.Repeat(c, 1<<16) + `"`) }
	must(t, j.Store(state("a")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			data, err := os.ReadFile(filepath.Join(dir, fileName))
			var s string
			if err != nil || json.Unmarshal(data, &s) != nil || len(strings.Trim(s, s[:1])) != 0 {
				t.Errorf("%v, %d bytes", err, len(data))
				return
			}
		}
	})
	for i := range 50 {
		must(t, j.Store(state(string(rune('a'+i%26)))))
	}
	close(stop)
	wg.Wait()
	// A new file that was not renamed any more is of no account.
	must(t, os.WriteFile(filepath.Join(dir, fileName+".new"), []byte("half"), 0o600))
	var s string
	if found, err := j.Load(&s); !found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestStoreFails(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, fileName+".new"), 0o700))
	if err := j.Store([]byte("{}")); err == nil {
		t.Error("stored")
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	key, made, err := j.Key()
	must(t, err)
	if !made || len(key) != keySize {
		t.Errorf("made %v, %d bytes", made, len(key))
	}
	again, made, err := j.Key()
	must(t, err)
	if made || !bytes.Equal(key, again) {
		t.Error("another key")
	}
	must(t, os.WriteFile(filepath.Join(dir, keyName), []byte("short"), 0o600))
	if other, made, err := j.Key(); err != nil || !made || bytes.Equal(key, other) {
		t.Errorf("made %v, %v", made, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
