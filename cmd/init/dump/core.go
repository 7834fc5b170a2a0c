// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"syscall"
)

const (
	// page is what memory is read in at least.
	page = 4096
	// coreChunk is how much is read at once.
	coreChunk = 256 << 10
	// coreHeaders is what headers and notes may take of the limit.
	coreHeaders = 1 << 20
)

// writeCore writes an ELF core file of a process: the writable private memory, the
// smallest mappings first if there is too much, and for each thread that waits its
// stack pointer and program counter. The process goes on meanwhile, so that it is no
// picture of one moment.
func writeCore(r *reader, out *file, pid int) error {
	m, err := r.memory(pid)
	if err != nil {
		return fmt.Errorf("core file of process %d: %w", pid, err)
	}
	defer m.close()
	areas := slices.DeleteFunc(slices.Clone(m.areas), func(a area) bool { return !a.private() })
	sizes := share(areas, max(out.limit-coreHeaders, 0))
	notes := r.notes(pid)
	if _, err := out.Write(coreHead(areas, sizes, notes)); err != nil {
		return err
	}
	buf := make([]byte, coreChunk)
	for i, a := range areas {
		for at := uint64(0); at < sizes[i]; {
			if err := r.over(); err != nil {
				return nil // said by the caller
			}
			b := buf[:min(sizes[i]-at, coreChunk)]
			m.readOrZero(b, int64(a.start+at))
			if _, err := out.Write(b); err != nil {
				return err
			}
			at += uint64(len(b))
		}
	}
	return nil
}

// share says how much of each area fits.
func share(areas []area, room int64) []uint64 {
	order := make([]int, len(areas))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(areas[a].end-areas[a].start, areas[b].end-areas[b].start)
	})
	sizes, left := make([]uint64, len(areas)), uint64(room)
	for _, i := range order {
		sizes[i] = min(areas[i].end-areas[i].start, left/page*page)
		left -= sizes[i]
	}
	return sizes
}

// readOrZero reads memory; pages that cannot be read are zero.
func (m *memory) readOrZero(b []byte, at int64) {
	n, _ := m.ReadAt(b, at)
	for n = n / page * page; n < len(b); n += page {
		one := b[n:min(n+page, len(b))]
		if got, err := syscall.Pread(int(m.fileAt), one, at+int64(n)); err != nil || got < len(one) {
			clear(one[max(got, 0):])
		}
	}
}

// coreHead is all of a core file before the memory.
func coreHead(areas []area, sizes []uint64, notes []byte) []byte {
	const headSize, progSize = 64, 56
	progs := make([]elf.Prog64, 0, 1+len(areas))
	at := uint64(headSize + progSize*(1+len(areas)))
	progs = append(progs, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: at, Filesz: uint64(len(notes)), Align: 4})
	at = (at + uint64(len(notes)) + page - 1) / page * page
	data := at
	for i, a := range areas {
		progs = append(progs, elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: at, Vaddr: a.start,
			Filesz: sizes[i], Memsz: a.end - a.start, Align: page,
		})
		at += sizes[i]
	}
	head := elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(machine()), Version: uint32(elf.EV_CURRENT),
		Phoff: headSize, Ehsize: headSize, Phentsize: progSize, Phnum: uint16(len(progs)), Shentsize: 64,
	}
	copy(head.Ident[:], elf.ELFMAG)
	head.Ident[elf.EI_CLASS], head.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.EV_CURRENT)
	head.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		head.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, head) // a buffer does not fail
	_ = binary.Write(&b, binary.NativeEndian, progs)
	b.Write(notes)
	b.Write(make([]byte, data-uint64(b.Len())))
	return b.Bytes()
}

func machine() elf.Machine {
	switch runtime.GOARCH {
	case "amd64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	}
	return elf.EM_NONE
}

// prstatus says where in the kernel's struct elf_prstatus what is known goes: its
// size, and the offsets of stack pointer and program counter.
var prstatus = map[string]struct{ size, sp, pc int }{
	"amd64": {336, 112 + 19*8, 112 + 16*8},
	"arm64": {392, 112 + 31*8, 112 + 32*8},
}

// notes are the threads, and the auxiliary vector, which tells a debugger where the
// program was loaded.
func (r *reader) notes(pid int) []byte {
	const prStatus, auxv, pidAt = 1, 6, 32
	var b bytes.Buffer
	if l, ok := prstatus[runtime.GOARCH]; ok {
		for i, tid := range r.list(strconv.Itoa(pid) + "/task") {
			if i == maxThreads {
				break
			}
			status := make([]byte, l.size)
			binary.NativeEndian.PutUint32(status[pidAt:], uint32(tid))
			if sp, pc, ok := registers(r.line(fmt.Sprintf("%d/task/%d/syscall", pid, tid))); ok {
				binary.NativeEndian.PutUint64(status[l.sp:], sp)
				binary.NativeEndian.PutUint64(status[l.pc:], pc)
			}
			note(&b, prStatus, status)
		}
	}
	if v, err := r.file(strconv.Itoa(pid) + "/auxv"); err == nil {
		note(&b, auxv, v)
	}
	return b.Bytes()
}

// note appends an ELF note of the name CORE.
func note(b *bytes.Buffer, kind uint32, content []byte) {
	const name = "CORE\x00\x00\x00\x00"
	var head [12]byte
	binary.NativeEndian.PutUint32(head[0:], uint32(len("CORE")+1))
	binary.NativeEndian.PutUint32(head[4:], uint32(len(content)))
	binary.NativeEndian.PutUint32(head[8:], kind)
	b.Write(head[:])
	b.WriteString(name)
	b.Write(content)
	b.Write(make([]byte, (4-len(content)%4)%4))
}
