// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var _ = everywhere("Callback/SetNodeLocalProperties",
	Event{Callback: &Callback{ID: 1, Container: "c", Handle: "a",
		SetNodeLocalProperties: &SetNodeLocalProperties{Properties: json.RawMessage(`{"x":1}`)}}},
	"Initializing: Reply(5023,0)", "Offline: Reply(0,0)", "OnlinePending: Reply(0,0)", "Online: Reply(0,0)",
	"OfflinePending: Reply(0,0)", "Failed: Reply(0,0)")

func (g *rig) local(uid, text string) Code {
	g.t.Helper()
	return g.cb(Callback{Container: g.containerOf(uid), Handle: uid,
		SetNodeLocalProperties: &SetNodeLocalProperties{Properties: json.RawMessage(text)}}).Code
}

func (g *rig) has(uid, want string) {
	g.t.Helper()
	got := string(g.snap(uid).NodeLocalProperties)
	g.want(got == want, "%s has %s, want %s", uid, got, want)
}

func journals(out []Action) int {
	n := 0
	for _, a := range out {
		if a.Journal != nil {
			n++
		}
	}
	return n
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesAreMerged(t *testing.T) {
	g := online(t, res("a"), res("b"))
	for _, step := range []struct{ set, want string }{
		{`{"z":[1, 2],"a":"x"}`, `{"a":"x","z":[1,2]}`},
		{`{"b":{"n":null}}`, `{"a":"x","b":{"n":null},"z":[1,2]}`},
		{`{"a":null,"c":null,"z":0}`, `{"b":{"n":null},"z":0}`},
		{``, `{"b":{"n":null},"z":0}`},
		{`{"b":{"m":1}}`, `{"b":{"m":1},"z":0}`},
		{`{"b":null,"z":null}`, ``},
	} {
		g.want(g.local("a", step.set) == CodeSuccess, "%s", step.set)
		g.has("a", step.want)
		g.has("b", "")
	}
	g.is("a", Online)
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesAreBounded(t *testing.T) {
	g := online(t, res("a"))
	g.local("a", `{"old":1}`)
	names := func(n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(`"n%d":%d`, i, i))
		}
		return "{" + strings.Join(s, ",") + "}"
	}
	long := func(n int) string { return `{"l":"` + strings.Repeat("x", n-len(`{"l":"","old":1}`)) + `"}` }
	deep := func(n int) string { return `{"d":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for name, bad := range map[string]string{
		"names": names(64), "bytes": long(16<<10 + 1), "deep": deep(17), "no name": `{"":1}`, "no object": `[1]`,
	} {
		g.want(g.local("a", bad) == CodeInvalidParameter, "%s is taken", name)
		g.has("a", `{"old":1}`)
	}
	for name, good := range map[string]string{
		"names": names(63), "bytes": long(16 << 10), "deep": deep(16), "braces in a text": `{"s":"` + strings.Repeat(`[\"`, 20) + `"}`,
	} {
		g := online(t, res("a"))
		g.local("a", `{"old":1}`)
		g.want(g.local("a", good) == CodeSuccess, "%s is refused", name)
	}
	if _, ok := merge(nil, json.RawMessage(`{`)); ok {
		t.Error("what is no JSON is taken")
	}
	// What is removed makes room.
	g.want(g.local("a", names(63)) == CodeSuccess && g.local("a", `{"n0":null,"more":1}`) == CodeSuccess, "no room")
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesAreTheOwners(t *testing.T) {
	for name, end := range map[string]func(g *rig){
		"lost provider": func(g *rig) { g.send(Event{ProviderDown: &ProviderDown{Container: "c"}}) },
		"new process":   func(g *rig) { g.up("c", "c2") },
		"emptied":       func(g *rig) { g.empty("c", "c2") },
		"new epoch":     func(g *rig) { g.grant(2) },
		"moved away": func(g *rig) {
			g.revoke(Ordered)
			g.has("a", `{"x":1}`) // it may tell how far its stop is
			g.want(g.local("a", `{"left":"40 %"}`) == CodeSuccess, "while it stops")
			g.ok(OpOffline, "a")
			g.empty("c", "c2")
			g.want(g.proven == 1, "not proven")
		},
		"removed": func(g *rig) {
			g.plan()
			g.ok(OpOffline, "a")
			g.ok(OpClose, "a")
			g.plan(res("a"))
			g.ok(OpOpen, "a")
		},
		"other type": func(g *rig) {
			g.plan(with(res("a"), func(r *Resource) { r.TypeName = "other" }))
			g.ok(OpOffline, "a")
			g.ok(OpClose, "a")
			g.ok(OpOpen, "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := online(t, res("a"))
			g.local("a", `{"x":1}`)
			end(g)
			g.has("a", "")
		})
	}
	// Where providers are trusted, nothing is emptied when the group moves away.
	trusting := &rig{t: t, e: New(Config{TrustProviders: true}), now: start}
	trusting.plan(res("a"))
	trusting.up("c", "c1")
	trusting.openAll()
	trusting.grant(1)
	trusting.guard("c", 1)
	trusting.onlineAll()
	trusting.local("a", `{"x":1}`)
	trusting.revoke(Ordered)
	trusting.ok(OpOffline, "a")
	trusting.want(trusting.proven == 1, "not proven")
	trusting.has("a", "")

	// Failed and offline, it keeps them; a standby has none.
	g := online(t, res("a"))
	g.local("a", `{"x":1}`)
	g.exit("a")
	g.has("a", `{"x":1}`)
	g = newRig(t)
	g.plan(res("a"))
	g.up("c", "c1")
	g.openAll()
	g.want(g.local("a", `{"x":1}`) == CodeInvalidState, "a standby takes them")
	g.has("a", "")
}

// A flood of changes costs ten journals a second, and the last one is in it.
// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesArePaced(t *testing.T) {
	g := online(t, res("a"))
	g.pass(sec)
	n := 0
	for i := range 1000 {
		g.local("a", fmt.Sprintf(`{"i":%d}`, i))
		n += journals(g.last)
		n += journals(g.pass(2 * ms))
	}
	n += journals(g.pass(2 * sec))
	g.local("a", `{"i":1}`)
	g.local("a", `{"i":999}`)
	g.want(journals(g.last) == 0 && journals(g.pass(100*ms)) == 1, "the last change is not saved in time")
	g.want(n >= 20 && n <= 22, "%d journals in two seconds of changes", n)
	g.local("a", `{"i":999}`)
	g.want(journals(g.last) == 0 && len(g.last) == 1, "nothing changed: %+v", g.last)
}

// Shows: SetResourceInMemoryNodeLocalProperties.
func TestNodeLocalPropertiesAreRestored(t *testing.T) {
	old := online(t, res("a"))
	old.local("a", `{"x":1}`)
	g := restored(t, old)
	g.has("a", `{"x":1}`)
	g.want(g.local("a", `{"y":2}`) == CodeSuccess, "before Open has returned")
	g.grant(1)
	g.guard("c", 1)
	g.up("c", "c1")
	g.answer(OpOpen, "a", Returned{State: ReportedOnline})
	g.has("a", `{"x":1,"y":2}`)

	g = restored(t, old)
	g.grant(1)
	g.up("c", "c2")
	g.has("a", "")
	g = restored(t, old)
	g.grant(2)
	g.has("a", "")
}
