// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package core

import (
	"strings"

	"github.com/understudy-dev/understudy/monitor/engine"
)

// unfitProvider is why a host is not ready whose provider is not up.
const unfitProvider = "ProviderMissing"

// maxAbsent bounds what a host says of its providers.
const maxAbsent = 1024

// providerAbsent has people told why a provider does not come up. It decides
// nothing: that the provider is not up is known without it.
func (c *Core) providerAbsent(a ProviderAbsent) {
	c.container(a.Container).absent = a.Reason
	c.log(engine.LevelWarning, unfitProvider, absentText(a.Container, a.Reason))
}

// absentProviders says so of all that the plan needs.
func (c *Core) absentProviders() string {
	var list []string
	for _, k := range c.snapshot.Containers {
		if reason := c.container(k.Name).absent; !k.Up && c.planned(k.Name) && reason != "" {
			list = append(list, absentText(k.Name, reason))
		}
	}
	text := strings.Join(list, "; ")
	return strings.ToValidUTF8(text[:min(len(text), maxAbsent)], "")
}

func absentText(container, reason string) string { return "container " + container + ": " + reason }
