// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// onlineFlag brings a resource online with a flag of RA 2.4.
func onlineFlag(name string, flag uint32) Case {
	return Case{Name: "Online/Accepts" + name,
		Rule: "OnlineFlags tells how it comes about; a provider that does not care comes online all the same (RA 2.4).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			req := r.onlineRequest()
			req.OnlineFlags = flag
			r.onlineAs(req)
			r.mustBeUp("after Online")
		}}
}

var onlineCases = []Case{
	{Name: "Online/BringsItOnline",
		Rule: "Online answers 0, or 997 and reports ONLINE; then the resource works (RA 2.1, RA 2.2).",
		run:  func(t *trial) { t.makeOnline(nil).mustBeUp("after Online") }},
	{Name: "Online/RepeatedWithSameArgumentsContinues",
		Rule: "Every call may be repeated with the same arguments: Online of what is online answers 0 (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.online()
			r.mustBeUp("after Online again")
		}},
	{Name: "Online/RepeatedDoesNotStartItTwice",
		Rule: "A repeated call continues where it was: one Terminate ends what two equal Onlines brought (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.online()
			r.terminate()
			r.mustBeDown("after Online, Online, Terminate")
		}},
	{Name: "Online/AfterOffline",
		Rule: "A resource goes online and offline again and again (RA 2.0, instance order).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 3 {
				r.offline()
				r.online()
				r.mustBeUp("after Offline and Online")
			}
		}},
	{Name: "Online/AfterTerminate",
		Rule: "A terminated resource can be brought online again (RA 2.0, instance order).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 3 {
				r.terminate()
				r.online()
				r.mustBeUp("after Terminate and Online")
			}
		}},
	{Name: "Online/UnderALargerEpoch",
		Rule: "Each owner has a larger epoch: a resource that was ended comes online under the next one (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.terminate()
			r.epoch = 2
			r.online()
			r.mustBeUp("under epoch 2")
		}},
	{Name: "Online/UnderTheLargestEpoch",
		Rule: "The epoch is any positive 64-bit number (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.epoch = math.MaxInt64
			r.online()
			r.mustBeUp("under the largest epoch")
		}},
	{Name: "Online/ReadsThePropertiesOfTheCall",
		Rule: "Online brings the private properties as they are now; those of Open may be old (RA 2.1).", Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.properties = r.names().properties(t.typ.FailingProperties)
			if resp, err := r.callOnline(); err == nil && (resp.GetStatus() == success ||
				resp.GetStatus() == ioPending && r.awaitEnd(time.Time{}).state == stateOnline) {
				t.fail("Online with failingProperties, after Open with others: expected it to fail, but it came online")
			}
		}},
	{Name: "Online/WithOtherProperties",
		Rule: "Properties may have changed since the last Online (RA 2.1).", Needs: []Need{other},
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offline()
			r.properties = r.names().properties(t.typ.OtherProperties)
			r.online()
			resp, err := t.provider.IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
			t.answered("IsAlive", err)
			if !resp.GetAlive() {
				t.fail("IsAlive after Online with otherProperties: expected alive, got not alive: %s", resp.GetMessage())
			}
		}},
	onlineFlag("RecoverMonitorState", 0x01),
	onlineFlag("IgnoreResourceStatus", 0x02),
	onlineFlag("ReturnToSourceNodeOnError", 0x04),
	onlineFlag("RestoreOnlineState", 0x08),
	onlineFlag("IgnoreNetworkConnectivity", 0x10),
	{Name: "Online/AcceptsAnInBuffer",
		Rule: "InBuffer holds instructions from the client and is not used today (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			req := r.onlineRequest()
			req.InBuffer = &structpb.Struct{Fields: map[string]*structpb.Value{"wish": structpb.NewStringValue("quick")}}
			r.onlineAs(req)
		}},
	{Name: "Online/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.onlineAs(withUnknown(r.onlineRequest()))
			r.mustBeUp("after Online")
		}},
	{Name: "Online/RefusesAnUnknownResource",
		Rule: "Online of an id that Open never answered is refused, by 5007 or another error (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			req := r.onlineRequest()
			req.ResourceId = "no-such-resource"
			resp, err := t.provider.Online(t.ctx, req)
			t.refused("Online", resp.GetStatus(), err)
		}},
	{Name: "Online/RefusesAClosedResource",
		Rule: "Close frees the instance: its id is good for nothing (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.close()
			resp, err := r.callOnline()
			t.refused("Online", resp.GetStatus(), err)
			r.mustBeGone("after Online of a closed resource")
		}},
	{Name: "Online/FailsWithAStatus",
		Rule:  "An Online that cannot succeed answers an error, or 997 and then reports FAILED or a CANNOT_COME_ONLINE (RA 2.1, RA 3.1).",
		Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(t.typ.FailingProperties)
			t.mustFail(r)
		}},
	{Name: "Online/FailureIsSaidInASentence",
		Rule: "A failure comes with a sentence for people, of at most 1 024 bytes (proto).", Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(t.typ.FailingProperties)
			t.wantMessage("the failure", t.mustFail(r))
		}},
	{Name: "Online/AfterAFailureTerminateLeavesNothing",
		Rule: "After an Online that failed, Terminate follows, and answers 0 once nothing is left (RA 2.1).", Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(t.typ.FailingProperties)
			t.mustFail(r)
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Online/SucceedsOnceTheCauseIsGone",
		Rule: "A failed resource is restarted by the policy: what can succeed then does (RA 2.1).", Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(t.typ.FailingProperties)
			t.mustFail(r)
			r.terminate()
			r.properties = r.names().properties(t.typ.Properties)
			r.online()
			r.mustBeUp("after Online with good properties")
		}},
	{Name: "Online/FailsAgainAndAgain",
		Rule:  "A call may be repeated: what cannot succeed goes on failing, and Terminate on answering 0 (proto).",
		Needs: []Need{failing},
		run: func(t *trial) {
			r := t.makeOpen(t.typ.FailingProperties)
			for range 3 {
				t.mustFail(r)
				r.terminate()
			}
		}},
	{Name: "Online/WithoutPropertiesIsAnswered",
		Rule: "Every call gets an answer; properties that are missing do no harm to the provider (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.wild = true
			req := r.onlineRequest()
			req.Properties = nil
			if _, err := t.provider.Online(t.ctx, req); unknownOutcome(err) {
				t.answered("Online", err)
			}
			t.survives()
		}},
}

// mustFail brings a resource online, which has to fail, and returns the message.
func (t *trial) mustFail(r *resource) string {
	since := time.Now()
	resp, err := r.callOnline()
	if unknownOutcome(err) {
		t.answered("Online", err)
	}
	switch {
	case err != nil:
		t.skip("Online failed by a gRPC status: %v", err)
	case resp.GetStatus() == success:
		t.fail("Online with failingProperties: expected it to fail, got status 0")
	case resp.GetStatus() != ioPending:
		return resp.GetMessage()
	}
	st := r.awaitEnd(since)
	switch st.state {
	case stateFailed, stateNotHere, stateNotAnywhere:
	default:
		t.fail("Online with failingProperties: expected the final report FAILED or a CANNOT_COME_ONLINE, got %s", st.state)
	}
	return st.message
}

// offlineFlag takes a resource offline with a flag of RA 2.4.
func offlineFlag(name string, flag uint32) Case {
	return Case{Name: "Offline/Accepts" + name,
		Rule: "OfflineFlags tells why and how; a provider that does not care goes offline all the same (RA 2.4).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offlineAs(&pb.OfflineRequest{ResourceId: r.id, OfflineFlags: flag})
			r.mustBeDown("after Offline")
		}}
}

var offlineCases = []Case{
	{Name: "Offline/LeavesNothing",
		Rule: "Offline answers 0, or 997 and reports OFFLINE, once it checked that nothing is left running (proto; RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offline()
			r.mustBeDown("after Offline")
		}},
	{Name: "Offline/RepeatedAnswersZero",
		Rule: "Every call may be repeated with the same arguments: Offline of what is offline answers 0 (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offline()
			r.offline()
			r.mustBeDown("after Offline twice")
		}},
	{Name: "Offline/OfWhatWasNeverOnline",
		Rule: "Offline ends with the resource offline, whatever it was before (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.offline()
			r.mustBeDown("after Offline")
		}},
	{Name: "Offline/IsWhatOpenSaysThen",
		Rule: "Open answers the state that the resource has (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offline()
			if resp := r.reopen(recoverState); resp.GetState() != stateOffline {
				t.fail("Open after Offline: expected state OFFLINE, got %s", resp.GetState())
			}
		}},
	{Name: "Offline/WithADestination",
		Rule: "DestinationNodeName names the host that is to own the resource next, and may be empty (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offlineAs(&pb.OfflineRequest{ResourceId: r.id, DestinationNodeName: "node-b.example.com"})
			r.mustBeDown("after Offline")
		}},
	offlineFlag("IgnoreResourceStatus", 0x01),
	offlineFlag("ReturnToSourceNodeOnError", 0x02),
	offlineFlag("ReturningToSourceNodeBecauseOfError", 0x08),
	offlineFlag("DueToEmbeddedFailure", 0x10),
	offlineFlag("IgnoreNetworkConnectivity", 0x20),
	offlineFlag("DoNotUpdatePersistentState", 0x40),
	{Name: "Offline/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offlineAs(withUnknown(&pb.OfflineRequest{ResourceId: r.id}))
			r.mustBeDown("after Offline")
		}},
	{Name: "Offline/OfAnUnknownResourceHarmsNobody",
		Rule: "A call with an id that Open never answered touches no resource (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: "no-such-resource"})
			if unknownOutcome(err) {
				t.answered("Offline", err)
			}
			r.mustBeUp("after Offline of an unknown resource")
		}},
}
