// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Mutants proves that the simulation can see: each patch of internal/simulation/mutants
// breaks one rule of the real code, and the simulation must find out. The tree is not
// touched: the patched files are laid over it for one build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/understudy-dev/understudy/hack/internal/tool"
)

const usage = `Usage: go run ./hack/mutants [flags]

Builds hack/simulate with each patch of internal/simulation/mutants and runs it until it
finds a violation, and at last without a patch: nothing may be found then. Prints a table
and writes dist/mutants.json. Fails if a mutant is not caught, or the code as it is breaks
a promise, or a patch does not fit the code any more.

`

type options struct {
	run       *regexp.Regexp
	schedules int
	list      bool
	check     bool
}

func main() {
	var o options
	pattern := flag.String("run", "", "only mutants whose name matches this `regexp`")
	flag.IntVar(&o.schedules, "schedules", 10000, "run at most that many schedules of a mutant")
	flag.BoolVar(&o.list, "list", false, "list the mutants and what each breaks")
	flag.BoolVar(&o.check, "check", false, "only see that each patch fits the code")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if o.run, err = regexp.Compile(*pattern); err == nil {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	root, err := tool.SourceRoot()
	if err != nil {
		return err
	}
	mutants, err := readMutants(filepath.Join(root, folder), o.run)
	if err != nil {
		return err
	}
	if o.list {
		fmt.Print(listing(mutants))
		return nil
	}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	w := workshop{root: root, temp: temp}
	if o.check {
		return w.checkAll(ctx, mutants)
	}
	results := w.tryAll(ctx, mutants, o.schedules)
	results = append(results, w.tryUnpatched(ctx, results))
	if err := context.Cause(ctx); err != nil {
		return err // what was cut short says nothing
	}
	fmt.Print("\n", table(results))
	if err := writeReport(filepath.Join(root, "dist", "mutants.json"), results); err != nil {
		return err
	}
	return verdict(results)
}

// checkAll sees that each patch fits the code, which costs a second. That it compiles is
// for tryAll to see.
func (w workshop) checkAll(ctx context.Context, mutants []mutant) error {
	var all []error
	for _, m := range mutants {
		if _, err := w.apply(ctx, m); err != nil {
			all = append(all, fmt.Errorf("%s: %w", m.Name, err))
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Printf("%d mutants fit the code\n", len(mutants))
	}
	return errors.Join(all...)
}

// tryAll runs one mutant while the next is being built.
func (w workshop) tryAll(ctx context.Context, mutants []mutant, schedules int) []result {
	type built struct {
		m       mutant
		program string
		err     error
	}
	ready := make(chan built)
	go func() {
		defer close(ready)
		for _, m := range mutants {
			program, err := w.build(ctx, m)
			select {
			case ready <- built{m, program, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	var results []result
	for b := range ready {
		r := result{Name: b.m.Name, Breaks: b.m.Breaks}
		if b.err == nil {
			b.err = w.try(ctx, b.program, schedules, &r, "--promise", strings.Join(b.m.Promises, ","))
			_ = os.Remove(b.program)
		}
		if b.err != nil {
			r.Error = b.err.Error()
		}
		if ctx.Err() == nil {
			fmt.Println(r.line())
			results = append(results, r)
		}
	}
	return results
}

// tryUnpatched runs the code as it is over the same schedules as the mutant that needed the
// most: what breaks a promise there catches every mutant, and proves nothing.
func (w workshop) tryUnpatched(ctx context.Context, mutants []result) result {
	r := result{Name: unpatched, Breaks: "Nothing: the code as it is."}
	program, err := w.compile(ctx, unpatched)
	if err == nil {
		err = w.try(ctx, program, hardest(mutants), &r)
	}
	if err != nil {
		r.Error = err.Error()
	}
	fmt.Println(r.line())
	return r
}
