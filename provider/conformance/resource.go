// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/rand"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

const (
	stateOnline         = pb.ResourceState_RESOURCE_STATE_ONLINE
	stateOffline        = pb.ResourceState_RESOURCE_STATE_OFFLINE
	stateFailed         = pb.ResourceState_RESOURCE_STATE_FAILED
	stateOnlinePending  = pb.ResourceState_RESOURCE_STATE_ONLINE_PENDING
	stateOfflinePending = pb.ResourceState_RESOURCE_STATE_OFFLINE_PENDING
	stateNotAnywhere    = pb.ResourceState_RESOURCE_STATE_CANNOT_COME_ONLINE_ON_ANY_NODE
	stateNotHere        = pb.ResourceState_RESOURCE_STATE_CANNOT_COME_ONLINE_ON_THIS_NODE

	recoverState uint32 = 0x1
)

// resource is one that a case opened.
type resource struct {
	t          *trial
	n          int
	handle, id string
	// properties that Open brought, and Online brings.
	properties *structpb.Struct
	epoch      int64
	// closed: nothing is left to clean up. forgotten: its id is of an earlier life of
	// the provider.
	closed, forgotten bool
	// wild: its case makes calls that no monitor makes, so that what the provider
	// reports of it is not judged.
	wild bool
}

// uid is a handle, in the form that Kubernetes gives them.
func uid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newResource is one that is not open yet; properties nil are the usual ones.
func (t *trial) newResource(properties map[string]any) *resource {
	t.count++
	r := &resource{t: t, n: t.count, handle: uid(), epoch: 1}
	if properties == nil {
		properties = t.typ.Properties
	}
	r.properties = r.names().properties(properties)
	t.resources = append(t.resources, r)
	t.suite.resources[r.handle] = r
	return r
}

func (r *resource) names() names { return names{dir: r.t.scratch, n: r.n, handle: r.handle} }

// request is what opens it.
func (r *resource) request(flags uint32) *pb.OpenRequest {
	return &pb.OpenRequest{
		ResourceName: fmt.Sprintf("default/resource-%d", r.n), ResourceHandle: r.handle,
		ResourceType: r.t.typ.Name, OpenFlags: flags, Properties: r.properties,
	}
}

// tryOpen opens it, or opens it again.
func (r *resource) tryOpen(flags uint32) (*pb.OpenResponse, error) {
	resp, err := r.t.provider.Open(r.t.ctx, r.request(flags))
	if err == nil && resp.GetStatus() == success {
		r.id, r.forgotten, r.closed = resp.GetResourceId(), false, false
	}
	return resp, err
}

// reopen opens it with flags, which has to succeed.
func (r *resource) reopen(flags uint32) *pb.OpenResponse {
	resp, err := r.tryOpen(flags)
	r.t.answered("Open", err)
	if resp.GetStatus() != success {
		r.t.fail("Open: expected status 0, got %d: %s", resp.GetStatus(), resp.GetMessage())
	}
	if resp.GetResourceId() == "" {
		r.t.fail("Open: expected a resource id, got none")
	}
	return resp
}

// makeOpen is a new resource that is open.
func (t *trial) makeOpen(properties map[string]any) *resource {
	r := t.newResource(properties)
	r.reopen(0)
	return r
}

// makeOnline is a new resource that is online.
func (t *trial) makeOnline(properties map[string]any) *resource {
	r := t.makeOpen(properties)
	r.online()
	return r
}

// makePending is a new resource that is coming online.
func (t *trial) makePending() *resource {
	r := t.makeOpen(t.typ.PendingProperties)
	resp, err := r.callOnline()
	t.answered("Online with pendingProperties", err)
	if resp.GetStatus() != ioPending {
		t.skip("pendingProperties: Online answered %d at once, not 997", resp.GetStatus())
	}
	return r
}

func (r *resource) onlineRequest() *pb.OnlineRequest {
	return &pb.OnlineRequest{ResourceId: r.id, Properties: r.properties, Epoch: r.epoch}
}

func (r *resource) callOnline() (*pb.OnlineResponse, error) {
	return r.t.provider.Online(r.t.ctx, r.onlineRequest())
}

// online brings it online and waits for that.
func (r *resource) online() *pb.OnlineResponse { return r.onlineAs(r.onlineRequest()) }

func (r *resource) onlineAs(req *pb.OnlineRequest) *pb.OnlineResponse {
	since := time.Now()
	resp, err := r.t.provider.Online(r.t.ctx, req)
	r.t.answered("Online", err)
	switch resp.GetStatus() {
	case success:
	case ioPending:
		if st := r.awaitEnd(since); st.state != stateOnline {
			r.t.fail("Online: expected the final report ONLINE, got %s: %s", st.state, st.message)
		}
	default:
		r.t.fail("Online: expected status 0 or 997, got %d: %s", resp.GetStatus(), resp.GetMessage())
	}
	return resp
}

// awaitEnd waits for the final report that came after a time.
func (r *resource) awaitEnd(since time.Time) report {
	var found report
	r.t.await("a final report", func(events []event) bool {
		for i := range events {
			e := &events[i]
			h, _ := e.req.(handled)
			st, ok := reportOf(e.req)
			if e.callback && ok && h.GetResourceHandle() == r.handle && !e.begun.Before(since) && !underWay(st.state) {
				found = st
				return true
			}
		}
		return false
	})
	return found
}

func (r *resource) offline() { r.offlineAs(&pb.OfflineRequest{ResourceId: r.id}) }

// offlineAs takes it offline and waits for that.
func (r *resource) offlineAs(req *pb.OfflineRequest) uint32 {
	since := time.Now()
	resp, err := r.t.provider.Offline(r.t.ctx, req)
	r.t.answered("Offline", err)
	switch resp.GetStatus() {
	case success:
	case ioPending:
		if st := r.awaitEnd(since); st.state != stateOffline {
			r.t.fail("Offline: expected the final report OFFLINE, got %s: %s", st.state, st.message)
		}
	default:
		r.t.fail("Offline: expected status 0 or 997, got %d: %s", resp.GetStatus(), resp.GetMessage())
	}
	return resp.GetStatus()
}

// terminate terminates it, which has to succeed.
func (r *resource) terminate() {
	resp, err := r.t.provider.Terminate(r.t.ctx, &pb.TerminateRequest{ResourceId: r.id})
	r.t.answered("Terminate", err)
	if resp.GetStatus() != success {
		r.t.fail("Terminate: expected status 0, got %d: %s", resp.GetStatus(), resp.GetMessage())
	}
}

// close closes it, which has to succeed.
func (r *resource) close() {
	resp, err := r.t.provider.Close(r.t.ctx, &pb.CloseRequest{ResourceId: r.id})
	r.t.answered("Close", err)
	if resp.GetStatus() != success {
		r.t.fail("Close: expected status 0, got %d", resp.GetStatus())
	}
	r.closed = true
}

// alive asks IsAlive; an error of the transport is not alive.
func (r *resource) alive() bool {
	resp, err := r.t.provider.IsAlive(r.t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
	return err == nil && resp.GetAlive()
}

// mustBeUp wants it to work.
func (r *resource) mustBeUp(when string) {
	resp, err := r.t.provider.IsAlive(r.t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
	r.t.answered("IsAlive "+when, err)
	if !resp.GetAlive() {
		r.t.fail("IsAlive %s: expected alive, got not alive: %s", when, resp.GetMessage())
	}
	if r.t.typ.Running == "" {
		return
	}
	// What was just started may need a moment until it can be seen.
	for deadline := time.Now().Add(r.t.config.Limits.call()); ; {
		err := r.t.shell(r, r.t.typ.Running)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.fail("%s the resource should run, but \"running\" says that it does not: %v", when, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// mustBeDown wants it not to work, and nothing of it to be left.
func (r *resource) mustBeDown(when string) {
	resp, err := r.t.provider.IsAlive(r.t.ctx, &pb.IsAliveRequest{ResourceId: r.id})
	if err == nil && resp.GetAlive() {
		r.t.fail("IsAlive %s: expected not alive, got alive", when)
	}
	r.mustBeGone(when)
}

// mustBeGone wants nothing of it to be left, in the eyes of the suite.
func (r *resource) mustBeGone(when string) {
	if r.t.typ.Running != "" && r.t.shell(r, r.t.typ.Running) == nil {
		r.t.fail("%s nothing of the resource may be left, but \"running\" says that it runs", when)
	}
}

// breakIt makes it fail.
func (r *resource) breakIt() {
	if err := r.t.shell(r, r.t.typ.Fail); err != nil {
		r.t.skip("the command \"fail\" of the configuration did not work: %v", err)
	}
}
