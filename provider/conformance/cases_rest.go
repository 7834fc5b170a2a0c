// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// inParallel calls f for each resource at once. f must not end the case.
func inParallel(all []*resource, f func(r *resource) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() { errs[i] = f(r) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) makeSome(n int) []*resource {
	all := make([]*resource, n)
	for i := range all {
		all[i] = t.makeOpen(nil)
	}
	return all
}

var severalCases = []Case{
	{Name: "Several/AreOnlineTogether", Needs: []Need{several},
		Rule: "A provider serves many resources of its types, each with its own state (RA 2.0, RESID).",
		run: func(t *trial) {
			all := t.makeSome(4)
			for _, r := range all {
				r.online()
			}
			for _, r := range all {
				r.mustBeUp("beside three others")
			}
		}},
	{Name: "Several/TerminateEndsOne", Needs: []Need{several},
		Rule: "Terminate is about one resource (RA 2.1).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOnline(nil)
			a.terminate()
			a.mustBeDown("after Terminate")
			b.mustBeUp("after Terminate of another")
		}},
	{Name: "Several/OfflineEndsOne", Needs: []Need{several},
		Rule: "Offline is about one resource (RA 2.1).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOnline(nil)
			a.offline()
			a.mustBeDown("after Offline")
			b.mustBeUp("after Offline of another")
		}},
	{Name: "Several/CloseEndsOne", Needs: []Need{several},
		Rule: "Close is about one resource (RA 2.1).",
		run: func(t *trial) {
			a, b := t.makeOnline(nil), t.makeOnline(nil)
			a.close()
			a.mustBeDown("after Close")
			b.mustBeUp("after Close of another")
		}},
	{Name: "Several/OnlineAtTheSameTime", Needs: []Need{several},
		Rule: "At most one state-changing call is under way *for a resource*: those of others overlap (proto).",
		run: func(t *trial) {
			all := t.makeSome(8)
			answers := make(map[*resource]uint32, len(all))
			var mu sync.Mutex
			t.answered("Online of eight at once", inParallel(all, func(r *resource) error {
				resp, err := r.callOnline()
				mu.Lock()
				answers[r] = resp.GetStatus()
				mu.Unlock()
				return err
			}))
			for _, r := range all {
				switch answers[r] {
				case success:
				case ioPending:
					r.awaitEnd(time.Time{})
				default:
					t.fail("Online of eight at once: expected status 0 or 997, got %d", answers[r])
				}
				r.mustBeUp("after Online of eight at once")
			}
		}},
	{Name: "Several/TerminateAtTheSameTime", Needs: []Need{several},
		Rule: "When ownership ends, everything is terminated at once (RA 2.0).",
		run: func(t *trial) {
			all := t.makeSome(8)
			for _, r := range all {
				r.online()
			}
			t.answered("Terminate of eight at once", inParallel(all, func(r *resource) error {
				_, err := t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id})
				return err
			}))
			for _, r := range all {
				r.mustBeDown("after Terminate of eight at once")
			}
		}},
	{Name: "Several/HealthAtTheSameTime", Needs: []Need{several},
		Rule: "Checks of different resources overlap (proto).",
		run: func(t *trial) {
			all := t.makeSome(8)
			for _, r := range all {
				r.online()
			}
			_ = inParallel(all, func(r *resource) error { r.alive(); return nil })
			for _, r := range all {
				r.mustBeUp("after checks of eight at once")
			}
		}},
	{Name: "Several/LifeCyclesAtTheSameTime", Needs: []Need{several},
		Rule: "Resources are independent: whole lives of them overlap, and leave nothing (proto; RA 2.0).",
		run: func(t *trial) {
			all := t.makeSome(6)
			t.answered("six lives at once", inParallel(all, func(r *resource) error {
				for range 3 {
					if _, err := r.callOnline(); err != nil {
						return err
					}
					r.alive()
					if _, err := t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id}); err != nil {
						return err
					}
				}
				return nil
			}))
			for _, r := range all {
				r.terminate()
				r.mustBeDown("after three lives")
			}
		}},
	{Name: "Several/OpenAndCloseMany",
		Rule: "A provider serves many resources: a hundred of them, opened on each host, are ordinary (proto).",
		run: func(t *trial) {
			ids := map[string]bool{}
			all := t.makeSome(100)
			for _, r := range all {
				if ids[r.id] {
					t.fail("Open: expected a hundred ids, got %q twice", r.id)
				}
				ids[r.id] = true
			}
			for _, r := range all {
				r.close()
			}
		}},
}

// raw calls a method with bytes that need not be a message.
func (t *trial) raw(method string, body []byte) error {
	ctx, cancel := context.WithTimeout(t.ctx, t.config.Limits.call())
	defer cancel()
	return t.conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{}, grpc.ForceCodec(rawCodec{body}))
}

// rawCodec sends the same bytes, whatever the message, and takes no notice of the answer.
type rawCodec struct{ body []byte }

func (c rawCodec) Marshal(any) ([]byte, error) { return c.body, nil }
func (c rawCodec) Unmarshal([]byte, any) error { return nil }
func (c rawCodec) Name() string                { return "proto" }

// oddIDs are ids that Open never answered.
var oddIDs = []string{"", " ", "../../etc", "no-such-resource", "ümläut", strings.Repeat("x", 64<<10)}

var inputCases = []Case{
	{Name: "Input/OddIdsDoNoHarm",
		Rule: "A call with an id that Open never answered touches no resource, whatever the id (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for _, id := range oddIDs {
				_, _ = t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: id})
				_, _ = t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: id})
				_, _ = t.provider.Close(t.ctx, &pb.CloseRequest{ResourceId: id})
				_, _ = t.provider.LooksAlive(t.ctx, &pb.LooksAliveRequest{ResourceId: id})
				online, err := t.provider.Online(t.ctx, &pb.OnlineRequest{ResourceId: id, Properties: r.properties, Epoch: 1})
				t.refused("Online of an odd id", online.GetStatus(), err)
			}
			r.mustBeUp("after calls with odd ids")
			t.survives()
		}},
	{Name: "Input/TheHandleIsNotTheId",
		Rule: "A call names the id that Open answered; without it, there is none to name (RA 1.0, handle identity).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.close()
			resp, err := t.provider.Online(t.ctx, &pb.OnlineRequest{ResourceId: r.handle, Properties: r.properties, Epoch: 1})
			t.refused("Online with the handle of a closed resource", resp.GetStatus(), err)
		}},
	{Name: "Input/EmptyRequestsDoNoHarm",
		Rule: "Every call gets an answer; one that says nothing does no harm (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			methods := pb.ProviderService_ServiceDesc.Methods
			for _, m := range methods {
				if err := t.raw("/"+pb.ProviderService_ServiceDesc.ServiceName+"/"+m.MethodName, nil); unknownOutcome(err) {
					t.answered("an empty "+m.MethodName, err)
				}
			}
			r.mustBeUp("after empty requests")
		}},
	{Name: "Input/GarbageDoesNoHarm",
		Rule: "What is no message is refused by a gRPC status, and does no harm (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			garbage := bytes.Repeat([]byte{0xff}, 100)
			for _, m := range pb.ProviderService_ServiceDesc.Methods {
				err := t.raw("/"+pb.ProviderService_ServiceDesc.ServiceName+"/"+m.MethodName, garbage)
				if err == nil || unknownOutcome(err) {
					t.fail("%s with what is no message: expected a gRPC status that refuses it, got %v", m.MethodName, err)
				}
			}
			r.mustBeUp("after garbage")
		}},
	{Name: "Input/UnknownMethodIsUnimplemented", provider: true,
		Rule: "A call of a newer protocol is answered UNIMPLEMENTED: not supported (proto).",
		run: func(t *trial) {
			for _, m := range []string{"/understudy.provider.v1.ProviderService/NoSuchCall", "/no.such.Service/Call"} {
				if err := t.raw(m, nil); !unimplemented(err) {
					t.fail("%s: expected UNIMPLEMENTED, got %v", m, err)
				}
			}
		}},
	{Name: "Input/AConnectionThatSpeaksSomethingElse", provider: true,
		Rule: "What comes over the socket and is not gRPC does no harm (proto).",
		run: func(t *trial) {
			c, err := new(net.Dialer).DialContext(t.ctx, "unix", t.socket())
			if err != nil {
				t.fail("expected to connect: %v", err)
			}
			_ = c.SetDeadline(time.Now().Add(t.config.Limits.call()))
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\x00"))
			_ = c.Close()
			t.survives()
		}},
	{Name: "Input/UnknownFlagsAreAnswered",
		Rule: "A newer monitor may set flags that the provider does not know: it answers (proto, unknown fields and values).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			r.wild = true
			req := r.onlineRequest()
			req.OnlineFlags = 0x80000000
			if _, err := t.provider.Online(t.ctx, req); unknownOutcome(err) {
				t.answered("Online", err)
			}
			_, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id, OfflineFlags: 0x80000000})
			if unknownOutcome(err) {
				t.answered("Offline", err)
			}
			r.terminate()
			r.mustBeDown("after Terminate")
		}},
	{Name: "Input/CallsThatAreNotServedAreAnswered",
		Rule: "A call whose capability the provider does not say is answered all the same, by UNIMPLEMENTED or a status (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			calls := map[string]error{}
			_, calls["Cancel"] = t.provider.Cancel(t.ctx, &pb.CancelRequest{ResourceId: r.id})
			_, calls["Arbitrate"] = t.provider.Arbitrate(t.ctx, &pb.ArbitrateRequest{ResourceId: r.id, Epoch: 1})
			_, calls["Release"] = t.provider.Release(t.ctx, &pb.ReleaseRequest{ResourceId: r.id})
			in := &pb.ControlInput{ControlCode: unknownCode}
			for name, begin := range map[string]beginner{
				"BeginResourceControl": beginResource, "BeginResourceTypeControl": beginType,
				"BeginResourceControlAsUser": beginResourceAsUser, "BeginResourceTypeControlAsUser": beginTypeAsUser,
			} {
				calls[name] = begin(t, r, in, contexts.Add(1)).err
			}
			for name, err := range calls {
				if unknownOutcome(err) {
					t.answered(name, err)
				}
			}
			r.mustBeUp("after calls that are optional")
		}},
}

var limitCases = []Case{
	{Name: "Limits/AMessageOfAlmostAMebibyteIsTaken",
		Rule: "Messages are at most 1 MiB: up to that they are taken (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			req := r.onlineRequest()
			req.InBuffer = &structpb.Struct{Fields: map[string]*structpb.Value{
				"x": structpb.NewStringValue(strings.Repeat("x", maxMessageSize-proto.Size(req)-100)),
			}}
			r.onlineAs(req)
			r.mustBeUp("after Online with a long InBuffer")
		}},
	{Name: "Limits/AMessageThatIsTooLongDoesNoHarm",
		Rule: "Messages are at most 1 MiB; a longer one is answered somehow, and does no harm (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			_, _ = t.provider.Offline(t.ctx, &pb.OfflineRequest{
				ResourceId: "no-such-resource", DestinationNodeName: strings.Repeat("x", 2*maxMessageSize),
			})
			r.mustBeUp("after a message of 2 MiB")
			t.survives()
		}},
	{Name: "Limits/ManyConnections",
		Rule: "Monitors come and go: connections that are left open do no harm (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			for range 64 {
				c, err := new(net.Dialer).DialContext(t.ctx, "unix", t.socket())
				if err != nil {
					t.fail("expected to connect: %v", err)
				}
				defer c.Close()
			}
			r.mustBeUp("beside 64 connections")
		}},
	{Name: "Limits/AThousandChecks",
		Rule: "Checks come for as long as the resource lives, and change nothing (RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			n := 1000
			if t.typ.Running == "" {
				n = 300 // the same rule
			}
			started := time.Now()
			for i := 0; i < n && time.Since(started) < t.config.Limits.call(); i++ {
				if !r.alive() {
					t.fail("IsAlive: expected alive each time, got not alive at the %dth", i+1)
				}
			}
			r.mustBeUp("after many checks")
		}},
}

var callerCases = []Case{
	{Name: "Caller/CancelsOnline",
		Rule: "A cancelled call leaves the outcome unknown; repeated, it continues (proto).",
		run: func(t *trial) {
			r := t.makeOpen(nil)
			ctx, cancel := context.WithCancel(t.ctx)
			time.AfterFunc(time.Millisecond, cancel)
			_, _ = t.provider.Online(ctx, r.onlineRequest())
			cancel()
			t.onlineAfterAll(r)
		}},
	{Name: "Caller/CancelsOffline",
		Rule: "A cancelled call leaves the outcome unknown; repeated, it continues (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			ctx, cancel := context.WithCancel(t.ctx)
			time.AfterFunc(time.Millisecond, cancel)
			_, _ = t.provider.Offline(ctx, &pb.OfflineRequest{ResourceId: r.id})
			cancel()
			t.eventually("the repeated Offline to succeed", func() bool {
				resp, err := t.provider.Offline(t.ctx, &pb.OfflineRequest{ResourceId: r.id})
				if unknownOutcome(err) {
					t.answered("Offline again", err)
				}
				return err == nil && resp.GetStatus() == success
			})
			r.mustBeDown("after Offline again")
		}},
	{Name: "Caller/CancelsTerminate",
		Rule: "A cancelled call leaves the outcome unknown; repeated, it continues (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			ctx, cancel := context.WithCancel(t.ctx)
			time.AfterFunc(time.Millisecond, cancel)
			_, _ = t.provider.Terminate(ctx, &pb.TerminateRequest{ResourceId: r.id})
			cancel()
			t.eventually("the repeated Terminate to succeed", func() bool {
				resp, err := t.provider.Terminate(t.ctx, &pb.TerminateRequest{ResourceId: r.id})
				if unknownOutcome(err) {
					t.answered("Terminate again", err)
				}
				return err == nil && resp.GetStatus() == success
			})
			r.mustBeDown("after Terminate again")
		}},
	{Name: "Caller/CancelsOpen",
		Rule: "A cancelled call leaves the outcome unknown; repeated, it continues (proto).",
		run: func(t *trial) {
			r := t.newResource(nil)
			ctx, cancel := context.WithCancel(t.ctx)
			time.AfterFunc(time.Millisecond, cancel)
			_, _ = t.provider.Open(ctx, r.request(0))
			cancel()
			t.eventually("the repeated Open to succeed", func() bool {
				resp, err := r.tryOpen(0)
				if unknownOutcome(err) {
					t.answered("Open again", err)
				}
				return err == nil && resp.GetStatus() == success
			})
			r.online()
			r.mustBeUp("after Open again and Online")
		}},
	{Name: "Caller/HasNoTimeLeft",
		Rule: "Every call has a deadline; one that is over when it arrives does no harm (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			ctx, cancel := context.WithTimeout(t.ctx, 50*time.Microsecond)
			defer cancel()
			_, _ = t.provider.IsAlive(ctx, &pb.IsAliveRequest{ResourceId: r.id})
			_, _ = t.provider.LooksAlive(ctx, &pb.LooksAliveRequest{ResourceId: r.id})
			r.mustBeUp("after calls without time")
		}},
	{Name: "Caller/ComesBackOnAnotherConnection",
		Rule: "A resource belongs to the provider, not to the connection on which it was opened (proto: Open, to recover).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			conn, err := grpc.NewClient("unix:"+t.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithUnaryInterceptor(t.record))
			if err != nil {
				t.skip("%v", err)
			}
			resp, err := pb.NewProviderServiceClient(conn).IsAlive(t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
			_ = conn.Close()
			t.answered("IsAlive on another connection", err)
			if !resp.GetAlive() {
				t.fail("IsAlive on another connection: expected alive, got not alive: %s", resp.GetMessage())
			}
			r.mustBeUp("after that connection ended")
		}},
}

// crash kills the provider and starts it again.
func (t *trial) crash() {
	t.process.kill()
	if err := t.restart(t.ctx); err != nil {
		t.fail("the provider did not start again: %v", err)
	}
}

var processCases = []Case{
	{Name: "Process/ListensAgainAfterACrash", provider: true, Needs: []Need{started},
		Rule: "A provider removes the socket that an earlier life left, and listens (proto: the provider listens on the socket).",
		run: func(t *trial) {
			t.crash()
			t.survives()
			if info, err := os.Stat(t.socket()); err != nil || info.Mode().Perm() != 0o666 {
				t.fail("expected a socket of mode 0666, got %v, %v", info, err)
			}
		}},
	{Name: "Process/AfterACrashOpenSaysWhatIsSo", Needs: []Need{started},
		Rule: "Open answers what the resource is: OFFLINE only if nothing is left, else what was found running (proto; RA 2.1).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.crash()
			switch resp := r.reopen(recoverState); resp.GetState() {
			case stateOffline:
				r.mustBeDown("after a crash, and Open said OFFLINE,")
			case stateOnline:
				r.mustBeUp("after a crash, and Open said ONLINE,")
			case stateFailed:
			default:
				t.fail("Open after a crash: expected state OFFLINE, ONLINE or FAILED, got %s", resp.GetState())
			}
		}},
	{Name: "Process/AfterACrashTerminateLeavesNothing", Needs: []Need{started},
		Rule: "Terminate answers 0 once it checked that nothing is left, also of an earlier life (proto).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.crash()
			r.reopen(recoverState)
			r.terminate()
			r.mustBeDown("after a crash, Open and Terminate")
		}},
	{Name: "Process/AfterACrashOnlineWorks", Needs: []Need{started},
		Rule: "A resource whose provider crashed is restarted by the policy (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.crash()
			r.reopen(0)
			r.terminate()
			r.epoch++
			r.online()
			r.mustBeUp("after a crash, Open, Terminate and Online")
		}},
	{Name: "Process/AfterACrashOldIdsMeanNothing", Needs: []Need{started},
		Rule: "An id is good from Open on: one of an earlier life denotes nothing that works (RA 2.0).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			t.crash()
			if r.alive() {
				t.fail("IsAlive with an id of an earlier life, before Open: expected not alive, got alive")
			}
			resp, err := r.callOnline()
			t.refused("Online with an id of an earlier life, before Open", resp.GetStatus(), err)
			r.reopen(0)
			r.terminate()
			r.mustBeDown("after Open and Terminate")
		}},
	{Name: "Process/AfterACrashWhilePendingNothingStarts", Needs: []Need{started, pending},
		Rule: "Terminate answers 0 once nothing is left that could come online later, also of an earlier life (proto).",
		run: func(t *trial) {
			r := t.makePending()
			t.crash()
			r.reopen(recoverState)
			r.terminate()
			r.mustBeDown("after a crash, Open and Terminate")
			r.forgetAtEnd()
			t.later(func() { r.mustBeGone("long after it") })
		}},
	{Name: "Process/SIGTERMLeavesNothing", Needs: []Need{started},
		Rule: "SIGTERM means that ownership is about to end: what runs is terminated, then the process ends (docs/providers.md).",
		run: func(t *trial) {
			r := t.makeOnline(nil)
			ended := t.process.stop(t.config.Limits.call())
			if err := t.restart(t.ctx); err != nil {
				t.fail("the provider did not start again: %v", err)
			}
			if !ended {
				t.fail("expected the process to end within %v of SIGTERM", t.config.Limits.call())
			}
			r.mustBeGone("after SIGTERM")
			r.reopen(0) // whose clean-up is of its new life
		}},
	{Name: "Process/StartsWithoutAMonitor", provider: true, Needs: []Need{started},
		Rule: "The monitor may go away and come back at any time: a provider starts without it (proto).",
		run: func(t *trial) {
			t.without(func() {
				t.crash()
				t.survives()
			})
		}},
	{Name: "Process/DoesNotEndByItself", provider: true,
		Rule: "A provider ends when it is told to, never because of a call (docs/providers.md).",
		judge: func(t *trial) {
			if t.process == nil {
				t.skip("%s", started.absent)
			}
			if len(t.died) > 0 {
				t.fail("the process ended during %s", strings.Join(t.died, ", "))
			}
		}},
}
