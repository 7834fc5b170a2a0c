// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/understudy-dev/understudy/provider"
)

// The control codes that link.yaml declares.
const (
	codeShow  uint32 = 0x01800005
	codePoint uint32 = 0x0180000A
)

// Control serves them, at any time: also on a standby, and while the link comes or goes.
func (l *link) Control(_ context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	switch call.Code {
	case codeShow:
		out, err := l.show()
		return out, nil, err
	case codePoint:
		// Later: what takes longer than a moment is returned as work.
		return nil, func(context.Context) ([]byte, error) { return nil, l.point(call.In) }, nil
	}
	return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "there is no such code")
}

func (l *link) show() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	target, err := os.Readlink(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return json.Marshal(struct {
		Exists bool   `json:"exists"`
		Target string `json:"target,omitempty"`
	}{err == nil, target})
}

// point is given what fits the input's schema, so there is a target in it.
func (l *link) point(input []byte) error {
	var in struct{ Target string }
	if err := json.Unmarshal(input, &in); err != nil {
		return provider.Errorf(provider.ErrorInvalidParameter, "the input: %v", err)
	}
	l.mu.Lock() // a link that Terminate took away must not come back
	defer l.mu.Unlock()
	if err := os.Remove(l.path); errors.Is(err, fs.ErrNotExist) {
		return provider.Errorf(provider.ErrorResourceNotOnline, "there is no link")
	} else if err != nil {
		return err
	}
	l.target = in.Target
	return os.Symlink(l.target, l.path)
}
