// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// dam takes nothing until it is opened.
type dam struct {
	open chan struct{}
	// reached has an element once somebody waits.
	reached chan struct{}
	out     bytes.Buffer
}

func newDam() *dam { return &dam{open: make(chan struct{}), reached: make(chan struct{}, 1)} }

func (d *dam) Write(b []byte) (int, error) {
	select {
	case d.reached <- struct{}{}:
	default:
	}
	<-d.open
	return d.out.Write(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
