// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package journal keeps what must survive a restart of the monitor: one small
// file on the pod-local volume, replaced as a whole and synced.
package journal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	fileName = "journal.json"
	keyName  = "key"
	lockName = "lock"
	keySize  = 32
)

// Journal is the state folder of one monitor, locked against a second one.
type Journal struct {
	dir  string
	lock *os.File
}

// ErrLocked means that another monitor lives on the same folder.
var ErrLocked = errors.New("another monitor holds the state folder")

// Open locks the folder. The lock goes with the process, however that ends.
func Open(dir string) (*Journal, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder %s: %w", dir, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = errors.Join(err, lock.Close())
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state folder %s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("locking the state folder %s: %w", dir, err)
	}
	return &Journal{dir: dir, lock: lock}, nil
}

// Close gives the lock up.
func (j *Journal) Close() error { return j.lock.Close() }

// Key returns the pod's key, made at first use.
func (j *Journal) Key() (key []byte, made bool, err error) {
	key, err = os.ReadFile(filepath.Join(j.dir, keyName))
	if err == nil && len(key) == keySize {
		return key, false, nil
	}
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, false, fmt.Errorf("making the pod's key: %w", err)
	}
	return key, true, j.replace(keyName, key)
}

// Load reads the last state into v. It reports false if there is none; one that
// cannot be read counts as none, because an owner without a memory is safe: it
// re-adopts nothing.
func (j *Journal) Load(v any) (bool, error) {
	data, err := os.ReadFile(filepath.Join(j.dir, fileName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the journal: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, nil //nolint:nilerr // see above
	}
	return true, nil
}

// Store replaces the state; when it returns nil, the new state is durable.
func (j *Journal) Store(data []byte) error { return j.replace(fileName, data) }

func (j *Journal) replace(name string, data []byte) error {
	path := filepath.Join(j.dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return syncDir(j.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the state folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing the state folder: %w", err)
	}
	return nil
}
