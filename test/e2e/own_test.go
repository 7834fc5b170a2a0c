//go:build e2e

// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-dev/understudy/test/scene"
)

// TestOwnExample applies the example of the README: a program of one's own, not root,
// on a root file system that cannot be written to, in an image without a shell.
func TestOwnExample(t *testing.T) {
	const file = "examples/own/hello.yaml"
	text, err := os.ReadFile(filepath.Join(ok(scene.Root())(t), file))
	must(t, err)
	if lines := strings.Count(string(text), "\n"); lines > 40 {
		t.Errorf("%s has %d lines, more than the 40 that the README promises", file, lines)
	}
	g := scene.Group{Cluster: cluster, Namespace: stage(t), Name: "hello"}
	_, err = cluster.Kubectl(t.Context(), "apply", "--namespace", g.Namespace, "-f", file)
	must(t, err)
	must(t, g.WaitReady(t.Context(), 3*time.Minute))
	owner := ok(g.Owner(t.Context()))(t)
	pod := ok(g.Pod(t.Context(), owner.PodName))(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+pod.Status.PodIP+":8080/", nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(request)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if want := fmt.Sprintf("hello from %s, epoch %d,", owner.PodName, owner.Epoch); !strings.HasPrefix(string(body), want) {
		t.Errorf("it says %q, want %q", body, want)
	}
	container := ok(g.OwnerContainer(t.Context(), "web"))(t)
	processes := ok(container.Processes())(t)
	for _, p := range processes {
		if user := ok(p.User())(t); user == 0 {
			t.Errorf("%v runs as root", p)
		}
	}
	if _, err := cluster.Exec(t.Context(), g.Namespace, owner.PodName, "web", "sh", "-c", "true"); err == nil {
		t.Error("the image has a shell: this test shows less than it should")
	}
}
