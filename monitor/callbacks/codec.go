// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package callbacks

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"

	providerv1 "github.com/understudy-dev/understudy/api/provider/v1"
)

// codec is that of protobuf, but for a list of properties that is refused anyway: two
// bytes of one can become 80 once they are read.
type codec struct{ encoding.CodecV2 }

const (
	// maxValues is how many values a list can have: with each goes a comma at least.
	maxValues = maxProperties / 2
	// maxListDepth is more than the engine takes.
	maxListDepth = 100
)

// tooMuch stands for a list that was not read.
var tooMuch = &structpb.Struct{}

// Unmarshal reads a request.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*providerv1.SetResourceInMemoryNodeLocalPropertiesRequest)
	if ok && data.Len() > maxValues && values(data.Materialize(), inRequest, 0) > maxValues {
		r.PropertyList = tooMuch
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// place is a message in which values are.
type place int

const (
	inRequest place = iota
	inStruct
	inEntry
	inValue
	inList
)

// below are the fields in which there are more.
var below = map[place]map[protowire.Number]place{
	inRequest: {2: inStruct},
	inStruct:  {1: inEntry},
	inEntry:   {2: inValue},
	inValue:   {5: inStruct, 6: inList},
	inList:    {1: inValue},
}

// values counts the values and names in a message; what is too deep has too many. What is
// no message ends there: it is refused when it is read.
func values(b []byte, in place, depth int) (n int) {
	if depth > maxListDepth {
		return maxValues + 1
	}
	for len(b) > 0 && n <= maxValues {
		number, kind, head := protowire.ConsumeTag(b)
		if head < 0 {
			return n
		}
		size := protowire.ConsumeFieldValue(number, kind, b[head:])
		if size < 0 {
			return n
		}
		if deeper, ok := below[in][number]; ok && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(b[head:])
			n += values(content, deeper, depth+1)
			if deeper == inEntry || deeper == inValue {
				n++
			}
		}
		b = b[head+size:]
	}
	return n
}
