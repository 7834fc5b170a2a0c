// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-dev/understudy/provider"
	"github.com/understudy-dev/understudy/provider/supervise"
)

const (
	// Name of the resource type.
	Name = "application"
	// EpochDir is the folder of the epochs' files, beside the provider's socket.
	EpochDir = "epoch"
	// inline is how long a stop may take before it becomes a worker, so that most
	// programs are offline in one call. RA 2.0: calls answer within 300 ms.
	inline = 100 * time.Millisecond
	// progress is the pause between checkpoints.
	progress = time.Second
	// killBound is how long the kill after the grace may take before a stop is
	// given up, and the monitor has to take harder measures.
	killBound = 5 * time.Second
)

// New makes the resource type. All that its resources run belongs to a family, of
// which a process has one. The epoch of each is in a file of its name below a folder.
func New(family *supervise.Family, epochs string) provider.Type {
	files := newEpochFiles(epochs)
	return provider.TypeFunc(func(_ context.Context, args provider.OpenArgs) (provider.Resource, error) {
		props, err := decode(args.Properties)
		if err != nil {
			return nil, provider.Errorf(provider.ErrorInvalidData, "%v", err)
		}
		epoch := files.of(args.Name)
		_ = gone(epoch.path) // an earlier life of the process may have left it, and nothing else
		return &application{
			family: family, name: args.Name, handle: args.Handle, props: props, epoch: epoch,
		}, nil
	})
}

// application is one resource.
type application struct {
	family *supervise.Family
	name   string
	handle *provider.Handle
	epoch  *epochFile

	mu    sync.Mutex
	props *Properties
	// program is the one that runs, or of which something may be left.
	program *supervise.Program
	// stopping: its end is what was asked for.
	stopping bool
}

// EventHandle: the end of the program is signalled at once, so that there is
// nothing to poll for unless the quick check asks for more. RA 2.3.
func (a *application) EventHandle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.props.LooksAlive.byProcess()
}

// Online starts the program.
func (a *application) Online(ctx context.Context, args provider.OnlineArgs) (provider.Work, error) {
	props, err := decode(args.Properties)
	if err != nil {
		return nil, provider.Errorf(provider.ErrorInvalidData, "%v", err)
	}
	// What an earlier life left behind goes first: never two at once.
	if err := a.Terminate(ctx); err != nil {
		return nil, provider.Errorf(provider.ErrorInvalidState, "an earlier run is not gone: %v", err)
	}
	kills := memoryKills(cgroups)
	epochPath, forget, err := a.epoch.write(args.Epoch)
	if err != nil {
		// A full disk keeps no program down that does without the file.
		a.handle.LogEvent(provider.LogWarning, "no %s: %v", epochFileEnv, err)
	}
	program, err := a.family.Start(ctx, supervise.Spec{
		Command: props.Command,
		Dir:     props.WorkingDirectory,
		Env:     props.environment(a.name, a.handle.String(), args.Epoch, epochPath),
	})
	if err != nil {
		forget()
		return nil, provider.Errorf(provider.ErrorOnlineFailed, "%v", err)
	}
	a.mu.Lock()
	a.program, a.props, a.stopping = program, props, false
	a.mu.Unlock()
	go func() { <-program.Empty(); forget() }()
	if ctx.Err() != nil {
		// Terminated while it was being started; Terminate comes again and finds it.
		return nil, ctx.Err()
	}
	a.handle.LogEvent(provider.LogInformation, "started %s as process %d", props.Command[0], program.PID)
	go a.watch(program, kills)
	if props.Ready == nil {
		return nil, nil
	}
	return func(ctx context.Context, w *provider.Worker) error { return awaitReady(ctx, w, props, program, kills) }, nil
}

// watch reports the end of the program, RA 1.3.
func (a *application) watch(program *supervise.Program, kills int) {
	<-program.Exited()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.program != program || a.stopping {
		return
	}
	exit := program.Exit()
	// With mu held: a newer program must not be blamed for an older one's end.
	message := exit.String() + memoryHint(exit, kills, memoryKills(cgroups))
	a.handle.SignalFailure(provider.Failure{AppCode: exit.Number(), Exited: true, Message: message})
}

// awaitReady is the worker of Online. Its checkpoints stop at the start timeout.
func awaitReady(
	ctx context.Context, w *provider.Worker, props *Properties, program *supervise.Program, kills int,
) error {
	ctx, cancel := context.WithTimeout(ctx, props.startTimeout())
	defer cancel()
	last, pause := time.Now(), firstReadyPause
	for {
		err := props.Ready.run(ctx, program)
		if err == nil {
			return nil
		}
		if !program.Running() {
			exit := program.Exit()
			return &provider.Error{
				Code:    provider.ErrorOnlineFailed,
				AppCode: exit.Number(),
				Message: exit.String() + " before it was ready" + memoryHint(exit, kills, memoryKills(cgroups)),
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return provider.Errorf(provider.ErrorOnlineFailed, "not ready within startTimeoutMilliseconds %d: %v",
					props.StartTimeoutMilliseconds, err)
			}
			return provider.ErrTerminated
		case <-program.Exited():
		case <-time.After(pause):
		}
		pause = min(2*pause, readyPause)
		if time.Since(last) >= progress {
			last = time.Now()
			if err := w.Checkpoint("not ready: " + err.Error()); err != nil {
				return err
			}
		}
	}
}

// Offline asks the program to end, and kills it after its grace.
func (a *application) Offline(ctx context.Context, _ provider.OfflineArgs) (provider.Work, error) {
	a.mu.Lock()
	program, props := a.program, a.props
	a.stopping = true
	a.mu.Unlock()
	if program == nil {
		return nil, nil
	}
	program.Stop(props.stopSignal(), props.stopGrace())
	select {
	case <-program.Empty():
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(inline):
		return func(ctx context.Context, w *provider.Worker) error { return awaitEmpty(ctx, w, props, program) }, nil
	}
}

// awaitEmpty is the worker of Offline. The shim kills after the grace; if that does
// not help, the checkpoints stop, too.
func awaitEmpty(ctx context.Context, w *provider.Worker, props *Properties, program *supervise.Program) error {
	bound := time.NewTimer(props.stopGrace() + killBound)
	defer bound.Stop()
	tick := time.NewTicker(progress)
	defer tick.Stop()
	for {
		select {
		case <-program.Empty():
			return nil
		case <-ctx.Done():
			return provider.ErrTerminated
		case <-bound.C:
			return provider.Errorf(provider.ErrorResourceFailed, "killed, but not gone: %s", program.Left())
		case <-tick.C:
			message := "waiting for the program to end"
			if !program.Running() {
				message = "waiting for what the program left behind to end"
			}
			if err := w.Checkpoint(message); err != nil {
				return err
			}
		}
	}
}

// Terminate kills the program and all that came from it; nil is the proof.
func (a *application) Terminate(ctx context.Context) error {
	a.mu.Lock()
	program := a.program
	a.stopping = true
	a.mu.Unlock()
	if program == nil {
		return nil
	}
	if err := program.Kill(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.program == program {
		a.program = nil
	}
	return nil
}

func (a *application) current() (*supervise.Program, *Properties) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.program, a.props
}

// LooksAlive is the quick check.
func (a *application) LooksAlive(ctx context.Context) bool {
	program, props := a.current()
	return props.LooksAlive.run(ctx, program) == nil
}

// IsAlive is the full check.
func (a *application) IsAlive(ctx context.Context) error {
	program, props := a.current()
	return props.IsAlive.run(ctx, program)
}

// Close has nothing to free: the program is gone by then.
func (a *application) Close(context.Context) error { return nil }
