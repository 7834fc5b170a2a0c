//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/testprovider/caller"
	"github.com/understudy-dev/understudy/test/scene"
)

// shows waits until kubectl shows something.
func shows(t *testing.T, want string, args ...string) {
	t.Helper()
	err := cluster.Wait(t.Context(), "kubectl "+strings.Join(args, " ")+" to show "+want, 30*time.Second,
		func(ctx context.Context) (bool, string, error) {
			out, err := cluster.Kubectl(ctx, args...)
			return strings.Contains(out, want), out, err
		})
	if err != nil {
		t.Error(err)
	}
}

// said is a callback that was answered with 0.
func said(t *testing.T, g scene.Group, method, request string) {
	t.Helper()
	a := callback(t, g, caller.Ask{Method: method, Request: json.RawMessage(request)})
	if a.Error != "" || strings.Contains(string(a.Response), `"status"`) && !strings.Contains(string(a.Response), `"status":0`) {
		t.Errorf("%s %s is answered %s %s", method, request, a.Error, a.Response)
	}
}

// TestCallbackSurface makes each callback in a provider in a pod and looks for it with
// kubectl.
//
// Shows: SetResourceInMemoryNodeLocalProperties, SetInternalState, SetResourceLockedMode,
// SetResourceLockedModeEx, RaiseResTypeNotification, ChangeResourceProcessForDumps,
// ChangeResTypeProcessForDumps, RequestDump, LogEvent, SignalFailure, SetResourceStatus,
// SetResourceStatusEx, EndControlCall, EndTypeControlCall, ExtendControlCall,
// ExtendResTypeControlCall, ResourceCallback, ResourceCallbackEx, BeginResourceControl,
// BeginResourceTypeControl, Open, Online, Offline, IsAlive, SetResourceWprPolicy,
// ArmWprWatchdogForCurrentResourceCall.
func TestCallbackSurface(t *testing.T) {
	g := playCaller(t, 2, func(s *understudyv1alpha1.ClusterResourceSpec) {
		s.EmbeddedFailureAction = understudyv1alpha1.EmbeddedLogOnly
	})
	resource := func(path string) []string {
		return []string{"-n", g.Namespace, "get", "cres", callerName, "-o", "jsonpath={" + path + "}"}
	}
	group := func(path string) []string {
		return []string{"-n", g.Namespace, "get", "rgroup", g.Name, "-o", "jsonpath={" + path + "}"}
	}
	condition := func(name string) []string {
		return resource(`.status.conditions[?(@.type=="` + name + `")].status`)
	}

	t.Run("NodeLocalProperties", func(t *testing.T) {
		said(t, g, "SetResourceInMemoryNodeLocalProperties",
			`{"propertyList":{"ResourceSpecificStatus":"warming up","ResourceSpecificData1":4711}}`)
		shows(t, "warming up", "-n", g.Namespace, "get", "cres", callerName, "-o", "wide")
		shows(t, "4711", "-n", g.Namespace, "get", "cres", callerName, "-o", "wide")
	})
	t.Run("InternalState", func(t *testing.T) {
		said(t, g, "SetInternalState", `{"stateType":"APPLICATION_STATE_READY","active":true}`)
		shows(t, "True", condition(understudyv1alpha1.ConditionApplicationReady)...)
		said(t, g, "SetInternalState", `{"stateType":"APPLICATION_STATE_OS_HEARTBEAT","active":false}`)
		shows(t, "False", condition(understudyv1alpha1.ConditionOSHeartBeat)...)
	})
	t.Run("LockedMode", func(t *testing.T) { lockedMode(t, g, resource, condition) })
	t.Run("TypeNotification", func(t *testing.T) {
		said(t, g, "RaiseResTypeNotification", `{"resourceType":"Caller","payload":"`+base64.StdEncoding.EncodeToString([]byte("news"))+`"}`)
		shows(t, base64.StdEncoding.EncodeToString([]byte("news")), group(`.status.types[?(@.name=="caller")].notifications[*].payload`)...)
	})
	t.Run("Dumps", func(t *testing.T) {
		said(t, g, "ChangeResourceProcessForDumps", `{"processName":"caller","isAdd":true}`)
		shows(t, "caller", resource(".status.owner.dumpProcesses[*].name")...)
		said(t, g, "ChangeResTypeProcessForDumps", `{"resourceTypeName":"caller","processName":"of-the-type","isAdd":true}`)
		shows(t, "of-the-type", group(`.status.types[?(@.name=="caller")].dumpProcesses[*].name`)...)
		said(t, g, "RequestDump", `{}`)
		shows(t, ".txt", resource(".status.owner.lastDump.name")...)
		owner := ok(g.Owner(t.Context()))(t)
		name := ok(cluster.Kubectl(t.Context(), resource(".status.owner.lastDump.name")...))(t)
		text := ok(cluster.Exec(t.Context(), g.Namespace, owner.PodName, monitorContainer, "/monitor", "dumps", strings.TrimSpace(name)))(t)
		if !strings.Contains(text, "caller") {
			t.Errorf("the dump says nothing of the process: %.300s", text)
		}
	})
	t.Run("LogEvent", func(t *testing.T) {
		said(t, g, "LogEvent", `{"logLevel":"LOG_LEVEL_ERROR","message":"the disk is full of words"}`)
		shows(t, "the disk is full of words", "-n", g.Namespace, "get", "events")
		owner := ok(g.Owner(t.Context()))(t)
		text := ok(cluster.Exec(t.Context(), g.Namespace, owner.PodName, monitorContainer, "/monitor", "log"))(t)
		if !strings.Contains(text, "the disk is full of words") {
			t.Errorf("the ring does not have it: %.500s", text)
		}
	})
	t.Run("Enumeration", func(t *testing.T) {
		for _, request := range []string{`{}`, `{"resourceType":"caller","scope":"namespace"}`} {
			a := callback(t, g, caller.Ask{Method: "EnumResources", Request: json.RawMessage(request)})
			if string(a.Response) != "null" { // it is the only one, and left out
				t.Errorf("EnumResources %s finds %s %s", request, a.Response, a.Error)
			}
		}
	})
	t.Run("ControlCalls", func(t *testing.T) { controlCalls(t, g) })
	t.Run("WithoutContract", func(t *testing.T) {
		for _, method := range []string{"SetResourceWprPolicy", "ArmWprWatchdogForCurrentResourceCall"} {
			if a := callback(t, g, caller.Ask{Method: method}); a.Error != "Unimplemented" {
				t.Errorf("%s is answered %s %s", method, a.Error, a.Response)
			}
		}
	})
	t.Run("SignalFailure", func(t *testing.T) {
		said(t, g, "SignalFailure", `{"failureType":"FAILURE_TYPE_EMBEDDED","applicationSpecificErrorCode":7,"message":"the guest hangs"}`)
		shows(t, "True", condition(understudyv1alpha1.ConditionEmbeddedFailure)...)
		said(t, g, "SignalFailure", `{"failureType":"FAILURE_TYPE_GENERAL","applicationSpecificErrorCode":8,"exited":true,"message":"it is gone"}`)
		shows(t, "8", resource(".status.owner.lastFailure.applicationErrorCode")...)
		shows(t, "1", resource(".status.owner.failuresInPeriod")...)
		must(t, g.WaitReady(t.Context(), time.Minute))
	})
	t.Run("Status", func(t *testing.T) { statusReports(t, g, resource) })
}

// lockedMode: while it is locked, a move is refused, and nothing changes.
func lockedMode(t *testing.T, g scene.Group, resource, condition func(string) []string) {
	said(t, g, "SetResourceLockedMode", `{"lockedModeEnabled":true,"lockedModeReason":3}`)
	shows(t, "true", resource(".status.owner.lockedMode.locked")...)
	shows(t, "True", condition(understudyv1alpha1.ConditionLocked)...)
	before := ok(g.Owner(t.Context()))(t)
	move := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{Code: understudyv1alpha1.CodeMove}, 30*time.Second))(t)
	if c := apimeta.FindStatusCondition(move.Status.Conditions, understudyv1alpha1.ConditionFinished); c == nil ||
		c.Reason != understudyv1alpha1.ReasonRefused || move.Status.StatusCode == nil || *move.Status.StatusCode != 5960 {
		t.Errorf("a move of what is locked ended with %+v", move.Status)
	}
	if after := ok(g.Owner(t.Context()))(t); after.Epoch != before.Epoch {
		t.Errorf("epoch %d, it was %d", after.Epoch, before.Epoch)
	}
	said(t, g, "SetResourceLockedModeEx", `{"lockedModeEnabled":false,"lockedModeFlags":1}`)
	shows(t, "False", condition(understudyv1alpha1.ConditionLocked)...)
}

// controlCalls: those of a resource and of a type extend their time and end later; the
// monitor answers the ones that every type has.
func controlCalls(t *testing.T, g scene.Group) {
	for name, spec := range map[string]understudyv1alpha1.ControlCallSpec{
		"resource": {ResourceName: callerName, Code: "EXTEND"}, "type": {TypeName: callerName, Code: "EXTEND-TYPE"},
	} {
		spec.Input = &runtime.RawExtension{Raw: []byte(`{"milliseconds":600000,"linger":3000}`)}
		call := ok(g.Call(t.Context(), spec, 30*time.Second))(t)
		mustSucceed(t, call)
		if d := call.Status.DeadlineTime; d == nil || d.Sub(call.Status.StartTime.Time) < 9*time.Minute {
			t.Errorf("of a %s: its deadline is %v, it began at %v", name, d, call.Status.StartTime)
		}
	}
	for code, want := range map[string]string{"GET_STATE": "Online", "0x01000029": callerName, "GET_RESOURCE_TYPE": callerName} {
		call := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{
			ResourceName: callerName, Code: code, Access: understudyv1alpha1.ControlRead,
		}, 30*time.Second))(t)
		mustSucceed(t, call)
		if !strings.Contains(call.Status.Output, want) {
			t.Errorf("%s answers %s, want %s in it", code, call.Status.Output, want)
		}
	}
	call := ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{ResourceName: callerName, Code: "OFFLINE"}, 30*time.Second))(t)
	if call.Status.StatusCode == nil || *call.Status.StatusCode == 0 || !strings.Contains(call.Status.Message, "spec.desiredState") {
		t.Errorf("OFFLINE ended with %+v", call.Status)
	}
}

// statusReports: what is reported of a pending Online, and its end.
func statusReports(t *testing.T, g scene.Group, resource func(string) []string) {
	set := func(patch string) {
		t.Helper()
		r := ok(g.Resource(t.Context(), callerName))(t)
		must(t, cluster.Client.Patch(t.Context(), r, client.RawPatch("application/merge-patch+json", []byte(patch))))
	}
	set(`{"spec":{"desiredState":"Offline","properties":{"pending":true}}}`)
	shows(t, "Offline", resource(".status.owner.state")...)
	set(`{"spec":{"desiredState":"Online"}}`)
	shows(t, "OnlinePending", resource(".status.owner.state")...)
	said(t, g, "SetResourceStatusEx", `{"resourceStatus":{"resourceState":"RESOURCE_STATE_ONLINE_PENDING","checkPoint":7,
		"applicationSpecificErrorCode":5,"flags":16}}`)
	shows(t, "7 5 16", resource(".status.owner.checkPoint} {.status.owner.applicationErrorCode} {.status.owner.statusFlags")...)
	said(t, g, "SetResourceStatus", `{"resourceStatus":{"resourceState":"RESOURCE_STATE_ONLINE_PENDING","checkPoint":8}}`)
	shows(t, "8", resource(".status.owner.checkPoint")...)
	end := ok(json.Marshal(caller.End{}))(t)
	mustSucceed(t, ok(g.Call(t.Context(), understudyv1alpha1.ControlCallSpec{
		ResourceName: callerName, Code: "FINISH", Input: &runtime.RawExtension{Raw: end},
	}, 30*time.Second))(t))
	shows(t, "Online", resource(".status.owner.state")...)
	must(t, g.WaitReady(t.Context(), time.Minute))
}
