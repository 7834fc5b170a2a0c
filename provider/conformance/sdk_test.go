// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/conformance"
)

// file is a resource by the SDK with all that the SDK offers: a file that exists while it
// is online, comes and goes by pending work, and is missed when it is removed.
type file struct {
	handle *provider.Handle

	mu    sync.Mutex
	props map[string]any
	// stop ends the watch over the file.
	stop context.CancelFunc
}

// files is the type.
type files struct{}

// Control serves the codes of the type.
func (files) Control(ctx context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	return echo(ctx, call, 0x02800005, 0x02800009)
}

func (files) Open(_ context.Context, args provider.OpenArgs) (provider.Resource, error) {
	f := &file{handle: args.Handle, props: args.Properties.AsMap(), stop: func() {}}
	if f.props["refuse"] == true {
		return nil, provider.Errorf(provider.ErrorInvalidData, "properties.refuse: is set")
	}
	return f, nil
}

func (f *file) path() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, _ := f.props["path"].(string)
	return path
}

func (f *file) EventHandle() bool { return true }

func (f *file) Online(_ context.Context, args provider.OnlineArgs) (provider.Work, error) {
	f.mu.Lock()
	f.props = args.Properties.AsMap()
	props := f.props
	f.mu.Unlock()
	switch {
	case props["fail"] == true:
		return nil, errors.New("told to fail")
	case props["slow"] == true:
		return func(ctx context.Context, w *provider.Worker) error {
			if err := idle(ctx, w, 6); err != nil {
				return err
			}
			return f.create()
		}, nil
	}
	return nil, f.create()
}

// idle makes a little progress, again and again.
func idle(ctx context.Context, w *provider.Worker, steps int) error {
	for range steps {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if err := w.Checkpoint("on the way"); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) create() error {
	path := f.path()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.mu.Lock()
	f.stop()
	f.stop = stop
	f.mu.Unlock()
	f.handle.LogEvent(provider.LogInformation, "made %s", path)
	go f.watch(ctx, path)
	go f.callBack(ctx)
	return nil
}

// callBack makes every callback that the SDK has.
func (f *file) callBack(ctx context.Context) {
	h, process := f.handle, provider.DumpProcess{Name: "file", PID: 1}
	for _, call := range []func() error{
		func() error { return h.SetInternalState(ctx, provider.ApplicationReady, true) },
		func() error { return h.SetLockedMode(ctx, provider.LockedMode{Locked: true}) },
		func() error { return h.SetNodeLocalProperties(ctx, map[string]any{"ResourceSpecificStatus": "fine"}) },
		func() error { return h.RaiseTypeNotification(ctx, []byte("made")) },
		func() error { return h.AddDumpProcess(ctx, process) },
		func() error { return h.AddTypeDumpProcess(ctx, process) },
		func() error { return h.RequestDump(ctx, time.Second, false) },
		func() error {
			return h.EnumResources(ctx, "", func(provider.EnumeratedResource) error { return nil })
		},
		func() error {
			return h.EnumResourcesEx(ctx, "file", func(provider.EnumeratedResource) error { return nil })
		},
	} {
		_ = call()
	}
}

func (f *file) watch(ctx context.Context, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Millisecond):
		}
		f.mu.Lock()
		if _, err := os.Stat(path); err != nil && ctx.Err() == nil {
			f.mu.Unlock()
			f.handle.SignalFailure(provider.Failure{AppCode: 2, Exited: true, Message: "the file is gone"})
			return
		}
		f.mu.Unlock()
	}
}

func (f *file) Offline(ctx context.Context, _ provider.OfflineArgs) (provider.Work, error) {
	f.mu.Lock()
	slow := f.props["slow"] == true
	f.mu.Unlock()
	if !slow {
		return nil, f.Terminate(ctx)
	}
	return func(ctx context.Context, w *provider.Worker) error {
		if err := idle(ctx, w, 3); err != nil {
			return err
		}
		return f.Terminate(ctx)
	}, nil
}

func (f *file) Terminate(context.Context) error {
	path := f.path()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *file) LooksAlive(context.Context) bool { return f.IsAlive(context.Background()) == nil }

func (f *file) IsAlive(context.Context) error {
	_, err := os.Stat(f.path())
	return err
}

func (f *file) Close(context.Context) error { return nil }

func (f *file) SetProperties(_ context.Context, p *structpb.Struct) error {
	if p.AsMap()["path"] != f.path() {
		return provider.ErrNextOnline
	}
	return nil
}

func (f *file) Control(ctx context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	return echo(ctx, call, 0x01800005, 0x01800009)
}

func (f *file) Cancel(context.Context) error { return errors.New("it ends by itself") }

// echo answers one code at once and another one later.
func echo(_ context.Context, call provider.ControlCall, now, later uint32) ([]byte, provider.ControlWork, error) {
	switch call.Code {
	case now:
		return call.In, nil, nil
	case later:
		return nil, func(ctx context.Context) ([]byte, error) { return call.In, call.Extend(ctx, time.Minute) }, nil
	}
	return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "")
}

// TestConformanceSDK: a provider that uses all of the SDK keeps every rule.
func TestConformanceSDK(t *testing.T) {
	t.Parallel()
	path := "$(DIR)/file-$(N)"
	conformance.Test(t, conformance.Config{
		Serve: func(ctx context.Context, socket, monitor string) error {
			return provider.Serve(ctx, provider.Provider{
				Name: "file.example.com", Types: map[string]provider.Type{"file": files{}},
			}, provider.WithSockets(socket, monitor), provider.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		},
		Types: []conformance.Type{{
			Name:              "file",
			Properties:        map[string]any{"path": path},
			OtherProperties:   map[string]any{"path": path, "other": true},
			PendingProperties: map[string]any{"path": path, "slow": true},
			FailingProperties: map[string]any{"path": path, "fail": true},
			RefusedProperties: map[string]any{"path": path, "refuse": true},
			Running:           "test -e " + path,
			Fail:              "rm " + path,
			Controls: []conformance.Control{
				{Code: 0x01800005, Input: "now", Output: text("now")}, {Code: 0x01800009, Input: "later", Output: text("later")},
			},
			TypeControls: []conformance.Control{
				{Code: 0x02800005, Input: "now", Output: text("now")}, {Code: 0x02800009, Input: "later", Output: text("later")},
			},
		}},
	})
}
