// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, fault string }{
		{`{"type": "object", "additionalProperties": true}`, "additionalProperties"},
		{`{"type": "string", "pattern": "("}`, "missing closing"},
		{`{"type": "object", "properties": {"a": {"type": "array"}}}`, "an array without items"},
		{`{`, "unexpected EOF"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", c.text, err, c.fault)
		}
	}
}

func TestDecode(t *testing.T) {
	s := MustParse([]byte(`{"type": "object", "properties": {
		"n": {"type": "integer", "default": 100000000},
		"list": {"type": "array", "maxItems": 2, "items": {"type": "integer"}, "default": [1]},
		"flag": {"type": "boolean"},
		"text": {"type": "string", "minLength": 2, "maxLength": 3},
		"deep": {"type": "object", "properties": {"m": {"type": "integer", "default": 5}}}
	}}`))
	type result struct {
		N    int
		List []int
		Flag bool
		Deep *struct{ M int }
	}
	for range 2 { // a default is not changed by its use
		var r result
		if err := s.Decode(nil, &r); err != nil || r.N != 100000000 || len(r.List) != 1 || r.Deep != nil {
			t.Errorf("defaults: %+v, %v", r, err)
		}
		r.List[0] = 7
	}
	var r result
	in, err := structpb.NewStruct(map[string]any{"n": 3e9, "flag": true, "deep": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Decode(in, &r); err != nil || r.N != 3e9 || !r.Flag || r.Deep == nil || r.Deep.M != 5 {
		t.Errorf("given: %+v, %v", r, err)
	}
	in, err = structpb.NewStruct(map[string]any{
		"n": nil, "list": []any{1, 2, 3}, "flag": "yes", "text": "ä", "deep": []any{}, "other": 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "properties.deep: must be an object, not a list; " +
		"properties.flag: must be true or false, not a string; " +
		"properties.list: must have at most 2 items; " +
		"properties.n: must be an integer, not null; " +
		"properties.other: is not known; known are deep, flag, list, n, text; " +
		"properties.text: must have at least 2 characters"
	if err := s.Decode(in, &r); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
