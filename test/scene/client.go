// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client is a client of a group that runs in the cluster, on a node of its own, and
// reaches the group through its Service only.
type Client struct {
	group Group
	pod   string
	// Node on which it runs.
	Node string
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	changes []Change
	alive   time.Time
	up      bool
}

// StartClient starts one, on a node that hosts nothing of the group if there is one.
func (g Group) StartClient(ctx context.Context) (*Client, error) {
	c := &Client{group: g, pod: g.Name + "-client", done: make(chan struct{})}
	address, err := g.Address(ctx)
	if err != nil {
		return nil, err
	}
	if c.Node, err = g.freeNode(ctx); err != nil {
		return nil, err
	}
	if err := c.replacePod(ctx, address); err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() {
		defer close(c.done)
		c.follow(following)
	}()
	if err := c.WaitUp(ctx, time.Time{}, 2*time.Minute); err != nil {
		return nil, err
	}
	return c, nil
}

// freeNode finds a ready node without a host; the last ready node if all have one.
func (g Group) freeNode(ctx context.Context) (string, error) {
	nodes, err := g.ReadyNodes(ctx)
	if err != nil {
		return "", err
	}
	if len(nodes) == 0 {
		return "", fmt.Errorf("no node is ready")
	}
	pods, err := g.Pods(ctx)
	if err != nil {
		return "", err
	}
	for _, node := range nodes {
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node }) {
			return node, nil
		}
	}
	last := nodes[len(nodes)-1]
	g.Say("every node hosts the group: the client runs on %s beside it", last)
	return last, nil
}

func (c *Client) replacePod(ctx context.Context, address string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.group.Namespace, Name: c.pod},
		Spec: corev1.PodSpec{
			NodeName:                      c.Node,
			AutomountServiceAccountToken:  ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers: []corev1.Container{{
				Name: "probe", Image: "demo-programs:dev", ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"/probe", address},
			}},
		},
	}
	if err := c.remove(ctx); err != nil {
		return err
	}
	return c.group.Client.Create(ctx, pod)
}

func (c *Client) remove(ctx context.Context) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.group.Namespace, Name: c.pod}}
	err := c.group.Client.Delete(ctx, pod, client.GracePeriodSeconds(0))
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	return c.group.Wait(ctx, "the end of the pod "+c.pod, time.Minute, func(ctx context.Context) (bool, string, error) {
		err := c.group.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, "it is still there", err
	})
}

// Stop removes it.
func (c *Client) Stop(ctx context.Context) error {
	c.Quit()
	return c.remove(ctx)
}

// Quit ends our listening to it; it goes with its namespace.
func (c *Client) Quit() {
	c.stop()
	<-c.done
}

// follow reads what the probe says. A stream that ends is taken up again from where
// it ended; what was read twice is dropped by its time.
func (c *Client) follow(ctx context.Context) {
	for ctx.Err() == nil {
		stream, err := c.group.Clientset.CoreV1().Pods(c.group.Namespace).
			GetLogs(c.pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
		if err == nil {
			lines := bufio.NewScanner(stream)
			for lines.Scan() {
				c.read(lines.Bytes())
			}
			_ = stream.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(period):
		}
	}
}

func (c *Client) read(line []byte) {
	var said struct {
		Up    bool   `json:"up"`
		At    int64  `json:"at"`
		Beat  bool   `json:"beat"`
		Error string `json:"error"`
	}
	if json.Unmarshal(line, &said) != nil {
		return
	}
	at := time.Unix(0, said.At)
	c.mu.Lock()
	defer c.mu.Unlock()
	if said.Beat {
		if at.After(c.alive) {
			c.alive, c.up = at, said.Up
		}
		return
	}
	if n := len(c.changes); n > 0 && !at.After(c.changes[n-1].At) {
		return
	}
	c.changes = append(c.changes, Change{Up: said.Up, At: at, Error: said.Error})
}

// WaitUp waits until the client has said, after a time, that it is served.
func (c *Client) WaitUp(ctx context.Context, after time.Time, within time.Duration) error {
	return c.group.Wait(ctx, "the client to be served", within, func(context.Context) (bool, string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		seen := "it has said nothing yet"
		if !c.alive.IsZero() {
			seen = fmt.Sprintf("served=%t at %s", c.up, stamp(c.alive))
		}
		return c.up && c.alive.After(after), seen, nil
	})
}

// Outage is what the client missed since a time.
func (c *Client) Outage(since time.Time) Outage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return outageSince(c.changes, since)
}

// MissedNothing fails if the client was not served at some time since.
func (c *Client) MissedNothing(since time.Time) error {
	if o := c.Outage(since); o.Parts > 0 {
		return fmt.Errorf("the client missed %s:%s", o, c.Changes(since))
	}
	return nil
}

// Changes are all that the client saw since a time, as text for messages.
func (c *Client) Changes(since time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Builder{}
	for _, change := range c.changes {
		if !change.At.Before(since) {
			_, _ = fmt.Fprintf(&text, "\n    %s up=%t %s", stamp(change.At), change.Up, change.Error)
		}
	}
	return text.String()
}
