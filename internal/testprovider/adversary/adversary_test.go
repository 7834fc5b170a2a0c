// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package adversary_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/understudy-dev/understudy/internal/testmonitor"
	"github.com/understudy-dev/understudy/internal/testprovider/adversary"
)

// Each callback of the protocol has its request, is heard as it was made, and recorded.
func TestEachCallbackIsMade(t *testing.T) {
	m := testmonitor.New(t)
	var record bytes.Buffer
	c, err := adversary.Dial(m.Socket, &record)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for _, method := range adversary.Callbacks() {
		r, err := adversary.Request(method, adversary.Target{Handle: "u", TypeName: "t", Context: 7})
		if err != nil {
			t.Error(err)
			continue
		}
		record.Reset()
		answer, err := c.Make(t.Context(), method, "alone", r)
		if err != nil {
			t.Fatal(err)
		}
		var line adversary.Answer
		if err := json.Unmarshal(record.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if want := (adversary.Answer{Method: string(method.Name()), Situation: "alone", Answer: answer}); line != want || answer == "" {
			t.Errorf("%+v, want %+v", line, want)
		}
	}
}

// What is made large is as large as it says.
func TestSizes(t *testing.T) {
	for _, method := range adversary.Callbacks() {
		r, err := adversary.Request(method, adversary.Target{Handle: "u"})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1000, adversary.MaxMessage, adversary.MaxMessage + 1} {
			if adversary.Pad(r, size); proto.Size(r) != size {
				t.Errorf("%s has %d bytes, want %d", method.Name(), proto.Size(r), size)
			}
			r.ProtoReflect().SetUnknown(nil)
		}
		bomb, err := adversary.Bomb(method)
		if n := proto.Size(bomb); err != nil || n > adversary.MaxMessage {
			t.Errorf("%s has %d bytes %v", method.Name(), n, err)
		}
	}
}
