// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"slices"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// Case is one rule of the contract and how to find out whether it is kept.
type Case struct {
	// Name is "Topic/WhatIsSo".
	Name string
	// Rule is the rule in one sentence, with its source.
	Rule string
	// Needs are what a provider or the configuration must have, else it is skipped.
	Needs []Need

	// provider: it is about the provider as a whole, not about a type.
	provider bool
	// run acts and judges. judge judges all that was recorded, after all cases ran.
	run, judge func(*trial)
}

// Need is what a case needs.
type Need struct {
	// Name for people: "CAPABILITY_QUORUM", "fail".
	Name string
	have func(*suite, *Type) bool
	// absent says that it is not there.
	absent string
}

func (n Need) missing(s *suite, t *Type) string {
	if n.have(s, t) {
		return ""
	}
	return n.absent
}

func capability(c pb.Capability) Need {
	return Need{
		Name:   c.String(),
		have:   func(s *suite, _ *Type) bool { return s.capabilities[c] },
		absent: fmt.Sprintf("the provider does not say %s", c),
	}
}

func configured(field string, have func(*Type) bool) Need {
	return Need{
		Name:   field,
		have:   func(_ *suite, t *Type) bool { return have(t) },
		absent: fmt.Sprintf("the configuration has no %s for the type", field),
	}
}

var (
	controls     = capability(pb.Capability_CAPABILITY_RESOURCE_CONTROL)
	typeControls = capability(pb.Capability_CAPABILITY_RESOURCE_TYPE_CONTROL)
	quorum       = capability(pb.Capability_CAPABILITY_QUORUM)
	cancels      = capability(pb.Capability_CAPABILITY_CANCEL)
	asUser       = capability(pb.Capability_CAPABILITY_AS_USER)

	other    = configured("otherProperties", func(t *Type) bool { return t.OtherProperties != nil })
	pending  = configured("pendingProperties", func(t *Type) bool { return t.PendingProperties != nil })
	failing  = configured("failingProperties", func(t *Type) bool { return t.FailingProperties != nil })
	refusing = configured("refusedProperties", func(t *Type) bool { return t.RefusedProperties != nil })
	breaking = configured("fail", func(t *Type) bool { return t.Fail != "" })
	code     = configured("controls", func(t *Type) bool { return len(t.Controls) > 0 })
	typeCode = configured("typeControls", func(t *Type) bool { return len(t.TypeControls) > 0 })

	several = Need{
		Name:   "several at once",
		have:   func(_ *suite, t *Type) bool { return !t.Exclusive },
		absent: "the configuration says that the type is exclusive",
	}
	started = Need{
		Name:   "a provider that the suite starts",
		have:   func(s *suite, _ *Type) bool { return s.process != nil && s.process.cmd != nil },
		absent: "the provider was not started by the suite: give it the command",
	}
)

// Cases are all cases, in the order in which they run.
func Cases() []Case { return cases() }

func cases() []Case {
	return slices.Concat(
		infoCases, startupCases, openCases, onlineCases, offlineCases, terminateCases, healthCases, closeCases,
		pendingCases, recoveryCases, controlCases, typeControlCases, userCases, cancelCases, quorumCases,
		failureCases, absenceCases, exitStateCases, severalCases, inputCases, limitCases, callerCases, processCases,
		callbackCases,
	)
}
