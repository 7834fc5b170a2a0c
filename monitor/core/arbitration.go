// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// arbitrated is the condition of a quorum resource: RA section 8.
func arbitrated(r engine.ResourceSnapshot) Condition {
	c := Condition{Type: v1alpha1.ConditionArbitrated}
	switch a := r.Arbitration; {
	case a == nil:
		c.Absent = true
	case a.Held:
		c.Status, c.Reason = true, v1alpha1.ReasonArbitrationWon
		c.Message = fmt.Sprintf("won in epoch %d, and being defended", a.Epoch)
	case a.Lost != "":
		c.Reason, c.Message = string(a.Lost), a.Message
	default:
		c.Reason = v1alpha1.ReasonNotHeld
	}
	return c
}

// notQuorumCapable is what to do about a provider that does not arbitrate.
func notQuorumCapable(r engine.ResourceSnapshot) string {
	return fmt.Sprintf("%s (%d): the type %s is quorum-capable, and the provider in container %s does not say %s: "+
		"take a release of it that does, or remove spec.quorum of the type",
		engine.CodeNotQuorumCapable, engine.CodeNotQuorumCapable, r.Spec.TypeName, r.Spec.Container, engine.CapabilityQuorum)
}
