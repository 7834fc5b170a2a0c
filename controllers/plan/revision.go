// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// hashLength is how many hex digits of a SHA-256 name a revision: 48 bits, among
// the few revisions of one group.
const hashLength = 12

// Encode returns the canonical JSON of a plan: fields in the order of the
// struct, properties with sorted keys, lists sorted by Build.
func Encode(p planv1.Plan) []byte { return mustMarshal(p) }

// ErrNewer says that a plan was made by a later release.
var ErrNewer = errors.New("is of a newer format")

// Decode reads what Encode wrote.
func Decode(data []byte) (planv1.Plan, error) {
	var p planv1.Plan
	// First, because all else may have another shape.
	var of struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &of); err != nil {
		return p, fmt.Errorf("reading a plan: %w", err)
	}
	if of.Version > planv1.Version {
		return p, fmt.Errorf("the plan, of version %d, %w than version %d", of.Version, ErrNewer, planv1.Version)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("reading a plan: %w", err)
	}
	return p, nil
}

// Name is the name of the revision of a plan: its content decides.
func Name(p planv1.Plan) string { return p.Group + "-" + hash(Encode(p)) }

// EncodeHost returns the canonical JSON of what host pods are built from.
func EncodeHost(h builders.Host) []byte { return mustMarshal(h) }

// DecodeHost reads what EncodeHost wrote.
func DecodeHost(data []byte) (builders.Host, error) {
	var h builders.Host
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("reading a host template: %w", err)
	}
	return h, nil
}

// HostName is the name of the revision of a host template.
func HostName(group string, h builders.Host) string {
	return group + "-host-" + hash(EncodeHost(h))
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:hashLength]
}

func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		// Plans and templates were JSON before they were structs.
		panic("plan: " + err.Error())
	}
	return data
}
