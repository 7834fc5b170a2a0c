// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// missingPackages reads the answer of dpkg-query and returns those of the packages that are not installed.
func missingPackages(answer string, packages []string) []string {
	installed := map[string]bool{}
	for line := range strings.Lines(answer) {
		if name, status, _ := strings.Cut(strings.TrimSpace(line), " "); status == "installed" {
			installed[name] = true
		}
	}
	var missing []string
	for _, name := range packages {
		if !installed[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// EnsurePackages installs Debian packages that the machine lacks.
func EnsurePackages(ctx context.Context, progress *Progress, packages ...string) error {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		return errors.New("this needs Debian or a system like it: there is no dpkg-query")
	}
	// It fails if it does not know one of them; what it knows it says all the same.
	query := append([]string{"dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"}, packages...)
	answer, _ := Run(ctx, query...)
	missing := missingPackages(answer, packages)
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf(
			"packages of Debian are missing: run `apt-get install --no-install-recommends %s` as root",
			strings.Join(missing, " "),
		)
	}
	defer progress.During("installing Debian packages: %s", strings.Join(missing, " "))()
	apt := func(args ...string) error {
		_, err := Command{
			Args:     append([]string{"apt-get", "-o", "DPkg::Lock::Timeout=300"}, args...),
			Env:      []string{"DEBIAN_FRONTEND=noninteractive"},
			Deadline: 15 * time.Minute,
			// Cut short, it leaves packages half installed.
			Finish: true,
		}.Run(ctx)
		return err
	}
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if err := apt(install...); err == nil {
		return nil
	}
	// The lists of packages may be old, or not there.
	if err := apt("update"); err != nil {
		return err
	}
	return apt(install...)
}
