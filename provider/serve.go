// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	// SocketEnv names the socket that the provider listens on.
	SocketEnv = "UNDERSTUDY_PROVIDER_SOCKET"
	// MonitorSocketEnv names the socket that the monitor listens on.
	MonitorSocketEnv = "UNDERSTUDY_MONITOR_SOCKET"

	// maxMessageSize is the most bytes of a message, both ways.
	maxMessageSize = 1 << 20
	// stopTimeout bounds the stop when ownership ends. Init kills what is left
	// long before, at the hard guard.
	stopTimeout = 5 * time.Second
	// redialMost is the longest pause between two tries to reach the monitor.
	// Dialling a unix socket costs next to nothing, and a new monitor must hear
	// at once what happened while there was none.
	redialMost = 100 * time.Millisecond
)

// Provider is a process that serves resource types.
type Provider struct {
	// Name in DNS form: "application.understudy.dev".
	Name string
	// Version of the vendor's, for people.
	Version string
	// Types by name. Names are compared without case, RA 2.1.
	Types map[string]Type
}

type options struct {
	socket  string
	monitor string
	logger  *slog.Logger
}

// Option changes how Serve works.
type Option func(*options)

// WithSockets sets the sockets in place of those that the environment names.
func WithSockets(provider, monitor string) Option {
	return func(o *options) { o.socket, o.monitor = provider, monitor }
}

// WithLogger sets where the SDK logs; stderr by default.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// Main serves p until SIGTERM, then ends the process.
func Main(p Provider, opts ...Option) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := Serve(ctx, p, opts...)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

// Serve serves p until ctx ends: then every resource is terminated, all at once,
// and Serve returns. Cancel ctx on SIGTERM and on nothing else: that is the soft
// guard, G1; an ordered stop comes from the monitor as calls.
func Serve(ctx context.Context, p Provider, opts ...Option) error {
	o := options{
		socket:  os.Getenv(SocketEnv),
		monitor: os.Getenv(MonitorSocketEnv),
		logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	for _, opt := range opts {
		opt(&o)
	}
	if err := p.check(o); err != nil {
		return err
	}
	conn, err := dial(o.monitor)
	if err != nil {
		return err
	}
	defer conn.Close()
	listener, err := listen(ctx, o.socket)
	if err != nil {
		return err
	}
	svcCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	svc := newService(svcCtx, p, pb.NewMonitorServiceClient(conn), o.logger)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessageSize),
		grpc.MaxSendMsgSize(maxMessageSize),
		grpc.UnaryInterceptor(recoverCalls),
	)
	pb.RegisterProviderServiceServer(server, svc)
	healthpb.RegisterHealthServer(server, health.NewServer())

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	o.logger.Info("serving", "provider", p.Name, "types", strings.Join(svc.typeNames(), ","))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	err = svc.terminateAll(stopTimeout)
	server.Stop()
	return err
}

// check refuses what could not work.
func (p Provider) check(o options) error {
	switch {
	case p.Name == "" || len(p.Name) > 63:
		return fmt.Errorf("the provider's name %q must have 1 to 63 characters", p.Name)
	case len(p.Types) == 0 || len(p.Types) > 32:
		return fmt.Errorf("a provider serves 1 to 32 types, not %d", len(p.Types))
	case o.socket == "":
		return fmt.Errorf("%s is not set: a provider is started by init, in a host pod", SocketEnv)
	case o.monitor == "":
		return fmt.Errorf("%s is not set: a provider is started by init, in a host pod", MonitorSocketEnv)
	}
	return nil
}

// listen listens on a socket that another user, the monitor, can connect to.
func listen(ctx context.Context, path string) (net.Listener, error) {
	// An earlier life of this process may have left its file.
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the stale socket: %w", err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// dial makes a connection that finds the monitor again whenever it comes back.
// Calls wait for it as long as their context lets them.
func dial(path string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix:"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 2, MaxDelay: redialMost},
			MinConnectTimeout: time.Second,
		}),
		// A window that is found by measuring costs a ping with every call.
		grpc.WithStaticStreamWindowSize(maxMessageSize), grpc.WithStaticConnWindowSize(maxMessageSize),
		grpc.WithDefaultCallOptions(
			grpc.WaitForReady(true),
			grpc.MaxCallRecvMsgSize(maxMessageSize),
			grpc.MaxCallSendMsgSize(maxMessageSize),
		),
	)
}
