// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
	"github.com/understudy-dev/understudy/monitor/engine"
	"github.com/understudy-dev/understudy/monitor/instant"
)

const (
	eventQueue   = 64
	eventTimeout = 5 * time.Second
	maxNote      = 1024
)

// outgoing is an Event, or who waits until those before it are sent.
type outgoing struct {
	event *eventsv1.Event
	sent  chan struct{}
}

// Event queues an Event about a resource or the group; one too many is dropped,
// since the log has it too.
func (c *Client) Event(at instant.Instant, l core.Log) {
	group := c.objects.getGroup()
	if group == nil {
		return
	}
	ok, leftOut := c.flood.admit(at, l.Resource, l.Reason)
	if !ok {
		return
	}
	regarding := corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "ResourceGroup",
		Namespace: c.config.Namespace, Name: c.config.Group, UID: group.UID,
	}
	if r := c.objects.getResource(l.Resource); r != nil {
		regarding.Kind, regarding.Name, regarding.UID = "ClusterResource", r.Name, r.UID
	}
	kind := corev1.EventTypeNormal
	if l.Level >= engine.LevelWarning {
		kind = corev1.EventTypeWarning
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: c.config.Group + "-", Namespace: c.config.Namespace},
		EventTime:  metav1.NewMicroTime(at.WallTime()), ReportingController: "understudy.dev/monitor",
		ReportingInstance: c.config.PodName, Action: "Monitor", Reason: l.Reason, Type: kind,
		Regarding: regarding, Note: noteOf(l.Text, leftOut),
	}
	select {
	case c.queue <- outgoing{event: event}:
	default:
	}
}

// FlushEvents waits until the Events that are queued are sent, or ctx ends.
func (c *Client) FlushEvents(ctx context.Context) {
	sent := make(chan struct{})
	select {
	case c.queue <- outgoing{sent: sent}:
	case <-ctx.Done():
		return
	}
	select {
	case <-sent:
	case <-ctx.Done():
	}
}

// noteOf is a text that fits into an Event, with what came before and was left out.
func noteOf(text string, leftOut int) string {
	suffix := ""
	if leftOut > 0 {
		suffix = fmt.Sprintf(" (%d more like this were left out before; the log has them)", leftOut)
	}
	return strings.ToValidUTF8(text[:min(len(text), maxNote-len(suffix))], "") + suffix
}

func (c *Client) sendEvents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-c.queue:
			if q.sent != nil {
				close(q.sent)
				continue
			}
			attempt, cancel := context.WithTimeout(ctx, eventTimeout)
			_ = c.events.Post().Namespace(c.config.Namespace).Resource("events").Body(q.event).Do(attempt).Error()
			cancel()
		}
	}
}
