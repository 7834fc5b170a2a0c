// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-dev/understudy/test/scene"
)

// play is the sequence of scenes, and what came of each.
type play struct {
	quickstart *scene.Quickstart
	results    []result
}

// all plays the scenes until one cannot be carried out: what comes after it would
// start from a stage that nobody knows.
func (p *play) all(ctx context.Context) error {
	q := p.quickstart
	scenes := []func(context.Context) (scene.Event, error){q.KillOnce, q.KillBeyondThreshold, q.Move, q.Ask}
	for _, one := range scenes {
		event, err := one(ctx)
		if err := p.note(event, err); err != nil {
			return err
		}
	}
	if q.Local == nil {
		return nil
	}
	return p.cutAndHeal(ctx)
}

func (p *play) cutAndHeal(ctx context.Context) error {
	q := p.quickstart
	cut, err := q.CutOwner(ctx)
	if cut.Lease != nil {
		defer cut.Lease.Stop()
	}
	if err := p.note(cut.Event, err); err != nil {
		// A node that stays cut off would fail the next demonstration, too.
		if cut.Node != "" {
			err = errors.Join(err, q.Local.Heal(context.WithoutCancel(ctx), cut.Node))
		}
		return err
	}
	event, err := q.Heal(ctx, cut)
	return p.note(event, err)
}

func (p *play) note(event scene.Event, err error) error {
	p.results = append(p.results, newResult(event, err))
	if err != nil {
		return fmt.Errorf("%s: %w", event.What, err)
	}
	return nil
}
