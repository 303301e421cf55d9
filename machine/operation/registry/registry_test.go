package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
)

// play takes steps that must all be accepted.
func play(s State, events ...Event) (State, error) {
	for _, e := range events {
		next, err := Step(s, e)
		if err != nil {
			return s, fmt.Errorf("%s %s: %w", e.Kind, e.ID, err)
		}
		s = next
	}
	return s, nil
}

func must(t *testing.T, s State, events ...Event) State {
	t.Helper()
	s, err := play(s, events...)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func on(k Kind, i ID) Event { return Event{Kind: k, ID: i, At: time.UnixMilli(1000)} }

func register(i ID, spec Spec) Event {
	e := on(Register, i)
	e.Spec = spec
	return e
}

var child = Spec{Work: MemberChild, ExpectsPeer: true}

// work registers operations and starts them.
func work(spec Spec, ids ...ID) []Event {
	var out []Event
	for _, i := range ids {
		out = append(out, register(i, spec), on(Start, i))
	}
	return out
}

// crowd lets many operations end.
func crowd(t *testing.T, s State, spec Spec, from, n int) State {
	t.Helper()
	for k := range n {
		i := ID(fmt.Sprintf("x%06d", from+k))
		var err error
		if s, err = play(s, register(i, spec), on(Start, i), on(Complete, i)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestR94_a_refusal_names_the_operation_its_status_and_what_was_attempted(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(child, "kid")...)
	s = must(t, s, register("new", Spec{}), register("tool", Spec{}), on(Start, "tool"), register("gone", Spec{}), on(Abort, "gone"), on(PeerReady, "kid"))
	for _, c := range []struct {
		event                Event
		sort                 error
		status, action, name string
	}{
		{on(Complete, "new"), fsm.ErrPhase, "provisioning", "complete", WhyProvisioning},
		{on(Abort, "tool"), fsm.ErrPhase, "running", "abort", WhyStarted},
		{on(Cancel, "gone"), fsm.ErrPhase, "aborted", "cancel", WhyEnded},
		{on(Progress, "nobody"), fsm.ErrPhase, "absent", "progress", WhyUnknown},
		{on(Register, "tool"), fsm.ErrPhase, "running", "register", WhyDuplicate},
		{on(Register, "gone"), fsm.ErrPhase, "aborted", "register", WhyDuplicate},
		{Event{Kind: Register, ID: "old", Past: Retired}, fsm.ErrPhase, "retired", "register", WhyDuplicate},
		{Event{Kind: Fail, ID: "old", Past: Retired}, fsm.ErrPhase, "retired", "fail", WhyEnded},
		{on(Register, ""), fsm.ErrGuard, "absent", "register", GuardNamed},
		{on(PeerReady, "tool"), fsm.ErrGuard, "running", "peer_ready", GuardPeerExpected},
		{on(PeerReady, "kid"), fsm.ErrGuard, "running", "peer_ready", GuardPeerOnce},
	} {
		next, err := Step(s, c.event)
		no, ok := errors.AsType[*Refusal](err)
		if !ok || no.ID != c.event.ID || no.Phase != c.status || no.Event != c.action || no.Guard != c.name || !errors.Is(err, c.sort) {
			t.Errorf("%s %q: %v, want %s in %s: %s", c.event.Kind, c.event.ID, err, c.action, c.status, c.name)
		}
		if _, ok := errors.AsType[*fsm.Refusal](err); !ok || next != s {
			t.Errorf("R18: %s %q: %T, and the state is the same: %t", c.event.Kind, c.event.ID, err, next == s)
		}
		if c.event.ID != "" && !strings.Contains(err.Error(), fmt.Sprintf("%q", c.event.ID)) {
			t.Errorf("%q does not name %q", err, c.event.ID)
		}
	}
}

func TestR94_an_operation_tells_its_whole_life(t *testing.T) {
	t.Parallel()
	at := func(ms int64, e Event) Event { e.At = time.UnixMilli(ms); return e }
	spec := Spec{Work: MemberChild, Name: "scout", Source: "team", Child: "s1", ExpectsPeer: true}
	s := must(t, State{}, at(10, register("kid", spec)), at(20, on(Start, "kid")), on(PeerReady, "kid"), on(Progress, "kid"), on(Progress, "kid"))
	o, _ := s.Get("kid")
	if want := (Op{ID: "kid", Spec: spec, Status: Running, PeerReady: true, Progress: 2, Created: 10, Started: 20}); o != want {
		t.Errorf("%+v, want %+v", o, want)
	}
	if d := o.Elapsed(time.UnixMilli(50)); d != 40*time.Millisecond {
		t.Errorf("at work for %v", d)
	}
	if d := o.Elapsed(time.UnixMilli(5)); d != 0 {
		t.Errorf("a clock that went back makes %v", d)
	}
	e := at(90, on(Complete, "kid"))
	e.Result = Result{Content: "found it", Duration: time.Second, Tokens: 7}
	s = must(t, s, on(RequestRetire, "kid"), e)
	o, _ = s.Get("kid")
	if out := o.Outcome(); out.Status != Completed || *out.Result != e.Result || o.Seq != 1 || o.Elapsed(time.UnixMilli(500)) != 80*time.Millisecond {
		t.Errorf("it ended as %+v, after %v", o, o.Elapsed(time.Time{}))
	}
}

func TestR95_one_operation_too_many_is_refused_with_the_limit_and_how_many_there_are(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, Event{Kind: Configure, Limit: 2}, register("a", Spec{}), register("b", child))
	_, err := Step(s, register("c", Spec{}))
	no, ok := errors.AsType[*Refusal](err)
	if !ok || no.Guard != GuardRoom || no.Limit != 2 || no.Active != 2 || no.ID != "c" || !strings.Contains(err.Error(), "2 of 2") {
		t.Errorf("refused by %v", err)
	}
	if _, err := Step(s, register("a", Spec{})); err == nil || !strings.Contains(err.Error(), WhyDuplicate) {
		t.Errorf("one that is there already is refused by %v", err)
	}
	s = must(t, s, on(Abort, "a"), register("c", Spec{}))
	if s.Active() != 2 {
		t.Errorf("%d are at work", s.Active())
	}
}

func TestR95_ended_operations_leave_the_oldest_first_and_a_reader_is_told_of_the_gap(t *testing.T) {
	t.Parallel()
	s := crowd(t, State{}, Spec{}, 1, DefaultRetention+1)
	if _, ok := s.Get("x000001"); ok {
		t.Error("the oldest is still listed")
	}
	if _, ok := s.Get("x000002"); !ok {
		t.Error("the second oldest is not listed")
	}
	if p := s.Since(0); len(p.Entries) != DefaultRetention+1 || p.Missed != 0 || p.Entries[0].ID != "x000001" {
		t.Errorf("the feed has %d and misses %d", len(p.Entries), p.Missed)
	}
	s = crowd(t, s, Spec{}, DefaultRetention+2, LeastCapacity-DefaultRetention+1)
	p := s.Since(0)
	if len(p.Entries) != LeastCapacity || p.Missed != 2 || p.Entries[0].Seq != 3 || p.Watermark != LeastCapacity+2 {
		t.Errorf("the feed has %d from %d to %d and misses %d", len(p.Entries), p.Entries[0].Seq, p.Watermark, p.Missed)
	}
	if p := s.Since(LeastCapacity); len(p.Entries) != 2 || p.Missed != 0 {
		t.Errorf("the end of the feed has %d and misses %d", len(p.Entries), p.Missed)
	}
	if p := s.Since(LeastCapacity + 50); len(p.Entries) != 0 || p.Watermark != LeastCapacity+2 {
		t.Errorf("a cursor ahead of the feed gets %d, up to %d", len(p.Entries), p.Watermark)
	}
	if _, missed := s.Unannounced(); missed != 2 {
		t.Errorf("%d news are said to be missed", missed)
	}
	if err := Check(s); err != nil {
		t.Error(err)
	}
	s = must(t, s, Event{Kind: Announced, Upto: p.Watermark})
	if news, missed := s.Unannounced(); len(news) > 0 || missed > 0 || s.News() {
		t.Errorf("told, and there are %d news and %d missed", len(news), missed)
	}
	s = must(t, s, Event{Kind: Configure, Keep: 300})
	if s = crowd(t, s, Spec{}, 2000, 200); s.Feed.Len() != 1200 {
		t.Errorf("a feed for 300 has room for %d", s.Feed.Len())
	}
	if s = must(t, s, Event{Kind: Configure}); s.Feed.Len() != LeastCapacity || s.Missed != 0 {
		t.Errorf("a feed that became shorter has %d, and misses %d that were told", s.Feed.Len(), s.Missed)
	}
}

// Not parallel: allocations are counted.
func TestR95_a_step_and_the_state_cost_the_same_however_many_have_ended(t *testing.T) {
	cost := func(s State) (float64, int) {
		n := testing.AllocsPerRun(50, func() {
			if _, err := play(s, register("new", Spec{}), on(Start, "new"), on(Complete, "new"), Event{Kind: Announced, Upto: s.Watermark}); err != nil {
				t.Fatal(err)
			}
		})
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return n, len(text)
	}
	s := crowd(t, State{}, Spec{}, 100_000, LeastCapacity)
	allocs, size := cost(s)
	laterAllocs, laterSize := cost(crowd(t, s, Spec{}, 200_000, 8*LeastCapacity))
	t.Logf("after %d: %.0f allocations, %d bytes; after %d: %.0f and %d", LeastCapacity, allocs, size, 9*LeastCapacity, laterAllocs, laterSize)
	if laterAllocs > allocs+8 || laterSize > size+size/20 { // the tree may have another shape, and numbers more digits
		t.Errorf("%.0f allocations and %d bytes became %.0f and %d", allocs, size, laterAllocs, laterSize)
	}
}

func TestR95_what_is_said_of_an_end_is_bounded_and_what_was_cut_is_said(t *testing.T) {
	t.Parallel()
	e := on(Complete, "a")
	e.Result.Content = strings.Repeat("ä", MaxText)
	fail := on(Fail, "b")
	fail.Reason = "bad \xff byte"
	s := must(t, State{}, work(Spec{Name: strings.Repeat("n", 2*MaxLabel)}, "a", "b")...)
	s = must(t, s, e, fail)
	a, _ := s.Get("a")
	if !strings.HasSuffix(a.Result.Content, fmt.Sprintf("ä [%d bytes cut]", MaxText)) || len(a.Result.Content) > MaxText+40 {
		t.Errorf("%d bytes, ending with %q", len(a.Result.Content), a.Result.Content[len(a.Result.Content)-30:])
	}
	if want := strings.Repeat("n", MaxLabel) + " [256 bytes cut]"; a.Name != want {
		t.Errorf("the name is %q", a.Name)
	}
	if b, _ := s.Get("b"); b.Reason != "bad \uFFFD byte" {
		t.Errorf("the reason is %q", b.Reason)
	}
	if _, err := encoded(s); err != nil {
		t.Error(err)
	}
}

func TestR96_a_wait_is_over_when_all_have_ended_and_answers_in_the_order_asked(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b")...)
	s = must(t, s, work(child, "kid")...)
	s = must(t, s, on(Cancel, "b"), Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"kid", "b", "a"}})
	if _, err := Step(s, Event{Kind: SatisfyWaitAll, Token: "w"}); err == nil || !strings.Contains(err.Error(), GuardAllEnded) {
		t.Errorf("too early: %v", err)
	}
	fail := on(Fail, "a")
	fail.Reason = "no luck"
	s = must(t, s, fail)
	s = crowd(t, s, Spec{}, 1, LeastCapacity) // those that ended first leave the feed
	if _, over := s.WaitSatisfied(); over || s.BarrierMet([]ID{"a", "kid"}) || !s.BarrierMet([]ID{"a", "b"}) {
		t.Error("one is still at work and the wait is over")
	}
	s = must(t, s, on(MarkRetired, "kid"))
	got, over := s.WaitSatisfied()
	want := []Awaited{{"kid", Outcome{Status: Retired}}, {"b", Outcome{Status: Cancelled}}, {"a", Outcome{Status: Failed, Reason: "no luck"}}}
	if !over || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%t %+v, want %+v", over, got, want)
	}
	s = must(t, s, Event{Kind: SatisfyWaitAll, Token: "w"})
	if s.Wait != nil {
		t.Error("it goes on")
	}
}

func TestR96_a_wait_for_those_that_have_ended_is_over_at_once(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, register("a", Spec{}), on(Abort, "a"), Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"a"}})
	if got, over := s.WaitSatisfied(); !over || got[0].Outcome.Status != Aborted {
		t.Errorf("%t %+v", over, got)
	}
}

func TestR96_a_wait_is_refused_by_name_and_one_that_was_dropped_makes_room(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b")...)
	for _, c := range []struct {
		token string
		ids   []ID
		guard string
		blame ID
	}{
		{"", []ID{"a"}, GuardToken, ""},
		{"w", nil, GuardSome, ""},
		{"w", []ID{"a", "b", "b"}, GuardDistinct, "b"},
		{"w", []ID{"a", "z"}, GuardKnown, "z"},
	} {
		_, err := Step(s, Event{Kind: RequestWaitAll, Token: c.token, IDs: c.ids})
		if no, ok := errors.AsType[*Refusal](err); !ok || no.Guard != c.guard || no.ID != c.blame {
			t.Errorf("%q %q: %v, want %s %q", c.token, c.ids, err, c.guard, c.blame)
		}
	}
	s = must(t, s, Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"a"}})
	if _, err := Step(s, Event{Kind: RequestWaitAll, Token: "v", IDs: []ID{"b"}}); err == nil || !strings.Contains(err.Error(), WhyWaiting) {
		t.Errorf("a second wait: %v", err)
	}
	if _, err := Step(s, Event{Kind: CancelWaitAll, Token: "v"}); err == nil || !strings.Contains(err.Error(), GuardThisWait) {
		t.Errorf("another's wait: %v", err)
	}
	s = must(t, s, Event{Kind: CancelWaitAll, Token: "w"}, Event{Kind: RequestWaitAll, Token: "v", IDs: []ID{"b"}})
	if s.Active() != 2 {
		t.Errorf("%d are at work: dropping a wait ends nothing", s.Active())
	}
}

// The region has no event for what becomes of the session's phase, and whatever else happens to the operations, the wait stays.
//
// Scenario: S125
func TestR96_a_wait_goes_on_through_all_but_its_own_end_and_the_loss_of_its_process(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(child, "a", "b")...)
	s = must(t, s, register("new", Spec{}), Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"a"}})
	for k := range Kind(len(kinds)) {
		e := Event{Kind: k, ID: "b", Token: "w", IDs: []ID{"b"}}
		if k == Register || k == Start || k == Abort {
			e.ID = "new"
		}
		if k == Register {
			e.ID = "newer"
		}
		next, err := Step(s, e)
		waits := next.Wait != nil && next.Wait.Token == "w"
		switch k {
		case RequestWaitAll, SatisfyWaitAll:
			if err == nil || !waits {
				t.Errorf("%s was accepted, or ended the wait", k)
			}
		case CancelWaitAll, ProcessLost:
			if err != nil || waits {
				t.Errorf("the wait goes on after %s: %v", k, err)
			}
		default:
			if err != nil || !waits {
				t.Errorf("%s: refused by %v; the wait goes on: %t", k, err, waits)
			}
		}
	}
}

// What is done with the news, and when, is not shown here.
//
// Scenario: S87
func TestR97_background_tools_that_end_are_news_once_and_members_of_a_team_never(t *testing.T) {
	t.Parallel()
	five := []ID{"a", "b", "c", "d", "e"}
	s := must(t, State{}, work(Spec{Name: "build"}, five...)...)
	s = must(t, s, work(child, "kid")...)
	s = must(t, s, on(Complete, "kid"))
	if s.News() || s.Announced != 1 {
		t.Error("the end of a member is news")
	}
	for _, i := range five {
		s = must(t, s, on(Complete, i))
	}
	news, missed := s.Unannounced()
	if len(news) != 5 || missed != 0 || news[0].ID != "a" || news[4].Seq != 6 || news[0].Name != "build" {
		t.Fatalf("news %+v, %d missed", news, missed)
	}
	later := must(t, s, register("late", Spec{}), on(Abort, "late")) // while a run goes on and nobody reads
	if news, _ := later.Unannounced(); len(news) != 6 {
		t.Errorf("%d news after another end", len(news))
	}
	later = must(t, later, Event{Kind: Announced, Upto: s.Watermark})
	if news, _ := later.Unannounced(); len(news) != 1 || news[0].ID != "late" || !later.News() {
		t.Errorf("left to tell: %+v", news)
	}
	later = must(t, later, Event{Kind: Announced, Upto: later.Watermark})
	if news, _ := later.Unannounced(); len(news) != 0 || later.News() {
		t.Errorf("told, and still news: %+v", news)
	}
	if again := must(t, later, Event{Kind: Announced, Upto: 2}); again != later {
		t.Error("an older announcement changed the state")
	}
	if _, err := Step(later, Event{Kind: Announced, Upto: later.Watermark + 1}); err == nil || !strings.Contains(err.Error(), GuardInFeed) {
		t.Errorf("announced beyond the feed: %v", err)
	}
}

func TestR98_with_its_process_ends_what_lived_in_it_and_nothing_else(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "tool")...)
	s = must(t, s, work(Spec{Durable: true}, "job")...)
	s = must(t, s, work(child, "kid")...)
	s = must(t, s, register("new", Spec{}), Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"job"}})
	s = must(t, s, Event{Kind: ProcessLost, At: time.UnixMilli(7)})
	for i, want := range map[ID]Outcome{"tool": {Status: Terminated, Reason: "process lost"}, "new": {Status: Terminated, Reason: "process lost"},
		"job": {Status: Running}, "kid": {Status: Running}} {
		if o, ok := s.Get(i); !ok || o.Outcome() != want {
			t.Errorf("%s: %+v, want %+v", i, o, want)
		}
	}
	if news, _ := s.Unannounced(); len(news) != 2 || news[0].At != 7 {
		t.Errorf("the news is %+v", news)
	}
	if s.Wait != nil {
		t.Error("whoever waited is gone, and the wait goes on")
	}
	if again := must(t, s, Event{Kind: ProcessLost}); again != s {
		t.Error("lost again, and the state has changed")
	}
}

func TestR98_without_an_owner_everything_ends(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(child, "kid")...)
	s = must(t, s, register("new", Spec{Durable: true}), Event{Kind: TerminateOwner, Reason: "session destroyed"})
	for _, i := range []ID{"kid", "new"} {
		if o, _ := s.Get(i); o.Outcome() != (Outcome{Status: Terminated, Reason: "session destroyed"}) {
			t.Errorf("%s: %+v", i, o)
		}
	}
}

func TestR94_new_input_ends_what_only_waits(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{Yields: true}, "nap")...)
	s = must(t, s, work(Spec{}, "build")...)
	s = must(t, s, register("soon", Spec{Yields: true}), Event{Kind: Yield})
	if o, _ := s.Get("nap"); o.Outcome() != (Outcome{Status: Cancelled, Reason: "interrupted by new input"}) {
		t.Errorf("nap: %+v", o)
	}
	if s.Active() != 2 {
		t.Errorf("%d are at work", s.Active())
	}
	if again := must(t, s, Event{Kind: Yield}); again != s {
		t.Error("nothing waits, and the state has changed")
	}
}

func TestR22_a_damaged_state_is_not_read(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b")...)
	s = must(t, s, on(Complete, "a"), on(Complete, "b"), register("c", Spec{}))
	text, err := encoded(s)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{
		"a feed with a gap":             {`"watermark":2`, `"watermark":3`},
		"a feed longer than its count":  {`"watermark":2`, `"watermark":1`},
		"an operation that ended twice": {`"id":"b"`, `"id":"a"`},
		"an operation that is null":     {`{"id":"c","status":1,"created":1000}`, `null`},
		"a feed that is no feed":        {`"feed":[`, `"feed":7,"x":[`},
	} {
		bad := strings.Replace(text, change[0], change[1], 1)
		if bad == text {
			t.Fatalf("%s: nothing to change in %s", what, text)
		}
		if err := json.Unmarshal([]byte(bad), new(State)); err == nil {
			t.Errorf("%s was read: %s", what, bad)
		}
	}
}

func TestR22_a_register_with_a_row_missing_is_not_restored(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b")...)
	s = must(t, s, on(Complete, "a"), on(Complete, "b"))
	ops := Changed(State{}, s)
	if _, err := Restore(s.Head(), slices.Values(ops)); err != nil {
		t.Errorf("with all rows: %v", err)
	}
	if _, err := Restore(s.Head(), slices.Values(ops[1:])); err == nil {
		t.Error("a completion is missing and it was restored")
	}
	twice := slices.Clone(ops)
	twice[0].ID = "b"
	if _, err := Restore(s.Head(), slices.Values(twice)); err == nil {
		t.Error("an operation ended twice and it was restored")
	}
}
