// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
)

// maxMessage is how long the message of a ControlCall may be.
const maxMessage = 1024

// declaredCode is the code of a call as its type declares it, nil if that is silent.
func (c *Core) declaredCode(k *call) *planv1.Control {
	if c.plan == nil {
		return nil
	}
	typeName := k.seen.TypeName
	for _, r := range c.plan.Resources {
		if r.Name == k.seen.ResourceName && k.seen.ResourceName != "" {
			typeName = r.Type
		}
	}
	name, number := controlCode(k.seen.Code)
	for i := range c.plan.Types {
		t := &c.plan.Types[i]
		if typeName == "" || !strings.EqualFold(t.Name, typeName) {
			continue
		}
		j := slices.IndexFunc(t.Controls, func(d planv1.Control) bool {
			return d.Type == (k.seen.TypeName != "") && (name != "" && d.Name == name || name == "" && d.Code == number)
		})
		if j >= 0 {
			return &t.Controls[j]
		}
	}
	return nil
}

// misfit says where a JSON text is not what an OpenAPI v3 schema asks for; empty: nowhere.
func misfit(schema, text []byte, at string) (problem string) {
	// The manager accepts a schema before it is planned; one that it accepted wrongly
	// must not end the monitor.
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprint("the schema of ", at, " cannot be used: ", r)
		}
	}()
	s := &spec.Schema{}
	if err := json.Unmarshal(schema, s); err != nil {
		return "the schema of " + at + " cannot be read: " + err.Error()
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return at + " is no JSON: " + err.Error()
	}
	found := validate.NewSchemaValidator(s, nil, at, strfmt.Default).Validate(value)
	texts := make([]string, 0, len(found.Errors))
	for _, err := range found.Errors {
		texts = append(texts, err.Error())
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "; ")
}

// cut shortens a message to what a ControlCall takes.
func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	text = text[:maxMessage]
	for len(text) > 0 && !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]) {
		text = text[:len(text)-1]
	}
	return text
}
