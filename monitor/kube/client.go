// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kube is the monitor's side of the API server: the Lease on a client of
// its own, three watches, one plan, and the documents that core wants stored. It
// is thin on purpose: no informer factory, no generated clientset, because it
// stands in every host pod.
package kube

import (
	"context"
	"fmt"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// Config of a Client.
type Config struct {
	// REST reaches the API server.
	REST *rest.Config
	// Namespace and Group are the ResourceGroup; Pod is this host's pod.
	Namespace, Group, PodName, PodUID, NodeName string
	// Sink takes what is seen, in order.
	Sink func(core.Input)
}

// Client is the monitor's client of the API server.
type Client struct {
	config Config
	// leases has connections of its own: HTTP/1.1, so that a time-out drops the
	// connection, and no rate limit (Ownership section 6, RENEW).
	leases    rest.Interface
	slices    rest.Interface
	revisions rest.Interface
	events    rest.Interface
	kinds     rest.Interface

	leaseBase cache
	objects   objects
	lists     lists
	queue     chan outgoing
	flood     flood
}

// New makes a client; nothing is sent yet.
func New(config Config) (*Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		coordinationv1.AddToScheme, discoveryv1.AddToScheme, appsv1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()
	c := &Client{config: config, queue: make(chan outgoing, eventQueue)}

	shared := rest.CopyConfig(config.REST)
	shared.NegotiatedSerializer = codecs
	// What is written is bounded by core's pace; a failover must not wait for a bucket.
	shared.QPS = -1
	shared.UserAgent = "understudy-monitor"
	httpClient, err := rest.HTTPClientFor(shared)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	for _, g := range []struct {
		version schema.GroupVersion
		client  *rest.Interface
	}{
		{discoveryv1.SchemeGroupVersion, &c.slices},
		{appsv1.SchemeGroupVersion, &c.revisions},
		{eventsv1.SchemeGroupVersion, &c.events},
		{v1alpha1.GroupVersion, &c.kinds},
	} {
		if *g.client, err = restClient(shared, g.version, httpClient); err != nil {
			return nil, err
		}
	}
	own := rest.CopyConfig(shared)
	own.UserAgent = "understudy-monitor-lease"
	own.NextProtos = []string{"http/1.1"}
	// A config of its own needs a transport of its own: client-go shares those of
	// equal TLS settings, and NextProtos sets this one apart.
	ownHTTP, err := rest.HTTPClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("client of the lease: %w", err)
	}
	c.leases, err = restClient(own, coordinationv1.SchemeGroupVersion, ownHTTP)
	return c, err
}

// Run watches and sends Events until ctx ends.
func (c *Client) Run(ctx context.Context) {
	go c.sendEvents(ctx)
	go c.watchLease(ctx)
	go c.watchCalls(ctx)
	go c.watchEndpoint(ctx)
	c.watchGroup(ctx)
}

func restClient(config *rest.Config, gv schema.GroupVersion, httpClient *http.Client) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &gv
	config.APIPath = "/apis"
	client, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", gv, err)
	}
	return client, nil
}
