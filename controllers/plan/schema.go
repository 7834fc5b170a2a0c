// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

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

// What the API server cannot measure, because it keeps both as they are: an object
// of unknown shape has no length in a CRD.
const (
	// MaxSchemaBytes bounds the JSON of a type's schema.
	MaxSchemaBytes = 64 << 10
	// MaxControlSchemaBytes bounds the JSON of a schema of a control code.
	MaxControlSchemaBytes = 16 << 10
	// MaxPropertiesBytes bounds the JSON of a resource's properties, with defaults:
	// what one call to a provider can carry, and a plan can hold several of.
	MaxPropertiesBytes = 32 << 10
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
	if raw == nil || len(raw.Raw) == 0 {
		raw = &runtime.RawExtension{Raw: []byte(`{"type":"object"}`)}
	}
	v1, errs := readSchema(raw, MaxSchemaBytes, at)
	if v1 != nil {
		errs = append(checkClosed(v1, at), errs...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	var internal apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, &internal, nil)
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

// checkControlSchema judges the schema of what a control code is given or returns;
// nil is none.
func checkControlSchema(raw *runtime.RawExtension, at *field.Path) field.ErrorList {
	if raw == nil {
		return nil
	}
	s, errs := readSchema(raw, MaxControlSchemaBytes, at)
	if s != nil {
		errs = append(checkPlain(s, at), errs...)
	}
	return errs
}

// inputSchema is that of an input as the monitors use it.
func inputSchema(raw *runtime.RawExtension) []byte {
	if raw == nil {
		return nil
	}
	s := apiextensionsv1.JSONSchemaProps{}
	if _, err := strictUnmarshal(raw.Raw, &s); err != nil {
		return nil // it was judged before
	}
	closed(&s)
	return mustMarshal(s)
}

// readSchema reads the schema of an object, nil if it is none, and judges it.
func readSchema(
	raw *runtime.RawExtension, most int, at *field.Path,
) (*apiextensionsv1.JSONSchemaProps, field.ErrorList) {
	if err := tooLong(raw, most, at, "describe less, or in fewer words"); err != nil {
		return nil, field.ErrorList{err}
	}
	v1 := &apiextensionsv1.JSONSchemaProps{}
	if strict, err := strictUnmarshal(raw.Raw, v1); err != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no schema: "+err.Error())}
	} else if strict != nil {
		return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no schema: "+strict.Error())}
	}
	if v1.Type != "object" {
		return nil, field.ErrorList{field.Invalid(at.Child("type"), v1.Type, "must be object: what it describes has names")}
	}
	return v1, append(checkNoPasswords(v1, at), checkAsCRD(*v1, at)...)
}

func tooLong(raw *runtime.RawExtension, most int, at *field.Path, advice string) *field.Error {
	if raw == nil || len(raw.Raw) <= most {
		return nil
	}
	return field.Invalid(at, field.OmitValueType{}, fmt.Sprintf("has %d bytes, at most %d are possible: %s",
		len(raw.Raw), most, advice))
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
	if err := tooLong(raw, MaxPropertiesBytes, at, namesFiles); err != nil {
		return nil, field.ErrorList{err}
	}
	var value map[string]any
	if raw != nil && len(raw.Raw) > 0 {
		if err := json.Unmarshal(raw.Raw, &value); err != nil {
			return nil, field.ErrorList{field.Invalid(at, field.OmitValueType{}, "is no JSON object: "+err.Error())}
		}
	}
	if value == nil { // also of the JSON text null
		value = map[string]any{}
	}
	errs := s.unknown(value, at)
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
	if err := tooLong(&runtime.RawExtension{Raw: out}, MaxPropertiesBytes, at, namesFiles); err != nil {
		return nil, field.ErrorList{err}
	}
	return out, nil
}

const namesFiles = "put what is long into a file, mount it by the template, and let a property name it"

// unknown lists the names that the schema does not know, at any depth.
func (s *Schema) unknown(value map[string]any, at *field.Path) field.ErrorList {
	// With a path before them: at the root of an object, pruning would drop apiVersion,
	// kind and metadata without a word, and properties are no object's root.
	paths := pruning.PruneWithOptions(runtime.DeepCopyJSON(value), s.structural, false,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true, ParentPath: []string{at.String()}})
	sort.Strings(paths)
	errs := make(field.ErrorList, 0, len(paths))
	for _, path := range paths {
		errs = append(errs, &field.Error{
			Type: field.ErrorTypeInvalid, Field: path, BadValue: field.OmitValueType{},
			Detail: "is no property of this type: " + s.advice(strings.TrimPrefix(path, at.String()+".")),
		})
	}
	return errs
}

// strictUnmarshal tells misspelt keywords (strict) from what is no schema at all.
func strictUnmarshal(data []byte, into any) (strict, err error) {
	found, err := sigsjson.UnmarshalStrict(data, into)
	return errors.Join(found...), err
}
