package fsm

import (
	"errors"
	"strings"
	"testing"
)

type (
	phase uint8
	kind  uint8
	state struct {
		phase phase
		n     int
	}
	change struct {
		kind kind
		n    int
	}
)

const (
	off phase = iota
	on
)

const (
	flip kind = iota
	add
)

// lamp is a whole table: each test spoils a copy of it.
func lamp() Table[phase, kind, state, change] {
	positive := Guard[state, change]{"n is positive", func(_ state, c change) bool { return c.n > 0 }}
	small := Guard[state, change]{"n is small", func(_ state, c change) bool { return c.n < 10 }}
	return Table[phase, kind, state, change]{
		Region: "lamp",
		Phases: []string{"off", "on"},
		Events: []string{"flip", "add"},
		Phase:  func(s state) phase { return s.phase },
		Move:   func(s state, p phase) state { s.phase = p; return s },
		Kind:   func(c change) kind { return c.kind },
		Rules: []Rule[phase, kind, state, change]{
			{On: flip, From: []phase{off}, To: on},
			{On: flip, From: []phase{on}, To: off},
			{On: add, From: []phase{on}, When: []Guard[state, change]{positive, small}, Stay: true,
				Do: func(s state, c change) state { s.n += c.n; return s }},
			{On: add, From: []phase{on}, When: []Guard[state, change]{positive}, To: off,
				Do: func(s state, c change) state { s.n = -1; return s }},
		},
		Refuse: []No[phase, kind]{{On: add, From: []phase{off}, Why: "it is dark"}},
	}
}

func TestR17_a_cell_that_is_not_decided_or_decided_twice_is_reported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*Table[phase, kind, state, change])
		want  string
	}{
		{"a whole table", func(*Table[phase, kind, state, change]) {}, ""},
		{"a hole where a refusal was", func(t *Table[phase, kind, state, change]) { t.Refuse = nil }, "lamp: add in off is not decided"},
		{"a hole where a rule was", func(t *Table[phase, kind, state, change]) { t.Rules = t.Rules[1:] }, "lamp: flip in off is not decided"},
		{"a refusal of what has a rule", func(t *Table[phase, kind, state, change]) {
			t.Refuse = append(t.Refuse, No[phase, kind]{flip, []phase{on}, "no"})
		}, "lamp: flip in on is decided twice"},
		{"two refusals", func(t *Table[phase, kind, state, change]) {
			t.Refuse = append(t.Refuse, No[phase, kind]{add, []phase{off}, "never"})
		}, "lamp: add in off is decided twice"},
		{"a rule behind one without guards", func(t *Table[phase, kind, state, change]) {
			t.Rules = append(t.Rules, Rule[phase, kind, state, change]{On: flip, From: []phase{off}, To: off})
		}, "lamp: a rule for flip in off can never apply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table := lamp()
			c.spoil(&table)
			_, err := New(table)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAll_defects_are_named_at_once_and_Must_does_not_accept_them(t *testing.T) {
	t.Parallel()
	table := lamp()
	table.Refuse, table.Rules = nil, table.Rules[1:]
	_, err := New(table)
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Fatalf("got %v, want two defects", err)
	}
	defer func() {
		if recover() == nil {
			t.Fatal("Must returned a table with holes")
		}
	}()
	Must(table)
}

func TestThe_first_rule_whose_guards_hold_decides(t *testing.T) {
	t.Parallel()
	table := Must(lamp())
	for _, c := range []struct {
		s    state
		e    change
		want state
	}{
		{state{off, 1}, change{flip, 0}, state{on, 1}},
		{state{on, 1}, change{flip, 0}, state{off, 1}},
		{state{on, 1}, change{add, 2}, state{on, 3}},
		{state{on, 1}, change{add, 20}, state{off, -1}},
	} {
		if got, err := table.Step(c.s, c.e); err != nil || got != c.want {
			t.Errorf("%v on %v: %v %v, want %v", c.e, c.s, got, err, c.want)
		}
	}
}

func TestR18_a_refusal_changes_nothing_and_names_region_phase_event_and_guard(t *testing.T) {
	t.Parallel()
	table := Must(lamp())
	for _, c := range []struct {
		s    state
		e    change
		sort error
		want Refusal
	}{
		{state{off, 1}, change{add, 2}, ErrPhase, Refusal{ErrPhase, "lamp", "off", "add", "it is dark"}},
		{state{on, 1}, change{add, -2}, ErrGuard, Refusal{ErrGuard, "lamp", "on", "add", "n is positive"}},
	} {
		got, err := table.Step(c.s, c.e)
		var no *Refusal
		if !errors.As(err, &no) || *no != c.want || !errors.Is(err, c.sort) {
			t.Errorf("%v on %v: %v, want %v", c.e, c.s, err, c.want)
		}
		if got != c.s {
			t.Errorf("%v on %v: refused, and the state is %v", c.e, c.s, got)
		}
	}
	text := (&Refusal{ErrGuard, "lamp", "on", "add", "n is positive"}).Error()
	if want := "lamp: add refused in phase on: n is positive"; text != want {
		t.Errorf("text %q, want %q", text, want)
	}
}

func TestThe_diagram_and_the_refusals_are_read_off_the_table(t *testing.T) {
	t.Parallel()
	table := Must(lamp())
	want := `%% generated from the table of region lamp: go test ./machine -update
stateDiagram-v2
    [*] --> off
    off --> on: flip
    on --> off: flip
    on --> on: add [n is positive, n is small]
    on --> off: add [n is positive]
`
	if got := table.Diagram(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(table.Refusals(), "\n"); got != "add | off | it is dark" {
		t.Errorf("refusals %q", got)
	}
}
