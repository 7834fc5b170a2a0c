// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkClosed refuses a schema that takes any name at its root: a misspelt name
// must be an error, and propertyUpdates can only speak of names that there are.
// Further down it is the author's choice, and said in so many words there.
func checkClosed(s *apiextensionsv1.JSONSchemaProps, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	refuse := func(keyword, instead string) {
		errs = append(errs, field.Invalid(at.Child(keyword), field.OmitValueType{},
			"must not be at the root, where every property has a name of its own: "+instead))
	}
	if s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields {
		refuse("x-kubernetes-preserve-unknown-fields", "name the properties, or one property that takes anything")
	}
	if s.XEmbeddedResource {
		refuse("x-kubernetes-embedded-resource", "make it one of the properties")
	}
	if s.AdditionalProperties != nil {
		refuse("additionalProperties", "make the map one of the properties")
	}
	return errs
}

// passwordFormat is how OpenAPI marks a secret.
const passwordFormat = "password"

// checkNoPasswords refuses a schema that asks for secrets, wherever it does.
func checkNoPasswords(s *apiextensionsv1.JSONSchemaProps, at *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	if s.Format == passwordFormat {
		errs = append(errs, field.Invalid(at.Child("format"), s.Format,
			"everybody who may read the object may read its properties: let the property name a file or "+
				"an environment variable, and let the group's template bring the Secret there"))
	}
	visit := func(s *apiextensionsv1.JSONSchemaProps, at *field.Path) {
		errs = append(errs, checkNoPasswords(s, at)...)
	}
	named := func(keyword string, schemas map[string]apiextensionsv1.JSONSchemaProps) {
		for _, name := range sortedKeys(schemas) {
			one := schemas[name]
			visit(&one, at.Child(keyword).Key(name))
		}
	}
	listed := func(keyword string, schemas []apiextensionsv1.JSONSchemaProps) {
		for i := range schemas {
			visit(&schemas[i], at.Child(keyword).Index(i))
		}
	}
	named("properties", s.Properties)
	named("patternProperties", s.PatternProperties)
	named("definitions", s.Definitions)
	listed("allOf", s.AllOf)
	listed("anyOf", s.AnyOf)
	listed("oneOf", s.OneOf)
	visit(s.Not, at.Child("not"))
	if s.Items != nil {
		visit(s.Items.Schema, at.Child("items"))
		listed("items", s.Items.JSONSchemas)
	}
	if s.AdditionalProperties != nil {
		visit(s.AdditionalProperties.Schema, at.Child("additionalProperties"))
	}
	if s.AdditionalItems != nil {
		visit(s.AdditionalItems.Schema, at.Child("additionalItems"))
	}
	for _, name := range sortedKeys(s.Dependencies) {
		visit(s.Dependencies[name].Schema, at.Child("dependencies").Key(name))
	}
	return errs
}

// didYouMean is the end of a sentence about a name that does not exist.
func didYouMean(name string, known []string, otherwise string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}
