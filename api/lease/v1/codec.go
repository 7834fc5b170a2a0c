// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Keys of the annotations.
const (
	keyPrefix        = "understudy.dev/"
	KeyEpoch         = keyPrefix + "epoch"
	KeyInc           = keyPrefix + "inc"
	KeySeq           = keyPrefix + "seq"
	KeyProtocol      = keyPrefix + "protocol"
	KeyMembers       = keyPrefix + "members"
	KeyExtendMax     = keyPrefix + "extendMax" // whole seconds
	KeyReleasedEpoch = keyPrefix + "released-epoch"
	KeyReleasedTo    = keyPrefix + "released-to"
	KeyReleaseReason = keyPrefix + "release-reason"
	KeyFencedEpoch   = keyPrefix + "fenced-epoch"
	KeyFencedBy      = keyPrefix + "fenced-by"
	KeyFailovers     = keyPrefix + "failovers" // JSON
)

// ownKeys are the annotations that Encode owns: set or removed, never merged.
var ownKeys = []string{
	KeyEpoch, KeyInc, KeySeq, KeyProtocol, KeyMembers, KeyExtendMax, KeyReleasedEpoch,
	KeyReleasedTo, KeyReleaseReason, KeyFencedEpoch, KeyFencedBy, KeyFailovers,
}

const (
	maxEpoch     = int64(1) << 60
	maxMembers   = 256
	maxToken     = 253 // bytes of a UID, a name, an incarnation
	maxText      = 512 // bytes of a text for people
	maxWord      = 64  // bytes of a reason in a list
	maxFailovers = 32 << 10
)

var (
	// ErrMalformed: the record breaks the format. It is never taken and never
	// free; only its living owner, or a person, may write over it.
	ErrMalformed = errors.New("malformed ownership record")
	// ErrNewer: the record was written with a newer protocol. It is left alone.
	ErrNewer = errors.New("ownership record of a newer protocol")
)

// Decode reads the record strictly: what it does not understand is an error
// (ErrMalformed or ErrNewer), never a default that somebody could act on.
func Decode(l Lease) (Record, error) {
	d := decoder{annotations: l.Annotations}
	r := Record{UID: l.UID, ResourceVersion: l.ResourceVersion}
	r.Protocol = int(d.number(KeyProtocol, required, 1, 1<<30))
	if d.err == nil && r.Protocol > Protocol {
		return Record{}, fmt.Errorf("%w: protocol %d, known is %d", ErrNewer, r.Protocol, Protocol)
	}
	d.token("uid", l.UID, required)
	if _, err := parseVersion(l.ResourceVersion); err != nil {
		d.fail("resourceVersion %q is not a number", l.ResourceVersion)
	}
	if l.HolderIdentity != nil && *l.HolderIdentity != "" {
		r.HolderName, r.HolderUID = d.holder(*l.HolderIdentity)
	}
	if l.LeaseDurationSeconds == nil || *l.LeaseDurationSeconds < 1 || time.Duration(*l.LeaseDurationSeconds)*time.Second > MaxD {
		d.fail("leaseDurationSeconds is absent or out of range")
	} else {
		r.Duration = time.Duration(*l.LeaseDurationSeconds) * time.Second
	}
	held := r.Held()
	r.Epoch = d.number(KeyEpoch, required, 1, maxEpoch)
	r.Inc = d.token(KeyInc, l.Annotations[KeyInc], held)
	r.Seq = d.number(KeySeq, held, 1, 1<<62)
	r.Members = d.members()
	r.ExtendMax = time.Duration(d.number(KeyExtendMax, optional, 0, int64(MaxExtend/time.Second))) * time.Second
	r.ReleasedEpoch = d.number(KeyReleasedEpoch, optional, 1, maxEpoch)
	if r.ReleasedEpoch > r.Epoch || held && r.ReleasedEpoch == r.Epoch {
		d.fail("released epoch %d contradicts epoch %d and holder %q", r.ReleasedEpoch, r.Epoch, r.HolderUID)
	}
	r.ReleasedTo = d.token(KeyReleasedTo, l.Annotations[KeyReleasedTo], optional)
	r.ReleaseReason = text(l.Annotations[KeyReleaseReason])
	r.FencedEpoch = d.number(KeyFencedEpoch, optional, 1, maxEpoch)
	r.FencedBy = text(l.Annotations[KeyFencedBy])
	r.Failovers = d.failovers()
	if l.LeaseTransitions != nil {
		r.Transitions = max(*l.LeaseTransitions, 0)
	}
	if l.AcquireTime != nil {
		r.AcquireTime = l.AcquireTime.UTC()
	}
	if l.RenewTime != nil {
		r.RenewTime = l.RenewTime.UTC()
	}
	if d.err != nil {
		return Record{}, d.err
	}
	return r, nil
}

// HolderUID is the pod UID of the holder, read from a Lease that Decode may have
// refused; empty if there is none or it cannot be read.
func HolderUID(l Lease) string {
	if l.HolderIdentity == nil {
		return ""
	}
	d := decoder{}
	_, uid := d.holder(*l.HolderIdentity)
	if d.err != nil {
		return ""
	}
	return uid
}

// Encode writes the record over base: the object as it was last read, whose
// annotations of others are kept. UID and ResourceVersion are the record's, as
// preconditions. The result decodes to the same record.
func Encode(r Record, base Lease) Lease {
	holder := ""
	if r.Held() {
		holder = r.HolderName + "/" + r.HolderUID
	}
	seconds := int32(r.Duration / time.Second)
	l := Lease{
		UID: r.UID, ResourceVersion: r.ResourceVersion,
		HolderIdentity: &holder, LeaseDurationSeconds: &seconds, LeaseTransitions: &r.Transitions,
		Annotations: maps.Clone(base.Annotations),
	}
	if !r.AcquireTime.IsZero() {
		l.AcquireTime = &r.AcquireTime
	}
	if !r.RenewTime.IsZero() {
		l.RenewTime = &r.RenewTime
	}
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	for _, k := range ownKeys {
		delete(l.Annotations, k)
	}
	set := func(key, value string) {
		if value != "" && value != "0" {
			l.Annotations[key] = value
		}
	}
	set(KeyProtocol, strconv.Itoa(r.Protocol))
	set(KeyEpoch, strconv.FormatInt(r.Epoch, 10))
	set(KeyInc, r.Inc)
	set(KeySeq, strconv.FormatInt(r.Seq, 10))
	set(KeyMembers, strings.Join(r.Members, ","))
	set(KeyExtendMax, strconv.FormatInt(int64(r.ExtendMax/time.Second), 10))
	set(KeyReleasedEpoch, strconv.FormatInt(r.ReleasedEpoch, 10))
	set(KeyReleasedTo, r.ReleasedTo)
	set(KeyReleaseReason, text(r.ReleaseReason))
	set(KeyFencedEpoch, strconv.FormatInt(r.FencedEpoch, 10))
	set(KeyFencedBy, text(r.FencedBy))
	if len(r.Failovers) > 0 {
		// WithFailover keeps out the times that json.Marshal would refuse.
		if b, err := json.Marshal(r.Failovers); err == nil {
			set(KeyFailovers, string(b))
		}
	}
	return l
}

const (
	required = true
	optional = false
)

// decoder keeps the first error, so that Decode reads as a list of fields.
type decoder struct {
	annotations map[string]string
	err         error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// number reads a canonical decimal in [low, high]; absent is 0 if optional.
func (d *decoder) number(key string, need bool, low, high int64) int64 {
	s, ok := d.annotations[key]
	if !ok && !need {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s || n < low || n > high {
		d.fail("annotation %s is %q", key, clip(s))
		return 0
	}
	return n
}

// token checks a name or an identifier: short, printable ASCII, no separator.
func (d *decoder) token(what, s string, need bool) string {
	if s == "" && !need {
		return ""
	}
	bad := func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '/' }
	if s == "" || len(s) > maxToken || strings.ContainsFunc(s, bad) {
		d.fail("%s is %q", what, clip(s))
		return ""
	}
	return s
}

func (d *decoder) holder(identity string) (name, uid string) {
	name, uid, ok := strings.Cut(identity, "/")
	if !ok {
		d.fail("holderIdentity %q is not a pod's name and UID", clip(identity))
		return "", ""
	}
	return d.token("holder's name", name, required), d.token("holder's UID", uid, required)
}

func (d *decoder) members() Members {
	m := Members(strings.Split(d.annotations[KeyMembers], ","))
	if len(m) > maxMembers {
		d.fail("%d members, more than %d", len(m), maxMembers)
		return nil
	}
	for _, uid := range m {
		d.token("member", uid, required)
	}
	if m.Any() && len(m) > 1 {
		d.fail("members names hosts beside %q", AnyMember)
	}
	return m
}

func (d *decoder) failovers() []Failover {
	s, ok := d.annotations[KeyFailovers]
	if !ok {
		return nil
	}
	var list []Failover
	if len(s) > maxFailovers || json.Unmarshal([]byte(s), &list) != nil || len(list) == 0 || len(list) > MaxFailovers {
		d.fail("annotation %s is %q", KeyFailovers, clip(s))
		return nil
	}
	for i, f := range list {
		if f.Epoch < 1 || f.Epoch > maxEpoch {
			d.fail("failover of epoch %d", f.Epoch)
		}
		d.token("failover's host", f.PodUID, required)
		d.token("failover's cause", string(f.Cause), required)
		list[i].Reason, list[i].Time = cut(f.Reason, maxWord), f.Time.UTC()
	}
	return list
}

// text bounds what is only shown to people, on a rune boundary.
func text(s string) string { return cut(s, maxText) }

func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

func parseVersion(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = strconv.ErrSyntax
	}
	return n, err
}

// CompareVersions orders two resource versions of one kind of object, which
// Kubernetes declares to be comparable as numbers. One that is no number, such
// as an empty one, is older than any that is.
func CompareVersions(a, b string) int {
	x, errA := parseVersion(a)
	y, errB := parseVersion(b)
	switch {
	case errA != nil && errB != nil:
		return 0
	case errA != nil || errB == nil && x < y:
		return -1
	case errB != nil || x > y:
		return 1
	}
	return 0
}
