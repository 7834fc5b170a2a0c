// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"sync"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

var terminateCases = []Case{
	{Name: "Terminate/LeavesNothing",
		Rule: "Terminate makes the resource unavailable now; 0 means checked: nothing of it is left (proto; RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Terminate/RepeatedAnswersZero",
		Rule: "Every call may be repeated with the same arguments (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 3 {
				r.terminate()
			}
			r.mustBeDown("after Terminate")
		}},
	{Name: "Terminate/OfWhatWasNeverOnline",
		Rule: "Terminate may come in any state: nothing is left of what never was (RA 2.1).",
		run:  func(t *trial) { t.makeOpen(nil).terminate() }},
	{Name: "Terminate/AfterOffline",
		Rule: "Terminate may come in any state (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.offline()
			r.terminate()
			r.mustBeDown("after Offline and Terminate")
		}},
	{Name: "Terminate/TwiceAtOnce",
		Rule: "Terminate may overlap any other call: each is answered, and the resource is gone (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			errs := make([]error, 4)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id}) })
			}
			wg.Wait()
			for _, err := range errs {
				if unknownOutcome(err) {
					t.answered("one of four Terminates at once", err)
				}
			}
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Terminate/OverlapsOnline",
		Rule: "Terminate may overlap Online, and cancels it: afterwards nothing is left (RA 2.0, RA 2.1).",
		run: func(t *trial) {
			for range 5 {
				r := t.makeOpen(nil)
				r.wild = true
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = r.callOnline() })
				wg.Go(func() { _, _ = t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id}) })
				wg.Wait()
				r.terminate()
				r.mustBeDown("after Terminate beside Online, and another one")
			}
		}},
	{Name: "Terminate/OverlapsOffline",
		Rule: "Terminate may overlap Offline, and cancels it: afterwards nothing is left (RA 2.0, RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.wild = true
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id}) })
			wg.Go(func() { _, _ = t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id}) })
			wg.Wait()
			r.terminate()
			r.mustBeDown("after Terminate beside Offline, and another one")
		}},
	{Name: "Terminate/OverlapsHealthChecks",
		Rule: "Terminate may overlap IsAlive and LooksAlive (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { _, _ = t.provider.IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: r.id}) })
				wg.Go(func() { _, _ = t.provider.LooksAlive(t.ctx, &pb.LooksAliveRequest{ResourceId: r.id}) })
			}
			r.terminate()
			wg.Wait()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Terminate/OfAnUnknownResourceHarmsNobody",
		Rule: "A call with an id that Open never answered touches no resource (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, err := t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: "no-such-resource"})
			if unknownOutcome(err) {
				t.answered("Terminate", err)
			}
			r.mustBeUp("after Terminate of an unknown resource")
		}},
	{Name: "Terminate/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			resp, err := t.provider.Terminate(t.ctx, withUnknown(&pb.TerminateRequest{ResourceId: r.id}))
			t.answered("Terminate", err)
			if resp.GetStatus() != success {
				t.fail("Terminate: expected status 0, got %d: %s", resp.GetStatus(), resp.GetMessage())
			}
			r.mustBeDown("after Terminate")
		}},
}

var healthCases = []Case{
	{Name: "IsAlive/IsTrueWhileOnline",
		Rule: "IsAlive answers alive while the resource works, as often as it is asked (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 20 {
				if !r.alive() {
					r.mustBeUp("while it is online")
				}
			}
		}},
	{Name: "IsAlive/IsFalseBeforeOnline",
		Rule: "IsAlive answers alive only for what works (RA 2.1).",
		run:  func(t *trial) { t.makeOpen(nil).mustBeDown("before Online") }},
	{Name: "IsAlive/OfAnUnknownResourceIsNotAlive",
		Rule: "An id that Open never answered denotes nothing that works (RA 2.1).", provider: true,
		run: func(t *trial) {
			for _, id := range []string{"no-such-resource", ""} {
				r, err := t.provider.IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: id})
				if unknownOutcome(err) {
					t.answered("IsAlive", err)
				}
				if r.GetAlive() {
					t.fail("IsAlive of the id %q: expected not alive, got alive", id)
				}
			}
		}},
	{Name: "IsAlive/AtTheSameTime",
		Rule: "Checks of a monitor that died may still run when the next one asks (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			alive := make([]bool, 8)
			var wg sync.WaitGroup
			for i := range alive {
				wg.Go(func() { alive[i] = r.alive() })
			}
			wg.Wait()
			for _, ok := range alive {
				if !ok {
					t.fail("IsAlive eight times at once: expected alive from each")
				}
			}
		}},
	{Name: "IsAlive/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			resp, err := t.provider.IsAlive(t.ctx, withUnknown(&pb.IsAliveRequest{ResourceId: r.id}))
			t.answered("IsAlive", err)
			if !resp.GetAlive() {
				t.fail("IsAlive: expected alive, got not alive: %s", resp.GetMessage())
			}
		}},
	{Name: "IsAlive/NoticesAFailure",
		Rule: "IsAlive is the full check: what failed is not alive (RA 2.1).", Needs: []Need{breaking},
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.breakIt()
			t.eventually("IsAlive to answer not alive after the failure", func() bool { return !r.alive() })
		}},
	{Name: "IsAlive/SaysWhy",
		Rule: "IsAlive says in a sentence of at most 1 024 bytes why it is not alive (proto).", Needs: []Need{breaking},
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.breakIt()
			var resp *pb.IsAliveResponse
			t.eventually("IsAlive to answer not alive after the failure", func() bool {
				var err error
				resp, err = t.provider.IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
				return err == nil && !resp.GetAlive()
			})
			t.wantMessage("what failed", resp.GetMessage())
		}},
	{Name: "LooksAlive/IsTrueWhileOnline",
		Rule: "LooksAlive answers true for what probably works; it is not asked if Online gave an event handle (RA 2.1, RA 2.3).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			resp := r.online()
			answer, err := t.provider.LooksAlive(t.ctx, &pb.LooksAliveRequest{ResourceId: r.id})
			if unimplemented(err) && resp.GetEventHandle() {
				t.skip("Online gave an event handle, and LooksAlive is not served")
			}
			t.answered("LooksAlive", err)
			if !answer.GetAlive() {
				t.fail("LooksAlive: expected alive, got not alive")
			}
		}},
	{Name: "LooksAlive/OfAnUnknownResourceIsNotAlive", provider: true,
		Rule: "An id that Open never answered denotes nothing that works (RA 2.1).",
		run: func(t *trial) {
			r, err := t.provider.LooksAlive(t.ctx, &pb.LooksAliveRequest{ResourceId: "no-such-resource"})
			if unknownOutcome(err) {
				t.answered("LooksAlive", err)
			}
			if r.GetAlive() {
				t.fail("LooksAlive: expected not alive, got alive")
			}
		}},
}

var closeCases = []Case{
	{Name: "Close/OfWhatIsOffline",
		Rule: "Close frees the instance data and answers 0 (RA 2.1).",
		run:  func(t *trial) { t.makeOpen(nil).close() }},
	{Name: "Close/RepeatedIsNoFailure",
		Rule: "Every call may be repeated: Close of what is closed answers 0, or 5007 (proto; RA 2.1).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.close()
			resp, err := t.provider.Close(t.ctx, &pb.CloseRequest{ResourceId: r.id})
			t.answered("Close again", err)
			if s := resp.GetStatus(); s != success && s != notFound {
				t.fail("Close again: expected status 0 or 5007, got %d", s)
			}
		}},
	{Name: "Close/TerminatesFirst",
		Rule: "A resource that is not offline is terminated first (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.close()
			r.mustBeDown("after Close")
		}},
	{Name: "Close/ThenOpenIsNew",
		Rule: "After Close the resource can be opened anew, and is offline (RA 2.0, instance order).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			r.close()
			if resp := r.reopen(0); resp.GetState() != stateOffline {
				t.fail("Open after Close: expected state OFFLINE, got %s", resp.GetState())
			}
			r.online()
			r.mustBeUp("after Open and Online")
		}},
	{Name: "Close/LeavesOthersAlone",
		Rule: "Close is about one resource (RA 2.1).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOpen(nil)
			b.close()
			a.mustBeUp("after Close of another")
		}},
	{Name: "Close/OfAnUnknownResourceHarmsNobody",
		Rule: "A call with an id that Open never answered touches no resource (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, err := t.provider.Close(t.ctx, &pb.CloseRequest{ResourceId: "no-such-resource"})
			if unknownOutcome(err) {
				t.answered("Close", err)
			}
			r.mustBeUp("after Close of an unknown resource")
		}},
	{Name: "Close/IgnoresUnknownFields",
		Rule: "Unknown fields are ignored (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			resp, err := t.provider.Close(t.ctx, withUnknown(&pb.CloseRequest{ResourceId: r.id}))
			t.answered("Close", err)
			if resp.GetStatus() != success {
				t.fail("Close: expected status 0, got %d", resp.GetStatus())
			}
		}},
}
