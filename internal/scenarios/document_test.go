package scenarios

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/golden"
)

const head = `# Scenarios

What a session must do, one scenario after the other, with the tests that show it. This page is made from
` + "`internal/scenarios/list.txt`" + ` and from the tests, which cite the scenarios they show in a comment line: ` + "`// Scenario: S34, S90-S92`" + `. It is
not written by hand; ` + "`go test ./internal/scenarios -update`" + ` writes it, and without that flag the same test says whether it is as it should be.

- **shown**: the tests that are named fail if the scenario does not hold.
- **partly**: they show what is not named as missing.
- **not shown**: no test shows it yet. Whether it holds is open.
- **void**: another rule holds instead, and the row says which.
- **elsewhere**: it has no meaning in this design, or comes with something that is built later.

Credentials are not among these series: their scenarios come with them. What must hold in every state, whatever happens, is in
[rules.md](rules.md).
`

// states are the columns of the summary.
var states = []string{"shown", "partly", "not shown", "void", "elsewhere"}

// state says how far a scenario is.
func (s scenario) state(by []string) string {
	switch {
	case s.mark == "void" || s.mark == "elsewhere":
		return s.mark
	case len(by) == 0:
		return "not shown"
	case s.mark == "missing":
		return "partly"
	}
	return "shown"
}

// cell says it for the table.
func (s scenario) cell(by []string) string {
	switch state := s.state(by); state {
	case "shown":
		return strings.Join(by, ", ")
	case "partly":
		return strings.Join(by, ", ") + "; missing: " + s.why
	case "void", "elsewhere":
		return state + ": " + s.why
	default:
		return state
	}
}

// document makes the page.
func document(list []series, by map[number][]string) []byte {
	var b strings.Builder
	b.WriteString(head)
	fmt.Fprintf(&b, "\n| series | %s | all |\n|---|%s---|\n", strings.Join(states, " | "), strings.Repeat("---|", len(states)))
	for _, s := range list {
		all, counts := s.all(), map[string]int{}
		for _, x := range all {
			counts[x.state(by[x.number])]++
		}
		fmt.Fprintf(&b, "| %s1–%s%d %s |", s.letter, s.letter, len(all), s.title)
		for _, state := range states {
			fmt.Fprintf(&b, " %d |", counts[state])
		}
		fmt.Fprintf(&b, " %d |\n", len(all))
	}
	for _, s := range list {
		fmt.Fprintf(&b, "\n## %s: %s\n", s.letter, s.title)
		for _, g := range s.groups {
			if g.title != "" {
				fmt.Fprintf(&b, "\n### %s\n", g.title)
			}
			b.WriteString("\n| | scenario | shown by |\n|---|---|---|\n")
			for _, x := range g.scenarios {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", x.number, x.text, x.cell(by[x.number]))
			}
		}
	}
	return []byte(b.String())
}

// contradictions lists the scenarios that are cited although they are marked as not to be shown.
func contradictions(list []series, by map[number][]string) []string {
	var out []string
	for _, s := range list {
		for _, x := range s.all() {
			if (x.mark == "void" || x.mark == "elsewhere") && len(by[x.number]) > 0 {
				out = append(out, fmt.Sprintf("%s is marked %s in internal/scenarios/list.txt, and shown by %s: one of the two is wrong",
					x.number, x.mark, strings.Join(by[x.number], ", ")))
			}
		}
	}
	return out
}

// theList is list.txt.
func theList(t *testing.T) []series {
	t.Helper()
	text, err := os.ReadFile("list.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseList(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestThe_scenario_register_is_what_the_tests_show(t *testing.T) {
	t.Parallel()
	list := theList(t)
	known := map[number]bool{}
	for _, s := range list {
		for _, x := range s.all() {
			known[x.number] = true
		}
	}
	cited, err := cite(os.DirFS("../.."), func(n number) bool { return known[n] })
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range slices.Concat(cited.wrong, contradictions(list, cited.by)) {
		t.Error(wrong)
	}
	if t.Failed() {
		return // the page would not say so
	}
	golden.Equal(t, "../../docs/scenarios.md", document(list, cited.by))
	if t.Failed() {
		t.Log("docs/scenarios.md is made from the tests and list.txt; this writes it:\n\tgo test ./internal/scenarios -update")
	}
}

func TestNo_scenario_is_lost_from_the_list(t *testing.T) {
	t.Parallel()
	want := map[string]int{"S": 146, "V": 26, "T": 22, "L": 11, "Q": 9, "M": 8}
	for _, s := range theList(t) {
		if len(s.all()) != want[s.letter] {
			t.Errorf("series %s has %d scenarios, not %d", s.letter, len(s.all()), want[s.letter])
		}
		delete(want, s.letter)
	}
	for letter, n := range want {
		t.Errorf("the %d scenarios of series %s are missing", n, letter)
	}
}

func TestA_row_tells_how_far_its_scenario_is(t *testing.T) {
	t.Parallel()
	list, err := parseList("# A First\n## One\nA1  Shown.\nA2  Half.\n    missing: the rest\nA3  Open.\nA4  Gone.\n    void: another\n" +
		"A5  Not here.\n    elsewhere: there\nA6  Half, and lost.\n    missing: the rest\n")
	if err != nil {
		t.Fatal(err)
	}
	by := map[number][]string{{"A", 1}: {"`TestX` in run", "`TestY` in run"}, {"A", 2}: {"`TestX` in run"}}
	got := string(document(list, by))
	for _, want := range []string{"\n| A1–A6 First | 1 | 1 | 2 | 1 | 1 | 6 |\n", "\n## A: First\n\n### One\n", "\n| A1 | Shown. | `TestX` in run, `TestY` in run |\n",
		"\n| A2 | Half. | `TestX` in run; missing: the rest |\n", "\n| A3 | Open. | not shown |\n", "\n| A4 | Gone. | void: another |\n",
		"\n| A5 | Not here. | elsewhere: there |\n", "\n| A6 | Half, and lost. | not shown |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if c := contradictions(list, by); len(c) != 0 {
		t.Errorf("told of %q", c)
	}
	by[number{"A", 4}], by[number{"A", 5}] = []string{"`TestZ` in run"}, []string{"`TestZ` in run"}
	if c := contradictions(list, by); len(c) != 2 || !strings.Contains(c[0], "A4 is marked void") || !strings.Contains(c[0], "`TestZ` in run") {
		t.Errorf("told of %q", c)
	}
}
