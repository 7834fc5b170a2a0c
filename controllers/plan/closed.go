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
	var errs field.ErrorList
	walk(s, at, func(s *apiextensionsv1.JSONSchemaProps, at *field.Path) {
		if s.Format == passwordFormat {
			errs = append(errs, field.Invalid(at.Child("format"), s.Format,
				"everybody who may read the object may read its properties: let the property name a file or "+
					"an environment variable, and let the group's template bring the Secret there"))
		}
	})
	return errs
}

// checkPlain refuses, in a schema of a control code, what the monitors, who hold calls
// to it, do not do: they run no rules and fill in no defaults.
func checkPlain(s *apiextensionsv1.JSONSchemaProps, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	walk(s, at, func(s *apiextensionsv1.JSONSchemaProps, at *field.Path) {
		if len(s.XValidations) > 0 {
			errs = append(errs, field.Forbidden(at.Child("x-kubernetes-validations"),
				"rules are not run on control calls: let the provider check it, and answer 87"))
		}
		if s.Default != nil {
			errs = append(errs, field.Forbidden(at.Child("default"),
				"defaults are not filled in in control calls: let the provider do it"))
		}
	})
	return errs
}

// closed is the schema of an input as the monitors use it: by OpenAPI, an object takes
// any name; here, as in properties, those that it lists, unless it says otherwise.
func closed(s *apiextensionsv1.JSONSchemaProps) {
	if s.Type == "object" && s.AdditionalProperties == nil && s.XPreserveUnknownFields == nil && !s.XEmbeddedResource {
		s.AdditionalProperties = &apiextensionsv1.JSONSchemaPropsOrBool{}
	}
	for name, one := range s.Properties {
		closed(&one)
		s.Properties[name] = one
	}
	if s.Items != nil && s.Items.Schema != nil {
		closed(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		closed(s.AdditionalProperties.Schema)
	}
}

// walk visits a schema and all schemas in it.
func walk(s *apiextensionsv1.JSONSchemaProps, at *field.Path, f func(*apiextensionsv1.JSONSchemaProps, *field.Path)) {
	if s == nil {
		return
	}
	f(s, at)
	visit := func(s *apiextensionsv1.JSONSchemaProps, at *field.Path) { walk(s, at, f) }
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
}

// didYouMean is the end of a sentence about a name that does not exist.
func didYouMean(name string, known []string, otherwise string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}
