// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/understudy-dev/understudy/provider/supervise"
)

// errNotRunning is why a program that ended is not alive.
var errNotRunning = errors.New("the program does not run")

// run asks whether the program works. All checks start with its being there: a
// port may be answered by something else. A nil Check asks for no more than that.
func (c *Check) run(ctx context.Context, p *supervise.Program) error {
	if p == nil {
		return errNotRunning
	}
	if !p.Running() {
		return errors.New(p.Exit().String())
	}
	if c.byProcess() {
		return nil
	}
	// Short of the caller's own deadline, so that the answer says what failed.
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	var err error
	switch {
	case c.Exec != nil:
		if err = p.Check(ctx, c.Exec.Command, c.timeout()); err != nil {
			err = fmt.Errorf("exec %s: %w", c.Exec.Command[0], err)
		}
	case c.TCP != nil:
		err = c.TCP.tcp(ctx)
	case c.HTTP != nil:
		err = c.HTTP.http(ctx)
	case c.GRPC != nil:
		err = c.GRPC.grpc(ctx)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %d ms: %w", c.TimeoutMilliseconds, err)
	}
	return err
}

func (n *NetCheck) address() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)) }

func (n *NetCheck) tcp(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", n.address())
	if err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	return conn.Close()
}

func (n *NetCheck) http(ctx context.Context) error {
	url := "http://" + n.address() + n.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	req.Header.Set("User-Agent", "understudy")
	client := http.Client{
		// A connection of its own each time: what is kept alive proves little.
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("http: GET %s was answered with %s", url, resp.Status)
	}
	return nil
}

func (n *NetCheck) grpc(ctx context.Context) error {
	conn, err := grpc.NewClient("passthrough:///"+n.address(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithUserAgent("understudy"),
	)
	if err != nil {
		return fmt.Errorf("grpc: %w", err)
	}
	defer conn.Close()
	resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: n.Service})
	if err != nil {
		return fmt.Errorf("grpc: %s", status.Convert(err).Message())
	}
	if s := resp.GetStatus(); s != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("grpc: the health service answered %s", s)
	}
	return nil
}

// readyPause is the pause between two tries of the ready check, firstReadyPause the
// first one; each is twice the one before. Many programs answer within a few
// milliseconds, and whoever depends on them waits for it.
const (
	firstReadyPause = 5 * time.Millisecond
	readyPause      = 100 * time.Millisecond
)
