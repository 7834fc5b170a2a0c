// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"errors"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	sigsjson "sigs.k8s.io/json"
)

// Schema is the compiled schema of a type's private properties. It runs the API
// server's own code, so that properties behave as fields of a kind do.
type Schema struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *schemacel.Validator
}

// CompileSchema reads the schema of spec.propertiesSchema; nil is the schema of
// a type without properties. The errors carry paths below `at`.
func CompileSchema(raw *runtime.RawExtension, at *field.Path) (*Schema, field.ErrorList) {
	v1 := apiextensionsv1.JSONSchemaProps{Type: "object"}
	if raw != nil && len(raw.Raw) > 0 {
		v1 = apiextensionsv1.JSONSchemaProps{}
		if strict, err := strictUnmarshal(raw.Raw, &v1); err != nil {
			return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no schema: "+err.Error())}
		} else if strict != nil {
			return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no schema: "+strict.Error())}
		}
	}
	if v1.Type != "object" {
		return nil, field.ErrorList{field.Invalid(at.Child("type"), v1.Type, "must be object: properties have names")}
	}
	if errs := checkAsCRD(v1, at); len(errs) > 0 {
		return nil, errs
	}
	var internal apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&v1, &internal, nil)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, err.Error())}
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, err.Error())}
	}
	checker, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, err.Error())}
	}
	return &Schema{
		structural: structural,
		schema:     checker,
		rules:      schemacel.NewValidator(structural, false, celconfig.PerCallLimit),
	}, nil
}

// checkAsCRD lets the API server's own validation judge the schema, CEL costs
// included: as the property spec.properties of a kind that exists only here.
func checkAsCRD(properties apiextensionsv1.JSONSchemaProps, at *field.Path) field.ErrorList {
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "things.synthetic.understudy.dev"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "synthetic.understudy.dev",
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: "things", Singular: "thing", Kind: "Thing", ListKind: "ThingList",
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type:       "object",
					Properties: map[string]apiextensionsv1.JSONSchemaProps{"properties": properties},
				}},
			}},
		},
		Status: apiextensionsv1.CustomResourceDefinitionStatus{StoredVersions: []string{"v1"}},
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(
		crd, &internal, nil); err != nil {
		return field.ErrorList{field.Invalid(at, field.OmitValueType{}, err.Error())}
	}
	const prefix = "spec.validation.openAPIV3Schema.properties[properties]"
	var errs field.ErrorList
	for _, e := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), &internal) {
		e.Field = rebase(e.Field, prefix, at.String())
		errs = append(errs, e)
	}
	return errs
}

// rebase puts the path of an error under another root.
func rebase(path, from, to string) string {
	if len(path) >= len(from) && path[:len(from)] == from {
		return to + path[len(from):]
	}
	return to
}

// Apply validates properties, fills in the schema's defaults and returns the
// canonical JSON: sorted keys, no white space. A name that the schema does not
// know is an error. Nil is no properties.
func (s *Schema) Apply(raw *runtime.RawExtension, at *field.Path) ([]byte, field.ErrorList) {
	var value map[string]any
	if raw != nil && len(raw.Raw) > 0 {
		if err := json.Unmarshal(raw.Raw, &value); err != nil {
			return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no JSON object: "+err.Error())}
		}
	}
	if value == nil { // also of the JSON text null
		value = map[string]any{}
	}
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(value), s.structural, false,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	sort.Strings(unknown)
	var errs field.ErrorList
	for _, path := range unknown {
		errs = append(errs, field.Invalid(at.Child(path), field.OmitValueType{},
			"is no property of this type: remove it or correct its name"))
	}
	if len(errs) > 0 {
		return nil, errs
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(value, s.structural)
	defaulting.Default(value, s.structural)
	errs = append(errs, validation.ValidateCustomResource(at, value, s.schema)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(at, s.structural, value)...)
	if len(errs) == 0 && s.rules != nil {
		found, _ := s.rules.Validate(context.Background(), at, s.structural, value, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, found...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	out, err := json.Marshal(value)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "cannot be written as JSON: "+err.Error())}
	}
	return out, nil
}

// strictUnmarshal tells misspelt keywords (strict) from what is no schema at all.
func strictUnmarshal(data []byte, into any) (strict, err error) {
	found, err := sigsjson.UnmarshalStrict(data, into)
	return errors.Join(found...), err
}
