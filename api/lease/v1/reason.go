// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package leasev1

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason says why a group was released. The next owner turns it into its
// failover timeline, so that the story survives the host that began it.
type Reason struct {
	// Reason is one CamelCase word.
	Reason string `json:"reason"`
	// Resource is the resource that failed, if one did.
	Resource string `json:"resource,omitempty"`
	// DetectedTime is when the cause was detected, OfflineTime when the last
	// resource was proven stopped; both by the wall clock of the old owner.
	DetectedTime time.Time `json:"detectedTime,omitzero"`
	OfflineTime  time.Time `json:"offlineTime,omitzero"`
}

// Encode returns the JSON form, at most 512 bytes.
func (r Reason) Encode() string {
	for {
		b, err := json.Marshal(r)
		switch {
		case err != nil: // a year beyond 9999
			r.DetectedTime, r.OfflineTime = time.Time{}, time.Time{}
		case len(b) <= maxText:
			return string(b)
		case len(r.Resource) > len(r.Reason):
			r.Resource = halve(r.Resource)
		default:
			r.Reason = halve(r.Reason)
		}
	}
}

// DecodeReason reads what Encode wrote, and any other text as the reason alone.
func DecodeReason(s string) Reason {
	var r Reason
	in := json.NewDecoder(strings.NewReader(s))
	in.DisallowUnknownFields()
	if err := in.Decode(&r); err != nil || in.More() || r.Reason == "" {
		return Reason{Reason: text(s)}
	}
	return r
}

func halve(s string) string {
	s = s[:len(s)/2]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
