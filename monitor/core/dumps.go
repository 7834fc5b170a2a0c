// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/understudy-dev/understudy/api/v1alpha1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// dump passes on what the engine wants to have dumped, unless the process that is meant
// is gone already.
func (c *Core) dump(d engine.Dump) {
	if k := c.container(d.Container); !k.connected || k.nonce != d.Nonce {
		c.toEngine(engine.Event{Dumped: &engine.Dumped{
			Container: d.Container, Resource: d.Resource, Message: "the process is gone, or its init is not connected",
		}})
		return
	}
	c.emit(Effect{Dump: &d})
}

// dumpsOf is what a status says of processes and of the latest dump.
func dumpsOf(registered []engine.DumpProcess, l *engine.LastDump) ([]v1alpha1.DumpProcess, *v1alpha1.LastDump) {
	var processes []v1alpha1.DumpProcess
	for _, p := range registered {
		processID := int64(p.PID)
		processes = append(processes, v1alpha1.DumpProcess{Name: p.Name, ProcessID: &processID})
	}
	if l == nil {
		return processes, nil
	}
	last := &v1alpha1.LastDump{
		Time: micro(l.Time), Reason: string(l.Reason), Name: l.File, Bytes: l.Bytes, Message: l.Message,
	}
	if l.Pending {
		last.Message = "it is being collected"
	}
	return processes, last
}
