// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package properties decodes the private properties of a resource strictly,
// against the same schema that its ResourceType publishes: a structural OpenAPI v3
// schema, of which it knows what properties need.
//
// The API server never sees properties that a provider would read differently: one
// text says what is allowed, what is the default, and what an error looks like.
package properties

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

// Schema is a node of the schema.
type Schema struct {
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Default     any                `json:"default,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	MinLength   *int               `json:"minLength,omitempty"`
	MaxLength   *int               `json:"maxLength,omitempty"`
	MinItems    *int               `json:"minItems,omitempty"`
	MaxItems    *int               `json:"maxItems,omitempty"`
	// Rules are in CEL and for the API server. They are not enforced here: who reads
	// properties by such a schema checks the same in Go.
	Rules []Rule `json:"x-kubernetes-validations,omitempty"`
	// Format, ListType and ListMapKeys are for the API server.
	Format      string   `json:"format,omitempty"`
	ListType    string   `json:"x-kubernetes-list-type,omitempty"`
	ListMapKeys []string `json:"x-kubernetes-list-map-keys,omitempty"`

	pattern *regexp.Regexp
}

// Rule says in CEL what keywords cannot.
type Rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// Parse reads a schema. What this package does not understand is an error, so
// that nothing is published that is not enforced, but for rules.
func Parse(text []byte) (*Schema, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	s := &Schema{}
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if err := s.compile(); err != nil {
		return nil, err
	}
	return s, nil
}

// MustParse is Parse for a schema that is part of the program.
func MustParse(text []byte) *Schema {
	s, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

func (s *Schema) compile() error {
	if s.Pattern != "" {
		var err error
		if s.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
	}
	for _, p := range s.Properties {
		if err := p.compile(); err != nil {
			return err
		}
	}
	if s.Items != nil {
		return s.Items.compile()
	}
	if s.Type == "array" {
		return errors.New("schema: an array without items")
	}
	return nil
}

// Decode checks properties, fills in defaults and stores the result in the value
// that into points to. The error names every fault, with the field's path.
func (s *Schema) Decode(properties *structpb.Struct, into any) error {
	var value any = map[string]any{}
	if properties != nil {
		value = properties.AsMap()
	}
	c := &checker{}
	value = c.check("properties", s, value)
	if len(c.faults) > 0 {
		return errors.New(strings.Join(c.faults, "; "))
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// maxFaults bounds the length of an error.
const maxFaults = 8

type checker struct{ faults []string }

func (c *checker) fault(path, format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, path+": "+fmt.Sprintf(format, args...))
	}
}

// check is the value with defaults; integers become integers.
func (c *checker) check(path string, s *Schema, value any) any {
	switch s.Type {
	case "object":
		object, ok := value.(map[string]any)
		if !ok {
			c.fault(path, "must be an object, not %s", kindOf(value))
			return value
		}
		return c.object(path, s, object)
	case "array":
		list, ok := value.([]any)
		if !ok {
			c.fault(path, "must be a list, not %s", kindOf(value))
			return value
		}
		return c.array(path, s, list)
	case "string":
		text, ok := value.(string)
		if !ok {
			c.fault(path, "must be a string, not %s", kindOf(value))
			return value
		}
		c.text(path, s, text)
	case "integer":
		number, ok := value.(float64)
		if !ok || number != math.Trunc(number) || math.Abs(number) > 1<<53 {
			c.fault(path, "must be an integer, not %s", kindOf(value))
			return value
		}
		c.integer(path, s, number)
		return int64(number)
	case "boolean":
		if _, ok := value.(bool); !ok {
			c.fault(path, "must be true or false, not %s", kindOf(value))
		}
	}
	return value
}

func (c *checker) object(path string, s *Schema, object map[string]any) any {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		p, ok := s.Properties[name]
		if !ok {
			c.fault(path+"."+name, "is not known; known are %s", strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", "))
			continue
		}
		object[name] = c.check(path+"."+name, p, object[name])
	}
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			c.fault(path+"."+name, "is required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		if _, ok := object[name]; !ok && p.Default != nil {
			object[name] = c.check(path+"."+name, p, copyOf(p.Default))
		}
	}
	return object
}

func (c *checker) array(path string, s *Schema, list []any) any {
	if s.MinItems != nil && len(list) < *s.MinItems {
		c.fault(path, "must have at least %d items", *s.MinItems)
	}
	if s.MaxItems != nil && len(list) > *s.MaxItems {
		c.fault(path, "must have at most %d items", *s.MaxItems)
		return list
	}
	seen := map[string]bool{}
	for i := range list {
		item := fmt.Sprintf("%s[%d]", path, i)
		list[i] = c.check(item, s.Items, list[i])
		if object, ok := list[i].(map[string]any); ok && s.ListType == "map" {
			var keys []string
			for _, name := range s.ListMapKeys {
				keys = append(keys, fmt.Sprintf("%s %q", name, object[name]))
			}
			key := strings.Join(keys, ", ")
			if seen[key] {
				c.fault(item, "repeats %s", key)
			}
			seen[key] = true
		}
	}
	return list
}

func (c *checker) text(path string, s *Schema, text string) {
	length := utf8.RuneCountInString(text)
	switch {
	case s.MinLength != nil && length < *s.MinLength:
		c.fault(path, "must have at least %d characters", *s.MinLength)
	case s.MaxLength != nil && length > *s.MaxLength:
		c.fault(path, "must have at most %d characters", *s.MaxLength)
	case s.pattern != nil && !s.pattern.MatchString(text):
		c.fault(path, "%q must match %s", text, s.Pattern)
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)):
		c.fault(path, "%q must be one of %s", text, list(s.Enum))
	}
}

func (c *checker) integer(path string, s *Schema, number float64) {
	switch {
	case s.Minimum != nil && number < *s.Minimum:
		c.fault(path, "must be at least %.0f", *s.Minimum)
	case s.Maximum != nil && number > *s.Maximum:
		c.fault(path, "must be at most %.0f", *s.Maximum)
	}
}

func list(values []any) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v)
	}
	return b.String()
}

// copyOf keeps a default from being changed by what it is used in.
func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyOf(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = copyOf(e)
		}
		return l
	}
	return v
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return fmt.Sprintf("the number %v", v)
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}
