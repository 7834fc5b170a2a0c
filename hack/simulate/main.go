// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command simulate lets the adversary of internal/simulation try to break a promise.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-dev/understudy/internal/simulation"
)

// gcPercent lets garbage wait: there is much of it, little lives, and time is short.
const gcPercent = 800

// errBroken: a promise was broken, and it was said which.
var errBroken = errors.New("a promise was broken")

func main() {
	debug.SetGCPercent(gcPercent)
	switch err := command().Execute(); {
	case errors.Is(err, errBroken):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(2)
	}
}

// enough schedules must reach all that is required.
const enough = 1000

// shrinkTime bounds the search for a shorter story.
const shrinkTime = 20 * time.Second

type flags struct {
	schedules int
	first     uint64
	seed      uint64
	json      string
	recording string
	promises  []string
	quiet     bool
	plain     bool
}

func command() *cobra.Command {
	f := flags{}
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Let an adversary try to break the promises of engine and ownership",
		Long: "It runs schedules of random faults against the real core of the monitor, in virtual time, and\n" +
			"checks every promise after every step. It ends with 1 if one was broken, and tells the shortest\n" +
			"story of it that it can find.",
		Example: "  go run ./hack/simulate --schedules 10000\n" +
			"  go run ./hack/simulate --seed 4711            # the whole story of one schedule\n" +
			"  go run ./hack/simulate --seed 4711 --record dist/4711   # for monitor replay",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if cmd.Flags().Changed("seed") {
				return one(f)
			}
			return many(ctx, f)
		},
	}
	c.Flags().IntVar(&f.schedules, "schedules", 10000, "how many schedules to run")
	c.Flags().Uint64Var(&f.first, "first", 1, "the seed of the first one")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "run this one alone, and tell its story")
	c.Flags().StringVar(&f.json, "json", "", "file for the result")
	c.Flags().StringVar(&f.recording, "record", "", "folder for what each monitor was given and did in the story that is told")
	c.Flags().StringSliceVar(&f.promises, "promise", nil, "count violations of these promises only (release,I1)")
	c.Flags().BoolVar(&f.plain, "no-shrink", false, "do not look for a shorter story of a broken promise")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "print no progress")
	return c
}

// one tells the story of one schedule.
func one(f flags) error {
	o := simulation.Class(f.seed)
	o.Trace, o.Record = true, f.recording != ""
	r := simulation.Run(f.seed, o)
	fmt.Println(r.Timeline)
	fmt.Println(r)
	if f.recording != "" {
		if err := simulation.WriteRecordings(r, f.recording); err != nil {
			return err
		}
	}
	if r.Violation != nil {
		return errBroken
	}
	return nil
}

func many(ctx context.Context, f flags) error {
	begin := time.Now()
	c := simulation.Campaign{First: f.first, Schedules: f.schedules, Options: func(seed uint64) simulation.Options {
		o := simulation.Class(seed)
		o.Promises = f.promises
		return o
	}}
	if !f.quiet {
		c.Progress = func(done int) {
			if done%1000 == 0 {
				fmt.Printf("%8.1fs  %d of %d schedules\n", time.Since(begin).Seconds(), done, f.schedules)
			}
		}
	}
	report := c.Run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	took := time.Since(begin)
	if f.json != "" {
		if err := write(f.json, report, took); err != nil {
			return err
		}
	}
	if r := report.Violation; r != nil {
		if f.plain {
			fmt.Printf("seed %d: %s: %s\n", r.Seed, r.Violation.Promise, r.Violation.Message)
			return errBroken
		}
		story := simulation.Shrink(r.Seed, simulation.Class(r.Seed), r.Violation.Promise, shrinkTime)
		fmt.Println(story)
		fmt.Printf("after %d schedules; all of it: go run ./hack/simulate --seed %d\n", report.Schedules, r.Seed)
		if f.recording != "" {
			if err := simulation.WriteRecordings(story, f.recording); err != nil {
				return err
			}
			fmt.Printf("what each monitor was given and did in this story: monitor replay %s/*.jsonl\n", f.recording)
		}
		return errBroken
	}
	table(report)
	if len(f.promises) > 0 {
		return nil // of what else is reached nothing is said
	}
	if report.LeastFaults < simulation.LeastFaults {
		fmt.Printf("a schedule had only %d faults\n", report.LeastFaults)
		return errBroken
	}
	// A few schedules need not reach everything.
	if missed := report.Missed(); len(missed) > 0 && report.Schedules >= enough {
		fmt.Printf("too few schedules reached: %v\n", missed)
		return errBroken
	}
	fmt.Printf("%d schedules of %d to %d faults in %.1f s: all promises were kept\n", report.Schedules,
		report.LeastFaults, report.MostFaults, took.Seconds())
	return nil
}

// table prints the coverage.
func table(r simulation.Report) {
	fmt.Printf("%-18s %12s %10s %8s\n", "REACHED", "TIMES", "SCHEDULES", "SHARE")
	v := reflect.ValueOf(r.Sum)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		share := 100 * float64(r.Reached[name]) / float64(max(r.Schedules, 1))
		fmt.Printf("%-18s %12d %10d %7.1f%%\n", name, v.Field(i).Int(), r.Reached[name], share)
	}
}

// result is the form of the JSON file.
type result struct {
	Schedules int                 `json:"schedules"`
	Seconds   float64             `json:"seconds"`
	Violation *violation          `json:"violation"`
	Coverage  simulation.Coverage `json:"coverage"`
	Reached   map[string]int      `json:"reached"`
}

type violation struct {
	Seed uint64 `json:"seed"`
	simulation.Violation
}

func write(path string, r simulation.Report, took time.Duration) error {
	out := result{Schedules: r.Schedules, Seconds: took.Seconds(), Coverage: r.Sum, Reached: r.Reached}
	if r.Violation != nil {
		out.Violation = &violation{Seed: r.Violation.Seed, Violation: *r.Violation.Violation}
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("the result: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
