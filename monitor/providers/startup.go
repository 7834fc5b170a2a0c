// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package providers

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
	"github.com/understudy-dev/understudy/monitor/engine"
)

// The versions of the contract that the monitor drives, RA section 2.0: the first with
// control codes that are answered at once, the last with those as a user.
const (
	oldestVersion    = 0x100
	newestVersion    = 0x400
	versionWithBegin = 0x300
)

// startup is the part of an Open that comes before the first one of its type: Startup,
// once in the life of a provider (RA section 2.1). An answer is why nothing can be opened.
// A provider that does not know the call needs no preparation.
func (c *Client) startup(ctx context.Context, conn *grpc.ClientConn, call engine.Call) (*engine.Returned, error) {
	name := strings.ToLower(call.TypeName)
	c.mu.Lock()
	_, done := c.started[name]
	c.mu.Unlock()
	if done {
		return nil, nil
	}
	version := uint32(newestVersion)
	r, err := providerv1.NewProviderServiceClient(conn).Startup(ctx, &providerv1.StartupRequest{
		ResourceType: call.TypeName, MinVersionSupported: oldestVersion, MaxVersionSupported: newestVersion,
	})
	switch {
	case status.Code(err) == codes.Unimplemented:
	case err != nil:
		return nil, err
	case r.GetStatus() != 0:
		return &engine.Returned{Status: engine.Code(r.GetStatus()), Message: fmt.Sprintf(
			"Startup of the type %s: the monitor drives versions %#x to %#x of the contract", call.TypeName,
			oldestVersion, newestVersion)}, nil
	case r.GetVersion() == 0: // not said: whatever its capabilities say
	case r.GetVersion() < oldestVersion || r.GetVersion() > newestVersion:
		return &engine.Returned{Status: engine.CodeRevisionMismatch, Message: fmt.Sprintf(
			"Startup of the type %s answers version %#x: want one from %#x to %#x", call.TypeName, r.GetVersion(),
			oldestVersion, newestVersion)}, nil
	default:
		version = r.GetVersion()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn {
		c.started[name] = version
	}
	return nil, nil
}

// version is what Startup of a type agreed on.
func (c *Client) version(typeName string) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.started[strings.ToLower(typeName)]; ok {
		return v
	}
	return newestVersion
}
