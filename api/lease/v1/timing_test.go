// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// The table of Ownership section 4.
func TestPresets(t *testing.T) {
	for _, c := range []struct {
		d               time.Duration
		r, a, n, g1, g2 time.Duration
		k, tterm, w     time.Duration
	}{
		{6000, 2000, 1000, 4000, 4200, 5500, 500, 1500, 6122},
		{2000, 600, 300, 1200, 1300, 1600, 400, 400, 2041},
		{15000, 5000, 2500, 10000, 10500, 14000, 1000, 4000, 15304},
	} {
		got, ok := TimingFor(c.d * ms)
		want := Timing{D: c.d * ms, R: c.r * ms, A: c.a * ms, N: c.n * ms, G1: c.g1 * ms, G2: c.g2 * ms, K: c.k * ms}
		if !ok || got != want {
			t.Errorf("D %v: %+v", c.d*ms, got)
		}
		if err := got.Validate(c.tterm * ms); err != nil {
			t.Error(err)
		}
		if err := got.Validate(c.tterm*ms + ms); err == nil || !strings.Contains(err.Error(), "T2") {
			t.Errorf("D %v: a longer termination gives %v", c.d*ms, err)
		}
		if W(got.D) != c.w*ms {
			t.Errorf("W(%v) = %v", got.D, W(got.D))
		}
	}
	if _, ok := TimingFor(7 * time.Second); ok {
		t.Error("a preset that does not exist")
	}
}

// (T4): W is never less than D(1+ρ)/(1-ρ), and less than a millisecond more.
func TestW(t *testing.T) {
	for _, d := range []time.Duration{1, ms, 1999 * ms, 6 * time.Second, time.Hour, MaxExtend + MaxD} {
		w := W(d)
		if exact := float64(d) * 1.01 / 0.99; float64(w) < exact-1 || float64(w) > exact+float64(ms)+1 || w%ms != 0 {
			t.Errorf("W(%v) = %v", d, w)
		}
	}
}

func TestValidateNamesWhatBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Timing)
		want   string
	}{
		"T1":             {func(t *Timing) { t.A = 1001 * ms }, "T1"},
		"T1, period":     {func(t *Timing) { t.R = 2001 * ms }, "T1"},
		"T2":             {func(t *Timing) { t.N, t.G1 = 4100*ms, 4200*ms }, "T2"},
		"T3, stop":       {func(t *Timing) { t.G1 = t.N }, "T3"},
		"T3, guards":     {func(t *Timing) { t.G1 = t.G2 }, "T3"},
		"T3, kill":       {func(t *Timing) { t.K = 501 * ms }, "T3"},
		"zero":           {func(t *Timing) { t.R = 0 }, "positive"},
		"half a second":  {func(t *Timing) { t.D = 6500 * ms }, "whole seconds"},
		"too short":      {func(t *Timing) { t.D = time.Second }, "whole seconds"},
		"too long":       {func(t *Timing) { t.D = 2 * time.Hour }, "whole seconds"},
		"never mind any": {func(t *Timing) { *t = Timing{} }, "whole seconds"},
	} {
		x, _ := TimingFor(DefaultD)
		c.change(&x)
		if err := x.Validate(1500 * ms); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
