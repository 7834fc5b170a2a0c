// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command hello is a program of one's own, in an image without a shell: a web
// server that says where it runs and under which epoch.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	address := flag.String("listen", ":8080", "address to listen on")
	hungry := flag.Bool("hungry", false, "whoever asks for /eat makes it take memory until it is killed for it")
	flag.Parse()
	if *hungry {
		http.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) { eat() })
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintf(w, "hello from %s, epoch %s, pid %d\n", host, os.Getenv("UNDERSTUDY_EPOCH"), os.Getpid())
	})
	server := http.Server{Addr: *address, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, "hello:", server.ListenAndServe())
	os.Exit(1)
}

// eat takes more and more memory, and keeps it.
func eat() {
	for kept := [][]byte{}; ; {
		kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
	}
}
