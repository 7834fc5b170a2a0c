// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package applicationv1 is what a user may say of a resource of the built-in type
// application. The provider reads it, and the manager checks it.
package applicationv1

import (
	_ "embed" // the schema
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema is the structural OpenAPI v3 schema of the properties, as JSON: what
// ResourceType.spec.propertiesSchema of the built-in type holds.
func Schema() []byte { return slices.Clone(schema) }
