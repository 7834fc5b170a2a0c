// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func build(t *testing.T, tree Tree) []byte {
	t.Helper()
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	layer, err := tree.WriteLayer(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "out", "image.tar")
	if err := Write(path, Config{Name: "test:dev", Architecture: "arm64", Entrypoint: []string{"/a"}}, []Layer{layer}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func entries(t *testing.T, content []byte) (names []string, files map[string]string) {
	t.Helper()
	files = map[string]string{}
	for reader := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names, files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		files[header.Name] = string(text)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	program := filepath.Join(t.TempDir(), "a")
	tree := func(when time.Time) Tree {
		if err := os.WriteFile(program, []byte("program"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(program, when, when); err != nil {
			t.Fatal(err)
		}
		tree, err := BinaryTree([]string{program})
		if err != nil {
			t.Fatal(err)
		}
		return tree
	}
	first := build(t, tree(time.Now()))
	if !bytes.Equal(first, build(t, tree(time.Now().Add(time.Hour)))) {
		t.Error("the bytes differ")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1000")
	if bytes.Equal(first, build(t, tree(time.Now()))) {
		t.Error("SOURCE_DATE_EPOCH makes no difference")
	}
}

func TestArchive(t *testing.T) {
	_, files := entries(t, build(t, Tree{"bin/x/a": {Content: []byte("hello"), Mode: 0o755}}))
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"test:dev"}) || files[manifest[0].Config] == "" {
		t.Fatalf("manifest %+v", manifest)
	}
	var config struct{ Architecture, OS string }
	if err := json.Unmarshal([]byte(files[manifest[0].Config]), &config); err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.OS != "linux" {
		t.Errorf("the image is for %+v, want arm64", config)
	}
	names, inside := entries(t, []byte(files[manifest[0].Layers[0]]))
	if !slices.Equal(names, []string{"bin/", "bin/x/", "bin/x/a"}) || inside["bin/x/a"] != "hello" {
		t.Errorf("layer has %q", names)
	}
}

func TestWriteRefusesNames(t *testing.T) {
	for _, name := range []string{"", "x", "x:", ":dev", "x:latest", "localhost:5000/x"} {
		if err := Write(filepath.Join(t.TempDir(), "x.tar"), Config{Name: name, Architecture: "amd64"}, nil); err == nil {
			t.Errorf("no error for %q", name)
		}
	}
}

func TestBinaryTreeRefusesTwins(t *testing.T) {
	if _, err := BinaryTree([]string{"a/x", "b/x"}); err == nil {
		t.Error("one program would replace the other")
	}
}

func TestParseSources(t *testing.T) {
	paragraphs := `# comment
Types: deb
URIs: http://mirror.example/debian
Suites: one one-updates two
Components: main contrib
Signed-By: /keys/a.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: one
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/debian
Suites: one
Components: main
`
	lines := `deb http://mirror.example/debian one main # comment
# deb http://mirror.example/debian one-updates main
deb [arch=amd64 signed-by=/keys/b.gpg] http://mirror.example/security one-security main
deb-src http://mirror.example/debian one main
deb http://other.example/apt other-one main
deb http://other.example/apt one stable
`
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"debian.sources", paragraphs, []string{
			"deb [signed-by=/keys/a.gpg] http://mirror.example/debian one main contrib",
			"deb [signed-by=/keys/a.gpg] http://mirror.example/debian one-updates main contrib",
		}},
		{"sources.list", lines, []string{
			"deb http://mirror.example/debian one main",
			"deb [signed-by=/keys/b.gpg] http://mirror.example/security one-security main",
		}},
	} {
		var got []string
		for _, source := range ParseSources(test.name, test.text, "one") {
			got = append(got, source.Line())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got\n%s", test.name, strings.Join(got, "\n"))
		}
	}
}

func TestNormaliseLayer(t *testing.T) {
	created := time.Unix(1000, 0)
	make := func(when time.Time, owner string) []byte {
		var in, out bytes.Buffer
		writer := tar.NewWriter(&in)
		for _, header := range []*tar.Header{
			{Typeflag: tar.TypeDir, Name: "./"},
			{Typeflag: tar.TypeDir, Name: "./usr/", Mode: 0o755},
			{
				Typeflag: tar.TypeReg, Name: "./usr/a", Mode: 0o4755, Size: 1, Uid: 7, Uname: owner, ModTime: when,
				PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "cap"},
			},
			{Typeflag: tar.TypeLink, Name: "./usr/b", Linkname: "./usr/a", ModTime: when},
			{Typeflag: tar.TypeSymlink, Name: "./c", Linkname: "usr/a", ModTime: when},
			{Typeflag: tar.TypeChar, Name: "./dev/null", Devmajor: 1, Devminor: 3},
			{Typeflag: tar.TypeDir, Name: "./var/log/", ModTime: when},
			{Typeflag: tar.TypeReg, Name: "./var/log/dpkg.log", Size: 1, ModTime: when},
		} {
			header.Format = tar.FormatPAX
			if err := writer.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			if header.Size > 0 {
				if _, err := writer.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(writer.Close(), NormaliseLayer(&out, &in, created)); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	first := make(time.Unix(5000, 0), "somebody")
	if !bytes.Equal(first, make(time.Unix(6000, 0), "nobody")) {
		t.Error("the bytes differ")
	}
	names, _ := entries(t, first)
	if want := []string{"usr/", "usr/a", "usr/b", "c", "var/log/"}; !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
	reader := tar.NewReader(bytes.NewReader(first))
	for range 2 {
		if _, err := reader.Next(); err != nil {
			t.Fatal(err)
		}
	}
	link, err := reader.Next()
	if err != nil || link.Linkname != "usr/a" {
		t.Errorf("hard link to %q, %v", link.Linkname, err)
	}
	if !bytes.Contains(first, []byte("security.capability")) {
		t.Error("file capabilities are lost")
	}
}
