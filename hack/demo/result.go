// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
	"github.com/understudy-dev/understudy/test/scene"
)

// result is a line of the table and an element of dist/demo.json. Times are in
// milliseconds.
type result struct {
	Event   string `json:"event"`
	Cluster string `json:"cluster"`
	Ok      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
	// Client is what the client missed.
	Client int64 `json:"clientMilliseconds"`
	// Own is the outage by the timeline: at most that much if the owner fell silent,
	// and then at least OwnLeast.
	Own      int64        `json:"timelineMilliseconds"`
	OwnLeast int64        `json:"timelineLeastMilliseconds,omitempty"`
	Timeline *scene.Entry `json:"timeline,omitempty"`
}

func newResult(event scene.Event, err error) result {
	r := result{
		Event: event.What, Cluster: event.Did, Ok: err == nil, Timeline: event.Entry, Client: milliseconds(event.Client.Length()),
	}
	if err != nil {
		r.Error = err.Error()
	}
	if e := event.Entry; e != nil {
		r.Own = milliseconds(scene.Ended(*e).Sub(scene.Began(*e)))
		if event.Silence && e.DetectedTime != nil {
			r.OwnLeast = milliseconds(scene.Ended(*e).Sub(e.DetectedTime.Time))
		}
	}
	return r
}

func milliseconds(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }

// own is the outage by the timeline, for people.
func (r result) own() string {
	switch {
	case r.Timeline == nil:
		return "-"
	case r.OwnLeast > 0:
		return fmt.Sprintf("%d to %d", r.OwnLeast, r.Own)
	}
	return strconv.FormatInt(r.Own, 10)
}

// table renders the results.
func table(results []result) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "EVENT\tWHAT THE CLUSTER DID\tCLIENT MISSED (ms)\tTIMELINE (ms)\tOK")
	for _, r := range results {
		ok := "yes"
		if !r.Ok {
			ok = "NO"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.Event, r.Cluster, r.Client, r.own(), ok)
	}
	_ = w.Flush()
	return out.String()
}

// show prints what came of it and writes the report.
func (p *play) show(ctx context.Context, path string) error {
	text, err := p.quickstart.Print(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\n$ kubectl get cres,rgroup -n %s\n%s\n%s", p.quickstart.Namespace, text, table(p.results))
	report, err := json.MarshalIndent(map[string]any{"events": p.results}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return tool.WriteFile(path, append(report, '\n'), 0o644)
}
