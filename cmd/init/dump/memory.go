// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"encoding/binary"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// maxFrames is how many addresses of one stack are told.
	maxFrames = 64
	// maxStack is how much of a stack is looked at.
	maxStack = 64 << 10
	// maxAreas is how many mappings of a process are looked at.
	maxAreas = 8192
)

// area is one mapping of a process.
type area struct {
	start, end, offset uint64
	perms, name        string
}

func (a *area) executable() bool { return len(a.perms) > 2 && a.perms[2] == 'x' }

// private says whether it is the process's own, and can be written to.
func (a *area) private() bool {
	return strings.HasPrefix(a.perms, "rw") && strings.HasSuffix(a.perms, "p")
}

// areas reads /proc/PID/maps.
func (r *reader) areas(pid int) ([]area, error) {
	b, err := r.file(strconv.Itoa(pid) + "/maps")
	if err != nil {
		return nil, err
	}
	var areas []area
	for line := range strings.Lines(string(b)) {
		a, ok := parseArea(line)
		if ok && len(areas) < maxAreas {
			areas = append(areas, a)
		}
	}
	return areas, nil
}

// parseArea parses "start-end perms offset dev inode  name".
func parseArea(line string) (a area, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || !strings.HasSuffix(line, "\n") {
		return a, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	var errs [3]error
	a.start, errs[0] = strconv.ParseUint(from, 16, 64)
	a.end, errs[1] = strconv.ParseUint(to, 16, 64)
	a.offset, errs[2] = strconv.ParseUint(fields[2], 16, 64)
	a.perms, a.name = fields[1], strings.Join(fields[5:], " ")
	return a, errs == [3]error{} && a.start < a.end
}

// summary adds the mappings up by name: the size, and what may be written to.
func summary(areas []area) []string {
	type sum struct{ size, private uint64 }
	sums, names := map[string]*sum{}, []string{}
	for _, a := range areas {
		name := a.name
		if name == "" {
			name = "[anonymous]"
		}
		if sums[name] == nil {
			sums[name] = &sum{}
			names = append(names, name)
		}
		sums[name].size += a.end - a.start
		if a.private() {
			sums[name].private += a.end - a.start
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return int(int64(sums[b].size>>10) - int64(sums[a].size>>10)) })
	lines := make([]string, 0, len(names))
	for _, name := range names {
		lines = append(lines, fmt.Sprintf("%10d kB, %10d kB of it private: %s", sums[name].size>>10, sums[name].private>>10, name))
	}
	return lines
}

// memory is the memory of a process.
type memory struct {
	fileAt
	areas []area
	order binary.ByteOrder
	stack []byte
}

func (r *reader) memory(pid int) (*memory, error) {
	areas, err := r.areas(pid)
	if err != nil {
		return nil, err
	}
	if err := r.over(); err != nil {
		return nil, err
	}
	fd, err := open(path.Join(r.proc, strconv.Itoa(pid), "mem"), syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &memory{fileAt: fileAt(fd), areas: areas, order: binary.NativeEndian, stack: make([]byte, maxStack)}, nil
}

// area returns the mapping of an address, nil if there is none.
func (m *memory) area(at uint64) *area {
	i, found := slices.BinarySearchFunc(m.areas, at, func(a area, at uint64) int {
		switch {
		case a.end <= at:
			return -1
		case a.start > at:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &m.areas[i]
}

// registers parses /proc/PID/syscall: of a thread that is in a system call, or
// blocked otherwise, the last two numbers are its stack pointer and its program
// counter.
func registers(line string) (sp, pc uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return 0, 0, false // "running", or it cannot be read
	}
	sp, err := strconv.ParseUint(strings.TrimPrefix(fields[len(fields)-2], "0x"), 16, 64)
	if err != nil {
		return 0, 0, false
	}
	pc, err = strconv.ParseUint(strings.TrimPrefix(fields[len(fields)-1], "0x"), 16, 64)
	return sp, pc, err == nil && sp != 0
}

// frames returns pc and what is on the stack that points behind a call instruction.
func (m *memory) frames(sp, pc uint64) []uint64 {
	frames := []uint64{pc}
	stack := m.area(sp)
	if stack == nil {
		return frames
	}
	const size = 8
	n, _ := m.ReadAt(m.stack[:min(stack.end-sp, maxStack)], int64(sp)) // what could be read
	for b := m.stack[:n]; len(b) >= size && len(frames) < maxFrames; b = b[size:] {
		at := m.order.Uint64(b)
		if a := m.area(at); a != nil && a.executable() && m.afterCall(at) {
			frames = append(frames, at)
		}
	}
	return frames
}

// afterCall says whether the instruction before at is a call, as far as this machine's
// instructions are known here.
func (m *memory) afterCall(at uint64) bool {
	var b [7]byte
	switch runtime.GOARCH {
	case "amd64":
		if _, err := m.ReadAt(b[:], int64(at)-7); err != nil {
			return false
		}
		if b[2] == 0xe8 { // call rel32
			return true
		}
		for n := 2; n <= 7; n++ { // call r/m64 with its operands
			if b[7-n] == 0xff && b[8-n]>>3&7 == 2 {
				return true
			}
		}
		return false
	case "arm64":
		if _, err := m.ReadAt(b[:4], int64(at)-4); err != nil {
			return false
		}
		word := binary.LittleEndian.Uint32(b[:4])
		return word&0xfc000000 == 0x94000000 || word&0xfffffc1f == 0xd63f0000 // bl, blr
	}
	return true
}
