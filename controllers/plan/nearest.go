// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// advice says what to do about an unknown name, given its path below the root.
func (s *Schema) advice(path string) string {
	at := s.structural
	// A name with a dot or a bracket in it is not found, and costs only the hint.
	words := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' })
	for _, word := range words[:max(len(words)-1, 0)] {
		if at = below(at, word); at == nil {
			break
		}
	}
	const otherwise = "remove it or correct its name"
	if at == nil || len(words) == 0 {
		return otherwise
	}
	return didYouMean(words[len(words)-1], sortedKeys(at.Properties), otherwise)
}

// below is the schema one step down: of an item for "3]", else of a name.
func below(s *schema.Structural, word string) *schema.Structural {
	if strings.HasSuffix(word, "]") {
		return s.Items
	}
	if p, ok := s.Properties[word]; ok {
		return &p
	}
	if s.AdditionalProperties != nil {
		return s.AdditionalProperties.Structural
	}
	return nil
}

// nearest is the known name that was probably meant, "" if none is near enough: one
// edit for each three letters begun, upper and lower case alike.
func nearest(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	far := func(k string) int { return edits(strings.ToLower(name), strings.ToLower(k)) }
	best := slices.MinFunc(known, func(a, b string) int { return cmp.Compare(far(a), far(b)) })
	if far(best) > (len(name)+2)/3 {
		return ""
	}
	return best
}

// edits is how many letters must be changed, added or taken away.
func edits(a, b string) int {
	if len(a) > 256 || len(b) > 256 {
		return len(a) + len(b) // nobody meant that
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
