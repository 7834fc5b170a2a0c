// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestParseAdd(t *testing.T) {
	for _, test := range []struct {
		value, path string
		mode        int64
	}{
		{"a:/etc/x/a", "etc/x/a", 0o644},
		{"a:/b:0755", "b", 0o755},
		{"/bin/sh:/b", "b", 0o755},
		{"a", "", 0},
		{"a:relative", "", 0},
		{"a:/", "", 0},
		{"a:/b:rwx", "", 0},
		{"a:/b:1:2", "", 0},
	} {
		path, entry, err := parseAdd(test.value)
		if (err == nil) != (test.path != "") || err == nil && (path != test.path || entry.Mode != test.mode) {
			t.Errorf("%s: got %s, %o, %v", test.value, path, entry.Mode, err)
		}
	}
}

func TestLayerKey(t *testing.T) {
	epoch := time.Unix(0, 0)
	key := layerKey("one", "amd64", []string{"b", "a"}, epoch)
	if key != layerKey("one", "amd64", []string{"a", "b", "a"}, epoch) {
		t.Error("the order of packages matters")
	}
	for _, other := range []string{
		layerKey("two", "amd64", []string{"a", "b"}, epoch),
		layerKey("one", "arm64", []string{"a", "b"}, epoch),
		layerKey("one", "amd64", []string{"a"}, epoch),
		layerKey("one", "amd64", []string{"a", "b"}, time.Unix(1, 0)),
	} {
		if key == other {
			t.Errorf("two file systems have the key %s", key)
		}
	}
}

func TestDebianRelease(t *testing.T) {
	if got, err := debianRelease("ID=debian\nVERSION_CODENAME=bookworm\n"); err != nil || got != "bookworm" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := debianRelease("ID=fedora\n"); err == nil {
		t.Error("no error on another system")
	}
}
