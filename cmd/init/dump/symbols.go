// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"time"
)

const (
	// maxModules is how many files are opened for their symbols.
	maxModules = 64
	// maxSymbol is the longest name of a function that is told.
	maxSymbol = 200
	// symbolChunk is how much of a symbol table is in memory at once: init lives within
	// the memory limit of its container.
	symbolChunk = 64 << 10
	// maxTable is the largest symbol table that is searched.
	maxTable = 16 << 20
)

// symbols names functions from the symbol tables of the files that are mapped.
type symbols struct {
	proc    string
	end     time.Time
	modules map[string]*module
	known   map[string]string
	buf     []byte
}

func newSymbols(proc string, end time.Time) *symbols {
	return &symbols{proc: proc, end: end, modules: map[string]*module{}, known: map[string]string{},
		buf: make([]byte, symbolChunk)}
}

// module is an ELF file.
type module struct {
	file *elf.File
	fd   fileAt
}

// name returns " (function+offset)" for an offset in a mapped file, or nothing.
func (s *symbols) name(pid int, a *area, off uint64) string {
	if len(a.name) == 0 || a.name[0] != '/' || time.Now().After(s.end) {
		return ""
	}
	key := a.name + "+" + strconv.FormatUint(off, 16)
	if name, ok := s.known[key]; ok {
		return name
	}
	name := ""
	if m := s.module(pid, a.name); m != nil {
		name = m.find(off, s)
	}
	s.known[key] = name
	return name
}

// maxHeaders bounds what is read of a file to find its tables, in bytes: the file is a
// program's, and may say that it has gigabytes of them.
const maxHeaders = 4 << 20

// frugal reads so many bytes and no more.
type frugal struct {
	io.ReaderAt
	left int64
}

// ReadAt implements io.ReaderAt.
func (f *frugal) ReadAt(b []byte, off int64) (int, error) {
	if f.left -= int64(len(b)); f.left < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return f.ReaderAt.ReadAt(b, off)
}

func (s *symbols) module(pid int, name string) *module {
	m, ok := s.modules[name]
	if ok || len(s.modules) >= maxModules {
		return m
	}
	if f, err := openRegular(path.Join(s.proc, strconv.Itoa(pid), "root", name)); err == nil {
		r := &frugal{ReaderAt: f, left: maxHeaders}
		if e, err := elf.NewFile(r); err == nil {
			r.left = math.MaxInt64 // tables are read piece by piece
			m = &module{file: e, fd: f}
		} else {
			f.close()
		}
	}
	s.modules[name] = m
	return m
}

// find looks for the last function that begins at or before an offset in the file.
func (m *module) find(off uint64, s *symbols) string {
	address, ok := m.address(off)
	if !ok || m.file.Class != elf.ELFCLASS64 {
		return ""
	}
	for _, kind := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		table := m.file.SectionByType(kind)
		if table == nil || table.Flags&elf.SHF_COMPRESSED != 0 || table.Size > maxTable ||
			int(table.Link) >= len(m.file.Sections) {
			continue
		}
		name, start, ok := m.search(table, address, s)
		if ok {
			return fmt.Sprintf(" (%s+%#x)", stringAt(m.file.Sections[table.Link], name), address-start)
		}
	}
	return ""
}

// address is where an offset in the file is in the module's own addresses.
func (m *module) address(off uint64) (uint64, bool) {
	for _, p := range m.file.Progs {
		if p.Type == elf.PT_LOAD && off >= p.Off && off-p.Off < p.Filesz {
			return p.Vaddr + off - p.Off, true
		}
	}
	return 0, false
}

// search reads a table piece by piece.
func (m *module) search(table *elf.Section, address uint64, s *symbols) (name uint32, start uint64, found bool) {
	for at := uint64(0); at+elf.Sym64Size <= table.Size; {
		b := s.buf[:min(table.Size-at, symbolChunk/elf.Sym64Size*elf.Sym64Size)]
		if time.Now().After(s.end) {
			return 0, 0, false
		}
		if _, err := table.ReaderAt.ReadAt(b, int64(at)); err != nil {
			return 0, 0, false
		}
		at += uint64(len(b))
		for ; len(b) >= elf.Sym64Size; b = b[elf.Sym64Size:] {
			// Sym64: name u32, info u8, other u8, section u16, value u64, size u64.
			value, size := m.file.ByteOrder.Uint64(b[8:]), m.file.ByteOrder.Uint64(b[16:])
			if elf.ST_TYPE(b[4]) != elf.STT_FUNC || value == 0 || value > address || value < start ||
				size != 0 && address-value > size {
				continue
			}
			name, start, found = m.file.ByteOrder.Uint32(b), value, true
		}
	}
	return name, start, found
}

// stringAt reads a string of a string table.
func stringAt(table *elf.Section, at uint32) string {
	b := make([]byte, min(maxSymbol, table.Size-min(table.Size, uint64(at))))
	if _, err := table.ReaderAt.ReadAt(b, int64(at)); err != nil {
		return "?"
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}

func (s *symbols) close() {
	for _, m := range s.modules {
		if m != nil {
			m.fd.close()
		}
	}
}
