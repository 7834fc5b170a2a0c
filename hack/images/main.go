// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command images builds container images as tarballs, without a container engine and without a registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/understudy-dev/understudy/hack/internal/image"
	"github.com/understudy-dev/understudy/hack/internal/tool"
)

const intro = `images builds container images as docker-archive tarballs, without a container engine and without a
registry. The same input gives the same bytes; SOURCE_DATE_EPOCH sets the time that files and image bear (1970 if
unset).
Load them with ` + "`localcluster load`, `ctr images import` or `docker load`."

func main() {
	progress := tool.NewProgress(os.Stderr)
	os.Exit(tool.Main("images", intro, []tool.Subcommand{binaryCommand(progress), debianCommand(progress)}, os.Args[1:]))
}

// options are the flags that all kinds of images have.
type options struct {
	output, name, entrypoint, cmd, user, workingDir, stopSignal string
	env, add                                                    repeated
}

// repeated collects the values of a flag that may be given several times.
type repeated []string

// String renders the values.
func (r *repeated) String() string { return strings.Join(*r, ",") }

// Set adds a value.
func (r *repeated) Set(value string) error {
	*r = append(*r, value)
	return nil
}

func (o *options) declare(f *flag.FlagSet) {
	f.StringVar(&o.output, "o", "", "the `FILE` to write")
	f.StringVar(&o.name, "name", "", "the image's `NAME:TAG`")
	f.StringVar(&o.entrypoint, "entrypoint", "", "the `PROGRAM` to run, with arguments after blanks")
	f.StringVar(&o.cmd, "cmd", "", "default `ARGUMENTS`, separated by blanks")
	f.StringVar(&o.user, "user", o.user, "the `USER` to run as, name or number, group after a colon")
	f.StringVar(&o.workingDir, "workdir", "", "the `DIR` to start in")
	f.StringVar(&o.stopSignal, "stop-signal", "", "the `SIGNAL` that asks a container to end, SIGTERM by default")
	f.Var(&o.env, "env", "`NAME=VALUE` for the environment, may be repeated")
	f.Var(&o.add, "add", "`FILE:PATH[:MODE]` to add, may be repeated")
}

func (o *options) config() (image.Config, error) {
	if o.output == "" || o.name == "" {
		return image.Config{}, errors.New("-o FILE and --name NAME:TAG are needed")
	}
	env := []string(o.env)
	if !strings.Contains("\n"+strings.Join(env, "\n"), "\nPATH=") {
		env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"}, env...)
	}
	return image.Config{
		Name:       o.name,
		Entrypoint: strings.Fields(o.entrypoint),
		Cmd:        strings.Fields(o.cmd),
		Env:        env,
		User:       o.user,
		WorkingDir: o.workingDir,
		StopSignal: o.stopSignal,
	}, nil
}

// parseAdd reads a value of --add.
func parseAdd(value string) (inImage string, entry image.Entry, err error) {
	parts := strings.Split(value, ":")
	if len(parts) < 2 || len(parts) > 3 || !path.IsAbs(parts[1]) || path.Clean(parts[1]) == "/" {
		return "", entry, fmt.Errorf("--add %q: want FILE:/PATH or FILE:/PATH:MODE", value)
	}
	entry = image.Entry{Source: parts[0], Mode: 0o644}
	if len(parts) == 3 {
		if entry.Mode, err = strconv.ParseInt(parts[2], 8, 32); err != nil {
			return "", entry, fmt.Errorf("--add %q: mode %q is not an octal number", value, parts[2])
		}
	} else if stat, err := os.Stat(parts[0]); err == nil && stat.Mode()&0o111 != 0 {
		entry.Mode = 0o755
	}
	return strings.TrimPrefix(path.Clean(parts[1]), "/"), entry, nil
}

func (o *options) addTo(tree image.Tree) error {
	for _, value := range o.add {
		inImage, entry, err := parseAdd(value)
		if err != nil {
			return err
		}
		tree[inImage] = entry
	}
	return nil
}

// writeTree writes an image of some layers and, on top, a tree.
func writeTree(output string, config image.Config, below []image.Layer, tree image.Tree) error {
	layers := below
	if len(tree) > 0 {
		file, err := os.CreateTemp("", "understudy-layer-*")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		layer, err := tree.WriteLayer(file)
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	return image.Write(output, config, layers)
}

func binaryCommand(progress *tool.Progress) tool.Subcommand {
	o := options{user: "65532:65532"}
	return tool.Subcommand{
		Usage: "binary PROGRAM... --name NAME:TAG -o FILE",
		Short: "Build an image of static programs on an empty base",
		Args:  [2]int{1, 100},
		Flags: o.declare,
		Long: `Programs go to the root of the image, which is for the machine that they were built for. With them come users root and nonroot (65532, as which it runs), /tmp and
this machine's certificates of the well-known authorities, if it has them.`,
		Example: "images binary bin/manager bin/monitor bin/init bin/provider --name understudy:dev --entrypoint /manager " +
			"-o dist/images/understudy.tar",
		Run: func(_ context.Context, programs []string) error {
			config, err := o.config()
			if err != nil {
				return err
			}
			if config.Architecture, err = image.Architecture(programs); err != nil {
				return err
			}
			tree, err := image.BinaryTree(programs)
			if err == nil {
				err = o.addTo(tree)
			}
			if err == nil {
				err = writeTree(o.output, config, nil, tree)
			}
			if err == nil {
				progress.Say("%s is in %s", o.name, o.output)
			}
			return err
		},
	}
}

func debianCommand(progress *tool.Progress) tool.Subcommand {
	var o options
	var packages string
	return tool.Subcommand{
		Usage: "debian --packages P,... --name NAME:TAG -o FILE",
		Short: "Build an image of Debian packages",
		Flags: func(f *flag.FlagSet) {
			o.declare(f)
			f.StringVar(&packages, "packages", "", "Debian `PACKAGES`, separated by commas")
		},
		Long: `The packages are of this machine's Debian release and come from where its apt gets its own. The root file
system is kept in ~/.cache/understudy ($UNDERSTUDY_CACHE) by release and packages: remove it there to get newer ones.
Files given with --add become a layer on top. It needs root, and installs mmdebstrap if that is missing.`,
		Example: "images debian --packages redis-server,redis-tools --name demo-redis:dev --entrypoint redis-server " +
			"-o dist/images/redis.tar",
		Run: func(ctx context.Context, _ []string) error {
			config, err := o.config()
			if err != nil {
				return err
			}
			if packages == "" {
				return errors.New("--packages is needed")
			}
			config.Architecture = runtime.GOARCH // apt's, and thus this machine's
			tree := image.Tree{}
			if err := o.addTo(tree); err != nil {
				return err
			}
			base, err := debianLayer(ctx, progress, strings.Split(packages, ","))
			if err == nil {
				err = writeTree(o.output, config, []image.Layer{base}, tree)
			}
			if err == nil {
				progress.Say("%s is in %s", o.name, o.output)
			}
			return err
		},
	}
}
