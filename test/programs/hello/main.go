// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command hello is a program of one's own, in an image without a shell: a web
// server that says where it runs and under which epoch.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	address := flag.String("listen", ":8080", "address to listen on")
	flag.Parse()
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintf(w, "hello from %s, epoch %s, pid %d\n", host, os.Getenv("UNDERSTUDY_EPOCH"), os.Getpid())
	})
	server := http.Server{Addr: *address, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "hello:", server.ListenAndServe())
	os.Exit(1)
}
