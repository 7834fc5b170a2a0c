// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// watchEndpoint tells core what stands in the EndpointSlice. That there is none is
// the manager's affair, which makes it, empty.
func (c *Client) watchEndpoint(ctx context.Context) {
	follow(ctx, c.single(c.slices, "endpointslices", planv1.SliceName(c.config.Group)), &discoveryv1.EndpointSliceList{},
		func(s *discoveryv1.EndpointSlice) {
			c.config.Sink(core.Input{Endpoint: readEndpoint(s)})
		},
		func(*discoveryv1.EndpointSlice) {}, nil)
}

// readEndpoint is the reverse of what writeEndpoint writes.
func readEndpoint(s *discoveryv1.EndpointSlice) *core.EndpointDocument {
	d := &core.EndpointDocument{}
	// Without the annotation, or with nonsense in it, it is older than any epoch.
	d.Epoch, _ = strconv.ParseInt(s.Annotations[v1alpha1.AnnotationEpoch], 10, 64)
	for _, p := range s.Ports {
		d.Ports = append(d.Ports, core.Port{Name: ptr.Deref(p.Name, ""), Port: ptr.Deref(p.Port, 0)})
	}
	if len(s.Endpoints) != 1 || len(s.Endpoints[0].Addresses) != 1 || !ptr.Deref(s.Endpoints[0].Conditions.Ready, true) {
		return d
	}
	e := s.Endpoints[0]
	d.Address, d.NodeName = e.Addresses[0], ptr.Deref(e.NodeName, "")
	if e.TargetRef != nil {
		d.PodName, d.PodUID = e.TargetRef.Name, string(e.TargetRef.UID)
	}
	return d
}

// writeEndpoint is one update: address and epoch together.
func (c *Client) writeEndpoint(ctx context.Context, d core.EndpointDocument) (core.WriteOutcome, error) {
	endpoints := []discoveryv1.Endpoint{}
	if d.Address != "" {
		endpoints = append(endpoints, discoveryv1.Endpoint{
			Addresses: []string{d.Address}, NodeName: &d.NodeName,
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false)},
			TargetRef: &corev1.ObjectReference{
				Kind: "Pod", Namespace: c.config.Namespace, Name: d.PodName, UID: types.UID(d.PodUID),
			},
		})
	}
	ports := make([]discoveryv1.EndpointPort, 0, len(d.Ports))
	for _, p := range d.Ports {
		ports = append(ports, discoveryv1.EndpointPort{
			Name: ptr.To(p.Name), Port: ptr.To(p.Port), Protocol: ptr.To(corev1.ProtocolTCP),
		})
	}
	patch := map[string]any{
		"metadata":  map[string]any{"annotations": map[string]any{v1alpha1.AnnotationEpoch: strconv.FormatInt(d.Epoch, 10)}},
		"endpoints": endpoints, "ports": ports,
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return core.WriteFailed, fmt.Errorf("endpoint: %w", err)
	}
	err = c.slices.Patch(types.MergePatchType).Namespace(c.config.Namespace).Resource("endpointslices").
		Name(planv1.SliceName(c.config.Group)).Body(body).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return core.WriteFailed, err // the manager is about to make it
	}
	return judge(err)
}
