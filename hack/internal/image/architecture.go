// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"debug/elf"
	"fmt"
)

// architectures are Go's names of the machines that images are made for.
var architectures = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// Architecture reads from programs what they were built for, so that an image cannot
// say otherwise. They must agree.
func Architecture(programs []string) (string, error) {
	found := ""
	for _, program := range programs {
		file, err := elf.Open(program)
		if err != nil {
			return "", fmt.Errorf("%s: %w", program, err)
		}
		machine := file.Machine
		_ = file.Close()
		name, known := architectures[machine]
		switch {
		case !known:
			return "", fmt.Errorf("%s is built for %s: want amd64 or arm64", program, machine)
		case found != "" && found != name:
			return "", fmt.Errorf("%s is built for %s, %s for %s: an image is for one", programs[0], found, program, name)
		}
		found = name
	}
	return found, nil
}
