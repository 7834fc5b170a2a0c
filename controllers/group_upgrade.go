// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	understudyv1alpha1 "github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/controllers/placement"
	"github.com/understudy-dev/understudy/internal/builders"
	"github.com/understudy-dev/understudy/internal/layout"
)

// imageRetry is how old a pod that could not bring the image gets before another
// one tries. Kubelet itself repeats a pull that fails.
const imageRetry = time.Minute

// upgrade brings the monitor of each live pod up to our own image, one at a time
// and the owner last. That restarts the container alone, and only once the image is
// on the node: a pod of its own pulls it. All that is to be remembered are those pods.
func (r *groupReconciler) upgrade(ctx context.Context, s *groupScope) error {
	if s.plan == nil || s.moved {
		return nil // what was created or deleted just now is not known to be ready
	}
	pods, err := r.imagePods(ctx, s)
	if err != nil {
		return err
	}
	next := placement.NextMonitor(s.placement(r.now()), r.options.Image)
	if next == nil && s.rollout == "" && s.readyHosts(r.now()) < s.wantedHosts() &&
		slices.ContainsFunc(s.pods, r.outdatedOwner(s)) {
		s.rollout = "the owner keeps the monitor that it has until every other host is ready"
	}
	if next == nil && s.rollout == "" && s.locked() && slices.ContainsFunc(s.pods, r.lockedOwner(s)) {
		s.rollout = "the owner's host stays as it is as long as the group is in locked mode"
	}
	if next != nil && !r.turn(ctx, s) {
		next = nil
	}
	var errs []error
	for i := range pods {
		if p := &pods[i]; next == nil || !r.brings(p, next) {
			errs = append(errs, r.deleteImagePod(ctx, p))
		}
	}
	if next != nil {
		errs = append(errs, r.upgradeHost(ctx, s, next, pods))
	}
	return errors.Join(errs...)
}

// outdatedOwner finds the owner if its monitor has another image than ours.
func (r *groupReconciler) outdatedOwner(s *groupScope) func(corev1.Pod) bool {
	return func(p corev1.Pod) bool {
		c := placement.Monitor(&p)
		return string(p.UID) == s.ownerUID() && c != nil && c.Image != r.options.Image &&
			p.DeletionTimestamp.IsZero() && !placement.Finished(&p) && !placement.Unreachable(&p, s.nodes)
	}
}

// lockedOwner finds the owner if a roll-out wants to change it.
func (r *groupReconciler) lockedOwner(s *groupScope) func(corev1.Pod) bool {
	outdated := r.outdatedOwner(s)
	return func(p corev1.Pod) bool {
		return outdated(p) || string(p.UID) == s.ownerUID() && !s.plan.OnDelete && !placement.Current(&p, s.plan.HostRevision)
	}
}

// upgradeHost takes the next step for one host.
func (r *groupReconciler) upgradeHost(ctx context.Context, s *groupScope, host *corev1.Pod, pods []corev1.Pod) error {
	idle := placement.MonitorStatus(host).State.Running == nil && !placement.Ready(host, s.placement(r.now()))
	if idle && string(host.UID) != s.ownerUID() {
		_, err := r.changeMonitor(ctx, s, host) // nothing of it runs that a pull could hold up
		return err
	}
	for i := range pods {
		p := &pods[i]
		if !r.brings(p, host) {
			continue
		}
		there, why := imageThere(p)
		if !equality.Semantic.DeepEqual(p.Spec.ImagePullSecrets, host.Spec.ImagePullSecrets) {
			// Kubelet may not let the host use what it has no secret for.
			there, why = false, "the service account got other pull secrets since the host was created: delete the host"
		}
		if there {
			if changed, err := r.changeMonitor(ctx, s, host); !changed {
				return err
			}
			return r.deleteImagePod(ctx, p)
		}
		return r.awaitImage(ctx, s, host, p, why)
	}
	return r.createImagePod(ctx, s, host)
}

// awaitImage says why the image is not there yet, and tries again if the pod gave up.
func (r *groupReconciler) awaitImage(ctx context.Context, s *groupScope, host, p *corev1.Pod, why string) error {
	if why != "" {
		s.rollout = fmt.Sprintf("the monitor of %s stays as it is, because its new image %s does not run on the node %s: %s",
			host.Name, r.options.Image, host.Spec.NodeName, why)
	}
	if !placement.Finished(p) {
		return nil
	}
	if left := imageRetry - r.now().Sub(p.CreationTimestamp.Time); left > 0 {
		s.again(left)
		return nil
	}
	return r.deleteImagePod(ctx, p) // its deletion brings us here again
}

// changeMonitor puts our image into the monitor of a live pod. It notes which
// container that replaces: kubelet goes on calling it ready until it has seen the change.
// The patch names that container alone: one of the whole list would take out of the
// others what a newer API server knows and we do not, which it refuses.
func (r *groupReconciler) changeMonitor(ctx context.Context, s *groupScope, host *corev1.Pod) (bool, error) {
	before := host.DeepCopy()
	changed, err := patched(host, func(p *corev1.Pod) {
		placement.Monitor(p).Image = r.options.Image
		metav1.SetMetaDataAnnotation(
			&p.ObjectMeta, understudyv1alpha1.AnnotationReplacedMonitor, placement.MonitorStatus(p).ContainerID)
	}, func(client.Patch) error {
		patch := client.StrategicMergeFrom(before, client.MergeFromWithOptimisticLock{})
		return r.Patch(ctx, host, patch, client.FieldOwner(fieldManager))
	})
	switch {
	case refused(err):
		s.rollout = fmt.Sprintf("the monitor of %s stays as it is, because the API server refuses its new image: %s",
			host.Name, err)
		s.again(refusedRetry)
		return false, nil
	case err != nil:
		return false, client.IgnoreNotFound(fmt.Errorf("changing the image of the monitor of the pod %s: %w", host.Name, err))
	case !changed:
		return false, nil
	}
	r.event(s.group, host, false, "MonitorUpgraded", "Upgrade", "The monitor of the host %s gets the image %s",
		host.Name, r.options.Image)
	return true, nil
}

// imagePods are the pods that bring images to the nodes of the group's hosts. Those
// of hosts that are gone go by themselves.
func (r *groupReconciler) imagePods(ctx context.Context, s *groupScope) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := r.List(ctx, &list, client.InNamespace(s.group.Namespace), client.MatchingLabels{
		understudyv1alpha1.LabelManagedBy: understudyv1alpha1.ManagedBy, understudyv1alpha1.LabelUpgrade: s.group.Name,
	}); err != nil {
		return nil, fmt.Errorf("listing the pods that bring the image: %w", err)
	}
	var own []corev1.Pod
	for i := range s.pods {
		for _, p := range list.Items {
			if metav1.IsControlledBy(&p, &s.pods[i]) {
				own = append(own, p)
			}
		}
	}
	return own, nil
}

func (r *groupReconciler) createImagePod(ctx context.Context, s *groupScope, host *corev1.Pod) error {
	pod := builders.ImagePod(host, s.group.Name, r.options.Image)
	err := r.Create(ctx, pod, client.FieldOwner(fieldManager))
	switch {
	case apierrors.IsAlreadyExists(err):
		if err := r.live.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return client.IgnoreNotFound(err)
		}
		if metav1.IsControlledBy(pod, host) {
			return nil // it is leaving, or the cache does not know it yet
		}
		err = &takenError{kind: "Pod", name: pod.Name}
	case err != nil && !refused(err):
		return fmt.Errorf("creating the pod %s: %w", pod.Name, err)
	}
	if err != nil {
		s.rollout = fmt.Sprintf("the monitor of %s stays as it is, because the pod that is to bring its new image "+
			"cannot be created: %s", host.Name, err)
		s.again(refusedRetry)
	}
	return nil
}

func (r *groupReconciler) deleteImagePod(ctx context.Context, p *corev1.Pod) error {
	if !p.DeletionTimestamp.IsZero() {
		return nil
	}
	uid := p.UID
	if err := r.Delete(ctx, p, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the pod %s: %w", p.Name, err)
	}
	return nil
}

// brings says that a pod brings our image to a host, and not another one of an
// upgrade that was given up.
func (r *groupReconciler) brings(p, host *corev1.Pod) bool {
	return metav1.IsControlledBy(p, host) && p.DeletionTimestamp.IsZero() && p.Spec.Containers[0].Image == r.options.Image
}

// imageThere says whether the image is on the pod's node and its monitor runs there;
// if not, what is in the way, if anything is.
func imageThere(p *corev1.Pod) (there bool, why string) {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name != layout.ImageContainer {
			continue
		}
		switch end, wait := c.State.Terminated, c.State.Waiting; {
		case end != nil && end.ExitCode == 0:
			return true, ""
		case end != nil:
			return false, sentence(fmt.Sprintf("%s with exit code %d", end.Reason, end.ExitCode), end.Message)
		case wait != nil && wait.Reason != "ContainerCreating" && wait.Reason != "PodInitializing":
			return false, sentence(wait.Reason, wait.Message)
		}
	}
	if placement.Finished(p) {
		return false, sentence(p.Status.Reason, p.Status.Message)
	}
	return false, ""
}

// groupOfImagePod wakes the group whose host gets an image.
func groupOfImagePod(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[understudyv1alpha1.LabelUpgrade]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}
