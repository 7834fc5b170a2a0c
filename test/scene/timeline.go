// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Kinds of a TimelineEntry.
const (
	KindStart    = "Start"
	KindRestart  = "Restart"
	KindFailover = "Failover"
	KindMove     = "Move"
)

// Entry is what the group's status says of one interruption.
type Entry = understudyv1alpha1.TimelineEntry

// Mark remembers what a timeline held.
type Mark map[string]bool

func key(e Entry) string {
	return fmt.Sprint(e.Kind, e.Epoch, nano(e.DetectedTime), nano(e.LeaseTakenTime))
}

func nano(t *metav1.MicroTime) int64 {
	if t == nil {
		return 0
	}
	return t.UnixNano()
}

// Mark remembers the timeline as it is, so that what comes next is known as new.
func (g Group) Mark(ctx context.Context) (Mark, error) {
	owner, err := g.Owner(ctx)
	m := Mark{}
	for _, e := range owner.Timeline {
		m[key(e)] = true
	}
	return m, err
}

// complete tells whether an interruption is over and told to its end.
func complete(e Entry, service bool) bool {
	return e.OnlineTime != nil && (!service || e.Kind == KindRestart || e.EndpointTime != nil)
}

// News are the entries that came after a mark, oldest first.
func (m Mark) News(timeline []Entry) []Entry {
	var news []Entry
	for _, e := range timeline {
		if !m[key(e)] {
			news = append(news, e)
		}
	}
	return news
}

// WaitEntry waits for the next interruption after a mark to be over, and returns it.
// It fails if there was more than one.
func (g Group) WaitEntry(ctx context.Context, after Mark, within time.Duration) (Entry, error) {
	var found []Entry
	err := g.Wait(ctx, "an entry in the timeline of "+g.Name, within, func(ctx context.Context) (bool, string, error) {
		o, err := g.Get(ctx)
		if err != nil {
			return false, "", err
		}
		if o.Status.Owner == nil {
			return false, "no owner", nil
		}
		news := after.News(o.Status.Owner.Timeline)
		if len(news) == 0 || !complete(news[len(news)-1], o.Spec.Service != nil) {
			return false, Describe(o, nil) + describeEntries(news), nil
		}
		found = news
		return true, "", nil
	})
	if err != nil {
		return Entry{}, err
	}
	if len(found) > 1 {
		return Entry{}, fmt.Errorf("the group was interrupted more than once:%s", describeEntries(found))
	}
	return found[0], nil
}

func describeEntries(entries []Entry) string {
	var out strings.Builder
	for _, e := range entries {
		out.WriteString("\n    " + DescribeEntry(e))
	}
	return out.String()
}

// DescribeEntry says in one line what the cluster did.
func DescribeEntry(e Entry) string {
	what := fmt.Sprintf("%s (%s", e.Kind, e.Cause)
	if e.ResourceName != "" {
		what += " of " + e.ResourceName
	}
	what += ")"
	switch {
	case e.Kind == KindRestart:
		what += " in place on " + e.ToPodName
	case e.FromPodName != "" && e.FromPodName != e.ToPodName:
		what += fmt.Sprintf(" from %s to %s", e.FromPodName, e.ToPodName)
	default:
		what += " on " + e.ToPodName
	}
	return fmt.Sprintf("%s, epoch %d", what, e.Epoch)
}

// Began is when an interruption began as far as the cluster knows: of a silent owner,
// when it was heard last.
func Began(e Entry) time.Time {
	if e.Kind == KindFailover && e.LastHeardTime != nil && e.OfflineTime == nil {
		return e.LastHeardTime.Time
	}
	if e.DetectedTime == nil {
		return time.Time{}
	}
	return e.DetectedTime.Time
}

// Ended is when clients could reach the group again.
func Ended(e Entry) time.Time {
	end := time.Time{}
	for _, t := range []*metav1.MicroTime{e.OnlineTime, e.EndpointTime} {
		if t != nil && t.After(end) {
			end = t.Time
		}
	}
	return end
}
