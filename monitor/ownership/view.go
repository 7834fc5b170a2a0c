// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package ownership

import (
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	"github.com/understudy-dev/understudy/monitor/instant"
)

// identity names one version of the Lease, or its absence after one.
type identity struct {
	uid, version string
	absent       bool
}

// view is what this host believes the Lease to be, and since when.
type view struct {
	id     identity // zero: nothing is known
	record leasev1.Record
	holder string // UID of the holder, also of a record that cannot be read
	err    error  // why it cannot be read
	since  instant.Instant
	quorum bool // a quorum read or an answer to a write of ours said so
	// suspect is when the history was last seen to be broken: the Lease is older
	// than one seen before, or another one (Ownership section 6, REWIND SEEN).
	suspect *instant.Instant

	// The most that was ever seen.
	maxUID    string
	maxEpoch  int64
	maxExtend time.Duration
}

// source is how news of the Lease came.
type source int

const (
	watch source = iota // may be late
	read                // the answer to a quorum read
	reply               // the answer to a write of ours
)

// news is what became of a piece of information.
type news struct {
	believed bool // it is the view now, or was so already
	changed  bool // the view changed
	rewound  bool // and it broke the history
	doubt    bool // only a quorum read can tell
}

// take brings news of the Lease, which is nil if there is none. For a read or a
// reply, asked is the identity that was believed when the request left: news
// that contradict it prove something only if nothing else was learned since.
func (v *view) take(now instant.Instant, l *leasev1.Lease, from source, asked identity) news {
	if l == nil {
		switch {
		case from == watch || v.id != asked:
			return news{doubt: !v.id.absent}
		case v.id.absent:
			return news{believed: true}
		}
		v.id.absent, v.id.uid = true, ""
		v.record, v.err, v.holder = leasev1.Record{}, nil, ""
		v.since, v.quorum = now, true
		return news{believed: true, changed: true}
	}
	id := identity{uid: l.UID, version: l.ResourceVersion}
	rewound := false
	switch order := leasev1.CompareVersions(id.version, v.id.version); {
	case id == v.id:
		v.quorum = v.quorum || from != watch
		return news{believed: true}
	case v.id == identity{} || order > 0:
	case from == read && v.id == asked:
		rewound = true
	default:
		// Mostly it is a watch that lags. But one that cannot be read is not asked for again
		// near its expiry, so that the older one, put back, would never be believed.
		return news{doubt: l.UID != v.id.uid || v.err != nil}
	}
	v.id, v.since, v.quorum = id, now, from != watch
	v.record, v.err = leasev1.Decode(*l)
	v.holder = leasev1.HolderUID(*l)
	rewound = rewound || v.maxUID != "" && id.uid != v.maxUID || v.err == nil && v.record.Epoch < v.maxEpoch
	if rewound {
		v.suspect = &now
	}
	v.maxUID = id.uid
	v.maxEpoch = max(v.maxEpoch, v.record.Epoch)
	v.maxExtend = max(v.maxExtend, v.record.ExtendMax)
	return news{believed: true, changed: true, rewound: rewound}
}

func (v *view) known() bool { return v.id != identity{} }

// readable reports whether there is a record that can be acted on.
func (v *view) readable() bool { return v.known() && !v.id.absent && v.err == nil }
