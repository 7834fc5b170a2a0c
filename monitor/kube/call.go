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
	"github.com/understudy-dev/understudy/monitor/engine"
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
		Type: v1alpha1.ConditionFinished, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRunning,
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
		if n := int64(max(f.BytesReturned, uint32(len(f.Output)))); n > 0 {
			k.Status.BytesReturned = &n
		}
	}
	meta.SetStatusCondition(&k.Status.Conditions, condition)
}

// asUser is in whose name a call is.
func asUser(u *v1alpha1.ControlUser) *engine.User {
	if u == nil {
		return nil
	}
	return &engine.User{Name: u.Username, UID: u.UID, Groups: u.Groups}
}

// sameDeadline compares with what the API stores of a time.
func sameDeadline(stored *metav1.MicroTime, d core.CallDocument) bool {
	if d.Deadline.IsZero() || stored == nil {
		return d.Deadline.IsZero() == (stored == nil)
	}
	return toMicro(&d.Deadline).Equal(stored)
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
