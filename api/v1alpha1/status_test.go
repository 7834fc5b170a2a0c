// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build envtest

package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// owned is a resource whose status an owner may write.
func owned(t *testing.T, name string) *ClusterResource {
	t.Helper()
	r := &ClusterResource{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       ClusterResourceSpec{GroupName: "shop", TypeName: "application", ContainerName: "web"},
	}
	if err := api.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Status.Owner = &ResourceOwnerStatus{Epoch: 1, PodUID: "p", State: StateOnline}
	return r
}

// cells are what kubectl get -o wide prints of a resource, by column.
func cells(t *testing.T, name string) map[string]any {
	t.Helper()
	transport, err := rest.HTTPClientFor(server)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSuffix(server.Host, "/") + "/apis/" + GroupVersion.String() + "/namespaces/default/clusterresources/" + name
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	answer, err := transport.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	table := metav1.Table{}
	if err := json.Unmarshal(body, &table); err != nil || len(table.Rows) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	out := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		out[column.Name] = table.Rows[0].Cells[i]
	}
	return out
}

// What kubectl get -o wide shows of node-local properties, texts and numbers alike.
// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalColumns(t *testing.T) {
	r := owned(t, "columns")
	for properties, want := range map[string][3]string{
		`{"ResourceSpecificStatus":"copying 40 %","ResourceSpecificData1":7,"ResourceSpecificData2":"x"}`: {"copying 40 %", "7", "x"},
		`{"ResourceSpecificStatus":3,"ResourceSpecificData1":9007199254740991,"ResourceSpecificData2":0}`: {"3", "9007199254740991", "0"},
		`{"ResourceSpecificData1":1.5,"other":{"deep":[1]}}`:                                              {"<nil>", "1.5", "<nil>"},
	} {
		r.Status.Owner.NodeLocalProperties = &runtime.RawExtension{Raw: []byte(properties)}
		if err := api.Status().Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		got := cells(t, "columns")
		for i, name := range []string{"Status", "Data1", "Data2"} {
			if fmt.Sprint(got[name]) != want[i] {
				t.Errorf("%s: %s is %v, want %s", properties, name, got[name], want[i])
			}
		}
	}
	stored := &ClusterResource{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(r), stored); err != nil {
		t.Fatal(err)
	}
	if stored.Status.Owner.NodeLocalProperties == nil {
		t.Error("nothing is kept")
	}
}

// What the monitor would never write the API server does not take either.
// Shows: SetInternalState, SetResourceInMemoryNodeLocalProperties.
func TestResourceStatusBounds(t *testing.T) {
	names := func(n int) *runtime.RawExtension {
		m := map[string]int{}
		for i := range n {
			m[fmt.Sprint("n", i)] = i
		}
		b, _ := json.Marshal(m)
		return &runtime.RawExtension{Raw: b}
	}
	now := metav1.NewMicroTime(time.Now())
	r := owned(t, "bounds")
	for what, c := range map[string]struct {
		change  func(o *ResourceOwnerStatus)
		refused string
	}{
		"64 names":  {func(o *ResourceOwnerStatus) { o.NodeLocalProperties = names(64) }, ""},
		"65 names":  {func(o *ResourceOwnerStatus) { o.NodeLocalProperties = names(65) }, "nodeLocalProperties"},
		"no object": {func(o *ResourceOwnerStatus) { o.NodeLocalProperties = &runtime.RawExtension{Raw: []byte(`[1]`)} }, "nodeLocalProperties"},
		"both states": {func(o *ResourceOwnerStatus) {
			o.ApplicationStates = []ApplicationStatus{{ApplicationReady, false, now}, {ApplicationOSHeartBeat, true, now}}
		}, ""},
		"one twice": {func(o *ResourceOwnerStatus) {
			o.ApplicationStates = []ApplicationStatus{{ApplicationReady, true, now}, {ApplicationReady, true, now}}
		}, "applicationStates"},
		"another state":  {func(o *ResourceOwnerStatus) { o.ApplicationStates = []ApplicationStatus{{"Busy", true, now}} }, "applicationStates"},
		"without a time": {func(o *ResourceOwnerStatus) { o.ApplicationStates = []ApplicationStatus{{Type: ApplicationReady}} }, "time"},
	} {
		one := r.DeepCopy()
		c.change(one.Status.Owner)
		refusedWith(t, what, api.Status().Update(t.Context(), one, client.DryRunAll), c.refused)
	}
}

func refusedWith(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: refused: %v", what, err)
	case want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: want it refused for %s, got %v", what, want, err)
	}
}

// Shows: RaiseResTypeNotification.
func TestGroupTypesBounds(t *testing.T) {
	g := &ResourceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "notified"}}
	g.Spec.Template.Spec.Containers = []corev1.Container{{Name: "program", Image: "program"}}
	if err := api.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	now := metav1.NewMicroTime(time.Now())
	list := func(n, size int) (out []TypeNotification) {
		for i := range n {
			out = append(out, TypeNotification{Sequence: int64(i + 1), Time: now, PodName: "p", Payload: bytes.Repeat([]byte{255}, size)})
		}
		return out
	}
	types := func(n int) (out []GroupTypeStatus) {
		for i := range n {
			out = append(out, GroupTypeStatus{Name: fmt.Sprint("t", i), LastSequence: 1})
		}
		return out
	}
	g.Status.Owner = &GroupOwnerStatus{Epoch: 1, PodUID: "p", State: GroupOnline}
	for what, c := range map[string]struct {
		types   []GroupTypeStatus
		refused string
	}{
		"the largest":         {[]GroupTypeStatus{{Name: strings.Repeat("n", 63), LastSequence: 16, Notifications: list(16, 4096)}}, ""},
		"an empty one":        {[]GroupTypeStatus{{Name: "t", LastSequence: 1, Notifications: list(1, 0)}}, ""},
		"none yet":            {[]GroupTypeStatus{{Name: "t"}}, ""},
		"seventeen":           {[]GroupTypeStatus{{Name: "t", LastSequence: 17, Notifications: list(17, 0)}}, "notifications"},
		"a payload too large": {[]GroupTypeStatus{{Name: "t", LastSequence: 1, Notifications: list(1, 4100)}}, "payload"},
		"no name":             {[]GroupTypeStatus{{LastSequence: 1}}, "name"},
		"a name too long":     {[]GroupTypeStatus{{Name: strings.Repeat("n", 64)}}, "name"},
		"less than nothing":   {[]GroupTypeStatus{{Name: "t", LastSequence: -1}}, "lastSequence"},
		"number 0":            {[]GroupTypeStatus{{Name: "t", Notifications: []TypeNotification{{Time: now, PodName: "p"}}}}, "sequence"},
		"no host":             {[]GroupTypeStatus{{Name: "t", Notifications: []TypeNotification{{Sequence: 1, Time: now}}}}, "podName"},
		"no time":             {[]GroupTypeStatus{{Name: "t", Notifications: []TypeNotification{{Sequence: 1, PodName: "p"}}}}, "time"},
		"one type twice":      {[]GroupTypeStatus{{Name: "t"}, {Name: "t"}}, "types"},
		"32 types":            {types(32), ""},
		"33 types":            {types(33), "types"},
	} {
		one := g.DeepCopy()
		one.Status.Types = c.types
		refusedWith(t, what, api.Status().Update(t.Context(), one, client.DryRunAll), c.refused)
	}

	// Numbers only grow.
	g.Status.Types = []GroupTypeStatus{{Name: "t", LastSequence: 5}, {Name: "u"}}
	if err := api.Status().Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	for last, refused := range map[int64]string{0: "lastSequence", 4: "lastSequence", 5: "", 6: ""} {
		one := g.DeepCopy()
		one.Status.Types[0].LastSequence = last
		refusedWith(t, fmt.Sprint("last ", last), api.Status().Update(t.Context(), one, client.DryRunAll), refused)
	}
}
