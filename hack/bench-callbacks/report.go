// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

// figure is a line of the table and an element of the report: a latency has
// percentiles in microseconds, a rate has PerSecond.
type figure struct {
	Name      string   `json:"name"`
	Samples   int      `json:"samples,omitempty"`
	P50       *int64   `json:"p50Microseconds,omitempty"`
	P99       *int64   `json:"p99Microseconds,omitempty"`
	Max       *int64   `json:"maxMicroseconds,omitempty"`
	PerSecond *float64 `json:"perSecond,omitempty"`
	// Target is what it has to be, for people; Met says if it is. Empty: it is told
	// only.
	Target string `json:"target,omitempty"`
	Met    bool   `json:"met"`
}

func latency(name string, times []time.Duration) figure {
	slices.Sort(times)
	at := func(percent int) *int64 {
		us := times[min(len(times)-1, len(times)*percent/100)].Microseconds()
		return &us
	}
	return figure{Name: name, Samples: len(times), P50: at(50), P99: at(99), Max: at(100), Met: true}
}

// within gives a latency its targets.
func (f figure) within(p50, p99 time.Duration) figure {
	f.Target = fmt.Sprintf("p50 %v, p99 %v", p50, p99)
	f.Met = *f.P50 <= p50.Microseconds() && *f.P99 <= p99.Microseconds()
	return f
}

// limit says whether a rate is as it has to be, and how that is.
type limit func(float64) (met bool, target string)

func atLeast(n float64) limit {
	return func(v float64) (bool, string) { return v >= n, fmt.Sprintf("at least %.0f", n) }
}

func atMost(n float64) limit {
	return func(v float64) (bool, string) {
		return v <= n, fmt.Sprintf("at most %.0f after a burst of %d", n, burst)
	}
}

func nothing(v float64) (bool, string) { return v < 1, "none" }

func rate(name string, perSecond float64, l limit) figure {
	f := figure{Name: name, PerSecond: &perSecond, Met: true}
	if l != nil {
		f.Met, f.Target = l(perSecond)
	}
	return f
}

func table(figures []figure) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tP50\tP99\tMAX\tA SECOND\tTARGET\tMET")
	ms := func(us *int64) string {
		if us == nil {
			return ""
		}
		return (time.Duration(*us) * time.Microsecond).String()
	}
	for _, f := range figures {
		perSecond, met := "", "yes"
		if f.PerSecond != nil {
			perSecond = fmt.Sprintf("%.1f", *f.PerSecond)
		}
		switch {
		case f.Target == "":
			met = ""
		case !f.Met:
			met = "NO"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, ms(f.P50), ms(f.P99), ms(f.Max), perSecond, f.Target, met)
	}
	_ = w.Flush()
	return out.String()
}

// show prints the figures and writes the report.
func show(figures []figure, path string) error {
	fmt.Printf("\n%s", table(figures))
	report, err := json.MarshalIndent(map[string]any{
		"processors": runtime.NumCPU(), "time": time.Now().UTC().Truncate(time.Second), "figures": figures,
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return tool.WriteFile(path, append(report, '\n'), 0o644)
}
