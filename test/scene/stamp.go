// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stamp renders a time for messages: the day is not in question.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("15:04:05.000")
}

func clockOf(t *metav1.MicroTime) string {
	if t == nil {
		return "(missing)"
	}
	return stamp(t.Time)
}
