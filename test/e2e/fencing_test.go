//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leasev1 "github.com/understudy-dev/understudy/api/lease/v1"
	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/test/scene"
)

// powerSwitch is what ends nodes. It answers when a node is dead, and remembers which.
type powerSwitch struct {
	address string
	mu      sync.Mutex
	ended   []string
}

func newPowerSwitch(t *testing.T) *powerSwitch {
	t.Helper()
	// Where the API server is, nodes reach this machine.
	api := ok(url.Parse(cluster.REST.Host))(t)
	listener := ok(new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(api.Hostname(), "0")))(t)
	s := &powerSwitch{address: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /off/{node}", func(w http.ResponseWriter, r *http.Request) {
		node := r.PathValue("node")
		// Whoever asked may go: a node that is half dead helps nobody.
		if err := cluster.Local.Kill(t.Context(), node); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, node)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

func (s *powerSwitch) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.ended, ",")
}

// agent asks the switch, and is content only with its word that the node is dead.
func (s *powerSwitch) agent(namespace string) *batchv1.CronJob {
	host, port, _ := net.SplitHostPort(s.address)
	script := "exec 3<>/dev/tcp/" + host + "/" + port + `
		printf 'POST /off/%s HTTP/1.1\r\nHost: switch\r\nConnection: close\r\n\r\n' "$UNDERSTUDY_NODE" >&3
		read -r _ code _ <&3
		[ "$code" = 200 ]`
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "power-off"},
		Spec: batchv1.CronJobSpec{
			Schedule: "0 0 1 1 *", Suspend: ptr.To(true),
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
				BackoffLimit: ptr.To[int32](2),
				Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](10001),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name: "power-off", Image: "demo-redis:dev", Command: []string{"bash", "-c", script},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				}},
			}},
		},
	}
}

// TestStopFailureIsFenced: a stop cannot be proven, and an agent switches the owner's
// node off. Only then does the other host begin, at once.
func TestStopFailureIsFenced(t *testing.T) {
	namespace := stage(t)
	power := newPowerSwitch(t)
	must(t, cluster.Client.Create(t.Context(), power.agent(namespace)))
	leader := leadingManager(t)
	l := caught(t, namespace, func(s *understudyv1alpha1.ResourceGroupSpec) {
		// Who fences must not go with the node: else it waits until another manager leads.
		s.Template.Spec.Affinity = notOn(leader)
		// Longer than the agent takes: the lease of a dead owner would run out.
		s.LeaseDurationSeconds = 15
		s.StopFailure = &understudyv1alpha1.StopFailure{Policy: understudyv1alpha1.StopFailureFence, CronJobName: "power-off"}
	})
	began := time.Now()
	entry := ok(l.WaitEntry(t.Context(), l.mark, 2*time.Minute))(t)
	t.Logf("online %s after StopFailed: %s", time.Since(began), scene.DescribeEntry(entry))
	if entry.Kind != scene.KindFailover || entry.Cause != "Fenced" || power.all() != l.owner.NodeName {
		t.Errorf("%s; ended were %q; want that it was fenced, and the node %s alone ended",
			scene.DescribeEntry(entry), power.all(), l.owner.NodeName)
	}
	if scene.Alive(l.pid) || scene.Alive(l.init) {
		t.Error("what could not be stopped lives")
	}
	l.takenOver(t, time.Minute)
	o := ok(l.Get(t.Context()))(t)
	c := apimeta.FindStatusCondition(o.Status.Conditions, understudyv1alpha1.ConditionFencing)
	if c == nil || c.Reason != understudyv1alpha1.ReasonFenced {
		t.Errorf("the condition Fencing is %+v", c)
	}
}

// leadingManager is the node of the manager that leads.
func leadingManager(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	must(t, cluster.Client.Get(t.Context(), client.ObjectKey{
		Namespace: scene.SystemNamespace, Name: "manager.understudy.dev",
	}, lease))
	name, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
	pod := &corev1.Pod{}
	must(t, cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: scene.SystemNamespace, Name: name}, pod))
	return pod.Spec.NodeName
}

// notOn keeps pods off a node.
func notOn(node string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{
				Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{node},
			}},
		}}},
	}}
}

// TestBreakGlass: a person ends the host of a stop that cannot be proven, and says so.
func TestBreakGlass(t *testing.T) {
	namespace := stage(t)
	for user, role := range map[string]string{"ada": "admin", "eve": "edit"} {
		must(t, cluster.Client.Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}))
	}
	l := caught(t, namespace, func(s *understudyv1alpha1.ResourceGroupSpec) { s.LeaseDurationSeconds = 15 })
	fence := func(user string, epoch int64) error {
		_, err := cluster.Kubectl(t.Context(), "--as", user, "--namespace", namespace, "annotate", "lease", leasev1.Name(l.Name),
			leasev1.KeyFencedEpoch+"="+strconv.FormatInt(epoch, 10), leasev1.KeyFencedBy+"="+user)
		return err
	}
	for _, one := range []struct {
		user   string
		epoch  int64
		reason string
	}{
		{"eve", l.owner.Epoch, "needs the verb fence on the ResourceGroup liar"},
		{"ada", l.owner.Epoch + 1, "a fence is for the present owner, whose epoch is " + strconv.FormatInt(l.owner.Epoch, 10)},
		{"ada", l.owner.Epoch - 1, "a fence is for the present owner"},
	} {
		if err := fence(one.user, one.epoch); err == nil || !strings.Contains(err.Error(), one.reason) {
			t.Errorf("%s fences the epoch %d: %v, want it refused with %q", one.user, one.epoch, err, one.reason)
		}
	}
	l.lives(t)
	must(t, cluster.Local.Kill(t.Context(), l.owner.NodeName))
	must(t, fence("ada", l.owner.Epoch))
	if entry := ok(l.WaitEntry(t.Context(), l.mark, time.Minute))(t); entry.Cause != "Fenced" {
		t.Errorf("%s, want it for the fence", scene.DescribeEntry(entry))
	}
	l.takenOver(t, time.Minute)
}
