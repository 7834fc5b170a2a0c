// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Config says where the provider is, and how to make resources of its types.
//
// In the strings of properties and shell commands, $(DIR) is a scratch folder of the
// run, $(N) a number that no other resource of the run has, and $(HANDLE) the handle
// of the resource.
type Config struct {
	// Command starts the provider. It finds its sockets in UNDERSTUDY_PROVIDER_SOCKET
	// and UNDERSTUDY_MONITOR_SOCKET, and is killed and started again by some cases.
	Command []string `yaml:"command"`
	// Environment is added to that of this process, as NAME=VALUE.
	Environment []string `yaml:"environment"`
	// Serve serves the provider in this process, until ctx ends. In place of Command.
	Serve func(ctx context.Context, providerSocket, monitorSocket string) error `yaml:"-"`
	// Dir is the folder of provider.sock and monitor.sock, with a short path. Without
	// Command and Serve, the provider has to be serving in it.
	Dir string `yaml:"-"`
	// Types says how to make resources. A type that the provider names and that is not
	// listed gets no properties.
	Types []Type `yaml:"types"`
	// Limits bounds what the suite waits for.
	Limits Limits `yaml:"limits"`
	// Run picks cases by name; nil is all.
	Run *regexp.Regexp `yaml:"-"`
	// Output is where the provider's output goes; nil is nowhere.
	Output io.Writer `yaml:"-"`
}

// Type says how to make resources of a type.
type Type struct {
	// Name of the type.
	Name string `yaml:"name"`
	// Properties with which Online succeeds.
	Properties map[string]any `yaml:"properties"`
	// OtherProperties are a second set with which Online succeeds.
	OtherProperties map[string]any `yaml:"otherProperties"`
	// PendingProperties make Online answer 997, and end online a little later.
	PendingProperties map[string]any `yaml:"pendingProperties"`
	// FailingProperties make Online fail, at once or after 997.
	FailingProperties map[string]any `yaml:"failingProperties"`
	// RefusedProperties are refused by Open or by Online.
	RefusedProperties map[string]any `yaml:"refusedProperties"`
	// Running is a shell command that succeeds exactly while the resource runs: the
	// suite's own eyes.
	Running string `yaml:"running"`
	// Fail is a shell command that makes the running resource fail.
	Fail string `yaml:"fail"`
	// Exclusive: at most one resource of the type can be online.
	Exclusive bool `yaml:"exclusive"`
	// Controls are control codes that the type serves.
	Controls []Control `yaml:"controls"`
	// TypeControls are control codes that the type serves without a resource.
	TypeControls []Control `yaml:"typeControls"`

	// unusable says why no resource of the type could be made.
	unusable string
}

// Control is a control code and what it does.
type Control struct {
	// Code is the number.
	Code uint32 `yaml:"code"`
	// Input for which the answer is 0.
	Input string `yaml:"input"`
	// Output is the answer to it; nil is not compared.
	Output *string `yaml:"output"`
}

// Limits bounds what the suite waits for, in milliseconds.
type Limits struct {
	// CallMilliseconds is how long a call may take; 10000 if 0.
	CallMilliseconds int `yaml:"callMilliseconds"`
	// PendingMilliseconds is how long a report may take to come; 30000 if 0.
	PendingMilliseconds int `yaml:"pendingMilliseconds"`
	// QuietMilliseconds is how long the suite listens, once, for what must not come;
	// 300 if 0.
	QuietMilliseconds int `yaml:"quietMilliseconds"`
}

func (l Limits) call() time.Duration    { return milliseconds(l.CallMilliseconds, 10_000) }
func (l Limits) pending() time.Duration { return milliseconds(l.PendingMilliseconds, 30_000) }
func (l Limits) quiet() time.Duration   { return milliseconds(l.QuietMilliseconds, 300) }

func milliseconds(n, otherwise int) time.Duration {
	if n == 0 {
		n = otherwise
	}
	return time.Duration(n) * time.Millisecond
}

// Load reads a configuration, YAML or JSON.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var c Config
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c Config) check() error {
	seen := map[string]bool{}
	for i, t := range c.Types {
		name := strings.ToLower(t.Name)
		switch {
		case name == "":
			return fmt.Errorf("types[%d].name: is required", i)
		case seen[name]:
			return fmt.Errorf("types[%d].name: %q is there twice", i, t.Name)
		}
		seen[name] = true
		for field, p := range map[string]map[string]any{
			"properties": t.Properties, "otherProperties": t.OtherProperties, "pendingProperties": t.PendingProperties,
			"failingProperties": t.FailingProperties, "refusedProperties": t.RefusedProperties,
		} {
			if _, err := structpb.NewStruct(p); err != nil {
				return fmt.Errorf("types[%d].%s: %w", i, field, err)
			}
		}
	}
	for field, n := range map[string]int{
		"callMilliseconds": c.Limits.CallMilliseconds, "pendingMilliseconds": c.Limits.PendingMilliseconds,
		"quietMilliseconds": c.Limits.QuietMilliseconds,
	} {
		if n < 0 || n > 600_000 {
			return fmt.Errorf("limits.%s: must be 0 (the default) to 600000", field)
		}
	}
	return nil
}

// names fills $(DIR), $(N) and $(HANDLE) in.
type names struct {
	dir, handle string
	n           int
}

func (v names) text(s string) string {
	return strings.NewReplacer("$(DIR)", v.dir, "$(N)", strconv.Itoa(v.n), "$(HANDLE)", v.handle).Replace(s)
}

func (v names) value(in any) any {
	switch in := in.(type) {
	case string:
		return v.text(in)
	case []any:
		out := make([]any, len(in))
		for i := range in {
			out[i] = v.value(in[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(in))
		for k := range in {
			out[k] = v.value(in[k])
		}
		return out
	}
	return in
}

// properties are those of one resource. Config.check has seen to what cannot be.
func (v names) properties(in map[string]any) *structpb.Struct {
	out, _ := v.value(in).(map[string]any)
	s, err := structpb.NewStruct(out)
	if err != nil {
		return &structpb.Struct{}
	}
	return s
}
