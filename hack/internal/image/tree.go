// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Tree is the content of a layer that we compose ourselves, by path without the leading slash. Folders above a file
// come by themselves. All belongs to root unless said otherwise.
type Tree map[string]Entry

// Entry is a file or folder.
type Entry struct {
	// Source is the file to copy. If empty, Content is the content.
	Source  string
	Content []byte
	// Mode holds the permissions.
	Mode int64
	// Dir makes it a folder.
	Dir bool
	// UID and GID own it.
	UID, GID int
}

// BinaryTree is what a static program needs around it: users, a place for temporary files and, if this machine has
// them, the certificates of the well-known authorities. Programs go to the root.
func BinaryTree(programs []string) (Tree, error) {
	tree := Tree{
		"etc/passwd": {
			Mode:    0o644,
			Content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"),
		},
		"etc/group":    {Mode: 0o644, Content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		"home/nonroot": {Mode: 0o700, Dir: true, UID: 65532, GID: 65532},
		"tmp":          {Mode: 0o1777, Dir: true},
	}
	const authorities = "etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat("/" + authorities); err == nil {
		tree[authorities] = Entry{Source: "/" + authorities, Mode: 0o644}
	}
	for _, program := range programs {
		name := path.Base(program)
		if _, taken := tree[name]; taken {
			return nil, fmt.Errorf("two programs are called %s", name)
		}
		tree[name] = Entry{Source: program, Mode: 0o755}
	}
	return tree, nil
}

// withParents adds the folders above each entry.
func (t Tree) withParents() Tree {
	full := maps.Clone(t)
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := full[dir]; !there {
				full[dir] = Entry{Mode: 0o755, Dir: true}
			}
		}
	}
	return full
}

// WriteLayer writes the tree as a layer to a file.
func (t Tree) WriteLayer(file *os.File) (Layer, error) {
	created, err := SourceDate()
	if err != nil {
		return Layer{}, err
	}
	out := tar.NewWriter(file)
	full := t.withParents()
	for _, name := range slices.Sorted(maps.Keys(full)) {
		if path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "..") {
			return Layer{}, fmt.Errorf("path %q in an image: want a clean one without leading slash", name)
		}
		entry := full[name]
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     name,
			Mode:     entry.Mode,
			Uid:      entry.UID,
			Gid:      entry.GID,
			ModTime:  created,
			Format:   tar.FormatPAX,
		}
		if err := entry.write(out, header); err != nil {
			return Layer{}, err
		}
	}
	if err := out.Close(); err != nil {
		return Layer{}, err
	}
	return OpenLayer(file.Name())
}

func (e Entry) write(out *tar.Writer, header *tar.Header) error {
	switch {
	case e.Dir:
		header.Typeflag = tar.TypeDir
		header.Name += "/"
		return out.WriteHeader(header)
	case e.Source == "":
		header.Size = int64(len(e.Content))
		err := out.WriteHeader(header)
		if err == nil {
			_, err = out.Write(e.Content)
		}
		return err
	}
	source, err := os.Open(e.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	stat, err := source.Stat()
	if err != nil {
		return err
	}
	if !stat.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", e.Source)
	}
	header.Size = stat.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	if errors.Is(err, tar.ErrWriteTooLong) {
		return fmt.Errorf("%s grew while it was read", e.Source)
	}
	return err
}
