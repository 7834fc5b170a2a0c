// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Defaults. WSFC's where RA section 5 has one; RestartThreshold is decided.
const (
	defaultHosts               = 2
	defaultFailoverPeriodHours = 6
	defaultLooksAlivePoll      = 5_000
	defaultIsAlivePoll         = 60_000
	defaultPendingTimeout      = 180_000
	defaultDeadlockTimeout     = 300_000
	defaultTerminateTimeout    = 400
	defaultArbitrationTimeout  = 20_000
	defaultRestartThreshold    = 1
	defaultRestartPeriod       = 900_000
	defaultRestartDelay        = 500
	defaultRetryPeriod         = 3_600_000
	// defaultControlTimeoutMaximum is ours: RA sections 1.7 and 1.8 leave it open.
	defaultControlTimeoutMaximum = 3_600_000
	// never is RA section 5.1's RetryPeriodOnFailure for no retry; 0 in a plan.
	never = math.MaxUint32
)

// resource adds one resource to the plan, or says why not.
func (b *build) resource(r *understudyv1alpha1.ClusterResource) {
	say, spec := b.reporter(r), field.NewPath("spec")
	out := planv1.Resource{
		UID: string(r.UID), Name: r.Name, Generation: r.Generation,
		Type:   r.Spec.TypeName,
		Online: r.Spec.DesiredState != understudyv1alpha1.DesiredOffline, IgnoreLockedMode: r.Spec.IgnoreLockedMode,
	}
	// The default is left out, so that a plan of before stays the same.
	if a := r.Spec.EmbeddedFailureAction; a != understudyv1alpha1.EmbeddedRecover {
		out.EmbeddedFailureAction = string(a)
	}
	restart(&out, &r.Spec, say)
	out.Dependencies, out.ReadyTerms = b.dependencies(r)
	t := b.typeOf(r)
	if t == nil {
		return
	}
	own, common := &r.Spec, &t.spec
	out.LooksAlivePollInterval = poll(
		own.LooksAlivePollIntervalMilliseconds, common.LooksAlivePollIntervalMilliseconds, defaultLooksAlivePoll)
	out.IsAlivePollInterval = poll(
		own.IsAlivePollIntervalMilliseconds, common.IsAlivePollIntervalMilliseconds, defaultIsAlivePoll)
	out.PendingTimeout = first(
		own.PendingTimeoutMilliseconds, common.PendingTimeoutMilliseconds, defaultPendingTimeout)
	out.DeadlockTimeout = first(
		own.DeadlockTimeoutMilliseconds, common.DeadlockTimeoutMilliseconds, defaultDeadlockTimeout)
	out.TerminateTimeout = t.terminateTimeout
	out.DumpPolicy = dumpPolicy(t.spec.DumpPolicy)
	if q := t.spec.Quorum; q != nil {
		out.ArbitrationTimeout = first(nil, q.ArbitrationTimeoutMilliseconds, defaultArbitrationTimeout)
		if len(r.Spec.Dependencies) > 0 {
			say.add(spec.Child("dependencies"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
				"the type %q is quorum-capable, and such a resource depends on nothing "+
					"(ERROR_DEPENDENCY_NOT_ALLOWED, 5069): remove the dependencies", r.Spec.TypeName))
		}
	}
	out.Controls = resourceControls(t.spec.ControlCodes)
	b.required(r, t)
	properties, errs := t.schema.Apply(r.Spec.Properties, spec.Child("properties"))
	say.all(errs)
	if len(errs) == 0 {
		b.immutable(r, t, properties, spec.Child("properties"))
		if string(properties) != "{}" {
			out.Properties = json.RawMessage(properties)
		}
	}
	out.Container = b.container(r, t)
	out.Live = updated(t.spec.PropertyUpdates, understudyv1alpha1.UpdateLive)
	b.plan.Resources = append(b.plan.Resources, out)
}

// dumpPolicy is nil for the default, so that a plan of before it is the same plan.
func dumpPolicy(p *understudyv1alpha1.DumpPolicy) *planv1.DumpPolicy {
	if p == nil {
		return nil
	}
	out := planv1.DumpPolicy{
		OnDeadlock: p.CollectOn == nil || slices.Contains(p.CollectOn, understudyv1alpha1.DumpDeadlock),
		OnFailure:  slices.Contains(p.CollectOn, understudyv1alpha1.DumpFailure),
		CoreFiles:  p.CoreFiles == understudyv1alpha1.CoreFilesAlways,
	}
	if out == (planv1.DumpPolicy{OnDeadlock: true}) {
		return nil
	}
	return &out
}

// poll is first of a poll interval, of which the largest number is the type's (RA section 5.1).
func poll(own *int64, ofType, otherwise int64) int64 {
	if own != nil && *own == never {
		own = nil
	}
	return first(own, ofType, otherwise)
}

// first is the resource's own value, else its type's, else the default.
func first(own *int64, ofType, otherwise int64) int64 {
	if own != nil {
		return *own
	}
	if ofType != 0 {
		return ofType
	}
	return otherwise
}

// restart fills in the restart policy.
func restart(out *planv1.Resource, s *understudyv1alpha1.ClusterResourceSpec, say reporter) {
	out.RestartAction = string(understudyv1alpha1.RestartNotify)
	if s.RestartAction != "" {
		out.RestartAction = string(s.RestartAction)
	}
	out.RestartThreshold = defaultRestartThreshold
	if s.RestartThreshold != nil {
		out.RestartThreshold = *s.RestartThreshold
	}
	out.RestartPeriod = first(s.RestartPeriodMilliseconds, 0, defaultRestartPeriod)
	out.RestartDelay = first(s.RestartDelayMilliseconds, 0, defaultRestartDelay)
	out.RetryPeriodOnFailure = first(s.RetryPeriodOnFailureMilliseconds, 0, max(defaultRetryPeriod, out.RestartPeriod))
	if out.RetryPeriodOnFailure < out.RestartPeriod {
		say.add(field.NewPath("spec", "retryPeriodOnFailureMilliseconds"), understudyv1alpha1.ReasonInvalid, fmt.Sprintf(
			"%d is less than restartPeriodMilliseconds (%d): raise it to at least that, or leave it out",
			out.RetryPeriodOnFailure, out.RestartPeriod))
	}
	if out.RetryPeriodOnFailure == never {
		out.RetryPeriodOnFailure = 0
	}
}

// typeInfo is a type that was looked up once.
type typeInfo struct {
	spec             understudyv1alpha1.ResourceTypeSpec
	schema           *Schema
	terminateTimeout int64
}

// typeOf finds and compiles the type of a resource; nil if it cannot be used.
func (b *build) typeOf(r *understudyv1alpha1.ClusterResource) *typeInfo {
	name, say, at := r.Spec.TypeName, b.reporter(r), field.NewPath("spec", "typeName")
	info, seen := b.types[name]
	if !seen {
		if t := b.in.Types[name]; t != nil {
			if s, problems := b.in.Checked.Check(t); len(problems) == 0 {
				info = &typeInfo{spec: t.Spec, schema: s, terminateTimeout: defaultTerminateTimeout}
				if t.Spec.TerminateTimeoutMilliseconds != 0 {
					info.terminateTimeout = t.Spec.TerminateTimeoutMilliseconds
				}
			}
		}
		b.types[name] = info
	}
	switch {
	case info != nil && (b.in.Types[name].DeletionTimestamp.IsZero() || b.inForce(r)):
	case info != nil:
		say.add(at, understudyv1alpha1.ReasonTypeDeleting, fmt.Sprintf(
			"the ResourceType %q is being deleted and takes no new resources: name another, or delete this "+
				"ClusterResource and wait until the type is gone to create both again", name))
	case b.in.Types[name] == nil:
		say.add(at, understudyv1alpha1.ReasonTypeNotFound, fmt.Sprintf(
			"the ResourceType %q does not exist: create it or name another", name))
	default:
		say.add(at, understudyv1alpha1.ReasonTypeRejected, fmt.Sprintf(
			"the ResourceType %q is not accepted: its own condition says why", name))
	}
	return info
}

// inForce says that the hosts run a resource already. A plan that cannot be read may
// have any.
func (b *build) inForce(r *understudyv1alpha1.ClusterResource) bool {
	if b.in.InForce == nil {
		return b.in.Group.Status.PlanRevision != ""
	}
	return slices.ContainsFunc(b.in.InForce.Resources, func(p planv1.Resource) bool { return p.UID == string(r.UID) })
}
