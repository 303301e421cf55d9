package toolserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
)

// session plays the part of the machine: it tells events, crosses boundaries, and notes what clients are told.
type session struct {
	t    *testing.T
	s    State
	now  time.Time
	told []string
}

func begun(t *testing.T) *session {
	t.Parallel()
	return &session{t: t, now: zero}
}

// does tells an event that is accepted.
func (x *session) does(e Event) {
	x.t.Helper()
	e.Now = x.now
	next, err := Step(x.s, e)
	if err != nil {
		x.t.Fatalf("%s: %v", e.Kind, err)
	}
	x.becomes(next)
}

func (x *session) becomes(next State) {
	x.t.Helper()
	for _, c := range Told(x.s, next) {
		x.told = append(x.told, strings.TrimSpace(fmt.Sprint(c.Server, " ", c.Op, " ", c.Phase, " ", c.Cause)))
	}
	x.s = next
	if err := Check(next); err != nil {
		x.t.Fatal(err)
	}
}

// refuses tells an event that is refused by that guard.
func (x *session) refuses(e Event, guard string) {
	x.t.Helper()
	e.Now = x.now
	next, err := Step(x.s, e)
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Guard != guard || next != x.s {
		x.t.Fatalf("%s: %v, want a refusal for %q", e.Kind, err, guard)
	}
}

func (x *session) boundary() (dropped []string) {
	x.t.Helper()
	next, dropped := Boundary(x.s, x.now, 1)
	x.becomes(next)
	return dropped
}

// owes returns the one connect that is owed.
func (x *session) owes() Connect {
	x.t.Helper()
	owed := Owed(x.s)
	if len(owed) != 1 {
		x.t.Fatalf("owed %v, want one", owed)
	}
	return owed[0]
}

func succeeded(c Connect) Event {
	return Event{Kind: PendingSucceeded, Server: c.Server, Task: c.Task, Lineage: c.Lineage}
}

func failed(c Connect, text string) Event {
	return Event{Kind: PendingFailed, Server: c.Server, Task: c.Task, Lineage: c.Lineage, Error: text}
}

// adds adds a server and connects it; it returns its generation.
func (x *session) adds(name string) uint64 {
	x.t.Helper()
	x.does(Event{Kind: StageAdd, Server: name, Config: name + "-config"})
	x.boundary()
	x.does(succeeded(x.owes()))
	return x.s.Get(name).Generation
}

func (x *session) is(got, want any) {
	x.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		x.t.Fatalf("got %v, want %v", got, want)
	}
}

func (x *session) status(name, want string) {
	x.t.Helper()
	st, ok := StatusOf(x.s, name)
	got := "none"
	if ok {
		got = strings.TrimSpace(fmt.Sprint(st.Health, " ", st.Error))
		if st.Usable {
			got += ", usable"
		}
	}
	x.is(got, want)
}

// Scenario: T1
func TestR70_an_added_server_is_pending_from_the_boundary_and_offers_its_tools_once_connected(t *testing.T) {
	x := begun(t)
	x.does(Event{Kind: StageAdd, Server: "a", Config: "c"})
	x.is(Owed(x.s), "[]")
	x.boundary()
	x.is(Visible(x.s), "[]")
	x.is(x.owes(), Connect{Server: "a", Op: Add, Task: 1, Lineage: 1, Config: "c"})
	x.is(Wanted(x.s, "a"), "[1]")
	x.status("a", "pending_connect")
	x.does(succeeded(x.owes()))
	x.is(Visible(x.s), "[{a 1}]")
	x.status("a", "connected, usable")
	x.is(x.told, "[a add pending a add applied]")
}

// Scenario: T2
func TestR71_a_server_whose_connect_fails_stays_absent_and_can_be_added_again(t *testing.T) {
	x := begun(t)
	x.does(Event{Kind: StageAdd, Server: "a"})
	x.boundary()
	x.does(failed(x.owes(), "no such program"))
	x.is(x.s.Get("a").Base, Absent)
	x.is(x.told[1:], "[a add failed pending_failed]")
	x.status("a", "failed no such program")
	x.refuses(Event{Kind: CallStarted, Server: "a"}, CauseUnavailable)
	x.adds("a")
	x.status("a", "connected, usable")
}

// Scenario: T3
func TestR71_a_reload_that_fails_leaves_the_old_connection_serving(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	x.status("a", "pending_connect, usable")
	x.is(Wanted(x.s, "a"), []uint64{g, g + 1})
	x.does(failed(x.owes(), "no answer"))
	x.is(Wanted(x.s, "a"), []uint64{g})
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.status("a", "connected, usable")
}

// Scenario: T4
func TestR74_a_replaced_connection_stays_open_for_its_calls_until_they_end_or_their_time_is_up(t *testing.T) {
	for name, hangs := range map[string]bool{"the call ends": false, "the call hangs": true} {
		t.Run(name, func(t *testing.T) {
			x := begun(t)
			old := x.adds("a")
			x.does(Event{Kind: CallStarted, Server: "a"})
			x.does(Event{Kind: StageReload, Server: "a"})
			x.boundary()
			x.does(succeeded(x.owes()))
			x.does(Event{Kind: CallStarted, Server: "a"})
			x.is(Visible(x.s), []Conn{{"a", old + 1}})
			x.is(Wanted(x.s, "a"), []uint64{old, old + 1})
			if hangs {
				at, _ := Deadline(x.s)
				x.is(at, x.now.Add(DefaultTimeout))
				x.now = at.Add(-time.Millisecond)
				x.does(Event{Kind: Tick})
				x.is(Wanted(x.s, "a"), []uint64{old, old + 1})
				x.now = at
				x.does(Event{Kind: Tick})
			} else {
				x.does(Event{Kind: CallFinished, Server: "a", Generation: old})
			}
			x.is(Wanted(x.s, "a"), []uint64{old + 1})
			_, due := Deadline(x.s)
			x.is(due, false)
		})
	}
}

// Scenario: T5
func TestR72_a_removed_server_takes_no_new_call_and_finishes_the_one_under_way(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.does(Event{Kind: StageRemove, Server: "a"})
	x.is(Visible(x.s), []Conn{{"a", g}})
	x.boundary()
	x.is(Visible(x.s), "[]")
	x.refuses(Event{Kind: CallStarted, Server: "a"}, CauseDraining)
	x.refuses(Event{Kind: FinalizeClean, Server: "a"}, "no call is under way")
	x.is(Wanted(x.s, "a"), []uint64{g})
	x.does(Event{Kind: CallFinished, Server: "a", Generation: g})
	x.does(Event{Kind: FinalizeClean, Server: "a"})
	x.is(Wanted(x.s, "a"), "[]")
	x.is(x.told[2:], "[a remove draining a remove applied]")
	x.status("a", "disconnected")
	x.refuses(Event{Kind: CallStarted, Server: "a"}, CauseUnavailable)
}

// Scenario: T6
func TestR72_a_call_that_hangs_is_given_up_at_the_removal_timeout_and_not_before(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.does(Event{Kind: StageRemove, Server: "a"})
	x.boundary()
	at, due := Deadline(x.s)
	x.is(due, true)
	x.is(at, x.now.Add(30*time.Second))
	x.now = x.now.Add(29*time.Second + 999*time.Millisecond)
	x.refuses(Event{Kind: FinalizeForced, Server: "a"}, "the removal timeout has passed")
	x.does(Event{Kind: Tick})
	x.is(Wanted(x.s, "a"), []uint64{g})
	x.now = x.now.Add(time.Millisecond)
	x.does(Event{Kind: Tick})
	x.is(Wanted(x.s, "a"), "[]")
	x.is(x.told[2:], "[a remove draining a remove forced]")
}

// Scenario: T7
func TestR70_an_add_that_is_taken_back_before_the_boundary_connects_nothing(t *testing.T) {
	x := begun(t)
	x.does(Event{Kind: StageAdd, Server: "a"})
	x.does(Event{Kind: StageRemove, Server: "a"})
	x.is(x.boundary(), "[a]")
	x.is(Owed(x.s), "[]")
	x.is(Connecting(x.s), "[]")
	x.is(x.s.Servers.Len(), 0)
	x.is(x.told, "[]")
	x.status("a", "none")
}

// Scenario: T8
func TestR70_a_remove_that_is_staged_while_connecting_waits_for_the_connect(t *testing.T) {
	for name, works := range map[string]bool{"it succeeds": true, "it fails": false} {
		t.Run(name, func(t *testing.T) {
			x := begun(t)
			x.does(Event{Kind: StageAdd, Server: "a"})
			x.boundary()
			x.does(Event{Kind: StageRemove, Server: "a"})
			x.refuses(Event{Kind: ApplyBoundary, Server: "a", Seq: 2}, "nothing is being connected")
			x.is(x.boundary(), "[]")
			x.is(x.s.Get("a").Staged, Staged{Op: Remove, Seq: 2})
			if !works {
				x.does(failed(x.owes(), ""))
				x.is(x.boundary(), "[a]")
				x.is(x.s.Servers.Len(), 0)
				return
			}
			x.does(succeeded(x.owes()))
			x.boundary()
			at, _ := Deadline(x.s)
			x.is(at, x.now) // nothing to wait for
			x.does(Event{Kind: Tick})
			x.is(x.s.Get("a").Base, Removed)
			x.does(Event{Kind: SnapshotAligned, Epoch: x.s.Epoch})
			x.is(x.s.Servers.Len(), 0)
		})
	}
}

// Scenario: T9
func TestR71_an_answer_for_an_old_connect_is_stale_and_its_connection_is_not_wanted(t *testing.T) {
	x := begun(t)
	x.does(Event{Kind: StageAdd, Server: "a"})
	x.boundary()
	old := x.owes()
	x.does(failed(old, "slow"))
	x.does(Event{Kind: StageAdd, Server: "a"})
	x.boundary()
	status, _ := StatusOf(x.s, "a")
	for _, late := range []Event{succeeded(old), failed(old, "slow")} {
		x.refuses(late, "task is the pending one")
		if _, err := Step(x.s, late); !errors.Is(err, fsm.ErrStale) {
			t.Errorf("%s: %v is not stale", late.Kind, err)
		}
	}
	half := succeeded(x.owes())
	half.Lineage = old.Lineage
	x.refuses(half, "lineage is the pending one")
	x.is(slices.Contains(Wanted(x.s, "a"), old.Task), false)
	now, _ := StatusOf(x.s, "a")
	x.is(now, status)
}

// Scenario: T10
func TestR71_a_connect_is_answered_once_also_if_all_numbers_are_zero(t *testing.T) {
	x := begun(t)
	x.refuses(Event{Kind: PendingSucceeded, Server: "a"}, "a connect is pending")
	x.does(Event{Kind: StageAdd, Server: "a"})
	x.boundary()
	c := x.owes()
	x.does(succeeded(c))
	for _, again := range []Event{succeeded(c), failed(c, ""), {Kind: PendingSucceeded, Server: "a"}, {Kind: PendingFailed, Server: "a"}} {
		x.refuses(again, "a connect is pending")
	}
	x.status("a", "connected, usable")
}

// Scenario: T12
func TestR73_a_call_that_outlived_a_forced_removal_does_not_count_against_the_next_connection(t *testing.T) {
	x := begun(t)
	old := x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.does(Event{Kind: StageRemove, Server: "a"})
	x.boundary()
	x.now = x.now.Add(DefaultTimeout)
	x.does(Event{Kind: Tick})
	g := x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	was := x.s
	x.does(Event{Kind: CallFinished, Server: "a", Generation: old})
	x.is(x.s == was, true)
	l, _ := x.s.Transient.Calls.Get(Conn{"a", g})
	x.is(l.Running, 1)
}

// Scenario: T13
func TestR72_a_call_to_an_unknown_server_is_refused_as_unavailable(t *testing.T) {
	x := begun(t)
	x.refuses(Event{Kind: CallStarted, Server: "nobody"}, "surface_unavailable")
	x.adds("a")
	x.refuses(Event{Kind: CallStarted, Server: "a", TearingDown: true}, "surface_unavailable")
}

// Scenario: T14
func TestR75_a_tool_list_is_aligned_with_the_highest_epoch_that_was_published_whole(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.adds("b")
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	x.is(x.s.Epoch, 5)
	x.refuses(Event{Kind: SnapshotAligned, Epoch: 6}, "epoch was reached")
	x.does(Event{Kind: SnapshotAligned, Epoch: 5})
	x.does(Event{Kind: SnapshotAligned, Epoch: 4})
	x.is(x.s.Transient.Aligned, 5)
	x.is(Complete(x.s, func(c Conn) bool { return c == Conn{"a", g} }), false)
	x.is(Complete(x.s, func(Conn) bool { return true }), true)
}

func TestR74_after_a_shutdown_nothing_is_staged_and_every_connection_is_closed(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	c := x.owes()
	x.does(Event{Kind: StageAdd, Server: "b"})
	x.does(Event{Kind: Shutdown})
	x.is(staged(x.s), "[]")
	x.is(Owed(x.s), "[]")
	x.is(Wanted(x.s, "a"), "[]")
	for _, k := range []Kind{StageAdd, StageRemove, StageReload, ApplyBoundary} {
		x.refuses(Event{Kind: k, Server: "a"}, "shut down")
	}
	x.refuses(succeeded(c), "shut down")
	if _, err := Step(x.s, succeeded(c)); !errors.Is(err, fsm.ErrStale) {
		t.Errorf("%v is not stale", err)
	}
	x.refuses(Event{Kind: CallStarted, Server: "a"}, CauseUnavailable)
	x.status("a", "disconnected")
	x.does(Event{Kind: CallFinished, Server: "a", Generation: g})
	x.is(x.s.Transient.Calls.Len(), 0)
	was := x.s
	x.does(Event{Kind: Shutdown})
	x.is(x.s == was, true)
	x.does(Event{Kind: Revive})
	x.is(x.owes().Op, Reload)
}

func TestR70_what_is_staged_before_any_turn_takes_effect_at_the_first_boundary_in_the_order_of_staging(t *testing.T) {
	x := begun(t)
	for _, name := range []string{"b", "a", "b"} {
		x.does(Event{Kind: StageAdd, Server: name, Config: name})
	}
	x.boundary()
	x.is(x.told, "[a add pending b add pending]")
	x.is(Connecting(x.s), "[a b]")
	was := x.s
	x.boundary()
	x.is(x.s == was, true)
}

func TestR73_a_call_that_hangs_on_one_server_holds_up_no_other(t *testing.T) {
	x := begun(t)
	x.adds("a")
	x.does(Event{Kind: CallStarted, Server: "a"})
	x.does(Event{Kind: StageRemove, Server: "a"})
	x.does(Event{Kind: StageAdd, Server: "b"})
	x.boundary()
	x.does(succeeded(x.owes()))
	x.is(x.told[2:], "[a remove draining b add pending b add applied]")
}

func TestR72_a_timeout_that_is_set_holds_for_removals_that_begin_later(t *testing.T) {
	x := begun(t)
	for _, name := range []string{"a", "b"} {
		x.adds(name)
		x.does(Event{Kind: CallStarted, Server: name})
		x.does(Event{Kind: StageRemove, Server: name})
		x.boundary()
		x.refuses(Event{Kind: SetTimeout}, "timeout is positive")
		x.does(Event{Kind: SetTimeout, Timeout: time.Second})
	}
	at, _ := Deadline(x.s)
	x.is(at, x.now.Add(time.Second))
	x.now = at
	x.does(Event{Kind: Tick})
	x.is(x.s.Get("a").Base, Removing)
	x.is(x.s.Get("b").Base, Removed)
	x.does(Event{Kind: Tick, TearingDown: true})
	x.is(x.told[len(x.told)-2:], "[b remove forced a remove forced]")
}

func TestR76_a_new_process_connects_again_what_was_active_or_being_connected(t *testing.T) {
	x := begun(t)
	x.adds("active")
	x.does(Event{Kind: CallStarted, Server: "active"})
	x.adds("draining")
	x.does(Event{Kind: StageRemove, Server: "draining"})
	x.does(Event{Kind: StageAdd, Server: "connecting", Config: "c"})
	x.boundary()
	old := x.owes()
	x.does(Event{Kind: StageAdd, Server: "staged"})
	x.told = nil
	x.does(Event{Kind: Opened})
	x.is(x.s.Transient, Transient{})
	x.is(Visible(x.s), "[]")
	x.is(x.told, "[active reload pending draining remove applied connecting add pending]")
	x.is(staged(x.s), "[staged]")
	owed := Owed(x.s)
	x.is(owed, []Connect{{"active", Reload, 4, owed[0].Lineage, "active-config"}, {"connecting", Add, 5, owed[1].Lineage, "c"}})
	x.refuses(succeeded(old), "task is the pending one")

	// A server that does not come back is tried again by the next process, until somebody removes it.
	x.does(failed(owed[0], "gone"))
	x.status("active", "failed gone")
	x.does(Event{Kind: Opened})
	x.is(len(Owed(x.s)), 2)
	x.does(failed(Owed(x.s)[0], "gone"))
	x.does(failed(Owed(x.s)[0], "gone"))
	x.does(Event{Kind: StageRemove, Server: "active"})
	x.is(x.boundary(), "[active]")
	x.does(Event{Kind: Opened})
	x.is(x.owes().Server, "staged")
}

func TestR76_a_stopped_session_connects_nothing_when_it_is_loaded(t *testing.T) {
	x := begun(t)
	x.adds("a")
	x.does(Event{Kind: Shutdown})
	x.does(Event{Kind: Opened})
	x.is(Owed(x.s), "[]")
	x.is(Visible(x.s), "[]")
	x.does(Event{Kind: Revive})
	x.is(x.owes().Config, "a-config")
}

func TestR77_of_two_tools_with_one_name_that_of_the_first_registered_server_is_offered(t *testing.T) {
	x := begun(t)
	for _, name := range []string{"zoo", "ant"} {
		x.adds(name)
	}
	lists := map[string][]string{"zoo": {"look", "feed", "look"}, "ant": {"feed", "dig"}}
	merged := func() string {
		tools, hidden := Merge(x.s, func(c Conn) []string { return lists[c.Server] })
		return fmt.Sprint(tools, hidden)
	}
	x.is(merged(), "[{look zoo} {feed zoo} {dig ant}] [{{look zoo} zoo} {{feed ant} zoo}]")

	// Connecting anew keeps the place; going and coming back does not.
	x.does(Event{Kind: StageReload, Server: "zoo"})
	x.boundary()
	x.does(succeeded(x.owes()))
	x.is(merged(), "[{look zoo} {feed zoo} {dig ant}] [{{look zoo} zoo} {{feed ant} zoo}]")
	x.does(Event{Kind: StageRemove, Server: "zoo"})
	x.boundary()
	x.does(Event{Kind: Tick})
	x.adds("zoo")
	x.is(merged(), "[{feed ant} {dig ant} {look zoo}] [{{feed zoo} ant} {{look zoo} zoo}]")
	x.does(Event{Kind: Register, Server: "late"})
	x.does(Event{Kind: Register, Server: "zoo"})
	x.is(x.s.byOrder(), "[ant zoo late]")
}

func TestR75_a_lost_connection_is_shown_and_its_tools_stay(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: Lost, Server: "a", Generation: g + 1})
	x.status("a", "connected, usable")
	x.does(Event{Kind: Lost, Server: "a", Generation: g, Error: "broken pipe"})
	x.does(Event{Kind: Lost, Server: "a", Generation: g, Error: "broken pipe"})
	x.status("a", "disconnected broken pipe")
	x.is(Visible(x.s), []Conn{{"a", g}})
	x.is(x.told[2:], "[a reload failed connection_lost]")
	x.now = x.now.Add(24 * time.Hour)
	x.boundary()
	x.is(Owed(x.s), "[]") // nobody asked for reconnects
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	x.status("a", "pending_connect")
	x.does(succeeded(x.owes()))
	x.status("a", "connected, usable")
	x.does(Event{Kind: Relisted, Server: "a", Generation: g})
	x.is(x.s.Epoch, 5)
	x.does(Event{Kind: Relisted, Server: "a", Generation: g + 1})
	x.is(x.s.Epoch, 6)
}

func TestR71_reconnects_that_are_configured_wait_longer_each_time_and_end(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.refuses(Event{Kind: SetRetries, Retries: -1}, "not below zero")
	x.does(Event{Kind: SetRetries, Retries: 5})
	x.does(Event{Kind: Lost, Server: "a", Generation: g})
	for _, delay := range []time.Duration{1, 2, 4, 8, 16} {
		x.now = x.now.Add(delay*time.Second - 1)
		x.boundary()
		x.is(Owed(x.s), "[]")
		x.now = x.now.Add(1)
		x.boundary()
		x.does(failed(x.owes(), ""))
	}
	x.now = x.now.Add(24 * time.Hour)
	x.boundary()
	x.is(Owed(x.s), "[]")
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	x.does(succeeded(x.owes()))
	x.is(x.s.Get("a").Outage, Outage{})
	x.is([]time.Duration{backoff(0), backoff(5), backoff(6), backoff(60)}, "[1s 32s 1m0s 1m0s]")

	// What does not come back in a new process is added again, with what it had; one reconnect at each boundary, the earliest first.
	x.adds("b")
	x.does(Event{Kind: Opened})
	for _, c := range Owed(x.s) {
		x.does(failed(c, ""))
	}
	x.now = x.now.Add(time.Minute)
	x.boundary()
	x.is(x.owes().Config, "a-config")
	x.is(x.owes().Op, Add)
	x.boundary()
	x.is(Connecting(x.s), "[a b]")
	x.does(Event{Kind: Shutdown})
	_, due := Reconnect(x.s, x.now.Add(time.Hour))
	x.is(due, false)
}

func TestR71_a_server_that_is_connected_already_is_added_in_one_go_or_not_at_all(t *testing.T) {
	x := begun(t)
	next, g, err := Immediate(x.s, "a", "c", x.now, 0)
	if err != nil {
		t.Fatal(err)
	}
	x.becomes(next)
	x.is(Wanted(x.s, "a"), []uint64{g})
	x.is(x.told, "[a add applied]")
	x.does(Event{Kind: StageReload, Server: "a"})
	x.boundary()
	same, g, err := Immediate(x.s, "a", "c", x.now, 0)
	if err == nil || g != 0 || same != x.s {
		t.Errorf("an add beside a connect: %d, %v", g, err)
	}
	if same, _, err = Immediate(x.s, "", "c", x.now, 0); err == nil || same != x.s {
		t.Errorf("a server without a name: %v", err)
	}
}

func TestR70_an_add_to_an_active_server_takes_its_place_when_it_succeeds(t *testing.T) {
	x := begun(t)
	g := x.adds("a")
	x.does(Event{Kind: StageAdd, Server: "a", Config: "other"})
	x.boundary()
	x.does(failed(x.owes(), ""))
	x.is(x.s.Get("a").Config, "a-config")
	x.is(Visible(x.s), []Conn{{"a", g}})
	x.does(Event{Kind: StageAdd, Server: "a", Config: "other"})
	x.boundary()
	x.does(succeeded(x.owes()))
	x.is(x.s.Get("a").Config, "other")
	x.is(Visible(x.s), []Conn{{"a", g + 2}})
}

func TestR75_a_delta_is_persisted_once_its_operation_has_come_to_its_end(t *testing.T) {
	x := begun(t)
	var kept []string
	for p := DeltaNone; p <= DeltaForced; p++ {
		if p.Persisted() {
			kept = append(kept, p.String())
		}
	}
	x.is(kept, "[applied failed forced]")
}
