// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dump

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	textSuffix = ".txt"
	coreSuffix = ".core"

	// maxText and maxCore bound the files of one dump; all of the latter together.
	maxText = 1 << 20
	maxCore = 64 << 20
	// maxFiles is how many files are kept, newest first.
	maxFiles = 16
	// maxFolder is how much is kept: less than the volume's size limit, past which
	// kubelet would evict the pod.
	maxFolder = 88 << 20
	// maxName bounds the parts of a file's name.
	maxName = 63
	// readable by the monitor, which runs as another user.
	fileMode = 0o644
)

var errShort = io.ErrUnexpectedEOF

// fileName is when, what and why; names sort by time.
func fileName(now time.Time, resource, reason string) string {
	return now.UTC().Format("20060102T150405.000Z") + "-" + word(resource) + "-" + word(reason)
}

// word makes of a text what can be part of a file's name.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, s)
	return cmp.Or(clip(s, maxName), "unknown")
}

// folder is the folder of dumps. The programs of the container can write there, too:
// nothing in it is followed, and only what looks like a dump is removed.
type folder struct {
	fd   int
	path string
}

func openFolder(dir string) (*folder, error) {
	fd, err := open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if errors.Is(err, syscall.ENOENT) {
		return nil, ErrNoFolder
	}
	if err != nil {
		return nil, ioError("open", dir, err)
	}
	return &folder{fd: fd, path: dir}, nil
}

func (f *folder) close() { _ = syscall.Close(f.fd) }

// entry is a file in the folder.
type entry struct {
	name  string
	bytes int64
}

// entries lists the files, oldest dump first, and what is no dump after them.
func (f *folder) entries() (dumps, others []entry, err error) {
	if _, err := syscall.Seek(f.fd, 0, 0); err != nil {
		return nil, nil, err
	}
	buf := make([]byte, 16<<10)
	for len(dumps)+len(others) < maxListed {
		n, err := syscall.ReadDirent(f.fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if n <= 0 {
			break
		}
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			var st syscall.Stat_t
			if syscall.Lstat(path.Join(f.path, name), &st) != nil {
				continue
			}
			e := entry{name: name, bytes: max(st.Size, st.Blocks*512)}
			if st.Mode&syscall.S_IFMT == syscall.S_IFREG && isDump(name) {
				dumps = append(dumps, e)
			} else {
				others = append(others, e)
			}
		}
	}
	slices.SortFunc(dumps, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return dumps, others, nil
}

// isDump says whether a file's name is one that init gives.
func isDump(name string) bool {
	const stamp = len("20060102T150405.000Z-")
	return len(name) > stamp && name[8] == 'T' && name[stamp-1] == '-' && name[stamp-2] == 'Z' &&
		(strings.HasSuffix(name, textSuffix) || strings.HasSuffix(name, coreSuffix))
}

// create makes a file of at most limit bytes, and room for it: the oldest go.
func (f *folder) create(name string, limit int64) (*file, error) {
	dumps, others, err := f.entries()
	if err != nil {
		return nil, ioError("list", f.path, err)
	}
	var used int64
	for _, e := range others {
		used += e.bytes
	}
	if used+limit > maxFolder { // before any dump goes in vain
		return nil, fmt.Errorf("%s holds %d bytes of files that are no dumps: remove them", f.path, used)
	}
	for _, e := range dumps {
		used += e.bytes
	}
	for len(dumps) > 0 && (len(dumps) >= maxFiles || used+limit > maxFolder) {
		if err := syscall.Unlink(path.Join(f.path, dumps[0].name)); err != nil && err != syscall.ENOENT {
			return nil, ioError("remove", dumps[0].name, err)
		}
		used -= dumps[0].bytes
		dumps = dumps[1:]
	}
	// Exclusive: a link that a program has put there is not followed.
	fd, err := syscall.Open(path.Join(f.path, name),
		syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, fileMode)
	if err != nil {
		return nil, ioError("create", name, err)
	}
	_ = syscall.Fchmod(fd, fileMode) // whatever the umask is
	return &file{fd: fd, name: name, limit: limit}, nil
}

// file is a dump that is being written. Its first error stands.
type file struct {
	fd    int
	name  string
	n     int64
	limit int64
	err   error
}

// Write writes what the limit leaves room for.
func (f *file) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if room := f.limit - f.n; int64(len(p)) > room {
		p, f.err = p[:room], errFull
	}
	for len(p) > 0 {
		n, err := syscall.Write(f.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			f.err = ioError("write", f.name, err)
			break
		}
		f.n += int64(n)
		p = p[n:]
	}
	return len(p), f.err
}

func (f *file) close() error {
	_ = syscall.Close(f.fd)
	return f.err
}
