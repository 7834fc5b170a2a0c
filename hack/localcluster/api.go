// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// api asks the API server the few things that localcluster needs to know.
type api struct{ client *http.Client }

func (l Layout) api() (*api, error) {
	ca, err := os.ReadFile(l.PKI("ca.crt"))
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(l.PKI("admin.crt"), l.PKI("admin.key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &api{client: &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}}},
	}}, nil
}

func (a *api) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(
		ctx,
		http.MethodGet,
		fmt.Sprintf("https://%s:%d%s", hostIP, apiPort, path),
		nil,
	)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", path, response.Status, body)
	}
	return body, err
}

// ready tells whether the API server serves.
func (a *api) ready(ctx context.Context) error {
	_, err := a.get(ctx, "/readyz")
	return err
}

// handsOutAccounts tells whether the default namespace has its service account, without which it takes no pods.
func (a *api) handsOutAccounts(ctx context.Context) error {
	_, err := a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

// nodeHasAddress tells whether a node has registered with its address.
func (a *api) nodeHasAddress(ctx context.Context, n Node) error {
	text, err := a.get(ctx, "/api/v1/nodes/"+n.Name())
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Addresses []struct{ Address string }
		}
	}
	if err := json.Unmarshal(text, &node); err != nil {
		return err
	}
	for _, address := range node.Status.Addresses {
		if address.Address == n.IP() {
			return nil
		}
	}
	return errors.New("it has no address")
}

// nodeReady tells whether a node is ready by a report not older than since, and takes pods.
func (a *api) nodeReady(ctx context.Context, name string, since time.Time) error {
	text, err := a.get(ctx, "/api/v1/nodes/"+name)
	if err != nil {
		return err
	}
	return parseNodeReady(text, since)
}

func parseNodeReady(text []byte, since time.Time) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key, Effect string }
		}
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
		}
	}
	if err := json.Unmarshal(text, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		// Times have whole seconds.
		if condition.LastHeartbeatTime.Before(since.Truncate(time.Second)) {
			return errors.New("it has not reported since it was started")
		}
		if condition.Status != "True" {
			return fmt.Errorf("it is not ready: %s", condition.Message)
		}
		for _, taint := range node.Spec.Taints {
			if taint.Effect == "NoSchedule" || taint.Effect == "NoExecute" {
				return fmt.Errorf("it has the taint %s:%s", taint.Key, taint.Effect)
			}
		}
		return nil
	}
	return errors.New("it has not reported yet")
}
