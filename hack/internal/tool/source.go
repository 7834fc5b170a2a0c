// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ModulePath is the module whose clone SourceRoot looks for.
const ModulePath = "github.com/understudy-dev/understudy"

// SourceRoot returns the root of the clone: the nearest folder at or above the working directory, or else above the
// running program, whose go.mod names this module.
func SourceRoot() (string, error) {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for {
			content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && strings.HasPrefix(string(content), "module "+ModulePath+"\n") {
				return dir, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", errors.New("no clone of " + ModulePath + " at or above the working directory: change into it first")
}

// RequiredVersion returns the version that the text of a go.mod requires of a module.
func RequiredVersion(goMod, module string) (string, error) {
	found := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindStringSubmatch(goMod)
	if found == nil {
		return "", fmt.Errorf("go.mod does not require %s", module)
	}
	return found[1], nil
}
