// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Source is one line of where Debian packages come from.
type Source struct {
	// URI, Suite and Components are the fields of a sources.list line.
	URI, Suite, Components string
	// SignedBy is the keyring, the machine's trusted keys if empty.
	SignedBy string
}

// Line renders the source for a sources.list.
func (s Source) Line() string {
	options := ""
	if s.SignedBy != "" {
		options = "[signed-by=" + s.SignedBy + "] "
	}
	return fmt.Sprintf("deb %s%s %s %s", options, s.URI, s.Suite, s.Components)
}

// ParseSources reads a file of apt's, in the one-line or the paragraph form, and keeps Debian's own suites of a
// release: others may not be reachable, and would make images differ between machines.
func ParseSources(name, text, release string) []Source {
	var sources []Source
	if strings.HasSuffix(name, ".sources") {
		for paragraph := range strings.SplitSeq(text, "\n\n") {
			sources = append(sources, parseParagraph(paragraph)...)
		}
	} else {
		for line := range strings.Lines(text) {
			if source, ok := parseLine(line); ok {
				sources = append(sources, source)
			}
		}
	}
	return slices.DeleteFunc(sources, func(s Source) bool {
		suites := []string{release, release + "-updates", release + "-security", release + "/updates"}
		return !slices.Contains(suites, s.Suite) || !slices.Contains(strings.Fields(s.Components), "main")
	})
}

func parseLine(line string) (Source, bool) {
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	rest, ok := strings.CutPrefix(line, "deb ")
	if !ok {
		return Source{}, false
	}
	var source Source
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "[") {
		options, after, _ := strings.Cut(rest[1:], "]")
		for option := range strings.FieldsSeq(options) {
			if value, ok := strings.CutPrefix(option, "signed-by="); ok {
				source.SignedBy = value
			}
		}
		rest = after
	}
	fields := strings.Fields(rest)
	if len(fields) < 3 {
		return Source{}, false
	}
	source.URI, source.Suite, source.Components = fields[0], fields[1], strings.Join(fields[2:], " ")
	return source, true
}

func parseParagraph(paragraph string) (sources []Source) {
	fields := map[string]string{}
	for line := range strings.Lines(paragraph) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
			fields[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	if !slices.Contains(strings.Fields(fields["types"]), "deb") || fields["enabled"] == "no" {
		return nil
	}
	for uri := range strings.FieldsSeq(fields["uris"]) {
		for suite := range strings.FieldsSeq(fields["suites"]) {
			sources = append(
				sources,
				Source{URI: uri, Suite: suite, Components: fields["components"], SignedBy: fields["signed-by"]},
			)
		}
	}
	return sources
}

// unwanted tells what a root file system must not keep: what tells one build from another, and devices, which the
// container runtime makes itself.
func unwanted(header *tar.Header) bool {
	name := strings.Trim(strings.TrimPrefix(header.Name, "./"), "/")
	if header.Typeflag == tar.TypeChar || header.Typeflag == tar.TypeBlock || name == "etc/hostname" ||
		name == "etc/resolv.conf" {
		return true
	}
	for _, dir := range []string{"cache/apt/", "lib/apt/lists/", "log/", "cache/ldconfig/", "cache/debconf/"} {
		if strings.HasPrefix(name, "var/"+dir) && header.Typeflag != tar.TypeDir {
			return true
		}
	}
	return false
}

// NormaliseLayer copies a root file system's tar such that the same files give the same bytes, whenever and by
// whatever they were made: no time is later than created, nobody has a name, devices and logs are left out.
func NormaliseLayer(out io.Writer, in io.Reader, created time.Time) error {
	reader, writer := tar.NewReader(in), tar.NewWriter(out)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return writer.Close()
		}
		if err != nil {
			return err
		}
		if unwanted(header) {
			continue
		}
		clean := &tar.Header{
			Typeflag: header.Typeflag, Name: strings.TrimPrefix(header.Name, "./"), Linkname: header.Linkname, Mode: header.Mode,
			Uid: header.Uid, Gid: header.Gid, Size: header.Size, ModTime: header.ModTime, Format: tar.FormatPAX,
		}
		if clean.Typeflag == tar.TypeLink {
			clean.Linkname = strings.TrimPrefix(clean.Linkname, "./")
		}
		if clean.Name == "" {
			continue // the root itself
		}
		if clean.ModTime.After(created) {
			clean.ModTime = created
		}
		for key, value := range header.PAXRecords {
			// File capabilities and the like.
			if strings.HasPrefix(key, "SCHILY.xattr.") {
				if clean.PAXRecords == nil {
					clean.PAXRecords = map[string]string{}
				}
				clean.PAXRecords[key] = value
			}
		}
		if err := writer.WriteHeader(clean); err != nil {
			return fmt.Errorf("%s: %w", clean.Name, err)
		}
		if _, err := io.Copy(writer, reader); err != nil {
			return fmt.Errorf("%s: %w", clean.Name, err)
		}
	}
}
