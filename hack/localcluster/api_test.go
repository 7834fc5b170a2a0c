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
	ready := `{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True","lastHeartbeatTime":"2030-01-01T12:00:00Z"}`
	for _, test := range []struct{ node, want string }{
		{`{"status":{"conditions":[` + ready + `]}}`, ""},
		{`{"status":{}}`, "not reported yet"},
		{`{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2030-01-01T11:59:59Z"}]}}`, "since it was started"},
		{`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network","lastHeartbeatTime":"2030-01-01T12:00:09Z"}]}}`, "no network"},
		{`{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]},"status":{"conditions":[` + ready + `]}}`, "k:NoSchedule"},
		{`{"spec":{"taints":[{"key":"k","effect":"PreferNoSchedule"}]},"status":{"conditions":[` + ready + `]}}`, ""},
	} {
		err := parseNodeReady([]byte(test.node), since)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.node, err, test.want)
		}
	}
}
