package toolserver

import (
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
)

// The cells of both tables, driven through variants that tell all their guards apart.

func serverCells() (string, error) {
	var states []One
	for n := range 48 {
		o := One{Name: "a", Timeout: time.Minute, Server: Server{Order: 1, Generation: 2}}
		o.Drain = Drain{Since: zero, Until: zero.Add(time.Minute)}
		o.Counters = Counters{Epoch: 9, LastStage: 9, LastTask: 9, LastOrder: 9}
		if op := Op(n % 4); op != None {
			o.Staged = Staged{Op: op, Seq: 4}
		}
		if n/4%2 > 0 {
			o.Pending = Pending{Op: Add, Task: 3, Lineage: 3}
		}
		if n/8%2 > 0 {
			o.Outage.Lost = true
		}
		switch n / 16 % 3 {
		case 1:
			o.Calls = o.Calls.Set(Conn{Server: "a", Generation: 2}, Load{Running: 2})
		case 2:
			o.Calls = o.Calls.Set(Conn{Server: "a", Generation: 1}, Load{Running: 1, Until: zero})
		}
		states = append(states, o)
	}
	var events []Event
	for n := range 32 {
		e := Event{Server: "a", Seq: 4, Task: 3, Lineage: 3, Generation: 2, Now: zero}
		if n&1 > 0 {
			e.Seq, e.Generation = 5, 1
		}
		if n&2 > 0 {
			e.Task = 0
		}
		if n&4 > 0 {
			e.Lineage = 0
		}
		if n&8 > 0 {
			e.Now = zero.Add(time.Minute)
		}
		e.TearingDown = n&16 > 0
		events = append(events, e)
	}
	return fsmtest.Cells(Servers, states, events, func(e Event, k Kind) Event { e.Kind = k; return e })
}

func regionCells() (string, error) {
	base := State{Durable: Durable{Counters: Counters{Epoch: 5, LastStage: 3, LastTask: 2, LastOrder: 2}}}
	full := base
	added := Delta{Op: Add, Phase: DeltaApplied, Epoch: 2}
	full.Servers = full.Servers.Set("a", &Server{Order: 1, Base: Active, Keep: true, Generation: 1, Delta: added}).
		Set("b", &Server{Order: 2, Staged: Staged{Op: Add, Seq: 3}})
	events := []Event{{Server: "a", Epoch: 5, Timeout: time.Second, Retries: 1}, {Epoch: 6, Retries: -1, TearingDown: true}}
	return fsmtest.Cells(Table, []State{base, full}, events, func(e Event, k Kind) Event { e.Kind = k; return e })
}

// Scenario: M7
func TestR17_every_cell_of_both_tables_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	for name, drive := range map[string]func() (string, error){"toolserver": serverCells, "toolservers": regionCells} {
		got, err := drive()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/cells/"+name+".txt", []byte(got))
	}
	golden.Equal(t, "../../docs/machine/toolserver.mmd", []byte(Servers.Diagram()))
	golden.Equal(t, "../../docs/machine/toolservers.mmd", []byte(Table.Diagram()))
}

// The tables are swapped for faulty ones, so this test does not call t.Parallel, and those that do wait until it is over. What shows
// in the cells alone are guards that something else implies: that the base has no connect, or that the number is of no other one.
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_both_tables_is_noticed(t *testing.T) {
	for _, name := range append(fsmtest.Survey(t, &Servers, serverCells, behaves), fsmtest.Survey(t, &Table, regionCells, behaves)...) {
		if !strings.Contains(name, "without the guard") {
			t.Errorf("no server behaves otherwise for %s", name)
		}
		t.Log(name)
	}
}
