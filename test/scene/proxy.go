// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// WaitProxies waits until kube-proxy of every node of the local cluster follows what
// is written now. After a cut it may be seconds before it hears of anything, and a
// client on its node would be told of owners of the past.
func (c *Cluster) WaitProxies(ctx context.Context, namespace string) error {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "mark-"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}
	if err := c.Client.Create(ctx, service); err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: service.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		// An address for documentation: nobody is there, and nobody asks.
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		Ports:     []discoveryv1.EndpointPort{{Port: ptr.To[int32](1)}},
	}
	err := c.Client.Create(ctx, slice)
	for _, node := range localNodes {
		err = errors.Join(err, c.waitProxy(ctx, node, service))
	}
	return errors.Join(err, c.Client.Delete(ctx, slice), c.Client.Delete(ctx, service))
}

func (c *Cluster) waitProxy(ctx context.Context, node string, service *corev1.Service) error {
	return c.Wait(ctx, "kube-proxy of "+node, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		rules, err := Command{Args: []string{
			"nsenter", "--net=/run/netns/understudy-" + node, "nft", "list", "table", "ip", "kube-proxy",
		}}.Run(ctx)
		for line := range strings.Lines(rules) {
			// Only a Service that has an endpoint has a chain.
			if strings.Contains(line, "goto service-") && strings.Contains(line, "/"+service.Name+"/") {
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("no rule for %s", service.Spec.ClusterIP), err
	})
}
