// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
)

// Cluster is the cluster on which all happens.
type Cluster struct {
	// Client reads and writes; it caches nothing. Clientset is for logs.
	Client    client.WithWatch
	Clientset kubernetes.Interface
	REST      *rest.Config
	// Local can do harm to nodes; nil on a cluster that is not this machine's.
	Local *Local
	// Say is where progress goes.
	Say Say

	root, kubeconfig, kubectl string
}

// Open returns the cluster that $KUBECONFIG names or, if it is not set, this machine's
// local cluster, which it brings up.
func Open(ctx context.Context, say Say) (*Cluster, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	local, err := newLocal(ctx, root, say)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Say: say, root: root, kubeconfig: os.Getenv("KUBECONFIG")}
	// Whoever looked around in the local cluster has its file in the environment.
	if c.kubeconfig == "" || c.kubeconfig == local.kubeconfig {
		if err := local.Up(ctx); err != nil {
			return nil, err
		}
		c.Local, c.kubeconfig, c.kubectl = local, local.kubeconfig, local.kubectl
	} else if c.kubectl, err = exec.LookPath("kubectl"); err != nil {
		return nil, errors.New("kubectl is not in the PATH: install it, or unset KUBECONFIG to use a local cluster")
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) connect() (err error) {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(c.kubeconfig)}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{})
	if c.REST, err = loader.ClientConfig(); err != nil {
		return fmt.Errorf("KUBECONFIG=%s: %w", c.kubeconfig, err)
	}
	// Without one, a stack trace is printed to whoever waited half a minute for the cluster.
	log.SetLogger(logr.Discard())
	// A limit of our own would falsify what is measured.
	c.REST.QPS = -1
	scheme := clientgoscheme.Scheme
	if err := understudyv1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	if c.Client, err = client.NewWithWatch(c.REST, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	c.Clientset, err = kubernetes.NewForConfig(c.REST)
	return err
}

// env tells kubectl and helm the cluster. It may be a list of files, which their flag cannot be.
func (c *Cluster) env() []string { return []string{"KUBECONFIG=" + c.kubeconfig} }

// Kubectl runs kubectl and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return Command{Args: append([]string{c.kubectl}, args...), Dir: c.root, Env: c.env()}.Run(ctx)
}

// Exec runs a program in a container.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, args ...string) (string, error) {
	return c.Kubectl(ctx, append([]string{"exec", "-n", namespace, pod, "-c", container, "--"}, args...)...)
}

// Hint says how a person reaches the cluster.
func (c *Cluster) Hint() string {
	hint := "export KUBECONFIG=" + c.kubeconfig
	if c.Local != nil {
		hint += " PATH=$PATH:" + filepath.Dir(c.kubectl) // there may be no kubectl yet
	}
	return hint
}

// ReadyNodes are the names of the nodes that take pods, sorted.
func (c *Cluster) ReadyNodes(ctx context.Context) ([]string, error) {
	list := &corev1.NodeList{}
	if err := c.Client.List(ctx, list); err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		n := &list.Items[i]
		ready := slices.ContainsFunc(n.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		})
		closed := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule })
		if ready && !n.Spec.Unschedulable && !closed {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// MakeNamespace creates a namespace with a name of its own.
func (c *Cluster) MakeNamespace(ctx context.Context, prefix string) (string, error) {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: strings.ToLower(prefix) + "-"}}
	err := c.Client.Create(ctx, n)
	return n.Name, err
}
