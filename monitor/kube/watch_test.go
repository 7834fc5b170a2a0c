// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// watched answers lists with an empty one, and ends each watch after a while.
type watched struct {
	lasts time.Duration
	lists int
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
	}
	if r.URL.Query().Has("watch") {
		answer.Body = &lasting{r.Context(), time.NewTimer(w.lasts)}
		return answer, nil
	}
	w.lists++
	answer.Body = io.NopCloser(strings.NewReader(
		`{"kind":"LeaseList","apiVersion":"coordination.k8s.io/v1","metadata":{"resourceVersion":"7"}}`))
	return answer, nil
}

type lasting struct {
	ctx context.Context
	end *time.Timer
}

func (l *lasting) Read([]byte) (int, error) {
	select {
	case <-l.end.C:
	case <-l.ctx.Done():
	}
	return 0, io.EOF
}

func (l *lasting) Close() error { return nil }

// listsIn is how many lists it takes to follow something for that long.
func listsIn(t *testing.T, total, watchLasts time.Duration) (lists int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{lasts: watchLasts}
		config := &rest.Config{Host: "http://api", QPS: -1}
		config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
		client, err := restClient(config, coordinationv1.SchemeGroupVersion, &http.Client{Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), total)
		defer cancel()
		c := &Client{config: Config{Namespace: "n"}}
		follow(ctx, c.single(client, "leases", "l"), &coordinationv1.LeaseList{},
			func(*coordinationv1.Lease) {}, func(*coordinationv1.Lease) {}, nil)
		lists = w.lists
	})
	return lists
}

// A watch that ends as soon as it began is no reason to list without a pause.
func TestWatchThatEndsAtOnce(t *testing.T) {
	// The pause is a random one, 250 ms in the middle.
	for _, lasts := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		if n := listsIn(t, time.Minute, lasts); n < 120 || n > 480 {
			t.Errorf("watches of %v: %d lists in a minute", lasts, n)
		}
	}
}

// One that lasted is opened again at once.
func TestWatchThatLasted(t *testing.T) {
	if n := listsIn(t, time.Hour-time.Second, time.Minute); n != 60 {
		t.Errorf("%d lists in an hour", n)
	}
}
