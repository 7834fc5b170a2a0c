// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program writes the header of a program for some machine.
func program(t *testing.T, name string, machine elf.Machine) string {
	t.Helper()
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	var text bytes.Buffer
	if err := binary.Write(&text, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchitecture(t *testing.T) {
	arm, amd := program(t, "arm", elf.EM_AARCH64), program(t, "amd", elf.EM_X86_64)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		programs   []string
		want, says string
	}{
		"arm64":    {[]string{arm, arm}, "arm64", ""},
		"amd64":    {[]string{amd}, "amd64", ""},
		"mixed":    {[]string{arm, amd}, "", "an image is for one"},
		"other":    {[]string{program(t, "other", elf.EM_S390)}, "", "want amd64 or arm64"},
		"a script": {[]string{script}, "", "script: "},
		"missing":  {[]string{script + "-not"}, "", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Architecture(tc.programs)
			if got != tc.want || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
