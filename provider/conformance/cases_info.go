// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// strange is a field that no version of the protocol has: number 9999, "from the future".
var strange = []byte("\xfa\xf0\x04\x0ffrom the future")

// withUnknown is m with a field that the provider cannot know.
func withUnknown[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(strange)
	return m
}

func (t *trial) getInfo(req *pb.GetInfoRequest) *pb.GetInfoResponse {
	r, err := t.provider.GetInfo(t.ctx, req)
	t.answered("GetInfo", err)
	return r
}

var infoCases = []Case{
	{Name: "Socket/IsASocketOfMode0666", provider: true,
		Rule: "The provider's socket has mode 0666, so that the monitor, another user, can connect (proto).",
		run: func(t *trial) {
			info, err := os.Stat(t.socket())
			if err != nil {
				t.fail("expected the socket: %v", err)
			}
			if info.Mode()&fs.ModeSocket == 0 || info.Mode().Perm() != 0o666 {
				t.fail("expected a socket of mode 0666, got %v", info.Mode())
			}
		}},
	{Name: "Info/NameIsADNSName", provider: true,
		Rule: "GetInfo's name has 1 to 63 characters, in DNS form (proto).",
		run: func(t *trial) {
			if name := t.getInfo(&pb.GetInfoRequest{}).GetName(); len(name) > 63 || !dnsName.MatchString(name) {
				t.fail("expected a DNS name of 1 to 63 characters, got %q", cut(name, 100))
			}
		}},
	{Name: "Info/VendorVersionIsShort", provider: true,
		Rule: "GetInfo's vendor version has at most 64 characters (proto).",
		run: func(t *trial) {
			if v := []rune(t.getInfo(&pb.GetInfoRequest{}).GetVendorVersion()); len(v) > 64 {
				t.fail("expected at most 64 characters, got %d", len(v))
			}
		}},
	{Name: "Info/SpeaksVersion1", provider: true,
		Rule: "GetInfo names the protocol versions that the provider speaks, 1 today (proto).",
		run: func(t *trial) {
			v := t.getInfo(&pb.GetInfoRequest{ProtocolVersions: []uint32{1}}).GetProtocolVersions()
			if !slices.Contains(v, 1) {
				t.fail("expected version 1 among the protocol versions, got %v", v)
			}
		}},
	{Name: "Info/AnswersAMonitorThatNamesNoVersion", provider: true,
		Rule: "A monitor that names no version speaks version 1 (proto).",
		run: func(t *trial) {
			if v := t.getInfo(&pb.GetInfoRequest{}).GetProtocolVersions(); !slices.Contains(v, 1) {
				t.fail("expected version 1 among the protocol versions, got %v", v)
			}
		}},
	{Name: "Info/AnswersANewerMonitor", provider: true,
		Rule: "Monitor and provider speak the largest version that both name, whatever else the monitor names (proto).",
		run: func(t *trial) {
			v := t.getInfo(&pb.GetInfoRequest{ProtocolVersions: []uint32{1, 2, 3, 4_000_000_000}}).GetProtocolVersions()
			if !slices.Contains(v, 1) {
				t.fail("expected version 1 among the protocol versions, got %v", v)
			}
		}},
	{Name: "Info/NamesItsTypes", provider: true,
		Rule: "GetInfo names the resource types that the provider serves, at most 32, none of them empty (proto).",
		run: func(t *trial) {
			types := t.getInfo(&pb.GetInfoRequest{}).GetResourceTypes()
			if len(types) < 1 || len(types) > 32 || slices.Contains(types, "") {
				t.fail("expected 1 to 32 names, got %q", types)
			}
		}},
	{Name: "Info/TypesDifferNotOnlyByCase", provider: true,
		Rule: "Type names are compared without case, so no two are the same without it (proto; RA 2.1).",
		run: func(t *trial) {
			seen := map[string]bool{}
			for _, name := range t.getInfo(&pb.GetInfoRequest{}).GetResourceTypes() {
				if seen[strings.ToLower(name)] {
					t.fail("expected distinct names, got %q twice", name)
				}
				seen[strings.ToLower(name)] = true
			}
		}},
	{Name: "Info/NamesTheConfiguredType",
		Rule: "A type that the provider serves is among those that GetInfo names (proto).",
		run: func(t *trial) {
			types := t.getInfo(&pb.GetInfoRequest{}).GetResourceTypes()
			if !slices.ContainsFunc(types, func(n string) bool { return strings.EqualFold(n, t.typ.Name) }) {
				t.fail("expected %q among the types, got %q", t.typ.Name, types)
			}
		}},
	{Name: "Info/IsTheSameEachTime", provider: true,
		Rule: "Every call may be repeated with the same arguments (proto).",
		run: func(t *trial) {
			if a, b := t.getInfo(&pb.GetInfoRequest{}), t.getInfo(&pb.GetInfoRequest{}); !proto.Equal(a, b) {
				t.fail("expected the same answer twice, got {%s} and {%s}", brief(a), brief(b))
			}
		}},
	{Name: "Info/IgnoresUnknownFields", provider: true,
		Rule: "Unknown fields are ignored (proto).",
		run:  func(t *trial) { t.getInfo(withUnknown(&pb.GetInfoRequest{})) }},
	{Name: "Capabilities/AreTheSameEachTime", provider: true,
		Rule: "What is served does not change in the provider's life, and the call may be repeated (proto).",
		run: func(t *trial) {
			a, err := t.provider.GetCapabilities(t.ctx, &pb.GetCapabilitiesRequest{})
			t.answered("GetCapabilities", err)
			b, err := t.provider.GetCapabilities(t.ctx, &pb.GetCapabilitiesRequest{})
			t.answered("GetCapabilities", err)
			if !proto.Equal(a, b) {
				t.fail("expected the same answer twice, got {%s} and {%s}", brief(a), brief(b))
			}
		}},
	{Name: "Capabilities/IgnoreUnknownFields", provider: true,
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			_, err := t.provider.GetCapabilities(t.ctx, withUnknown(&pb.GetCapabilitiesRequest{}))
			t.answered("GetCapabilities", err)
		}},
	{Name: "Probe/StaysReady", provider: true,
		Rule: "Probe answers ready=true once the provider has started, and may be repeated (proto).",
		run: func(t *trial) {
			for range 10 {
				t.survives()
			}
		}},
	{Name: "Probe/IsReadyWhileAResourceIsOnline",
		Rule: "Probe is about the provider, not about its resources (proto).",
		run: func(t *trial) {
			t.makeOnline(nil)
			t.survives()
		}},
	{Name: "Probe/IgnoresUnknownFields", provider: true,
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			_, err := t.provider.Probe(t.ctx, withUnknown(&pb.ProbeRequest{}))
			t.answered("Probe", err)
		}},
}

// startup calls Startup, which a provider need not serve.
func (t *trial) startup(typ string, least, most uint32) *pb.StartupResponse {
	r, err := t.provider.Startup(t.ctx, &pb.StartupRequest{
		ResourceType: typ, MinVersionSupported: least, MaxVersionSupported: most,
	})
	if unimplemented(err) {
		t.skip("the provider does not serve Startup")
	}
	t.answered("Startup", err)
	return r
}

func (t *trial) wantStartup(r *pb.StartupResponse, status uint32) {
	if r.GetStatus() != status {
		t.fail("Startup: expected status %d, got %d", status, r.GetStatus())
	}
}

var startupCases = []Case{
	{Name: "Startup/AnswersAVersionInTheRange",
		Rule: "Startup answers 0 and a version from MinVersionSupported to MaxVersionSupported (RA 2.1).",
		run: func(t *trial) {
			r := t.startup(t.typ.Name, 0x100, 0x400)
			t.wantStartup(r, success)
			if v := r.GetVersion(); v < 0x100 || v > 0x400 {
				t.fail("Startup: expected a version from 0x100 to 0x400, got %#x", v)
			}
		}},
	{Name: "Startup/AnswersTheSameVersionIfItIsTheNewest",
		Rule: "Startup answers the newest version within the range: the one that it chose still fits if it is the largest (RA 2.1).",
		run: func(t *trial) {
			v := t.startup(t.typ.Name, 0x100, 0x400).GetVersion()
			r := t.startup(t.typ.Name, 0x100, v)
			t.wantStartup(r, success)
			if r.GetVersion() != v {
				t.fail("Startup: expected version %#x, got %#x", v, r.GetVersion())
			}
		}},
	{Name: "Startup/MayBeRepeated",
		Rule: "Every call may be repeated with the same arguments (proto).",
		run: func(t *trial) {
			a, b := t.startup(t.typ.Name, 0x100, 0x400), t.startup(t.typ.Name, 0x100, 0x400)
			if !proto.Equal(a, b) {
				t.fail("Startup: expected the same answer twice, got {%s} and {%s}", brief(a), brief(b))
			}
		}},
	{Name: "Startup/ComparesTypesWithoutCase",
		Rule: "The resource type is compared without case (proto; RA 2.1).",
		run: func(t *trial) {
			t.wantStartup(t.startup(strings.ToUpper(t.typ.Name), 0x100, 0x400), success)
			t.wantStartup(t.startup(strings.ToLower(t.typ.Name), 0x100, 0x400), success)
		}},
	{Name: "Startup/RefusesAnUnknownType", provider: true,
		Rule: "Startup answers 5080 for an unknown type (proto; RA 2.1).",
		run:  func(t *trial) { t.wantStartup(t.startup("no-such-type", 0x100, 0x400), unknownName) }},
	{Name: "Startup/RefusesAnEmptyType", provider: true,
		Rule: "Startup answers 5080 for an unknown type, and no type has no name (proto; RA 2.1).",
		run:  func(t *trial) { t.wantStartup(t.startup("", 0x100, 0x400), unknownName) }},
	{Name: "Startup/RefusesVersionsThatAreTooNew",
		Rule: "Startup answers 1306 if no version fits (RA 2.1).",
		run:  func(t *trial) { t.wantStartup(t.startup(t.typ.Name, 0x7000, 0x7fff), revision) }},
	{Name: "Startup/RefusesVersionsThatAreTooOld",
		Rule: "Startup answers 1306 if no version fits (RA 2.1).",
		run:  func(t *trial) { t.wantStartup(t.startup(t.typ.Name, 1, 2), revision) }},
	{Name: "Startup/HarmsNothingThatIsOnline",
		Rule: "Startup prepares a type once; repeated by a new monitor, it leaves what runs alone (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.startup(t.typ.Name, 0x100, 0x400)
			r.mustBeUp("after Startup")
		}},
}
