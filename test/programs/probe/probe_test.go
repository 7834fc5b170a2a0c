// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChangesAreTimedByTheClient(t *testing.T) {
	down := errors.New("refused")
	// Each attempt begins 5 ms after the one before and takes 2 ms.
	results := []error{nil, nil, down, down, nil, down}
	var clock, attempt int64
	var said []Line
	p := &prober{
		say: func(l Line) {
			if !l.Beat {
				said = append(said, l)
			}
		},
		now: func() time.Time { return time.Unix(0, clock) },
		attempt: func(context.Context, int64) error {
			err := results[attempt]
			attempt++
			clock += 2
			return err
		},
	}
	for i := range results {
		clock = int64(i) * 5
		p.step(t.Context())
	}
	want := []Line{
		{Up: true, At: 2}, {At: 10, Error: "refused"}, {Up: true, At: 22}, {At: 25, Error: "refused"},
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestAnAttemptBrokenOffSaysNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &prober{
		say:     func(l Line) { t.Errorf("said %+v", l) },
		now:     time.Now,
		attempt: func(context.Context, int64) error { cancel(); return context.Canceled },
	}
	p.run(ctx, time.Millisecond)
}

func TestPing(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		hang   bool
		ok     bool
	}{
		"answers":             {answer: "+PONG\r\n", ok: true},
		"answers otherwise":   {answer: "-LOADING\r\n"},
		"closes":              {},
		"hangs":               {hang: true},
		"answers half of it":  {answer: "+PO", hang: true},
		"answers in two goes": {answer: "+PONG", ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			done := make(chan struct{})
			defer close(done)
			go func() {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				defer connection.Close()
				_, _ = connection.Read(make([]byte, 16))
				half := len(test.answer) / 2
				_, _ = connection.Write([]byte(test.answer[:half]))
				_, _ = connection.Write([]byte(test.answer[half:]))
				if test.hang {
					<-done
				}
			}()
			if err := ping(t.Context(), listener.Addr().String(), 0, 200*time.Millisecond); (err == nil) != test.ok {
				t.Errorf("ping: %v, want success %t", err, test.ok)
			}
		})
	}
}
