package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// number names a scenario: S34.
type number struct {
	series string
	n      int
}

func (a number) String() string { return a.series + strconv.Itoa(a.n) }

// compare orders numbers by series, then by count.
func (a number) compare(b number) int {
	return cmp.Or(strings.Compare(a.series, b.series), cmp.Compare(a.n, b.n))
}

// scenario is one entry of the list.
type scenario struct {
	number
	text string
	mark string // void, elsewhere or missing; empty: none
	why  string // of the mark
}

type series struct {
	letter, title string
	groups        []group
}

type group struct {
	title     string // empty: the series has no groups
	scenarios []scenario
}

// all lists the scenarios of a series.
func (s series) all() []scenario {
	var out []scenario
	for _, g := range s.groups {
		out = append(out, g.scenarios...)
	}
	return out
}

var (
	seriesLine   = regexp.MustCompile(`^# ([A-Z]) (.+)$`)
	groupLine    = regexp.MustCompile(`^## (.+)$`)
	scenarioLine = regexp.MustCompile(`^([A-Z])([1-9]\d*)  (\S.*)$`)
	markLine     = regexp.MustCompile(`^(void|elsewhere|missing): (\S.*)$`)
)

// parseList reads list.txt. What stands before the first series is for its reader. The error names every line that is wrong.
func parseList(text string) ([]series, error) {
	var out []series
	var errs []error
	var last *scenario
	for i, line := range strings.Split(text, "\n") {
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("list.txt:%d: %s", i+1, fmt.Sprintf(format, args...)))
		}
		if strings.Contains(line, "|") {
			wrong("a | would end the cell of the table")
		}
		if m := seriesLine.FindStringSubmatch(line); m != nil {
			out, last = append(out, series{letter: m[1], title: m[2]}), nil
			continue
		}
		switch {
		case len(out) == 0, line == "":
		case groupLine.MatchString(line):
			s := &out[len(out)-1]
			s.groups, last = append(s.groups, group{title: groupLine.FindStringSubmatch(line)[1]}), nil
		case scenarioLine.MatchString(line):
			m := scenarioLine.FindStringSubmatch(line)
			if s := &out[len(out)-1]; m[1] != s.letter || m[2] != strconv.Itoa(len(s.all())+1) {
				wrong("%s%s stands where %s%d belongs: numbers are given once, in order", m[1], m[2], s.letter, len(s.all())+1)
			}
			last = add(&out[len(out)-1], m[3])
		case strings.HasPrefix(line, "    ") && last != nil:
			if why := last.goOn(strings.TrimSpace(line)); why != "" {
				wrong("%s", why)
			}
		default:
			wrong("%q is no series, group, scenario or mark", line)
		}
	}
	return out, errors.Join(errs...)
}

// add puts the next scenario at the end of a series.
func add(s *series, text string) *scenario {
	if len(s.groups) == 0 {
		s.groups = []group{{}}
	}
	g := &s.groups[len(s.groups)-1]
	g.scenarios = append(g.scenarios, scenario{number: number{s.letter, len(s.all()) + 1}, text: text})
	return &g.scenarios[len(g.scenarios)-1]
}

// goOn takes an indented line: a mark, or more of what the line before said. It returns what is wrong with it.
func (s *scenario) goOn(line string) string {
	switch m := markLine.FindStringSubmatch(line); {
	case m != nil && s.mark != "":
		return s.String() + " has a second mark"
	case m != nil:
		s.mark, s.why = m[1], m[2]
	case s.mark != "":
		s.why += " " + line
	default:
		s.text += " " + line
	}
	return ""
}

func TestA_list_says_what_its_scenarios_are(t *testing.T) {
	t.Parallel()
	list, err := parseList("How to.\n  # Z Not a series\n\n# A First\n\n## One\nA1  It is\n    so.\nA2  Gone.\n    void: because\n        of this\n" +
		"## Two\nA3  More.\n    missing: a part\n\n# B Second\n\nB1  Alone.\n    elsewhere: not here\n")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", list)
	want := "[{letter:A title:First groups:[{title:One scenarios:[{number:{series:A n:1} text:It is so. mark: why:} {number:{series:A n:2} text:Gone. mark:void why:because of this}]}" +
		" {title:Two scenarios:[{number:{series:A n:3} text:More. mark:missing why:a part}]}]}" +
		" {letter:B title:Second groups:[{title: scenarios:[{number:{series:B n:1} text:Alone. mark:elsewhere why:not here}]}]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestA_mistake_in_the_list_is_told_with_its_line(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, list, want string }{
		{"a number left out", "# A First\nA1  One.\nA3  Three.\n", "list.txt:3: A3 stands where A2 belongs"},
		{"a number twice", "# A First\nA1  One.\nA1  One.\n", "list.txt:3: A1 stands where A2 belongs"},
		{"a number of another series", "# A First\nB1  One.\n", "list.txt:2: B1 stands where A1 belongs"},
		{"a number with a zero before it", "# A First\nA01  One.\n", "list.txt:2: \"A01  One.\" is no"},
		{"a second mark", "# A First\nA1  One.\n    void: x\n    missing: y\n", "list.txt:4: A1 has a second mark"},
		{"a mark of nothing", "# A First\n    void: x\n", "list.txt:2: \"    void: x\" is no"},
		{"an unknown line", "# A First\nA1  One.\nwhat is this\n", "list.txt:3: \"what is this\" is no"},
		{"what breaks a table", "# A First\nA1  One | two.\n", "list.txt:2: a |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parseList(c.list); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
