// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/structpb"

	applicationv1 "github.com/understudy-dev/understudy/api/application/v1"
	"github.com/understudy-dev/understudy/provider/properties"
)

var schema = properties.MustParse(applicationv1.Schema())

// Properties are the private properties of a resource; their schema says what they mean.
type Properties struct {
	Command                  []string              `json:"command"`
	WorkingDirectory         string                `json:"workingDirectory"`
	Environment              []EnvironmentVariable `json:"environment"`
	StopSignal               string                `json:"stopSignal"`
	StopGraceMilliseconds    int64                 `json:"stopGraceMilliseconds"`
	StartTimeoutMilliseconds int64                 `json:"startTimeoutMilliseconds"`
	Ready                    *Check                `json:"ready"`
	LooksAlive               *Check                `json:"looksAlive"`
	IsAlive                  *Check                `json:"isAlive"`
}

// EnvironmentVariable is one entry of environment.
type EnvironmentVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is one way to ask whether the program works. Exactly one of the first five
// is set.
type Check struct {
	Process             *struct{}  `json:"process"`
	Exec                *ExecCheck `json:"exec"`
	TCP                 *NetCheck  `json:"tcp"`
	HTTP                *NetCheck  `json:"http"`
	GRPC                *NetCheck  `json:"grpc"`
	TimeoutMilliseconds int64      `json:"timeoutMilliseconds"`
}

// ExecCheck runs a command.
type ExecCheck struct {
	Command []string `json:"command"`
}

// NetCheck connects to a port.
type NetCheck struct {
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Path    string `json:"path"`    // HTTP
	Service string `json:"service"` // gRPC
}

// epochFileEnv tells the program where its epochFile is.
const epochFileEnv = "UNDERSTUDY_EPOCH_FILE"

// decode checks properties and fills in defaults.
func decode(s *structpb.Struct) (*Properties, error) {
	p := &Properties{}
	if err := schema.Decode(s, p); err != nil {
		return nil, err
	}
	if faults := p.broken(); len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return p, nil
}

// broken names the rules of the schema that the properties break.
func (p *Properties) broken() []string {
	var faults []string
	named := func(path string, command []string) {
		if command[0] == "" {
			faults = append(faults, path+": the first item must name a program")
		}
	}
	named("properties.command", p.Command)
	for _, f := range []struct {
		path  string
		check *Check
	}{{"properties.ready", p.Ready}, {"properties.looksAlive", p.LooksAlive}, {"properties.isAlive", p.IsAlive}} {
		if f.check == nil {
			continue
		}
		if given := f.check.given(); len(given) != 1 {
			fault := f.path + ": must have exactly one of process, exec, tcp, http, grpc"
			if len(given) > 1 {
				fault += ", not " + strings.Join(given, " and ")
			}
			faults = append(faults, fault)
		}
		if f.check.Exec != nil {
			named(f.path+".exec.command", f.check.Exec.Command)
		}
	}
	return faults
}

// given names the ways to check that are set.
func (c *Check) given() []string {
	var names []string
	for _, way := range []struct {
		name string
		set  bool
	}{
		{"process", c.Process != nil}, {"exec", c.Exec != nil},
		{"tcp", c.TCP != nil}, {"http", c.HTTP != nil}, {"grpc", c.GRPC != nil},
	} {
		if way.set {
			names = append(names, way.name)
		}
	}
	return names
}

func (p *Properties) stopSignal() syscall.Signal { return unix.SignalNum("SIG" + p.StopSignal) }

func (p *Properties) stopGrace() time.Duration {
	return time.Duration(p.StopGraceMilliseconds) * time.Millisecond
}

func (p *Properties) startTimeout() time.Duration {
	return time.Duration(p.StartTimeoutMilliseconds) * time.Millisecond
}

// byProcess says whether the check is answered by the end of the program alone.
func (c *Check) byProcess() bool { return c == nil || c.Process != nil }

func (c *Check) timeout() time.Duration {
	return time.Duration(c.TimeoutMilliseconds) * time.Millisecond
}

// environment is what the program finds: the container's, then the resource's,
// then who it is. A program that writes to a shared store hands UNDERSTUDY_EPOCH
// to it, which refuses an epoch smaller than one that it has seen. The path of the
// epoch's file is empty if there is none.
func (p *Properties) environment(name, uid string, epoch int64, epochPath string) []string {
	values := map[string]string{}
	var order []string
	set := func(name, value string) {
		if _, ok := values[name]; !ok {
			order = append(order, name)
		}
		values[name] = value
	}
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		// How a provider reaches its monitor, and init's word to it, are none of
		// the program's business.
		if strings.HasPrefix(name, "UNDERSTUDY_") && (strings.HasSuffix(name, "_SOCKET") || name == "UNDERSTUDY_NONCE") {
			continue
		}
		set(name, value)
	}
	for _, v := range p.Environment {
		set(v.Name, v.Value)
	}
	set("UNDERSTUDY_RESOURCE", name)
	set("UNDERSTUDY_RESOURCE_UID", uid)
	set("UNDERSTUDY_EPOCH", fmt.Sprint(epoch))
	set(epochFileEnv, epochPath)
	env := make([]string, len(order))
	for i, name := range order {
		env[i] = name + "=" + values[name]
	}
	return env
}
