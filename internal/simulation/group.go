// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
)

// group is one ResourceGroup: what is wanted of it, what is stored of it, and its host pods.
type group struct {
	world   *World
	name    string
	timing  leasev1.Timing
	policy  policy
	store   *store
	manager *manager
	check   *checker
	hosts   []*host // those that are gone, too
	pods    int

	wantOnline bool
	extra      bool // the third resource is wanted online
	revision   int  // of the spec
	plans      map[string]*planv1.Plan
	asked      int // control calls so far

	// arbiter is what holds the quorum resource; nobody does while somebody outside has it.
	arbiter *provider
	outside time.Duration
}

// policy is what the spec says that does not change.
type policy struct {
	quorum                     bool // the group must arbitrate
	action                     string
	threshold                  int32
	failovers                  int32
	delay, retry, pendingAfter time.Duration
}

func (w *World) addGroup(name string) {
	d := []time.Duration{6, 6, 2, 15}[w.rng.IntN(4)] * time.Second
	timing, _ := leasev1.TimingFor(d)
	g := &group{
		world: w, name: name, timing: timing, wantOnline: true, extra: w.chance(0.5), plans: map[string]*planv1.Plan{},
		policy: policy{
			quorum: w.chance(0.4), action: []string{"RestartNotify", "RestartNotify", "RestartNoNotify"}[w.rng.IntN(3)],
			threshold: int32(w.rng.IntN(3)), failovers: []int32{32, 2}[w.rng.IntN(2)],
			delay:        []time.Duration{0, 300 * time.Millisecond}[w.rng.IntN(2)],
			retry:        []time.Duration{2 * time.Second, 5 * time.Second}[w.rng.IntN(2)],
			pendingAfter: []time.Duration{2 * time.Second, 5 * time.Second}[w.rng.IntN(2)],
		},
	}
	g.store, g.check, g.manager = newStore(g), newChecker(g), &manager{group: g}
	w.groups = append(w.groups, g)
}

func (g *group) uid() string { return "uid-" + g.name }

// terminate is Tterm: the most that T2 allows, 400 ms by default.
func (g *group) terminate() time.Duration {
	return min(g.timing.G2-g.timing.N, 1500*time.Millisecond)
}

// The resources: app needs db, extra needs nobody. They share two containers.
const (
	db, app, extra = "db", "app", "extra"
	typeName       = "simulated"
)

// codes that a person may ask for.
const (
	codeBackup, codePeek = "BACKUP", "PEEK"
)

// plan is what the manager makes of the spec as it is now.
func (g *group) plan() string {
	name := g.name + "-" + strconv.Itoa(g.revision)
	if g.plans[name] != nil {
		return name
	}
	controls := []planv1.Control{{Name: codeBackup, Code: 0x0140000a, Write: true}, {Name: codePeek, Code: 0x01800005}}
	p := &planv1.Plan{
		Version: planv1.Version, Namespace: "ns", Group: g.name, GroupUID: g.uid(), Online: g.wantOnline,
		LeaseDurationSeconds: int32(g.timing.D / time.Second), FailoverThreshold: g.policy.failovers,
		FailoverPeriodSeconds: 3600, Containers: []string{"c0", "c1"},
		Service: &planv1.Service{Name: g.name, Ports: []planv1.Port{{Port: 80}}},
		Types:   []planv1.Type{{Name: typeName, Controls: controls}},
	}
	add := func(name, container string, online bool, needs ...string) {
		r := planv1.Resource{
			UID: "uid-" + name, Name: name, Generation: int64(g.revision + 1), Type: typeName, Container: container,
			Online: online, Properties: json.RawMessage(fmt.Sprintf(`{"revision":%d}`, g.revision)),
			LooksAlivePollInterval: 5000, IsAlivePollInterval: 60000, PendingTimeout: g.policy.pendingAfter.Milliseconds(),
			DeadlockTimeout: 5000, TerminateTimeout: g.terminate().Milliseconds(), RestartAction: g.policy.action,
			RestartThreshold: g.policy.threshold, RestartPeriod: 900000, RestartDelay: g.policy.delay.Milliseconds(),
			RetryPeriodOnFailure: g.policy.retry.Milliseconds(), Controls: controls,
		}
		for _, n := range needs {
			r.Dependencies = append(r.Dependencies, []string{"uid-" + n})
		}
		if g.policy.quorum && name == db {
			r.ArbitrationTimeout = 2000
			p.Types[0].Quorum = true
		}
		p.Resources = append(p.Resources, r)
	}
	add(app, "c1", true, db)
	add(db, "c0", true)
	add(extra, "c1", g.extra)
	g.plans[name] = p
	return name
}

// change changes the spec.
func (g *group) change(f func()) {
	f()
	g.revision++
	g.world.log(g.name, "spec %d: online %v, extra %v", g.revision, g.wantOnline, g.extra)
}

// wanted are the UIDs of what is to be online.
func (g *group) wanted() []string {
	if !g.wantOnline {
		return nil
	}
	if g.extra {
		return []string{"uid-" + app, "uid-" + db, "uid-" + extra}
	}
	return []string{"uid-" + app, "uid-" + db}
}

// stray is what a person started beside ours, what was found, and still runs: on which host.
func (g *group) stray() string {
	for _, h := range g.hosts {
		if uid := h.stray(); uid != "" {
			return uid + " on " + h.name
		}
	}
	return ""
}

// online is the host on which all that is wanted is alive, and known to be, under a
// grant; nil if there is none.
func (g *group) online() *host {
	for _, h := range g.hosts {
		if m := h.monitor; m == nil || !m.owner.Granted || m.owner.Role != "Owner" {
			continue
		}
		all := true
		for _, uid := range g.wanted() {
			all = all && h.instance(uid) != nil && h.instance(uid).state == online
		}
		if all {
			return h
		}
	}
	return nil
}

// addHost makes a host pod on a node.
func (g *group) addHost(n *node) {
	g.pods++
	g.world.Coverage.Hosts++
	h := &host{
		group: g, node: n, name: fmt.Sprintf("%s-%d", g.name, g.pods-1), uid: fmt.Sprintf("uid-%s-%d", g.name, g.pods-1),
	}
	h.leases = watching{host: h, list: g.store.listLease, broken: true}
	h.kinds = watching{host: h, list: g.store.listKinds, broken: true}
	for _, name := range []string{"c0", "c1"} {
		h.containers = append(h.containers, &container{host: h, name: name})
	}
	g.hosts = append(g.hosts, h)
	n.hosts = append(n.hosts, h)
	if n.up {
		n.after(g.world.upTo(time.Second), h.begin)
	}
}
