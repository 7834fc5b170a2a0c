// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

// held is a record with every field set.
func held() Record {
	at := time.Date(2026, 5, 4, 3, 2, 1, 1000, time.UTC)
	return Record{
		UID: "l-1", ResourceVersion: "42", HolderName: "db-1", HolderUID: "u-1", Duration: 6 * time.Second,
		Epoch: 1_800_000_000, Inc: "ab12", Seq: 7, Protocol: 1, Members: Members{AnyMember}, ExtendMax: time.Hour,
		ReleasedEpoch: 1_700_000_000, ReleasedTo: "u-1", ReleaseReason: "because", FencedEpoch: 3, FencedBy: "a person, by hand",
		Failovers:   []Failover{{Epoch: 9, PodUID: "u-2", Cause: CauseFailover, Reason: "ResourceFailed", Time: at}},
		Transitions: 4, AcquireTime: at, RenewTime: at.Add(time.Second),
	}
}

func TestEncodeDecode(t *testing.T) {
	free := held()
	free.HolderName, free.HolderUID, free.ReleasedEpoch = "", "", free.Epoch
	few := held()
	few.Members, few.Failovers, few.ExtendMax = Members{"u-1", "u-2"}, nil, 0
	for name, r := range map[string]Record{
		"held": held(), "free": free, "members": few,
		"unheld": func() Record { r := Unheld(0, 2*time.Second); r.UID, r.ResourceVersion = "l", "1"; return r }(),
	} {
		got, err := Decode(Encode(r, Lease{}))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, r)
		}
	}
}

// What is not ours stays; what is ours and not in the record goes.
func TestEncodeKeepsForeignAnnotations(t *testing.T) {
	base := Encode(held(), Lease{Annotations: map[string]string{"example.com/a": "b"}})
	r := held()
	r.FencedEpoch, r.FencedBy, r.ReleasedEpoch, r.ReleasedTo, r.ReleaseReason, r.Failovers = 0, "", 0, "", "", nil
	before := maps.Clone(base.Annotations)
	got := Encode(r, base).Annotations
	if got["example.com/a"] != "b" {
		t.Error("a foreign annotation was lost")
	}
	for _, k := range []string{KeyFencedEpoch, KeyFencedBy, KeyReleasedEpoch, KeyReleasedTo, KeyReleaseReason, KeyFailovers} {
		if v, ok := got[k]; ok {
			t.Errorf("%s is still %q", k, v)
		}
	}
	if !maps.Equal(base.Annotations, before) {
		t.Error("the base was changed")
	}
}

func TestDecodeIsStrict(t *testing.T) {
	set := func(key, value string) func(*Lease) {
		return func(l *Lease) { l.Annotations[key] = value }
	}
	unset := func(key string) func(*Lease) { return func(l *Lease) { delete(l.Annotations, key) } }
	holder := func(s string) func(*Lease) { return func(l *Lease) { l.HolderIdentity = &s } }
	seconds := func(n int32) func(*Lease) { return func(l *Lease) { l.LeaseDurationSeconds = &n } }
	for name, c := range map[string]struct {
		change func(*Lease)
		want   error
	}{
		"as it is":                 {func(*Lease) {}, nil},
		"no annotations":           {func(l *Lease) { l.Annotations = nil }, ErrMalformed},
		"no epoch":                 {unset(KeyEpoch), ErrMalformed},
		"epoch zero":               {set(KeyEpoch, "0"), ErrMalformed},
		"epoch negative":           {set(KeyEpoch, "-1"), ErrMalformed},
		"epoch with a plus":        {set(KeyEpoch, "+1800000000"), ErrMalformed},
		"epoch with a zero before": {set(KeyEpoch, "01800000000"), ErrMalformed},
		"epoch with a space":       {set(KeyEpoch, "5 "), ErrMalformed},
		"epoch at the end":         {set(KeyEpoch, "9223372036854775807"), ErrMalformed},
		"epoch too long":           {set(KeyEpoch, strings.Repeat("9", 100)), ErrMalformed},
		"no protocol":              {unset(KeyProtocol), ErrMalformed},
		"newer protocol":           {set(KeyProtocol, "2"), ErrNewer},
		"newer, all else unknown":  {func(l *Lease) { l.Annotations = map[string]string{KeyProtocol: "9"} }, ErrNewer},
		"protocol zero":            {set(KeyProtocol, "0"), ErrMalformed},
		"held without inc":         {unset(KeyInc), ErrMalformed},
		"held without seq":         {unset(KeySeq), ErrMalformed},
		"no members":               {unset(KeyMembers), ErrMalformed},
		"empty members":            {set(KeyMembers, ""), ErrMalformed},
		"member twice a comma":     {set(KeyMembers, "a,,b"), ErrMalformed},
		"any and others":           {set(KeyMembers, "*,a"), ErrMalformed},
		"too many members":         {set(KeyMembers, strings.Repeat("a,", 300)+"a"), ErrMalformed},
		"extendMax":                {set(KeyExtendMax, "forever"), ErrMalformed},
		"extendMax too large":      {set(KeyExtendMax, "99999999999"), ErrMalformed},
		"released while held":      {set(KeyReleasedEpoch, "1800000000"), ErrMalformed},
		"released in the future":   {set(KeyReleasedEpoch, "1800000001"), ErrMalformed},
		"released to nonsense":     {set(KeyReleasedTo, "a b"), ErrMalformed},
		"fenced":                   {set(KeyFencedEpoch, "x"), ErrMalformed},
		"failovers":                {set(KeyFailovers, "{}"), ErrMalformed},
		"failovers empty":          {set(KeyFailovers, "[]"), ErrMalformed},
		"failover without host":    {set(KeyFailovers, `[{"epoch":1,"cause":"Move"}]`), ErrMalformed},
		"failovers too many":       {set(KeyFailovers, "["+strings.Repeat(`{"epoch":1,"podUID":"a","cause":"b"},`, 40)+"{}]"), ErrMalformed},
		"holder without UID":       {holder("db-1"), ErrMalformed},
		"holder with empty UID":    {holder("db-1/"), ErrMalformed},
		"holder with two slashes":  {holder("db-1/u/v"), ErrMalformed},
		"no duration":              {func(l *Lease) { l.LeaseDurationSeconds = nil }, ErrMalformed},
		"duration zero":            {seconds(0), ErrMalformed},
		"duration too long":        {seconds(1 << 30), ErrMalformed},
		"no UID":                   {func(l *Lease) { l.UID = "" }, ErrMalformed},
		"no version":               {func(l *Lease) { l.ResourceVersion = "" }, ErrMalformed},
		"version is no number":     {func(l *Lease) { l.ResourceVersion = "abc" }, ErrMalformed},
	} {
		l := Encode(held(), Lease{})
		c.change(&l)
		r, err := Decode(l)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && !reflect.DeepEqual(r, Record{}) {
			t.Errorf("%s: a record beside the error: %+v", name, r)
		}
	}
}

// Free is the fast path to a takeover: only the release mark of this very epoch
// opens it.
func TestFree(t *testing.T) {
	for _, c := range []struct {
		holder          string
		epoch, released int64
		want            bool
	}{
		{"", 5, 5, true}, {"", 5, 0, false}, {"", 5, 4, false}, {"u", 5, 5, false},
	} {
		r := Record{HolderUID: c.holder, Epoch: c.epoch, ReleasedEpoch: c.released}
		if r.Free() != c.want {
			t.Errorf("%+v: free is %v", c, r.Free())
		}
	}
}

func TestHolderUID(t *testing.T) {
	for in, want := range map[string]string{"a/b": "b", "a": "", "": "", "a/b/c": ""} {
		if got := HolderUID(Lease{HolderIdentity: &in}); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if HolderUID(Lease{}) != "" {
		t.Error("no holder has a UID")
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"9", "10", -1}, {"10", "9", 1}, {"10", "10", 0}, {"", "1", -1}, {"1", "", 1}, {"", "", 0}, {"x", "1", -1},
		{"18446744073709551615", "18446744073709551614", 1},
	} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d", c.a, c.b, got)
		}
	}
}

// FuzzDecode: no annotation makes Decode panic; what it accepts survives a round
// trip; and a free record always has its release mark.
func FuzzDecode(f *testing.F) {
	l := Encode(held(), Lease{})
	f.Add(*l.HolderIdentity, int32(6), "42", l.Annotations[KeyEpoch], "i", "1", "1", "*", "", "", "", "why", "", "")
	f.Add("", int32(6), "42", "5", "", "", "1", "a,b", "3600", "5", "u", "{}", "5", `[{"epoch":1,"podUID":"u","cause":"Move","time":"2026-01-01T00:00:00Z"}]`)
	f.Fuzz(func(t *testing.T, holder string, seconds int32, version, epoch, inc, seq, protocol, members, extend, released, to, reason, fenced, failovers string) {
		l := Lease{UID: "l", ResourceVersion: version, HolderIdentity: &holder, LeaseDurationSeconds: &seconds, Annotations: map[string]string{}}
		for k, v := range map[string]string{
			KeyEpoch: epoch, KeyInc: inc, KeySeq: seq, KeyProtocol: protocol, KeyMembers: members, KeyExtendMax: extend, KeyReleasedEpoch: released,
			KeyReleasedTo: to, KeyReleaseReason: reason, KeyFencedEpoch: fenced, KeyFailovers: failovers,
		} {
			if v != "" {
				l.Annotations[k] = v
			}
		}
		r, err := Decode(l)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNewer) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if r.Free() && (holder != "" || released != epoch) {
			t.Fatalf("free: %+v", l)
		}
		if r.Epoch < 1 || r.Duration <= 0 || r.Protocol != 1 || len(r.Members) == 0 {
			t.Fatalf("accepted %+v", r)
		}
		again, err := Decode(Encode(r, Lease{}))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("round trip: %v\n%+v\n%+v", err, r, again)
		}
		DecodeReason(r.ReleaseReason)
	})
}
