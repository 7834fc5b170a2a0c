// Copyright The Understudy Authors.
// SPDX-License-Identifier: Apache-2.0

package badinput

import "testing"

func TestCases(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Errorf("%d cases", len(cases))
	}
}

func TestParse(t *testing.T) {
	steps, err := parse("# Said of it.\n# refused: a: b\nkind: X\n# then delete\n# condition: Kind/name Type=False Reason: text: more\nkind: Y\n")
	if err != nil || len(steps) != 2 || steps[0].Refused[0] != "a: b" || !steps[1].Delete ||
		steps[1].Conditions[0] != (Condition{"Kind", "name", "Type", "False", "Reason", "text: more"}) {
		t.Errorf("%+v, %v", steps, err)
	}
	for _, text := range []string{"kind: X\n", "# condition: nonsense\nkind: X\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
