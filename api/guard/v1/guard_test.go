// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package guardv1

import (
	"bytes"
	"strings"
	"testing"
)

// TestLargestDump: an order of a dump fits a line, whatever is in it: a line that does
// not would cost the connection.
func TestLargestDump(t *testing.T) {
	order := &DumpOrder{Resource: strings.Repeat("r", 253), More: 64, Core: true}
	for range MaxProcesses {
		order.Processes = append(order.Processes, Process{Name: strings.Repeat("'", MaxProcessName), PID: 1 << 22})
	}
	var b bytes.Buffer
	m := Message{
		Type: Dump, ID: strings.Repeat("u", 36), Reason: strings.Repeat("R", 63), Dump: order,
		Nonce: strings.Repeat("n", 32),
	}
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	got, err := NewReader(&b).Read()
	if err != nil || len(got.Dump.Processes) != MaxProcesses || got.Dump.Processes[0] != order.Processes[0] {
		t.Fatalf("%+v, %v", got, err)
	}
	// What a name may hold is written as it is.
	for c := byte(' '); c <= '~'; c++ {
		name := string([]byte{c})
		if strings.Contains(`"\<>&`, name) {
			continue
		}
		b.Reset()
		if err := Write(&b, Message{Dump: &DumpOrder{Processes: []Process{{Name: name}}}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), `"name":"`+name+`"`) {
			t.Errorf("%q is written as %s", name, b.String())
		}
	}
}
