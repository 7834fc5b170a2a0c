// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/layout"
	"github.com/understudy-dev/understudy/internal/standin"
	"github.com/understudy-dev/understudy/internal/testprovider/adversary"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/callbacks"
)

// neighbour is a well-behaved provider in the other container, whose resource is a
// process.
type neighbour struct {
	providerv1.UnimplementedProviderServiceServer
	mu      sync.Mutex
	cmd     *exec.Cmd
	onlines atomic.Int32
	context atomic.Int64
}

func (n *neighbour) serve(socket string) standin.Child {
	return func(ctx context.Context) {
		_ = os.Remove(socket)
		l, err := net.Listen("unix", socket)
		if err != nil {
			return
		}
		s := grpc.NewServer()
		providerv1.RegisterProviderServiceServer(s, n)
		ended := make(chan struct{})
		context.AfterFunc(ctx, func() {
			s.Stop()
			n.stop()
			close(ended)
		})
		_ = s.Serve(l)
		<-ended
	}
}

// pid of its process; 0 if there is none.
func (n *neighbour) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil || n.cmd.Process.Signal(syscall.Signal(0)) != nil {
		return 0
	}
	return n.cmd.Process.Pid
}

func (n *neighbour) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

func (n *neighbour) GetInfo(context.Context, *providerv1.GetInfoRequest) (*providerv1.GetInfoResponse, error) {
	return &providerv1.GetInfoResponse{Name: "neighbour", ProtocolVersions: []uint32{1}, ResourceTypes: []string{"test"}}, nil
}

func (n *neighbour) GetCapabilities(context.Context, *providerv1.GetCapabilitiesRequest) (*providerv1.GetCapabilitiesResponse, error) {
	return &providerv1.GetCapabilitiesResponse{Capabilities: []providerv1.Capability{
		providerv1.Capability_CAPABILITY_RESOURCE_CONTROL,
	}}, nil
}

func (n *neighbour) Probe(context.Context, *providerv1.ProbeRequest) (*providerv1.ProbeResponse, error) {
	return &providerv1.ProbeResponse{Ready: true}, nil
}

func (n *neighbour) Open(_ context.Context, r *providerv1.OpenRequest) (*providerv1.OpenResponse, error) {
	return &providerv1.OpenResponse{ResourceId: r.GetResourceHandle(), State: providerv1.ResourceState_RESOURCE_STATE_OFFLINE}, nil
}

func (n *neighbour) Online(context.Context, *providerv1.OnlineRequest) (*providerv1.OnlineResponse, error) {
	n.onlines.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = exec.Command("sleep", "1000")
	return &providerv1.OnlineResponse{}, n.cmd.Start()
}

func (n *neighbour) Offline(context.Context, *providerv1.OfflineRequest) (*providerv1.OfflineResponse, error) {
	n.stop()
	return &providerv1.OfflineResponse{}, nil
}

func (n *neighbour) Terminate(context.Context, *providerv1.TerminateRequest) (*providerv1.TerminateResponse, error) {
	n.stop()
	return &providerv1.TerminateResponse{}, nil
}

func (n *neighbour) IsAlive(context.Context, *providerv1.IsAliveRequest) (*providerv1.IsAliveResponse, error) {
	return &providerv1.IsAliveResponse{Alive: n.pid() != 0}, nil
}

func (n *neighbour) LooksAlive(context.Context, *providerv1.LooksAliveRequest) (*providerv1.LooksAliveResponse, error) {
	return &providerv1.LooksAliveResponse{Alive: n.pid() != 0}, nil
}

func (n *neighbour) BeginResourceControl(_ context.Context, r *providerv1.BeginResourceControlRequest) (*providerv1.BeginResourceControlResponse, error) {
	n.context.Store(r.GetContext())
	return &providerv1.BeginResourceControlResponse{ReturnedAsynchronously: true}, nil
}

// arena is a group of two containers on one host: in one the adversary, in the other
// its neighbour.
type arena struct {
	*world
	t       *testing.T
	bad     *adversary.Provider
	init    *standin.Init
	good    *neighbour
	monitor *process
	socket  string
	// goodSocket is the neighbour's.
	goodSocket string
	caller     *adversary.Caller
	record     *bytes.Buffer
	resource   *v1alpha1.ClusterResource
	own        adversary.Target
	writes     *writes
}

const hostile = "hostile"

func newArena(t *testing.T) *arena {
	w := newWorld(t)
	a := &arena{world: w, t: t, bad: &adversary.Provider{}, good: &neighbour{}, record: &bytes.Buffer{}}
	a.resource = &v1alpha1.ClusterResource{
		ObjectMeta: metav1.ObjectMeta{Name: "adverse", Namespace: w.namespace},
		Spec:       v1alpha1.ClusterResourceSpec{GroupName: "db", TypeName: adversary.TypeName, ContainerName: hostile},
	}
	must(t, api.Create(t.Context(), a.resource))
	a.own = adversary.Target{Handle: string(a.resource.UID), TypeName: adversary.TypeName, Context: 1}
	w.plan.Containers = []string{hostile, "main"}
	w.plan.Resources = append(w.plan.Resources, planv1.Resource{
		UID: string(a.resource.UID), Name: a.resource.Name, Generation: 1, Type: adversary.TypeName, Container: hostile,
		LooksAlivePollInterval: 1000, IsAlivePollInterval: 60000, PendingTimeout: 10000, DeadlockTimeout: 5000,
		TerminateTimeout: 5000, RestartAction: "DontRestart", RestartThreshold: 1, RestartPeriod: 900000,
		RetryPeriodOnFailure: 3600000, EmbeddedFailureAction: "None",
		Controls: []planv1.Control{{Name: "HOLD", Code: 0x0180000a, Write: true}},
	})
	w.plan.Types = append(w.plan.Types, planv1.Type{Name: adversary.TypeName, Controls: []planv1.Control{
		{Name: "HOLD", Code: 0x0180000a, Write: true}, {Name: "PREPARE", Code: 0x0280000a, Write: true, Type: true},
	}})
	a.follow(2)
	a.writes = a.watchWrites()
	pod := w.pod("db-1")
	dirs, err := os.MkdirTemp("", "u")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dirs) })
	folder := func(container, name string) string {
		path := filepath.Join(dirs, container, name)
		must(t, os.MkdirAll(path, 0o755))
		return path
	}
	mine, good := folder(hostile, monitor.MonitorFolder), folder("main", monitor.MonitorFolder)
	provider := filepath.Join(folder(hostile, monitor.ProviderFolder), "provider.sock")
	a.socket = filepath.Join(mine, callbacks.SocketName)
	a.goodSocket = filepath.Join(good, callbacks.SocketName)
	var wait, waitGood func()
	a.init, wait, err = standin.Start(t.Context(), mine, func(ctx context.Context) {
		if err := a.bad.Serve(ctx, provider); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	t.Cleanup(wait)
	_, waitGood, err = standin.Start(t.Context(), good, a.good.serve(filepath.Join(folder("main", monitor.ProviderFolder), "provider.sock")))
	must(t, err)
	t.Cleanup(waitGood)
	a.monitor = startProcess(t, monitor.Config{
		Namespace: w.namespace, Group: "db", PodName: "db-1", PodUID: string(pod.UID), PodIP: "10.0.0.1",
		NodeName: pod.Spec.NodeName, StateDir: t.TempDir(), ContainersDir: dirs,
	}, w.token(pod))
	a.caller, err = adversary.Dial(a.socket, a.record)
	must(t, err)
	t.Cleanup(func() { _ = a.caller.Close() })
	return a
}

// follow has the monitors follow the plan as it is now.
func (a *arena) follow(generation int64) {
	a.t.Helper()
	a.plan.Resources[1].Generation = generation
	name := fmt.Sprintf("db-%d", generation)
	a.savePlan(name)
	a.patchStatus(map[string]any{"planRevision": name})
}

// status of the adversary's resource, or an empty one.
func (a *arena) status() v1alpha1.ResourceOwnerStatus {
	r := &v1alpha1.ClusterResource{}
	must(a.t, api.Get(a.t.Context(), client.ObjectKeyFromObject(a.resource), r))
	if r.Status.Owner == nil {
		return v1alpha1.ResourceOwnerStatus{}
	}
	return *r.Status.Owner
}

// becomes waits for a state of the adversary's resource.
func (a *arena) becomes(state v1alpha1.ResourceState) {
	a.t.Helper()
	wait(a.t, "the adversary's resource "+string(state), func() bool { return a.status().State == state })
}

// make makes every callback in a situation and compares the answers with the column of
// that name. A callback that the table lacks fails.
func (a *arena) make(column string, to adversary.Target, change func(proto.Message)) {
	a.t.Helper()
	at := -1
	for i, c := range strings.Fields(columns) {
		if c == column {
			at = i
		}
	}
	for _, m := range adversary.Callbacks() {
		row := strings.Fields(answers[string(m.Name())])
		if at < 0 || at >= len(row) {
			a.t.Errorf("what is %s answered when %s? Add it to the table", m.Name(), column)
			continue
		}
		r, err := adversary.Request(m, to)
		if err != nil {
			a.t.Error(err)
			continue
		}
		if change != nil {
			change(r)
		}
		got, err := a.caller.Make(a.t.Context(), m, column, r)
		if err != nil || got != row[at] {
			a.t.Errorf("%s, %s: answered %s, want %s %v", m.Name(), column, got, row[at], err)
		}
	}
}

// What each callback is answered, by situation: docs/callbacks.md, docs/control-calls.md,
// docs/dumps.md and the protocol say why. Contexts of control calls that run are tried
// apart: here there are none.
const columns = `
unknown  foreign   empty   standby offline online twice enum large over padded oversized bomb terminating terminated`

// answers has a word for each column; those without a status are done.
var answers = map[string]string{
	"SetResourceStatus": `
TERMINATE TERMINATE TERMINATE TERMINATE TERMINATE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE ResourceExhausted TERMINATE TERMINATE TERMINATE`,
	"SetResourceStatusEx": `
TERMINATE TERMINATE TERMINATE TERMINATE TERMINATE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE ResourceExhausted TERMINATE TERMINATE TERMINATE`,
	"SignalFailure":            `6 6 6 5023 5023 0 0 87 0 0 0 ResourceExhausted 6 5023 5023`,
	"LogEvent":                 `done done done done done done done done done done done ResourceExhausted done done done`,
	"EndControlCall":           `87 87 87 87 87 87 87 87 87 87 87 ResourceExhausted 87 87 87`,
	"EndTypeControlCall":       `87 87 87 87 87 87 87 87 87 87 87 ResourceExhausted 87 87 87`,
	"ExtendControlCall":        `87 87 87 87 87 87 87 87 87 87 87 ResourceExhausted 87 87 87`,
	"ExtendResTypeControlCall": `87 87 87 87 87 87 87 87 87 87 87 ResourceExhausted 87 87 87`,
	"QuorumResourceLost":       `done done done done done done done done done done done ResourceExhausted done done done`,
	"SetResourceLockedMode":    `6 6 6 5023 5023 0 0 0 0 0 0 ResourceExhausted 6 5023 5023`,
	"SetResourceLockedModeEx":  `6 6 6 5023 5023 0 0 0 0 87 0 ResourceExhausted 6 5023 5023`,
	"SetResourceInMemoryNodeLocalProperties": `
6 6 6 5023 0 0 0 0 0 87 0 ResourceExhausted 87 0 0`,
	"SetInternalState":              `6 6 6 5023 5023 0 0 87 0 0 0 ResourceExhausted 6 5023 5023`,
	"RaiseResTypeNotification":      `5078 5078 5078 5023 0 0 0 0 0 87 0 ResourceExhausted 5078 0 0`,
	"ChangeResourceProcessForDumps": `6 6 6 0 0 0 0 0 0 87 0 ResourceExhausted 6 0 0`,
	"ChangeResTypeProcessForDumps":  `5078 5078 5078 0 0 0 0 0 0 87 0 ResourceExhausted 5078 0 0`,
	"EnumResources": `
InvalidArgument InvalidArgument done done done done done InvalidArgument done done done ResourceExhausted InvalidArgument done done`,
	"RequestDump": `6 6 6 0 0 0 0 0 0 87 0 ResourceExhausted 6 0 0`,
	"SetResourceWprPolicy": `
Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented
Unimplemented Unimplemented Unimplemented ResourceExhausted Unimplemented Unimplemented Unimplemented`,
	"ArmWprWatchdogForCurrentResourceCall": `
Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented Unimplemented
Unimplemented Unimplemented Unimplemented ResourceExhausted Unimplemented Unimplemented Unimplemented`,
	"Report": `
TERMINATE TERMINATE TERMINATE TERMINATE TERMINATE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE CONTINUE ResourceExhausted TERMINATE TERMINATE TERMINATE`,
}

// writes are the times at which versions of objects were seen, by kind and name.
type writes struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

func (a *arena) watchWrites() *writes {
	a.t.Helper()
	with, err := client.NewWithWatch(restConfig, client.Options{Scheme: api.Scheme()})
	must(a.t, err)
	x := &writes{times: map[string][]time.Time{}}
	for kind, list := range map[string]client.ObjectList{
		"resource": &v1alpha1.ClusterResourceList{}, "group": &v1alpha1.ResourceGroupList{},
		"lease": &coordinationv1.LeaseList{},
	} {
		events, err := with.Watch(a.t.Context(), list, client.InNamespace(a.namespace))
		must(a.t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range events.ResultChan() {
				if o, ok := e.Object.(client.Object); ok {
					x.mu.Lock()
					x.times[kind+" "+o.GetName()] = append(x.times[kind+" "+o.GetName()], written(o))
					x.mu.Unlock()
				}
			}
		}()
		a.t.Cleanup(func() { events.Stop(); <-done })
	}
	return x
}

// written is when a lease was renewed; of any other object nobody says it, so it is now. That
// would blame the owner for a watch that a busy machine lets wait.
func written(o client.Object) time.Time {
	if l, ok := o.(*coordinationv1.Lease); ok && l.Spec.RenewTime != nil {
		return l.Spec.RenewTime.Time
	}
	return time.Now()
}

// of returns when versions of an object were seen, since a time.
func (x *writes) of(name string, since time.Time) (out []time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, at := range x.times[name] {
		if at.After(since) {
			out = append(out, at)
		}
	}
	return out
}

// burstsOver checks that in no span there are more than one a second beyond a burst. The
// watch may bring two at once that were written apart: that is one more.
func burstsOver(times []time.Time, burst int) (worst string) {
	for i := range times {
		for j := i + burst; j < len(times); j++ {
			span := times[j].Sub(times[i])
			if j-i+1 > burst+1+int(span/time.Second) {
				worst = fmt.Sprintf("%d in %v", j-i+1, span)
			}
		}
	}
	return worst
}

// A provider that makes every callback in every wrong way, and as often as it can, gets
// the documented answers, and neither the monitor nor its neighbours suffer.
//
// Shows: SetResourceStatus, SetResourceStatusEx, SignalFailure, LogEvent, EndControlCall, EndTypeControlCall,
// ExtendControlCall, ExtendResTypeControlCall, QuorumResourceLost, SetResourceLockedMode, SetResourceLockedModeEx,
// SetResourceInMemoryNodeLocalProperties, SetInternalState, RaiseResTypeNotification, ChangeResourceProcessForDumps,
// ChangeResTypeProcessForDumps, ResourceCallback, RequestDump, SetResourceWprPolicy,
// ArmWprWatchdogForCurrentResourceCall.
func TestAdversary(t *testing.T) {
	a := newArena(t)
	began := time.Now()
	a.eventually("ready", ready("db-1"))
	a.make("standby", a.own, nil)

	a.succession("db-1")
	a.reported("the neighbour online", func(r *v1alpha1.ClusterResource) bool { return r.Status.Owner.State == v1alpha1.StateOnline })
	pid, epoch, since := a.good.pid(), a.epoch(), a.store().Status.Owner.StateTime
	a.make("offline", a.own, nil)

	a.plan.Resources[1].Online = true
	a.follow(3)
	a.becomes(v1alpha1.StateOnline)
	a.online()
	a.controls()

	// Within Terminate, and after it.
	inTerminate := func() { a.make("terminating", a.own, nil) }
	a.bad.InTerminate.Store(&inTerminate)
	a.exited()
	a.becomes(v1alpha1.StateFailed)
	if a.bad.Terminates.Load() == 0 {
		t.Fatal("it was not terminated")
	}
	a.make("terminated", a.own, nil)
	a.complete()
	t.Logf("the table took %v, %d answers", time.Since(began), bytes.Count(a.record.Bytes(), []byte("\n")))

	a.plan.Resources[1].Online = false
	a.follow(4)
	a.becomes(v1alpha1.StateOffline)
	r := &a.plan.Resources[1]
	r.Online, r.RestartAction, r.RestartThreshold = true, "RestartNoNotify", 1000000
	a.follow(5)
	a.becomes(v1alpha1.StateOnline)

	a.flood(2, floodFor)
	a.flood(0, floodFor/3)
	a.bombs()
	a.becomes(v1alpha1.StateOnline)
	a.hangAndExit()

	if a.good.pid() != pid || a.good.onlines.Load() != 1 {
		t.Errorf("process %d of the neighbour is %d now, after %d times online", pid, a.good.pid(), a.good.onlines.Load())
	}
	if now := a.store().Status.Owner; now.State != v1alpha1.StateOnline || !now.StateTime.Equal(&since) {
		t.Errorf("the neighbour is %s since %v, and was online since %v", now.State, now.StateTime, since)
	}
	if now := a.epoch(); now != epoch {
		t.Errorf("epoch %d is %d now", epoch, now)
	}
	a.calm(began)
}

func (a *arena) epoch() int64 { _, r := a.lease(); return r.Epoch }

// online is all that can be tried while the resource works.
func (a *arena) online() {
	a.t.Helper()
	foreign := adversary.Target{Handle: string(a.world.resource.UID), TypeName: "test", Context: 1}
	a.make("unknown", adversary.Target{Handle: "nobody's", TypeName: "nobody's", Context: -1}, nil)
	a.make("foreign", foreign, nil)
	a.make("empty", adversary.Target{}, nil)
	a.make("online", a.own, nil)
	a.make("twice", a.own, nil)
	a.make("enum", a.own, func(r proto.Message) { adversary.Misname(r.ProtoReflect(), 99) })
	a.make("large", a.own, func(r proto.Message) { adversary.Fill(r, 0) })
	a.make("over", a.own, func(r proto.Message) { adversary.Fill(r, 1) })
	a.make("padded", a.own, func(r proto.Message) { adversary.Pad(r, adversary.MaxMessage) })
	a.make("oversized", a.own, func(r proto.Message) { adversary.Pad(r, adversary.MaxMessage+1) })
	for _, m := range adversary.Callbacks() {
		r, err := adversary.Bomb(m)
		must(a.t, err)
		row := strings.Fields(answers[string(m.Name())])
		if got, err := a.caller.Make(a.t.Context(), m, "bomb", r); err != nil || got != row[12] {
			a.t.Errorf("%s, bomb: answered %s, want %s %v", m.Name(), got, row[12], err)
		}
	}
	// What it locked would hold it online.
	_, err := a.api().SetResourceLockedMode(a.t.Context(), &providerv1.SetResourceLockedModeRequest{ResourceHandle: a.own.Handle})
	must(a.t, err)
}

func (a *arena) api() providerv1.MonitorServiceClient { return a.caller.Client() }

// exited says that the resource's program ended.
func (a *arena) exited() {
	a.t.Helper()
	r, err := a.api().SignalFailure(a.t.Context(), &providerv1.SignalFailureRequest{ResourceHandle: a.own.Handle, Exited: true})
	if err != nil || r.GetStatus() != 0 {
		a.t.Fatal(r, err)
	}
}

// controls ends and extends control calls: its own once, after their end, after their
// time, by the calls for the other kind, and those of its neighbour.
func (a *arena) controls() {
	a.t.Helper()
	begin := func(name string, change func(*v1alpha1.ControlCall), context *atomic.Int64) (*v1alpha1.ControlCall, int64) {
		context.Store(0)
		k := a.call(name, change)
		wait(a.t, name+" begun", func() bool { return context.Load() != 0 })
		return k, context.Load()
	}
	hold := func(timeout int64) func(*v1alpha1.ControlCall) {
		return func(k *v1alpha1.ControlCall) {
			k.Spec.ResourceName, k.Spec.Code, k.Spec.TimeoutMilliseconds = "adverse", "HOLD", timeout
		}
	}
	late, timedOut := begin("late", hold(1000), &a.bad.Context)
	_, foreign := begin("foreign", func(*v1alpha1.ControlCall) {}, &a.good.context)
	mine, own := begin("mine", hold(60000), &a.bad.Context)
	typed, ofType := begin("typed", func(k *v1alpha1.ControlCall) {
		k.Spec.ResourceName, k.Spec.TypeName, k.Spec.Code = "", adversary.TypeName, "PREPARE"
	}, &a.bad.TypeContext)
	a.outcome(late)
	type try struct {
		what    string
		context int64
		over    int
		// answers to EndControlCall, EndTypeControlCall, ExtendControlCall, ExtendResTypeControlCall
		want [4]string
	}
	for _, x := range []try{
		{"foreign", foreign, 0, [4]string{"87", "87", "87", "87"}},
		{"timed out", timedOut, 0, [4]string{"5910", "87", "5910", "87"}},
	} {
		for i, name := range []string{"EndControlCall", "EndTypeControlCall", "ExtendControlCall", "ExtendResTypeControlCall"} {
			a.control(name, x.what, x.context, 0, x.want[i])
		}
	}
	a.control("ExtendResTypeControlCall", "of a resource", own, 0, "87")
	a.control("EndTypeControlCall", "of a resource", own, 0, "87")
	a.control("ExtendControlCall", "of a type", ofType, 0, "87")
	a.control("EndControlCall", "of a type", ofType, 0, "87")
	for range 2 {
		a.control("ExtendControlCall", "for ever", own, 1, "0")
		a.control("ExtendResTypeControlCall", "for ever", ofType, 1, "0")
	}
	a.control("EndControlCall", "with too much", own, 1, "0")
	a.control("EndTypeControlCall", "with too much", ofType, 1, "0")
	for _, k := range []*v1alpha1.ControlCall{mine, typed} {
		if a.outcome(k); reason(k) != v1alpha1.ReasonSucceeded || len(k.Status.Output) != 64<<10 {
			a.t.Errorf("%s: %s, %d bytes", k.Name, reason(k), len(k.Status.Output))
		}
	}
	a.control("EndControlCall", "ended", own, 0, "87")
	a.control("EndTypeControlCall", "ended", ofType, 0, "87")
	a.control("ExtendControlCall", "ended", own, 0, "87")
	a.control("ExtendResTypeControlCall", "ended", ofType, 0, "87")
}

func (a *arena) control(name, situation string, context int64, over int, want string) {
	a.t.Helper()
	for _, m := range adversary.Callbacks() {
		if string(m.Name()) != name {
			continue
		}
		r, err := adversary.Request(m, adversary.Target{Context: context})
		must(a.t, err)
		if over > 0 {
			adversary.Fill(r, over)
		}
		if got, err := a.caller.Make(a.t.Context(), m, situation, r); err != nil || got != want {
			a.t.Errorf("%s, %s: answered %s, want %s %v", name, situation, got, want, err)
		}
	}
}

// The flood lasts so long at least, without streams a third of that, and the bombs so long.
const (
	floodFor = 6 * time.Second
	bombsFor = 3 * time.Second
)

// memory is how much more the monitor may need under attack. With what it has without, it
// stays below the limit of its container, 128 MiB.
const memory = 64 << 10 // KiB

func (a *arena) flood(streams int, length time.Duration) {
	a.t.Helper()
	before := a.monitor.usage()
	ctx, cancel := context.WithCancel(a.t.Context())
	defer cancel()
	began, n, flooded := time.Now(), &adversary.Counts{}, make(chan error, 1)
	longest := a.neighbourly(ctx)
	go func() { flooded <- adversary.Flood(ctx, a.socket, a.own, streams, n) }()
	// A busy machine needs longer for as much of it.
	wait(a.t, "a flood", func() bool {
		calls, reports := n.Calls.Load(), n.Reports.Load()
		return time.Since(began) >= length && calls >= 100*int64(length.Seconds()) &&
			(raced || calls+reports >= 2000*int64(length.Seconds()))
	})
	cancel()
	must(a.t, <-flooded)
	took := time.Since(began).Seconds()
	a.t.Logf("%.0f calls and %.0f reports a second; its neighbour waited %v at most",
		float64(n.Calls.Load())/took, float64(n.Reports.Load())/took, <-longest)
	a.bounded("flood", before, took)
}

// neighbourly has the neighbour make callbacks until ctx ends, each of which is answered;
// and tells how long one waited at most.
func (a *arena) neighbourly(ctx context.Context) <-chan time.Duration {
	a.t.Helper()
	conn, err := grpc.NewClient("unix:"+a.goodSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(a.t, err)
	m, done := providerv1.NewMonitorServiceClient(conn), make(chan time.Duration, 1)
	go func() {
		defer func() { _ = conn.Close() }()
		longest := time.Duration(0)
		for ctx.Err() == nil {
			began := time.Now()
			// Its state, which it may say at any time: it changes nothing.
			r, err := m.SetInternalState(a.t.Context(), &providerv1.SetInternalStateRequest{
				ResourceHandle: string(a.world.resource.UID), StateType: providerv1.ApplicationState_APPLICATION_STATE_READY, Active: true,
			})
			if err != nil || r.GetStatus() != 0 {
				a.t.Errorf("its neighbour is answered %v %v", r, err)
			}
			longest = max(longest, time.Since(began))
		}
		done <- longest
	}()
	return done
}

func (a *arena) bombs() {
	a.t.Helper()
	before := a.monitor.usage()
	ctx, cancel := context.WithTimeout(a.t.Context(), bombsFor)
	defer cancel()
	began := time.Now()
	n, err := adversary.BombAll(ctx, a.socket)
	must(a.t, err)
	took := time.Since(began).Seconds()
	a.t.Logf("%.0f calls of 128 KiB a second", float64(n)/took)
	a.bounded("bombs", before, took)
}

// bounded checks what the monitor has after an attack.
func (a *arena) bounded(what string, before usage, seconds float64) {
	a.t.Helper()
	after := a.monitor.usage()
	a.t.Logf("before: %s; after: %s", before, after)
	if more := after.peak - before.resident; more > memory && !raced || after.peak > layout.MonitorMemory>>10 && !raced {
		a.t.Errorf("%s: %d KiB more at most, of %d, and %d in all", what, more, memory, after.peak)
	}
	if after.goroutines > before.goroutines+300 || after.handles > before.handles+20 {
		a.t.Errorf("%s: %s, after %s", what, after, before)
	}
	// 50 of the provider and 50 because of it in a second, and a few of the group.
	if n := after.logLines - before.logLines; float64(n) > (seconds+2)*120 {
		a.t.Errorf("%s: %d lines of log in %.0f s", what, n, seconds)
	}
}

// hangAndExit: a provider that hangs is killed, one that exits is started again, and its
// resource comes online again, as its policy says.
func (a *arena) hangAndExit() {
	a.t.Helper()
	onlines, starts := a.bad.Onlines.Load(), a.init.Starts()
	a.bad.Hang()
	wait(a.t, "the one that hangs killed, and online again", func() bool {
		return a.init.Starts() > starts && a.bad.Onlines.Load() > onlines
	})
	a.failed("Deadlock")
	onlines, starts = a.bad.Onlines.Load(), a.init.Starts()
	a.init.KillChild()
	wait(a.t, "the one that exited online again", func() bool {
		return a.init.Starts() > starts && a.bad.Onlines.Load() > onlines
	})
	a.failed("ProviderLost")
}

// failed waits until the resource is online again after such a failure.
func (a *arena) failed(reason string) {
	a.t.Helper()
	wait(a.t, "online again after "+reason, func() bool {
		o := a.status()
		return o.State == v1alpha1.StateOnline && o.LastFailure != nil && o.LastFailure.Reason == reason
	})
}

// calm checks what others saw of it all.
func (a *arena) calm(since time.Time) {
	a.t.Helper()
	if worst := burstsOver(a.writes.of("resource adverse", since), 5); worst != "" {
		a.t.Errorf("writes of the adversary's resource: %s", worst)
	}
	var renewals []time.Time
	ended := time.Now()
	wait(a.t, "the next renewal", func() bool {
		renewals = a.writes.of("lease "+leasev1.Name("db"), since)
		return renewals[len(renewals)-1].After(ended)
	})
	timing, _ := leasev1.TimingFor(leaseSeconds * time.Second)
	longest := time.Duration(0)
	for i := range len(renewals) - 1 {
		longest = max(longest, renewals[i+1].Sub(renewals[i]))
	}
	if longest > timing.N {
		a.t.Errorf("%v without a renewal", longest)
	}
	events := &eventsv1.EventList{}
	must(a.t, api.List(a.t.Context(), events, client.InNamespace(a.namespace)))
	old := &corev1.EventList{}
	must(a.t, api.List(a.t.Context(), old, client.InNamespace(a.namespace)))
	total := time.Since(since)
	a.t.Logf("in %v: %d writes of the resource, %d of the group, %d Events, %v at most between %d renewals", total,
		len(a.writes.of("resource adverse", since)), len(a.writes.of("group db", since)), len(events.Items), longest, len(renewals))
	if n := len(events.Items); n > 100 {
		a.t.Errorf("%d Events", n)
	}
	// As many of the group as of one of its statuses, and what the plan, the group's own
	// state and the test itself cost.
	if n := len(a.writes.of("group db", since)); float64(n) > 20+2*total.Seconds() {
		a.t.Errorf("%d writes of the group in %v", n, total)
	}
}

// complete checks that each callback was tried in each situation.
func (a *arena) complete() {
	a.t.Helper()
	tried := map[string]map[string]bool{}
	for text := range bytes.Lines(a.record.Bytes()) {
		var line adversary.Answer
		must(a.t, json.Unmarshal(text, &line))
		if tried[line.Method] == nil {
			tried[line.Method] = map[string]bool{}
		}
		tried[line.Method][line.Situation] = true
	}
	for _, m := range adversary.Callbacks() {
		for situation := range strings.FieldsSeq(columns) {
			if !tried[string(m.Name())][situation] {
				a.t.Errorf("%s was never tried: %s", m.Name(), situation)
			}
		}
	}
}
