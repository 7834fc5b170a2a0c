// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan turns a group, its resources and their types into the plan that
// monitors run, or into the reasons why that cannot be: all or nothing. It is
// pure: no client, no clock.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/internal/builders"
)

// Input is what a plan is made of.
type Input struct {
	Group *understudyv1alpha1.ResourceGroup
	// Resources of the group; those that are being deleted are left out of the plan.
	Resources []understudyv1alpha1.ClusterResource
	// Types by name: at least those that the resources name and that exist.
	Types map[string]*understudyv1alpha1.ResourceType
	// InForce is the plan that the hosts run, nil before the first: what may not
	// change is compared with it, and what is in it may go on using a type that is
	// being deleted.
	InForce *planv1.Plan
	// HostInForce is what the hosts of InForce are built from; nil if there is none.
	HostInForce *builders.Host
	// Checked keeps what was made of them; nil keeps nothing.
	Checked *TypeCache
}

// Result is an accepted input.
type Result struct {
	// Plan that monitors run.
	Plan planv1.Plan
	// Host is what host pods are built from.
	Host builders.Host
}

// Build makes the plan, or says why not. Either the problems are empty, or the
// result is.
func Build(in Input) (Result, Problems) {
	b := &build{
		in: in, types: map[string]*typeInfo{}, byName: map[string]*understudyv1alpha1.ClusterResource{},
		host:  builders.Host{Template: *in.Group.Spec.Template.DeepCopy(), Providers: map[string][]string{}},
		users: map[string][]string{},
	}
	group := reporter{kind: KindGroup, name: in.Group.Name, problems: &b.problems}
	checkTemplate(group, &in.Group.Spec)
	resources := b.living()
	for _, r := range resources {
		b.resource(r)
	}
	b.separate(resources)
	b.circles(resources)
	b.timing()
	plan := b.plan
	b.group(&plan)
	if len(b.problems) == 0 {
		if encoded := Encode(plan); len(encoded) > planv1.MaxBytes {
			group.add(field.NewPath("spec"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"the plan of this group would have %d bytes, more than %d: shorten properties, or the schemas of "+
					"its types' control codes, or split the group",
				len(encoded), planv1.MaxBytes))
		}
	}
	if len(b.problems) > 0 {
		return Result{}, b.problems
	}
	return Result{Plan: plan, Host: b.host}, nil
}

// build is the work on one input.
type build struct {
	in       Input
	types    map[string]*typeInfo
	byName   map[string]*understudyv1alpha1.ClusterResource
	host     builders.Host
	plan     planv1.Plan
	problems Problems
	// users are the resources of each supervised container.
	users map[string][]string
}

func (b *build) reporter(r *understudyv1alpha1.ClusterResource) reporter {
	return reporter{kind: KindResource, name: r.Name, problems: &b.problems}
}

// living are the resources that are to stay, sorted by name.
func (b *build) living() []*understudyv1alpha1.ClusterResource {
	var out []*understudyv1alpha1.ClusterResource
	for i := range b.in.Resources {
		r := &b.in.Resources[i]
		b.byName[r.Name] = r
		if r.DeletionTimestamp.IsZero() {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(x, y *understudyv1alpha1.ClusterResource) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// group fills in what comes from the group itself.
func (b *build) group(p *planv1.Plan) {
	g := b.in.Group
	p.Version = planv1.Version
	p.Namespace, p.Group, p.GroupUID = g.Namespace, g.Name, string(g.UID)
	p.Online = g.Spec.DesiredState != understudyv1alpha1.DesiredOffline && g.DeletionTimestamp.IsZero()
	p.IgnoreLockedMode = g.Spec.IgnoreLockedMode
	p.Hosts = Hosts(g)
	p.OnDelete = g.Spec.UpdateStrategy.Type == understudyv1alpha1.UpdateOnDelete
	p.LeaseDurationSeconds = leaseSeconds(g)
	p.FailoverThreshold = max(Hosts(g)-1, 1)
	if g.Spec.FailoverThreshold != nil {
		p.FailoverThreshold = *g.Spec.FailoverThreshold
	}
	p.FailoverPeriodSeconds = defaultFailoverPeriodHours * 3600
	if g.Spec.FailoverPeriodHours != nil {
		p.FailoverPeriodSeconds = int64(*g.Spec.FailoverPeriodHours) * 3600
	}
	if s := g.Spec.Service; s != nil {
		p.Service = &planv1.Service{Name: cmp.Or(s.Name, g.Name)}
		for i, port := range s.Ports {
			if port.Name == "" && len(s.Ports) > 1 {
				reporter{kind: KindGroup, name: g.Name, problems: &b.problems}.add(
					field.NewPath("spec", "service", "ports").Index(i).Child("name"), understudyv1alpha1.ReasonInvalid,
					"is needed when there are several ports: give each port a name")
			}
			p.Service.Ports = append(p.Service.Ports, planv1.Port{Name: port.Name, Port: port.Port})
		}
	}
	p.Containers = b.host.Supervised()
	if p.Resources == nil {
		p.Resources = []planv1.Resource{}
	}
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		if t := b.types[name]; t != nil {
			p.Types = append(p.Types, planType(name, t))
		}
	}
	p.HostRevision = b.hostRevision()
}

// hostRevision names what hosts are built from. What is the same but for how a release
// writes it keeps its name: an upgrade replaces no host.
func (b *build) hostRevision() string {
	if b.in.InForce != nil && b.in.HostInForce != nil && equality.Semantic.DeepEqual(b.host, *b.in.HostInForce) {
		return b.in.InForce.HostRevision
	}
	return HostName(b.in.Group.Name, b.host)
}

// Hosts is how many host pods the spec asks for; the plan in force decides.
func Hosts(g *understudyv1alpha1.ResourceGroup) int32 {
	if g.Spec.Hosts == nil {
		return defaultHosts
	}
	return *g.Spec.Hosts
}

func leaseSeconds(g *understudyv1alpha1.ResourceGroup) int32 {
	if g.Spec.LeaseDurationSeconds == 0 {
		return int32(leasev1.DefaultD / time.Second)
	}
	return g.Spec.LeaseDurationSeconds
}

// timing checks T1 to T3 of Ownership section 4 for each type in use.
func (b *build) timing() {
	seconds := leaseSeconds(b.in.Group)
	at := field.NewPath("spec", "leaseDurationSeconds")
	group := reporter{kind: KindGroup, name: b.in.Group.Name, problems: &b.problems}
	timing, ok := leasev1.TimingFor(time.Duration(seconds) * time.Second)
	if !ok {
		group.add(at, understudyv1alpha1.ReasonInvalid, fmt.Sprintf("%d is none of 2, 6 and 15: choose one of them", seconds))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(b.types)) {
		info := b.types[name]
		if info == nil {
			continue
		}
		if err := timing.Validate(time.Duration(info.terminateTimeout) * time.Millisecond); err != nil {
			group.add(at, understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"with a lease of %d s, Terminate may take at most %d ms, but terminateTimeoutMilliseconds of the "+
					"ResourceType %q is %d: choose a longer lease or lower that time-out",
				seconds, (timing.G2-timing.N).Milliseconds(), name, info.terminateTimeout))
		}
	}
}
