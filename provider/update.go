// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// setPrivateProperties is the control code SET_PRIVATE_PROPERTIES, RA 6.4; its input is
// all private properties as a JSON object.
const setPrivateProperties uint32 = 0x01400086

// PropertySetter is a Resource that takes over properties while it is online: those
// that its type declares live. Without it, every change waits for the next Online.
type PropertySetter interface {
	// SetProperties is given all properties as they are now, and checks them before it
	// takes over any. Nil: they are in force. ErrNextOnline: they are good, and the next
	// Online brings them into force. Any other error: nothing of them was taken over.
	//
	// It may be called again with the same properties. The SDK runs it beside Offline,
	// checks and controls, never beside Online, Close or itself; its context ends when the
	// resource is terminated or the call's deadline comes. What an error says goes to
	// the cluster log.
	SetProperties(ctx context.Context, properties *structpb.Struct) error
}

// ErrNextOnline is the answer of a PropertySetter to good properties that it cannot take
// over while it is online. RA 6.4, ERROR_RESOURCE_PROPERTIES_STORED.
var ErrNextOnline error = Errorf(ErrorPropertiesStored, "the properties take effect at the next Online")

// update is a SetProperties under way.
type update struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// setProperties serves SET_PRIVATE_PROPERTIES.
func (in *instance) setProperties(ctx context.Context, buffer []byte) *pb.ControlOutput {
	setter, ok := in.res.(PropertySetter)
	if !ok {
		return &pb.ControlOutput{Status: uint32(ErrorInvalidFunction)}
	}
	properties := &structpb.Struct{}
	if len(buffer) > maxBuffer || properties.UnmarshalJSON(buffer) != nil {
		return &pb.ControlOutput{Status: uint32(ErrorInvalidData)}
	}
	ctx, cancel := context.WithCancel(withDeadlineOf(ctx, ctx))
	defer cancel()
	u, err := in.beginUpdate(ctx, cancel)
	if err == nil {
		_, err = guarded(in.name, func() (struct{}, error) { return struct{}{}, setter.SetProperties(ctx, properties) })
		in.endUpdate(u)
	}
	if e := asError(err); e != nil {
		if e.Code != ErrorPropertiesStored && e.Code != ErrorOperationAborted {
			// The answer has no room for it.
			(&Handle{in: in}).LogEvent(LogError, "new properties are not taken over: %s", e.Message)
		}
		return &pb.ControlOutput{Status: uint32(e.Code)}
	}
	return &pb.ControlOutput{}
}

// beginUpdate waits for an earlier one, of a monitor that died: only what is online,
// and stays so, takes anything over.
func (in *instance) beginUpdate(ctx context.Context, cancel context.CancelFunc) (*update, error) {
	for {
		in.mu.Lock()
		earlier := in.update
		switch {
		case in.state != StateOnline || in.op != nil || in.terminating > 0 || in.closing:
			in.mu.Unlock()
			return nil, Errorf(ErrorResourceNotOnline, "%s is not online", in.name)
		case earlier == nil:
			u := &update{cancel: cancel, done: make(chan struct{})}
			in.update = u
			in.mu.Unlock()
			return u, nil
		}
		in.mu.Unlock()
		if err := earlier.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (in *instance) endUpdate(u *update) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.update = nil
	close(u.done)
}

// updated waits for the end of what an earlier life of the resource still takes over.
func (in *instance) updated(ctx context.Context) error {
	in.mu.Lock()
	u := in.update
	in.mu.Unlock()
	if u == nil {
		return nil
	}
	u.cancel()
	return u.wait(ctx)
}

func (u *update) wait(ctx context.Context) error {
	select {
	case <-u.done:
	case <-ctx.Done():
	}
	return ctx.Err()
}
