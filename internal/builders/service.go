// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package builders

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	planv1 "github.com/understudy-dev/understudy/api/plan/v1"
)

// Service is the Service of a group. It has no selector: the owner's monitor
// writes its only endpoint.
func Service(p *planv1.Plan) *corev1ac.ServiceApplyConfiguration {
	spec := corev1ac.ServiceSpec().WithType(corev1.ServiceTypeClusterIP)
	for _, port := range p.Service.Ports {
		one := corev1ac.ServicePort().WithPort(port.Port).WithProtocol(corev1.ProtocolTCP).
			WithTargetPort(intstr.FromInt32(port.Port))
		if port.Name != "" {
			one.WithName(port.Name)
		}
		spec.WithPorts(one)
	}
	return corev1ac.Service(p.Service.Name, p.Namespace).WithLabels(Labels(p.Group)).WithSpec(spec)
}

// Slice is the empty EndpointSlice of a group's Service. The manager makes it and
// never touches its endpoints again.
func Slice(p *planv1.Plan, family corev1.IPFamily) *discoveryv1.EndpointSlice {
	labels := Labels(p.Group)
	labels[discoveryv1.LabelServiceName] = p.Service.Name
	labels[discoveryv1.LabelManagedBy] = SliceManager
	addresses := discoveryv1.AddressTypeIPv4
	if family == corev1.IPv6Protocol {
		addresses = discoveryv1.AddressTypeIPv6
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: p.Namespace, Name: planv1.SliceName(p.Group), Labels: labels},
		AddressType: addresses,
		Endpoints:   []discoveryv1.Endpoint{},
	}
}
