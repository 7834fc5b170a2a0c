// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"context"
	"reflect"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/understudy-dev/understudy/provider"
)

// SetProperties takes over how the program is checked and stopped, which counts from
// the next check or stop on. What it was started with waits for the next Online; so
// does a quick check where none was polled, since only Online says that it is to be.
func (a *application) SetProperties(_ context.Context, properties *structpb.Struct) error {
	props, err := decode(properties)
	if err != nil {
		return provider.Errorf(provider.ErrorInvalidData, "%v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.props
	if !reflect.DeepEqual(props.Command, old.Command) || props.WorkingDirectory != old.WorkingDirectory ||
		!reflect.DeepEqual(props.Environment, old.Environment) ||
		old.LooksAlive.byProcess() && !props.LooksAlive.byProcess() {
		return provider.ErrNextOnline
	}
	a.props = props
	return nil
}
