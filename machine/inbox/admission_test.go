package inbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

var (
	idle = Arrival{}
	busy = Arrival{Running: true}
)

// Scenario: S34, S35, S36, S37, S38, S39, S40, S41, S45
func TestR102_R103_what_arrives_is_judged_by_its_kind_its_mode_and_whether_a_run_is_bound(t *testing.T) {
	t.Parallel()
	queued, steer := input.Options{Handling: input.HandlingQueue}, input.HandlingSteer
	dispatched := input.Continuation{Overlay: scope.Overlay{Dispatch: "d"}}
	attention := dispatched
	attention.Reason = input.ReasonAttention
	for _, c := range []struct {
		in            input.Input
		idle, running Signal
		lane          Lane
		boundary      Boundary
		plan          Plan
	}{
		{prompt("plain", input.Options{}), SignalWake, SignalNone, Queue, RunStart, QueueBack},
		{prompt("queued", queued), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{prompt("steer", steering), SignalImmediate, SignalImmediate, Steer, RunCheckpoint, QueueBack},
		{step("plain step", input.Options{}), SignalWake, SignalNone, Queue, RunStart, QueueBack},
		{step("steered step", steering), SignalImmediate, SignalImmediate, Steer, RunCheckpoint, QueueBack},
		{message("message", 0), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{message("queued message", input.HandlingQueue), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{message("steered message", steer), SignalImmediate, SignalImmediate, Steer, RunCheckpoint, QueueBack},
		{made("no convention", input.Peer{Body: "x"}, ann), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{ask("request", "sum", 0), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{ask("steered request", "sum", steer), SignalImmediate, SignalImmediate, Steer, RunCheckpoint, QueueBack},
		{progress("progress", "s"), SignalNone, SignalNone, Steer, RunCheckpoint, CoalesceInto},
		{answer("answer", 0), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{answer("queued answer", input.HandlingQueue), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{answer("steered answer", steer), SignalImmediate, SignalImmediate, Steer, RunStart, QueueBack},
		{happening("event", 0), SignalWake, SignalWake, Queue, RunStart, QueueBack},
		{happening("steered event", steer), SignalImmediate, SignalImmediate, Steer, RunCheckpoint, QueueBack},
		{goOn("continuation", "s", input.Continuation{}), SignalWake, SignalWake, Queue, RunStart, SupersedeThem},
		{goOn("operation done", "s", input.Continuation{Handling: steer}), SignalWake, SignalYield, Steer, RunCheckpoint, SupersedeThem},
		{goOn("dispatched", "s", dispatched), SignalWake, SignalYield, Steer, RunStart, SupersedeThem},
		{goOn("attention", "s", attention), SignalWake, SignalWake, Queue, RunStart, SupersedeThem},
		{news("operation"), SignalNone, SignalNone, Queue, RunStart, ConsumeNow},
	} {
		if err := c.in.Validate(); err != nil {
			t.Errorf("%s: %v", c.in.ID, err)
		}
		for a, want := range map[Arrival]Signal{idle: c.idle, busy: c.running} {
			j := Judge(c.in, a)
			if j.Signal != want || j.Item.Lane != c.lane || j.Item.Means().Boundary != c.boundary || j.Plan != c.plan {
				t.Errorf("%s, running %t: %s, lane %s, boundary %s, plan %s", c.in.ID, a.Running, j.Signal, j.Item.Lane, j.Item.Means().Boundary, j.Plan)
			}
			if j.Item.Stamp.Policy.Version != PolicyVersion || j.Item.Kind() != c.in.Kind() {
				t.Errorf("%s is stamped %+v", c.in.ID, j.Item.Stamp)
			}
		}
	}
}

func TestR103_signals_are_ordered_and_each_does_what_the_lower_ones_do(t *testing.T) {
	t.Parallel()
	if !(SignalNone < SignalWake && SignalWake < SignalYield && SignalYield < SignalImmediate) {
		t.Error("signals are not ordered")
	}
	for wish, does := range signals {
		if does[0] == SignalYield {
			t.Errorf("%s makes an idle session yield", Signal(wish))
		}
		for _, d := range does {
			if wish > 0 && (d < signals[wish-1][0] || d == SignalNone) {
				t.Errorf("%s does no more than %s", Signal(wish), d)
			}
		}
	}
}

// Scenario: S56, S57
func TestR103_silent_wins_over_steer_and_a_submitter_may_want_nothing_woken(t *testing.T) {
	t.Parallel()
	for _, in := range []input.Input{ask("a", "ping", 0), ask("b", "ping", input.HandlingSteer), ask("c", "ping", input.HandlingQueue)} {
		for _, a := range []Arrival{idle, busy} {
			a.Silent = silent(in)
			j := Judge(in, a)
			p := j.Item.Stamp.Policy
			if !a.Silent || j.Signal != SignalNone || j.Item.Lane != Queue || p.Wake != WakeNone || p.Apply != StageRunStart || !j.Item.Means().Passenger {
				t.Errorf("%s, running %t: %s %+v %+v", in.ID, a.Running, j.Signal, p, j.Item.Means())
			}
		}
	}
	for _, in := range []input.Input{ask("other", "sum", 0), message("ping", 0), prompt("ping", input.Options{})} {
		if silent(in) {
			t.Errorf("%s is silent", in.ID)
		}
		if j := Judge(in, Arrival{Silent: true}); in.Kind() != input.KindPeerRequest && (j.Signal != SignalWake || j.Item.Means().Passenger) {
			t.Errorf("%s is treated as silent", in.ID)
		}
	}
	for _, in := range []input.Input{prompt("p", input.Options{}), prompt("s", steering), happening("e", 0), answer("a", input.HandlingSteer),
		goOn("c", "", input.Continuation{Handling: input.HandlingSteer})} {
		for _, a := range []Arrival{idle, busy} {
			a.WithoutWake = true
			if j := Judge(in, a); j.Signal != SignalNone || j.Item.Stamp.Policy.Wake != WakeNone || !j.Item.Means().Passenger {
				t.Errorf("%s, running %t: %s", in.ID, a.Running, j.Signal)
			}
		}
	}
}

func TestR102_every_case_is_decided_by_the_first_row_that_fits(t *testing.T) {
	t.Parallel()
	used := map[int]bool{}
	for _, mode := range []input.Handling{input.HandlingAbsent, input.HandlingQueue, input.HandlingSteer} {
		o := input.Options{Handling: mode}
		for _, in := range []input.Input{prompt("a", o), message("b", mode), ask("c", "x", mode), answer("d", mode), step("e", o), happening("f", mode),
			progress("g", ""), news("h"), goOn("i", "", input.Continuation{Handling: mode}),
			goOn("j", "", input.Continuation{Handling: mode, Overlay: scope.Overlay{Dispatch: "d"}})} {
			p, row := Resolve(in, idle)
			if row < 0 || p.Version != PolicyVersion {
				t.Fatalf("%s with mode %s is not decided", in.Kind(), mode)
			}
			used[row] = true
			if q, again := Resolve(in, idle); q != p || again != row {
				t.Errorf("%s is decided twice otherwise", in.Kind())
			}
		}
	}
	for n, r := range Rows() {
		if used[n] == r.Default {
			t.Errorf("row %d, for %v: used %t, and only for a default %t", n, r.Kinds, used[n], r.Default)
		}
	}
	if p, row := Resolve(input.Input{}, idle); row >= 0 || p != (Policy{}) {
		t.Errorf("nothing is decided by row %d: %+v", row, p)
	}
}

// The plans that no row leads to are those of policies that a later version may have.
func TestR102_a_plan_follows_from_a_policy(t *testing.T) {
	t.Parallel()
	for p, want := range map[Policy]Plan{
		{}: QueueBack, {Queue: Fifo}: QueueBack, {Queue: Priority}: QueueFront, {Queue: Coalescing}: CoalesceInto, {Queue: Superseding}: SupersedeThem,
		{Apply: Ignore}: RecordOnly, {Apply: Ignore, Consume: OnAccept, Queue: Priority}: ConsumeNow,
	} {
		if got := p.plan(); got != want {
			t.Errorf("%+v: %s, want %s", p, got, want)
		}
	}
	if (Policy{Apply: InjectNow, Routing: ToImmediate}).boundary() != Immediate || (Policy{Routing: ToImmediate}).lane() != Steer {
		t.Error("what is injected at once waits in the queue")
	}
}

func TestR102_the_policy_table_in_docs_is_the_one_that_decides(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/machine/inbox.md")
	if err != nil {
		t.Fatal(err)
	}
	for n, r := range Rows() {
		kinds := make([]string, len(r.Kinds))
		for k := range r.Kinds {
			kinds[k] = r.Kinds[k].String()
		}
		mode := map[input.Handling]string{input.HandlingAbsent: "any", input.HandlingQueue: "queue", input.HandlingSteer: "steer"}[r.Mode]
		switch {
		case r.Dispatched:
			mode = "dispatched"
		case r.Default:
			mode = "never"
		}
		p := r.Policy
		tells := "yes"
		if p.NoTranscript && p.NoOperator {
			tells = "no"
		}
		line := fmt.Sprintf("| %d | %s | %s | %s | %s / %s | %s | %s | %s | %s | %s |", n+1, strings.Join(kinds, ", "), mode, p.Apply, r.Idle, r.Running,
			p.Queue, p.Drain, p.Routing, p.Consume, tells)
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("docs/machine/inbox.md lacks the line\n%s", line)
		}
	}
}

// Scenario: S47
func TestR102_an_operation_is_consumed_when_it_is_admitted_and_never_queued(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(news("o"), idle)
	i, over := w.ended["o"]
	if !over || i.Phase != Consumed || w.box.Len() != 0 || w.err() != nil {
		t.Errorf("%+v, %d live: %v", i, w.box.Len(), w.err())
	}
	if _, err := Table.Step(Judge(prompt("p", input.Options{}), idle).Item, Event{Kind: AdmitConsumed}); err == nil {
		t.Error("a prompt is consumed when it is admitted")
	}
}

// Scenario: S54
func TestR104_a_continuation_takes_the_place_of_the_queued_one_of_its_scope_and_of_no_other(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.run = "r0" // nothing starts
	steered := input.Continuation{Handling: input.HandlingSteer}
	w.submit(goOn("a", "s", input.Continuation{}), idle)
	w.submit(goOn("b", "t", input.Continuation{}), idle)
	w.submit(goOn("c", "", input.Continuation{}), idle)
	w.submit(goOn("d", "", input.Continuation{}), idle)
	w.submit(progress("e", "s"), idle)
	p := prompt("f", input.Options{})
	p.Supersession = "s"
	w.submit(p, idle)
	if len(w.ended) != 0 {
		t.Errorf("other scopes are replaced: %v", w.ended)
	}
	w.submit(goOn("g", "s", steered), idle)
	if i := w.ended["a"]; len(w.ended) != 1 || i.Phase != Superseded || i.By != "g" {
		t.Errorf("%v", w.ended)
	}
	w.run = ""
	w.begin(false, true)
	if i, _ := w.box.Find("g", ""); i.Phase != Staged {
		t.Fatalf("g is %s", i.Phase)
	}
	w.submit(goOn("h", "s", steered), idle)
	if len(w.ended) != 1 {
		t.Errorf("a staged input was replaced: %v", w.ended)
	}
	if err := w.err(); err != nil {
		t.Error(err)
	}
}

// Scenario: S55
func TestR104_progress_with_one_key_is_one_and_the_newest_is_kept(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for n := range 4 {
		w.submit(progress(fmt.Sprint("half ", n), "s"), idle)
	}
	w.submit(progress("other", "t"), idle)
	w.submit(progress("none", ""), idle)
	if got := show(slices.Collect(w.box.All())); got != "half 3 other none" || w.box.Driving() != 0 {
		t.Errorf("%s", got)
	}
	for n := range 3 {
		i := w.ended[progress(fmt.Sprint("half ", n), "").ID]
		if i.Phase != Coalesced || string(i.By) != fmt.Sprint("half ", n+1) {
			t.Errorf("%+v", i)
		}
	}
	if err := w.err(); err != nil {
		t.Error(err)
	}
}

func TestR104_two_of_a_scope_that_wait_again_are_both_replaced(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(goOn("a", "s", input.Continuation{}), idle)
	w.begin(false, false)
	w.submit(goOn("b", "s", input.Continuation{}), idle)
	w.fail()
	if len(w.ended) != 0 {
		t.Fatal(w.ended)
	}
	w.submit(goOn("c", "s", input.Continuation{}), idle)
	if got := show(slices.Collect(w.box.All())); got != "c" || len(w.ended) != 2 || w.err() != nil {
		t.Errorf("%s: %v", got, w.err())
	}
}

func TestR33_a_key_that_is_not_given_is_the_id(t *testing.T) {
	t.Parallel()
	in := prompt("p", input.Options{})
	if k := Judge(in, idle).Item.Key; k != "p" {
		t.Errorf("key %q", k)
	}
	in.Key = "k"
	if k := Judge(in, idle).Item.Key; k != "k" {
		t.Errorf("key %q", k)
	}
}

func TestWhat_an_input_says_is_kept_until_it_is_said(t *testing.T) {
	t.Parallel()
	note := transcript.Notice{Kind: "n", Text: "context"}
	in := prompt("p", input.Options{})
	in.Body = input.Prompt{Text: "hello", Appends: input.Entries{transcript.User{Content: transcript.TextBlocks("more")}}}
	c := goOn("c", "", input.Continuation{Context: &input.Context{Key: "k", Entry: note}, Turn: input.Entries{transcript.User{Content: transcript.TextBlocks("go")}}})
	w := newWorld()
	w.submit(in, idle)
	w.submit(c, idle)
	w.submit(answer("a", 0), idle)
	w.submit(answer("b", 0), idle)
	for range 3 {
		w.begin(false, true)
		for _, i := range w.box.Staged() {
			if i.Content != nil || i.Says != nil || !i.Said {
				t.Errorf("%s keeps what it has said", i.ID)
			}
		}
		w.finish(Consume, NoReason)
	}
	want := []string{"user: hello", "user: more", "n: context", "user: go", "comms: Answer to request \"" + requestID + "\", from peer \"Ann\" (\"" + peerID + "\"), completed:\na"}
	if !slices.Equal(w.said, want) || w.err() != nil {
		t.Errorf("said %q: %v", w.said, w.err())
	}
}
