// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/standin"
	"github.com/understudy-dev/understudy/internal/testpolicy"
	"github.com/understudy-dev/understudy/monitor"
	"github.com/understudy-dev/understudy/monitor/callbacks"
)

var (
	restConfig *rest.Config
	api        client.Client
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(runChild())
	}
	if path := os.Getenv(providerVariable); path != "" {
		(&testProvider{w: &world{}}).run(path)(context.Background())
		return
	}
	// Most of what the tests do is wait.
	_ = flag.Set("test.parallel", "6")
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd/bases"}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the API server:", err)
		os.Exit(1)
	}
	scheme := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(scheme)
	_ = v1alpha1.AddToScheme(scheme)
	restConfig = config
	api, err = client.New(config, client.Options{Scheme: scheme})
	code := 1
	if err == nil {
		// Monitors are held to what they may do: what passes here, passes on every cluster.
		err = testpolicy.Install(context.Background(), api, "../config/policy")
	}
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = env.Stop()
	os.Exit(code)
}

// leaseSeconds is D. The shortest one would make the suite depend on how busy the
// machine is.
const leaseSeconds = 6

// world is one group, with what the manager would have made for it.
type world struct {
	t         *testing.T
	namespace string
	group     *v1alpha1.ResourceGroup
	resource  *v1alpha1.ClusterResource
	plan      planv1.Plan
	revisions []string
	running   atomic.Int32
	twice     atomic.Bool
	// disk is a file that the resource arbitrates; empty: it is not quorum-capable.
	disk         string
	unarbitrated atomic.Bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "group-"}}
	must(t, api.Create(ctx, ns))
	w := &world{t: t, namespace: ns.Name}
	w.group = &v1alpha1.ResourceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: ns.Name},
		Spec: v1alpha1.ResourceGroupSpec{LeaseDurationSeconds: leaseSeconds, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		}},
	}
	must(t, api.Create(ctx, w.group))
	w.resource = &v1alpha1.ClusterResource{
		ObjectMeta: metav1.ObjectMeta{Name: "store", Namespace: ns.Name},
		Spec:       v1alpha1.ClusterResourceSpec{GroupName: "db", TypeName: "test", ContainerName: "main"},
	}
	must(t, api.Create(ctx, w.resource))
	w.plan = planv1.Plan{
		Version: 1, Namespace: ns.Name, Group: "db", GroupUID: string(w.group.UID), Online: true,
		LeaseDurationSeconds: leaseSeconds, FailoverThreshold: 5, FailoverPeriodSeconds: 3600, Containers: []string{"main"},
		Service: &planv1.Service{Name: "db", Ports: []planv1.Port{{Port: 80}}},
		Resources: []planv1.Resource{{
			UID: string(w.resource.UID), Name: "store", Generation: 1, Type: "test", Container: "main", Online: true,
			LooksAlivePollInterval: 5000, IsAlivePollInterval: 60000, PendingTimeout: 10000, DeadlockTimeout: 10000,
			TerminateTimeout: 1000, RestartAction: "RestartNotify", RestartThreshold: 1, RestartPeriod: 900000,
			RestartDelay: 0, RetryPeriodOnFailure: 3600000,
			Controls: []planv1.Control{
				{Name: "ECHO", Code: 17, Write: true}, {Name: "COPY", Code: 0x0180000a, Write: true}, {Name: "PEEK", Code: 0x01800005},
			},
		}},
		Types: []planv1.Type{{Name: "test", Controls: []planv1.Control{
			{Name: "COPY", Code: 0x0180000a, Write: true, InputSchema: json.RawMessage(`{"type":"object","required":["to"]}`)},
			{Name: "PREPARE", Code: 0x0280000a, Write: true, Type: true},
		}}},
	}
	must(t, api.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: serviceAccount}}))
	w.savePlan("db-1")
	must(t, api.Create(ctx, builders.Slice(&w.plan, corev1.IPv4Protocol)))
	record, _ := leasev1.ReleaseInitial(leasev1.Unheld(0, leaseSeconds*time.Second))
	l := leasev1.Encode(record, leasev1.Lease{})
	must(t, api.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leasev1.Name("db"), Namespace: ns.Name, Annotations: l.Annotations},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: l.HolderIdentity, LeaseDurationSeconds: l.LeaseDurationSeconds},
	}))
	w.patchStatus(map[string]any{"planRevision": "db-1"})
	return w
}

// savePlan stores the plan as a revision, after the Role that lets the monitors read it.
func (w *world) savePlan(name string) {
	w.t.Helper()
	w.revisions = append(w.revisions, name)
	w.access()
	data, err := json.Marshal(w.plan)
	must(w.t, err)
	must(w.t, api.Create(w.t.Context(), &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace}, Data: runtime.RawExtension{Raw: data}, Revision: 1,
	}))
}

// serviceAccount is that of the hosts of all groups.
const serviceAccount = "hosts"

// access gives the monitors the Role of their group.
func (w *world) access() {
	w.t.Helper()
	ctx, in := w.t.Context(), builders.AccessInput{
		Namespace: w.namespace, Group: w.group.Name, ServiceAccounts: []string{serviceAccount}, Revisions: w.revisions,
	}
	for _, r := range w.plan.Resources {
		in.Resources = append(in.Resources, r.Name)
	}
	for _, o := range []runtime.ApplyConfiguration{builders.Role(in), builders.RoleBinding(in)} {
		must(w.t, api.Apply(ctx, o, client.FieldOwner("test")))
	}
}

// pod makes a host pod, or finds it.
func (w *world) pod(name string) *corev1.Pod {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec: corev1.PodSpec{
			ServiceAccountName: serviceAccount, NodeName: "node-" + name,
			Containers: []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
	err := api.Create(w.t.Context(), pod)
	if apierrors.IsAlreadyExists(err) {
		err = api.Get(w.t.Context(), client.ObjectKeyFromObject(pod), pod)
	}
	must(w.t, err)
	return pod
}

// token is one that kubelet would put into the monitor of a pod.
func (w *world) token(pod *corev1.Pod) string {
	w.t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: serviceAccount}}
	must(w.t, api.SubResource("token").Create(w.t.Context(), account, request))
	return request.Status.Token
}

// client writes as the monitor of a pod.
func (w *world) client(pod *corev1.Pod) client.Client {
	w.t.Helper()
	with := rest.AnonymousClientConfig(restConfig)
	with.BearerToken = w.token(pod)
	c, err := client.New(with, client.Options{Scheme: api.Scheme()})
	must(w.t, err)
	return c
}

func (w *world) patchStatus(status map[string]any) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"status": status})
	must(w.t, err)
	g := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: w.namespace}}
	must(w.t, api.Status().Patch(w.t.Context(), g, client.RawPatch(types.MergePatchType, body)))
}

// host is one host pod: a monitor, an init and a provider.
type host struct {
	w        *world
	name     string
	pod      *corev1.Pod
	init     *standin.Init
	provider *testProvider
	kill     context.CancelFunc
	ask      chan string
	ended    chan error
	state    string
	dirs     string
	proxy    *proxy
}

// start starts a host; before changes something before its monitor runs.
func (w *world) start(name string, before ...func(*host)) *host {
	w.t.Helper()
	// Socket paths are short, and t.TempDir's are not.
	dirs, err := os.MkdirTemp("", "u")
	must(w.t, err)
	w.t.Cleanup(func() { _ = os.RemoveAll(dirs) })
	h := &host{w: w, name: name, pod: w.pod(name), dirs: dirs, state: w.t.TempDir(), proxy: newProxy(w.t)}
	if len(before) > 0 {
		before[0](h)
	}
	for _, d := range []string{monitor.MonitorFolder, monitor.ProviderFolder} {
		must(w.t, os.MkdirAll(filepath.Join(dirs, "main", d), 0o755))
	}
	h.provider = &testProvider{w: w, callbacks: filepath.Join(dirs, "main", monitor.MonitorFolder, callbacks.SocketName)}
	init, wait, err := standin.Start(w.t.Context(), filepath.Join(dirs, "main", monitor.MonitorFolder), h.provider.run(filepath.Join(dirs, "main", monitor.ProviderFolder, "provider.sock")))
	must(w.t, err)
	w.t.Cleanup(wait)
	h.init = init
	h.startMonitor()
	return h
}

func (h *host) startMonitor() {
	ctx, cancel := context.WithCancel(h.w.t.Context())
	h.kill, h.ask, h.ended = cancel, make(chan string, 1), make(chan error, 1)
	config := monitor.Config{
		Namespace: h.w.namespace, Group: "db", PodName: h.name, PodUID: string(h.pod.UID), PodIP: "10.0.0.1",
		NodeName: h.pod.Spec.NodeName,
		REST:     &rest.Config{Host: h.proxy.url, BearerToken: h.w.token(h.pod)}, StateDir: h.state, ContainersDir: h.dirs, Log: testLog{h.w.t, h.name},
	}
	// Every life is recorded, and replays as it was.
	recording := &bytes.Buffer{}
	config.Record = recording
	ended, done := h.ended, make(chan struct{})
	go func() {
		defer close(done)
		ended <- monitor.RunUntil(ctx, config, h.ask)
	}()
	h.w.t.Cleanup(func() {
		cancel()
		<-done
		if steps, err := monitor.Replay(recording, nil); err != nil || steps == 0 {
			h.w.t.Errorf("host %s does not replay after %d steps: %v", h.name, steps, err)
		}
	})
}

// leave ends the host as kubelet ends a pod: the container first, then the monitor.
func (h *host) leave() {
	h.init.Stop()
	go func() {
		<-h.init.Done()
		h.ask <- "Test"
	}()
}

type testLog struct {
	t    *testing.T
	name string
}

func (l testLog) Write(b []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Logf("%s %s", l.name, b[:len(b)-1])
	}
	return len(b), nil
}

// testProvider counts what is online at once, over all hosts of a world.
type testProvider struct {
	providerv1.UnimplementedProviderServiceServer
	w      *world
	online atomic.Bool
	dead   atomic.Bool
	// onlines and stops count what was called; downs how often it went down.
	onlines, stops, downs atomic.Int32
	// stubborn: the program outlives its provider until it is closed.
	stubborn atomic.Pointer[chan struct{}]
	// since is when it last changed.
	since atomic.Pointer[time.Time]
	// async: control calls end later. begun counts them, context is the last one's.
	async   atomic.Bool
	begun   atomic.Int32
	cancels atomic.Int32
	context atomic.Int64
	// properties are those that it works with; sets counts how often it was given
	// others, and takes is what it answers then.
	properties atomic.Pointer[string]
	sets       atomic.Int32
	takes      atomic.Uint32
	callbacks  string
	// lock is what it holds of the world's disk.
	lock locked
}

func (p *testProvider) run(path string) standin.Child {
	return func(ctx context.Context) {
		_ = os.Remove(path)
		l, err := net.Listen("unix", path)
		if err != nil {
			return
		}
		s := grpc.NewServer()
		providerv1.RegisterProviderServiceServer(s, p)
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = s.Serve(l)
		}()
		<-ctx.Done()
		s.Stop()
		// A killed process leaves its socket file; a listener that is closed late
		// would take that of the next life away.
		<-served
		if c := p.stubborn.Load(); c != nil {
			<-*c
		}
		p.lock.drop()
		p.set(false)
	}
}

func (p *testProvider) set(online bool) {
	if p.online.Swap(online) == online {
		return
	}
	now := time.Now()
	p.since.Store(&now)
	if online {
		p.dead.Store(false)
		if p.w.running.Add(1) > 1 {
			p.w.twice.Store(true)
		}
	} else {
		p.downs.Add(1)
		p.w.running.Add(-1)
	}
}

// monitor is a client of the callbacks.
func (p *testProvider) monitor() providerv1.MonitorServiceClient {
	conn, err := grpc.NewClient("unix:"+p.callbacks, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(p.w.t, err)
	p.w.t.Cleanup(func() { _ = conn.Close() })
	return providerv1.NewMonitorServiceClient(conn)
}

// crash is what a provider says when its program ended.
func (p *testProvider) crash() {
	p.set(false)
	_, err := p.monitor().SignalFailure(p.w.t.Context(), &providerv1.SignalFailureRequest{
		ResourceHandle: string(p.w.resource.UID), Exited: true, Message: "exit status 1",
	})
	must(p.w.t, err)
}

func (p *testProvider) GetInfo(context.Context, *providerv1.GetInfoRequest) (*providerv1.GetInfoResponse, error) {
	return &providerv1.GetInfoResponse{Name: "test", ProtocolVersions: []uint32{1}, ResourceTypes: []string{"test"}}, nil
}

func (p *testProvider) GetCapabilities(context.Context, *providerv1.GetCapabilitiesRequest) (*providerv1.GetCapabilitiesResponse, error) {
	caps := []providerv1.Capability{
		providerv1.Capability_CAPABILITY_RESOURCE_CONTROL, providerv1.Capability_CAPABILITY_RESOURCE_TYPE_CONTROL,
		providerv1.Capability_CAPABILITY_CANCEL,
	}
	if p.w.disk != "" {
		caps = append(caps, providerv1.Capability_CAPABILITY_QUORUM)
	}
	return &providerv1.GetCapabilitiesResponse{Capabilities: caps}, nil
}

func (p *testProvider) Probe(context.Context, *providerv1.ProbeRequest) (*providerv1.ProbeResponse, error) {
	return &providerv1.ProbeResponse{Ready: true}, nil
}

func (p *testProvider) Open(_ context.Context, r *providerv1.OpenRequest) (*providerv1.OpenResponse, error) {
	state := providerv1.ResourceState_RESOURCE_STATE_OFFLINE
	if p.online.Load() {
		state = providerv1.ResourceState_RESOURCE_STATE_ONLINE
	}
	return &providerv1.OpenResponse{ResourceId: "id-" + r.GetResourceHandle(), State: state}, nil
}

func (p *testProvider) Online(_ context.Context, r *providerv1.OnlineRequest) (*providerv1.OnlineResponse, error) {
	p.onlines.Add(1)
	if p.w.disk != "" && !p.lock.held() {
		p.w.unarbitrated.Store(true)
	}
	text, _ := r.GetProperties().MarshalJSON()
	p.has(text)
	p.set(true)
	return &providerv1.OnlineResponse{EventHandle: true}, nil
}

func (p *testProvider) has(properties []byte) {
	text := string(bytes.ReplaceAll(properties, []byte(" "), nil))
	p.properties.Store(&text)
}

// stop stops, or says so.
func (p *testProvider) stop() {
	p.stops.Add(1)
	if p.stubborn.Load() == nil {
		p.set(false)
	}
}

func (p *testProvider) Offline(context.Context, *providerv1.OfflineRequest) (*providerv1.OfflineResponse, error) {
	p.stop()
	return &providerv1.OfflineResponse{}, nil
}

func (p *testProvider) Terminate(context.Context, *providerv1.TerminateRequest) (*providerv1.TerminateResponse, error) {
	p.stop()
	return &providerv1.TerminateResponse{}, nil
}

func (p *testProvider) IsAlive(context.Context, *providerv1.IsAliveRequest) (*providerv1.IsAliveResponse, error) {
	return &providerv1.IsAliveResponse{Alive: p.online.Load() && !p.dead.Load()}, nil
}

func (p *testProvider) LooksAlive(context.Context, *providerv1.LooksAliveRequest) (*providerv1.LooksAliveResponse, error) {
	return &providerv1.LooksAliveResponse{Alive: p.online.Load()}, nil
}

func (p *testProvider) BeginResourceControl(_ context.Context, r *providerv1.BeginResourceControlRequest) (*providerv1.BeginResourceControlResponse, error) {
	if r.GetInput().GetControlCode() == 0x01400086 {
		p.sets.Add(1)
		if p.takes.Load() == 0 {
			p.has(r.GetInput().GetInBuffer())
		}
		return &providerv1.BeginResourceControlResponse{Output: &providerv1.ControlOutput{Status: p.takes.Load()}}, nil
	}
	p.begun.Add(1)
	p.context.Store(r.GetContext())
	if p.async.Load() {
		return &providerv1.BeginResourceControlResponse{ReturnedAsynchronously: true}, nil
	}
	return &providerv1.BeginResourceControlResponse{Output: &providerv1.ControlOutput{OutBuffer: r.GetInput().GetInBuffer()}}, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition on the group.
func (w *world) eventually(what string, ok func(*v1alpha1.ResourceGroup) bool) *v1alpha1.ResourceGroup {
	w.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	g := &v1alpha1.ResourceGroup{}
	for {
		must(w.t, api.Get(w.t.Context(), types.NamespacedName{Namespace: w.namespace, Name: "db"}, g))
		if ok(g) {
			return g
		}
		select {
		case <-deadline.C:
			text, _ := json.MarshalIndent(g.Status, "", "  ")
			w.t.Fatalf("never: %s; the group's status is\n%s", what, text)
		case <-tick.C:
		}
	}
}

func onlineOn(name string) func(*v1alpha1.ResourceGroup) bool {
	return func(g *v1alpha1.ResourceGroup) bool {
		return g.Status.Owner != nil && g.Status.Owner.PodName == name && g.Status.Owner.State == v1alpha1.GroupOnline
	}
}

func ready(names ...string) func(*v1alpha1.ResourceGroup) bool {
	return func(g *v1alpha1.ResourceGroup) bool {
		for _, n := range names {
			if !g.Status.Hosts[n].Ready {
				return false
			}
		}
		return true
	}
}

// succession says who takes, as the manager would.
func (w *world) succession(names ...string) {
	line := []map[string]any{}
	for _, n := range names {
		pod := w.pod(n)
		line = append(line, map[string]any{"podUID": pod.UID, "podName": n, "nodeName": pod.Spec.NodeName})
	}
	w.patchStatus(map[string]any{"succession": map[string]any{"line": line}})
}
