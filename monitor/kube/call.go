// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/base64"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/core"
)

// queued is for whom a stored call waits.
func queued(k *v1alpha1.ControlCall) string {
	c := meta.FindStatusCondition(k.Status.Conditions, v1alpha1.ConditionFinished)
	if c == nil || c.Reason != v1alpha1.ReasonQueued {
		return ""
	}
	return c.Message
}

// finishCall writes the outcome into a ControlCall; nil leaves it open.
func finishCall(k *v1alpha1.ControlCall, queued string, f *core.CallFinish) {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionFinished, Status: metav1.ConditionFalse, Reason: "Running",
		ObservedGeneration: k.Generation,
	}
	if queued != "" {
		condition.Reason, condition.Message = v1alpha1.ReasonQueued, queued
	}
	if f != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, f.Reason, f.Message
		k.Status.StatusCode, k.Status.StatusName, k.Status.Message = &f.StatusCode, f.StatusName, f.Message
		k.Status.CompletionTime = toMicro(&f.Time)
		k.Status.Output, k.Status.OutputEncoding = encode(f.Output)
	}
	meta.SetStatusCondition(&k.Status.Conditions, condition)
}

func encode(output []byte) (text, encoding string) {
	switch {
	case len(output) == 0:
		return "", ""
	case utf8.Valid(output):
		return string(output), "Text"
	}
	return base64.StdEncoding.EncodeToString(output), "Base64"
}
