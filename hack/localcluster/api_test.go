// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseNodeReady(t *testing.T) {
	since := time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)
	conditions := func(status, second string) string {
		return `"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"` + status +
			`","message":"no network","lastHeartbeatTime":"2030-01-01T` + second + `Z"}]}}`
	}
	ready := conditions("True", "12:00:00")
	for _, test := range []struct{ node, want string }{
		{`{` + ready, ""},
		{`{"status":{}}`, "not reported yet"},
		{`{` + conditions("True", "11:59:59"), "since it was started"},
		{`{` + conditions("False", "12:00:09"), "no network"},
		{`{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]},` + ready, "k:NoSchedule"},
		{`{"spec":{"taints":[{"key":"k","effect":"PreferNoSchedule"}]},` + ready, ""},
	} {
		err := parseNodeReady([]byte(test.node), since)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.node, err, test.want)
		}
	}
}
