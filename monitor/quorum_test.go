// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package monitor_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// locked is an exclusive lock of a file: what the kernel gives to one only, and takes away
// when its process dies.
type locked struct {
	mu   sync.Mutex
	file *os.File
}

// take reports whether the lock is held now.
func (l *locked) take(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return true
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = f.Close()
		return false
	}
	l.file = f
	return true
}

func (l *locked) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

func (l *locked) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file != nil
}

func (p *testProvider) Arbitrate(context.Context, *providerv1.ArbitrateRequest) (*providerv1.ArbitrateResponse, error) {
	if !p.lock.take(p.w.disk) {
		return &providerv1.ArbitrateResponse{Status: uint32(engine.CodeResourceNotAvailable), Message: "the disk is locked"}, nil
	}
	return &providerv1.ArbitrateResponse{}, nil
}

func (p *testProvider) Release(context.Context, *providerv1.ReleaseRequest) (*providerv1.ReleaseResponse, error) {
	p.lock.drop()
	return &providerv1.ReleaseResponse{}, nil
}

// robbed: somebody else has the disk now.
func (p *testProvider) robbed(by *locked) {
	p.w.t.Helper()
	p.lock.drop()
	if !by.take(p.w.disk) {
		p.w.t.Fatal("the disk is not free")
	}
	_, err := p.monitor().QuorumResourceLost(p.w.t.Context(), &providerv1.QuorumResourceLostRequest{
		ResourceHandle: string(p.w.resource.UID),
	})
	must(p.w.t, err)
}

// arbitrated waits for the condition of the quorum resource.
func (w *world) arbitrated(status metav1.ConditionStatus, reasons ...string) {
	w.t.Helper()
	wait(w.t, "Arbitrated="+string(status), func() bool {
		r := &v1alpha1.ClusterResource{}
		must(w.t, api.Get(w.t.Context(), client.ObjectKeyFromObject(w.resource), r))
		c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionArbitrated)
		return c != nil && c.Status == status && slices.Contains(reasons, c.Reason)
	})
}

// Shows: Arbitrate, Release, QuorumResourceLost. Two hosts and somebody else want a disk
// that one of them can lock.
func TestQuorumResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.disk = filepath.Join(t.TempDir(), "disk")
	w.plan.Resources[0].ArbitrationTimeout = 20000
	w.plan.FailoverThreshold = 0 // arbitration is no failover
	w.savePlan("db-2")
	w.patchStatus(map[string]any{"planRevision": "db-2"})
	t.Cleanup(func() {
		if w.twice.Load() || w.unarbitrated.Load() {
			t.Errorf("online twice: %v, without arbitration: %v", w.twice.Load(), w.unarbitrated.Load())
		}
	})
	thief := &locked{}
	defer thief.drop()
	if !thief.take(w.disk) {
		t.Fatal("the disk is not free")
	}
	a, b := w.start("db-1"), w.start("db-2")
	w.eventually("all hosts ready", ready("db-1", "db-2"))
	w.succession("db-1", "db-2")
	given := func() (n int) {
		_, r := w.lease()
		for _, f := range r.Failovers {
			if f.Cause == leasev1.CauseArbitration {
				n++
			}
		}
		if f := r.FailoversSince(time.Time{}, ""); f != 0 {
			t.Errorf("%d failovers are counted", f)
		}
		return n
	}
	w.arbitrated(metav1.ConditionFalse, v1alpha1.ReasonArbitrationLost)
	wait(t, "both to lose", func() bool { return given() >= 2 })
	if a.provider.onlines.Load()+b.provider.onlines.Load() != 0 {
		t.Error("online although the disk is another's")
	}
	thief.drop()
	g := w.eventually("online", func(g *v1alpha1.ResourceGroup) bool { return onlineOn("db-1")(g) || onlineOn("db-2")(g) })
	w.arbitrated(metav1.ConditionTrue, v1alpha1.ReasonArbitrationWon)
	if a.provider.lock.held() == b.provider.lock.held() {
		t.Fatalf("held on a: %v, on b: %v", a.provider.lock.held(), b.provider.lock.held())
	}
	owner, other := a, b
	if g.Status.Owner.PodName == b.name {
		owner, other = b, a
	}
	if r, _ := other.provider.Arbitrate(t.Context(), nil); r.GetStatus() != uint32(engine.CodeResourceNotAvailable) {
		t.Fatal("both hold it")
	}

	// It is lost: the group stops at once, without Offline, and stays down until it is won.
	epoch, before, kills := g.Status.Owner.Epoch, given(), owner.provider.downs.Load()
	owner.provider.robbed(thief)
	wait(t, "the stop", func() bool { return !owner.provider.online.Load() && owner.provider.downs.Load() > kills })
	wait(t, "the release", func() bool { return given() > before })
	starts := a.provider.onlines.Load() + b.provider.onlines.Load()
	w.arbitrated(metav1.ConditionFalse, v1alpha1.ReasonQuorumLost, v1alpha1.ReasonArbitrationLost)
	if a.provider.online.Load() || b.provider.online.Load() || a.provider.onlines.Load()+b.provider.onlines.Load() != starts {
		t.Error("online while the disk is another's")
	}
	thief.drop()
	g = w.eventually("online again", func(g *v1alpha1.ResourceGroup) bool {
		return (onlineOn("db-1")(g) || onlineOn("db-2")(g)) && g.Status.Owner.Epoch > epoch && last(g).OnlineTime != nil
	})
	if e := last(g); e.Cause != string(leasev1.CauseArbitration) || e.Kind != "Failover" && e.Kind != "Restart" {
		t.Errorf("%+v", e)
	}

	// A host that leaves in order lets go, and the other wins at once.
	if g.Status.Owner.PodName == a.name {
		owner, other = a, b
	} else {
		owner, other = b, a
	}
	owner.leave()
	w.eventually("moved", onlineOn(other.name))
	if owner.provider.lock.held() || !other.provider.lock.held() {
		t.Error("it is held where the group is not")
	}
}
