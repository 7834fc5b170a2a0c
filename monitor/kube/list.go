// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

const (
	// maxListed bounds a list of the namespace's resources.
	maxListed = 500
	// enumTimeout bounds its request, and listFresh how often it is made for a type: a
	// provider that enumerates without end costs the API server one request a second.
	enumTimeout = 2 * time.Second
	listFresh   = time.Second
)

// lists are the answers of the last second.
type lists struct {
	mu    sync.Mutex
	known map[string]listed
	// asked is when the last request was made, whatever became of it.
	asked time.Time
}

type listed struct {
	items []v1alpha1.ClusterResource
	at    time.Time
}

// ListType reads the resources of a type in the namespace, at most 500 of them, as they
// were at most a second ago.
func (c *Client) ListType(ctx context.Context, typeName string) ([]v1alpha1.ClusterResource, error) {
	typeName = strings.ToLower(typeName) // as every name of an object is
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock() // one request at a time
	if l, ok := c.lists.known[typeName]; ok && time.Since(l.at) < listFresh {
		return l.items, nil
	}
	if time.Since(c.lists.asked) < listFresh {
		return nil, errors.New("another list was read less than a second ago: ask again")
	}
	c.lists.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, enumTimeout)
	defer cancel()
	var found v1alpha1.ClusterResourceList
	err := c.kinds.Get().Namespace(c.config.Namespace).Resource("clusterresources").
		VersionedParams(&metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("spec.typeName", typeName).String(), Limit: maxListed,
		}, metav1.ParameterCodec).Do(ctx).Into(&found)
	if err != nil {
		return nil, err
	}
	// Any other is older than a second by now.
	c.lists.known = map[string]listed{typeName: {items: found.Items, at: c.lists.asked}}
	return found.Items, nil
}
