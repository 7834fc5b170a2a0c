// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/jsonpath"

	"github.com/understudy-dev/understudy/api/v1alpha1"
)

// The watcher of callbacks.md prints each notification once, whatever is repeated, and says
// what it missed.
func TestWatcher(t *testing.T) {
	_, script, _ := strings.Cut(read(t, "callbacks.md"), "```sh\nlast=0\n")
	script, _, _ = strings.Cut(script, "```")
	m := regexp.MustCompile(`jsonpath='([^']*)'`).FindStringSubmatch(script)
	if m == nil {
		t.Fatal("callbacks.md has no such script")
	}
	path := jsonpath.New("watch").AllowMissingKeys(true)
	if err := path.Parse(m[1]); err != nil {
		t.Fatal(err)
	}
	at := func(first, last int64) v1alpha1.ResourceGroup {
		g := v1alpha1.ResourceGroup{}
		for _, name := range []string{"aaa", "application"} {
			one := v1alpha1.GroupTypeStatus{Name: name, LastSequence: last}
			for n := first; n <= last; n++ {
				one.Notifications = append(one.Notifications, v1alpha1.TypeNotification{
					Sequence: n, Time: metav1.NowMicro(), PodName: "shop-1", Payload: []byte(name + " is well"),
				})
				if n == 7 {
					one.Notifications[len(one.Notifications)-1].Payload = nil
				}
			}
			g.Status.Types = append(g.Status.Types, one)
		}
		return g
	}
	var seen bytes.Buffer
	for _, g := range []v1alpha1.ResourceGroup{{}, at(1, 2), at(1, 2), at(2, 3), at(6, 7)} {
		text, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		if err := path.Execute(&seen, object); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", "kubectl() { cat; }\nlast=0\n"+script)
	shell.Stdin = &seen
	out, err := shell.CombinedOutput()
	want := `1 from shop-1: application is well
2 from shop-1: application is well
3 from shop-1: application is well
missed 4 to 5
6 from shop-1: application is well
7 from shop-1: 
`
	if err != nil || string(out) != want {
		t.Errorf("%v:\n%s", err, out)
	}
}
