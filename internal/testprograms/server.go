// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package testprograms

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// Server answers HTTP and gRPC health checks on two ports of the loopback address:
//
//	server --ports FILE [--while FILE]
//
// --ports: written once it answers, "HTTP-PORT GRPC-PORT". Over HTTP, /ok is 200,
// /bad is 500, /moved is a redirect to /bad, /slow never answers. Over gRPC the
// server as a whole and "good" are serving, "bad" is not. With --while, /ok is 500
// while that file is not there.
func Server(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	ports := flags.String("ports", "", "file to write the ports to")
	while := flags.String("while", "", "file whose absence makes /ok fail")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var listen net.ListenConfig
	web, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	rpc, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(*while); *while != "" && err != nil {
			http.Error(w, "not now", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad", http.StatusInternalServerError)
	})
	mux.Handle("/moved", http.RedirectHandler("/bad", http.StatusFound))
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h := health.NewServer()
	h.SetServingStatus("good", healthpb.HealthCheckResponse_SERVING)
	h.SetServingStatus("bad", healthpb.HealthCheckResponse_NOT_SERVING)
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, h)
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(web, mux) }() //nolint:gosec // for tests
	go func() { failed <- s.Serve(rpc) }()
	text := fmt.Sprintf("%s %s\n", portOf(web), portOf(rpc))
	if *ports == "" {
		fmt.Print(text)
	} else if err := writeWhole(*ports, text); err != nil {
		return err
	}
	return <-failed
}

func portOf(l net.Listener) string {
	address := l.Addr().String()
	return address[strings.LastIndexByte(address, ':')+1:]
}
