// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package application

import (
	"context"
	"encoding/json"

	"github.com/understudy-dev/understudy/provider"
)

// ControlProcess is the control code PROCESS: function 1 on a resource, read
// access (RA 6.2). It has no input; its output is a JSON object with the process
// id of the program in its container and whether it runs.
const ControlProcess uint32 = 0x01800005

// Control serves the control codes of the type.
func (a *application) Control(_ context.Context, call provider.ControlCall) ([]byte, provider.ControlWork, error) {
	if call.Code != ControlProcess {
		return nil, nil, provider.Errorf(provider.ErrorInvalidFunction, "control code %#x is not known", call.Code)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := struct {
		PID     int      `json:"pid,omitempty"`
		Running bool     `json:"running"`
		Command []string `json:"command,omitempty"`
	}{}
	if a.program != nil && a.program.Running() {
		answer.PID, answer.Running, answer.Command = a.program.PID, true, a.props.Command
	}
	out, err := json.Marshal(answer)
	return out, nil, err
}
