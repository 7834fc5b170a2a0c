// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Kinds of the objects that a Problem can lie in.
const (
	KindGroup    = "ResourceGroup"
	KindResource = "ClusterResource"
	KindType     = "ResourceType"
)

// Problem is one reason why an input makes no plan: where it lies, and what to do.
type Problem struct {
	// Kind and Name of the object whose condition shows the problem.
	Kind, Name string
	// Field is the path of the field to change; empty if it is another object.
	Field string
	// Reason is one of the reasons of the condition Accepted.
	Reason string
	// Message says what is wrong and what to do next.
	Message string
}

// String is the text that a condition shows.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// Problems in the order in which they were found.
type Problems []Problem

// Of are those that lie in one object.
func (ps Problems) Of(kind, name string) Problems {
	var own Problems
	for _, p := range ps {
		if p.Kind == kind && p.Name == name {
			own = append(own, p)
		}
	}
	return own
}

// MessageLimit bounds the text of a condition in bytes.
const MessageLimit = 1024

// Message joins the problems to one text for a condition.
func (ps Problems) Message() string {
	texts := make([]string, 0, len(ps))
	for _, p := range ps {
		texts = append(texts, p.String())
	}
	return Clip(strings.Join(texts, "; "))
}

// Names of the objects in which the problems lie, as kind and name, each once.
func (ps Problems) Names() []string {
	var names []string
	for _, p := range ps {
		if name := p.Kind + " " + p.Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Clip shortens a text to what a condition may hold.
func Clip(s string) string {
	if len(s) <= MessageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:MessageLimit-4], "") + " ..."
}

// reporter collects the problems of one object.
type reporter struct {
	kind, name string
	problems   *Problems
}

func (r reporter) add(at *field.Path, reason, message string) {
	p := Problem{Kind: r.kind, Name: r.name, Reason: reason, Message: message}
	if at != nil {
		p.Field = at.String()
	}
	*r.problems = append(*r.problems, p)
}

// all adds what the API server's own code found.
func (r reporter) all(errs field.ErrorList) {
	for _, e := range errs {
		*r.problems = append(*r.problems, Problem{
			Kind: r.kind, Name: r.name, Field: e.Field, Reason: understudyv1alpha1.ReasonInvalid, Message: e.ErrorBody(),
		})
	}
}
