// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package adversary is a provider that means harm: it makes every callback of the
// protocol with a wrong handle, in a wrong state, twice, too large and too often, then
// hangs, then exits. It speaks the protocol itself, because the SDK would not let it.
//
// The callbacks come from the descriptor of the service, not from a list: one that is
// new to the protocol is tried as soon as it is there.
package adversary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/understudy-dev/understudy/api/provider/v1"
)

// Done is the answer of a call that returns nothing.
const Done = "done"

// Answer is what a callback was answered. It is a line of JSON in the record.
type Answer struct {
	Method    string `json:"method"`
	Situation string `json:"situation"`
	// Answer is the name of a gRPC code that is not OK, the number of a status, CONTINUE
	// or TERMINATE, or Done.
	Answer string `json:"answer"`
}

// Caller makes callbacks through the socket of one container.
type Caller struct {
	conn *grpc.ClientConn
	mu   sync.Mutex
	to   io.Writer
}

// Dial connects to the monitor's socket. Answers are recorded in to, if that is not nil.
func Dial(socket string, to io.Writer) (*Caller, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20)))
	return &Caller{conn: conn, to: to}, err
}

// Close closes the connection.
func (c *Caller) Close() error { return c.conn.Close() }

// Client makes callbacks one by one.
func (c *Caller) Client() pb.MonitorServiceClient { return pb.NewMonitorServiceClient(c.conn) }

// Callbacks are the methods of MonitorService, in the order of the protocol.
func Callbacks() []protoreflect.MethodDescriptor {
	methods := pb.File_provider_v1_provider_proto.Services().ByName("MonitorService").Methods()
	all := make([]protoreflect.MethodDescriptor, methods.Len())
	for i := range all {
		all[i] = methods.Get(i)
	}
	return all
}

// Make makes a callback, and records how it was answered.
func (c *Caller) Make(
	ctx context.Context, m protoreflect.MethodDescriptor, situation string, r proto.Message,
) (string, error) {
	out, err := c.Call(ctx, m, r)
	answer := Read(out, err)
	if c.to == nil {
		return answer, nil
	}
	line, err := json.Marshal(Answer{Method: string(m.Name()), Situation: situation, Answer: answer})
	if err != nil {
		return answer, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.to.Write(append(line, '\n'))
	return answer, err
}

// Call makes a callback: of a stream of requests it sends one, of a stream of answers it
// returns the last.
func (c *Caller) Call(ctx context.Context, m protoreflect.MethodDescriptor, r proto.Message) (proto.Message, error) {
	out, err := message(m.Output())
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return out, c.conn.Invoke(ctx, path, r, out)
	}
	ctx, cancel := context.WithCancel(ctx) // a stream that is left open holds its place
	defer cancel()
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, path)
	if err != nil {
		return nil, err
	}
	// The reason for which it cannot be sent comes with the answer.
	if err := s.SendMsg(r); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	for {
		if err := s.RecvMsg(out); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// Read puts an answer into a word.
func Read(out proto.Message, err error) string {
	if err != nil {
		return status.Code(err).String()
	}
	m := out.ProtoReflect()
	fields := m.Descriptor().Fields()
	if f := fields.ByName("exit_state"); f != nil {
		name := string(f.Enum().Values().ByNumber(m.Get(f).Enum()).Name())
		return strings.TrimPrefix(name, "RESOURCE_EXIT_STATE_")
	}
	if f := fields.ByName("status"); f != nil {
		return fmt.Sprint(m.Get(f).Uint())
	}
	return Done
}

// message makes an empty one.
func message(d protoreflect.MessageDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return t.New().Interface(), nil
}

// remove removes a socket that an earlier life left.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
