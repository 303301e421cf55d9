package driver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestR24_what_is_staged_does_not_count_until_it_is_committed(t *testing.T) {
	t.Parallel()
	w := registered(t)
	before := w.d.State()
	staged := w.stage(submit("a", "hello"))
	if !staged.Changed() || staged.State().Run() == "" {
		t.Fatal("nothing was staged")
	}
	same(t, shown(w.d.State()), shown(before)) // and dropping the value undoes it
	staged = w.stage(submit("b", "hello"))
	told, err := staged.Commit(t.Context())
	w.ok(err)
	if len(told.Events) == 0 || w.d.State().Run() == "" {
		t.Fatal("nothing was committed")
	}
	if _, err := w.reader().Input(t.Context(), sid, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("what was dropped is stored: %v", err)
	}
}

func TestR23_several_steps_are_one_batch_with_each_row_once(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("a", "hello"))
	w.tell(reply(w.model(), "", "x", "y"))
	commits, version := w.store.commits, w.d.State().Version
	w.tell(settle(w.tool("y"), "from y"), submit("b", "next"), settle(w.tool("x"), "from x"))
	b := w.store.last
	if w.store.commits != commits+1 || b.From != version || b.To != version+3 {
		t.Fatalf("%d commits, from %d to %d", w.store.commits-commits, b.From, b.To)
	}
	effects := map[id.Effect]bool{}
	for _, e := range b.Effects {
		if effects[e.ID] || e.Open {
			t.Fatalf("effect %s twice, or open", e.ID)
		}
		effects[e.ID] = true
	}
	w.tell(submit("c", "gone before it is written"), machine.Interrupt{Run: w.d.State().Run()}, machine.Stop{})
	inputs := map[id.Input]int{}
	for _, i := range w.store.last.Inputs {
		inputs[i.ID]++
	}
	if inputs["a"] != 1 || inputs["c"] != 1 {
		t.Fatalf("input rows %v", inputs)
	}
	list, err := w.reader().Effects(t.Context(), sid)
	w.ok(err)
	if len(list) != 2 || list[0].Open || list[0].Outcome != "ok" {
		t.Fatalf("ledger %+v", list)
	}
}

func TestR18_a_refusal_leaves_the_rest_of_the_group(t *testing.T) {
	t.Parallel()
	w := registered(t)
	staged := w.stage(submit("a", "hello"))
	for _, ev := range []machine.Event{machine.Interrupt{Run: "another"}, machine.Register{Profile: &run.Profile{}}, machine.Submit{Input: given.Input{ID: "e"}}} {
		var refusal *machine.Refusal
		if _, err := staged.Step(t.Context(), w.at, ev, false); !errors.As(err, &refusal) {
			t.Fatalf("%T: %v", ev, err)
		}
	}
	use := transcript.ToolUse{ID: "c", Name: "x", Args: []byte("{")}
	var model run.Directive
	for _, d := range staged.State().Open.All() {
		model = d
	}
	bad := machine.Reported{Report: run.ModelReplied{ID: model.ID, Reply: transcript.Assistant{Blocks: transcript.Blocks{use}}, Calls: []run.Intent{{Call: use}}}}
	_, err := staged.Step(t.Context(), w.at, bad, false)
	w.is(err, driver.ErrEncode)
	if fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("code %s", fault.CodeOf(err))
	}
	_, err = staged.Step(t.Context(), w.at, submit("b", "next"), false)
	w.ok(err)
	_, err = staged.Commit(t.Context())
	w.ok(err)
	st, err := w.reader().State(t.Context(), sid)
	w.ok(err)
	if st.Inbox.Len() != 2 {
		t.Fatalf("%d inputs", st.Inbox.Len())
	}
}

// Scenario: S50
func TestR21_what_changes_nothing_writes_nothing(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("a", "hello"))
	r := w.d.State().Run()
	w.tell(machine.CancelAfterBoundary{Run: r})
	commits := w.store.commits
	w.tell(machine.CancelAfterBoundary{Run: r}, submit("a", "hello"), machine.Detach{ID: 1}, machine.Bind{Placement: machine.Placement{Runtime: "here"}})
	if w.store.commits != commits {
		t.Fatal("it was written")
	}
	if st := w.d.State(); st.Attached() || st.Transient.Placement.Runtime != "here" {
		t.Fatal("what belongs to the process was not taken over")
	}
}

// Scenario: S49, S51
func TestR06_an_ended_input_is_known_by_id_and_by_key(t *testing.T) {
	t.Parallel()
	w := registered(t)
	dup := func(staged *driver.Staged, in id.Input, key string, want id.Input) {
		t.Helper()
		ev := submit(in, "hello")
		ev.Input.Key = key
		c, err := staged.Step(t.Context(), w.at, ev, false)
		w.ok(err)
		if c.Verdict.Duplicate != (want != "") || want != "" && c.Verdict.Input != want {
			t.Fatalf("%s/%s: %+v", in, key, c.Verdict)
		}
	}
	ev := submit("a", "hello")
	ev.Input.Key = "k"
	w.tell(ev)
	// In the very batch in which it ends.
	staged := w.stage(reply(w.model(), "done"))
	for _, x := range []struct{ in, key string }{{"a", ""}, {"a", "k"}, {"b", "k"}, {"a", "other"}} {
		dup(staged, id.Input(x.in), x.key, "a")
	}
	_, err := staged.Commit(t.Context())
	w.ok(err)
	// And for ever after, also for another owner.
	for _, d := range []*driver.Driver{w.d, w.open("b")} {
		staged = d.Stage()
		for _, x := range []struct{ in, key string }{{"a", ""}, {"a", "k"}, {"b", "k"}, {"a", "other"}} {
			dup(staged, id.Input(x.in), x.key, "a")
		}
		dup(staged, "c", "", "")
	}
}

// A look that finds nothing to write proves nothing about the lease. This one does.
func TestR02_an_input_that_another_owner_took_is_not_answered_as_a_duplicate(t *testing.T) {
	t.Parallel()
	w := registered(t)
	other := w.open("b").Stage()
	_, err := other.Step(t.Context(), w.at, submit("a", "hello"), false)
	w.ok(err)
	_, err = other.Commit(t.Context())
	w.ok(err)
	_, err = w.d.Stage().Step(t.Context(), w.at, submit("a", "hello"), false)
	w.is(err, store.ErrFenced)
}

func TestAn_id_that_was_minted_for_the_call_is_not_looked_up(t *testing.T) {
	t.Parallel()
	w := registered(t)
	_, err := w.d.Stage().Step(t.Context(), w.at, submit("a", "hello"), true)
	w.ok(err)
	if w.store.inputs != 0 {
		t.Fatal("it was looked up")
	}
	_, err = w.d.Stage().Step(t.Context(), w.at, submit("a", "hello"), false)
	w.ok(err)
	if w.store.inputs != 1 {
		t.Fatalf("%d look-ups", w.store.inputs)
	}
}

func TestR25_a_commit_whose_outcome_is_unknown_is_confirmed(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]storetest.Hiding{"written": storetest.HideWritten, "lost": storetest.HideLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := registered(t)
			w.tell(submit("a", "hello"))
			before := shown(w.d.State())
			staged := w.stage(reply(w.model(), "done"), submit("b", "more"))
			w.store.Decide = func(*store.Batch) storetest.Fault { return storetest.Fault{Hide: hide} }
			_, err := staged.Commit(t.Context())
			w.is(err, store.ErrUnknown)
			same(t, shown(w.d.State()), before)
			w.store.load = store.ErrFailed
			_, _, err = staged.Confirm(t.Context())
			w.is(err, store.ErrFailed)
			same(t, shown(w.d.State()), before)
			w.store.load, w.store.Decide = nil, nil
			told, written, err := staged.Confirm(t.Context())
			w.ok(err)
			if written != (hide == storetest.HideWritten) {
				t.Fatalf("written: %t", written)
			}
			if !written {
				same(t, shown(w.d.State()), before)
				if told, err = staged.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if told.Ended["a"].Ended == nil || !w.d.State().Attached() || w.d.State().Inbox.Len() != 1 {
				t.Fatalf("told %+v", told)
			}
			all, err := w.reader().Events(t.Context(), sid, 0, 0)
			w.ok(err)
			same(t, told.Events, all[len(all)-len(told.Events):])
		})
	}
}

// Another owner may write the same thing at the same time. It is still not ours.
func TestR26_what_another_owner_wrote_does_not_confirm_a_commit(t *testing.T) {
	t.Parallel()
	for _, theirs := range []machine.Event{submit("a", "hello"), submit("x", "other")} {
		w := registered(t)
		w.store.Decide = func(*store.Batch) storetest.Fault { return storetest.Fault{Hide: storetest.HideLost} }
		staged := w.stage(submit("a", "hello"))
		_, err := staged.Commit(t.Context())
		w.is(err, store.ErrUnknown)
		w.store.Decide = nil
		other := w.open("b")
		at := other.Stage()
		_, err = at.Step(t.Context(), w.at, attach(run.Fine), false)
		w.ok(err)
		_, err = at.Step(t.Context(), w.at, theirs, false)
		w.ok(err)
		_, err = at.Commit(t.Context())
		w.ok(err)
		_, written, err := staged.Confirm(t.Context())
		w.is(err, store.ErrFenced)
		if written {
			t.Fatal("confirmed")
		}
	}
}

func TestR26_an_older_term_is_fenced(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.open("b")
	_, err := w.stage(submit("a", "hello")).Commit(t.Context())
	w.is(err, store.ErrFenced)
	if w.d.State().Inbox.Len() != 0 {
		t.Fatal("it counts")
	}
}

func TestR11_a_store_that_fails_leaves_the_state_and_the_commit_may_be_tried_again(t *testing.T) {
	t.Parallel()
	w := registered(t)
	before := shown(w.d.State())
	staged := w.stage(submit("a", "hello"))
	n := 0
	w.store.Decide = func(*store.Batch) storetest.Fault {
		if n++; n < 3 {
			return storetest.Fault{Fail: store.ErrFull}
		}
		return storetest.Fault{}
	}
	for range 2 {
		_, err := staged.Commit(t.Context())
		w.is(err, store.ErrFull)
		same(t, shown(w.d.State()), before)
	}
	_, err := staged.Commit(t.Context())
	w.ok(err)
	if w.d.State().Inbox.Len() != 1 {
		t.Fatal("not admitted")
	}
}

// A listener that is there and one that comes later are told the same, texts included.
func TestR28_events_are_the_same_live_and_replayed(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("a", "hello"), steer("s", "and quickly"))
	w.tell(fail(w.model()))
	w.tell(reply(w.model(), "let me see", "x", "ro1", "ro2"), steer("t", "more"))
	w.tell(settle(w.tool("ro2"), "third"))
	// The first outcomes are held until the call before them is in; that may be in another life.
	w.d = w.open("b")
	w.tell(machine.ExecutorLost{Run: w.d.State().Run()}, attach(run.Fine))
	w.tell(settle(w.tool("ro1"), "second"))
	w.tell(reply(w.model(), "all done"))
	w.tell(submit("u", "again"))
	w.tell(machine.Interrupt{Run: w.d.State().Run(), Reason: "enough"}, machine.Stop{Reason: "bye"})
	replayed, err := w.reader().Events(t.Context(), sid, 0, 0)
	w.ok(err)
	live := w.told
	same(t, live, replayed)
	seen := map[string]bool{}
	for n, e := range replayed {
		seen[e.Payload.Type()] = true
		if e.Cursor != uint64(n+1) {
			t.Fatalf("cursor %d at %d", e.Cursor, n)
		}
		switch p := e.Payload.(type) {
		case event.RunStarted:
			if p.Prompt == "" {
				t.Fatal("a run without its prompt")
			}
		case event.ToolExecutionCompleted:
			if p.Content == "" {
				t.Fatal("an outcome without its text")
			}
		case event.ToolCallRequested:
			if string(p.Args) != `{"path":"<a>&b","n":1}` {
				t.Fatalf("args %s", p.Args)
			}
		}
	}
	for _, want := range []string{"retrying", "steered", "resumed", "run_completed", "run_failed", "session_stopped", "text_complete"} {
		if !seen[want] {
			t.Fatalf("no %s happened", want)
		}
	}
	// Any page is complete in itself.
	for after := range uint64(len(replayed)) {
		page, err := w.reader().Events(t.Context(), sid, after, 2)
		w.ok(err)
		same(t, page, replayed[after:min(int(after)+2, len(replayed))])
	}
}

func TestR08_R13_a_reader_has_a_prefix_that_never_changes_under_it(t *testing.T) {
	t.Parallel()
	w := registered(t)
	type read struct {
		upto int
		rows []transcript.Row
		text string
	}
	var reads []read
	text := func(rows []transcript.Row) string { return fmt.Sprintf("%v", rows) }
	look := func(upto int) {
		rows, err := w.d.Transcript(t.Context(), upto)
		w.ok(err)
		reads = append(reads, read{upto, rows, text(rows)})
	}
	for n := range 8 {
		w.tell(submit(id.Input(fmt.Sprint(n)), "hello"))
		look(w.model().Upto)
		w.tell(reply(w.model(), "", "x", "y", "z"))
		for _, name := range []string{"z", "x", "y"} {
			look(1 << 30) // also one who reads what is not whole yet
			w.tell(settle(w.tool(name), "from "+name))
		}
		look(w.model().Upto)
		w.tell(reply(w.model(), "done"))
	}
	for _, r := range reads {
		if text(r.rows) != r.text {
			t.Fatalf("what was read before %d has changed", r.upto)
		}
	}
	all, err := w.reader().Transcript(t.Context(), sid, 1, 0)
	w.ok(err)
	rows, err := w.d.Transcript(t.Context(), 1<<30)
	w.ok(err)
	same(t, rows, all)
	for n := 1; n < len(all); n++ {
		if all[n-1].At.Compare(all[n].At) >= 0 {
			t.Fatalf("row %v after %v", all[n].At, all[n-1].At)
		}
	}
}

func TestR13_decoded_transcripts_are_kept_within_a_budget_and_those_go_that_were_not_used(t *testing.T) {
	t.Parallel()
	budget := &driver.Budget{Max: 20_000}
	var worlds []*world
	for range 4 {
		w := newWorld(t)
		w.budget = budget
		w.d = w.open("b")
		w.tell(machine.Register{Profile: &run.Profile{}, System: strings.Repeat("x", 8000)})
		w.tell(attach(run.Fine))
		worlds = append(worlds, w)
	}
	read := func(w *world, want int64) {
		t.Helper()
		before := w.store.messages.Load()
		rows, err := w.d.Transcript(t.Context(), 1<<30)
		w.ok(err)
		stored, err := w.reader().Transcript(t.Context(), sid, 1, 0)
		w.ok(err)
		same(t, rows, stored)
		if got := w.store.messages.Load() - before; got != want {
			t.Fatalf("the store was read %d times, want %d", got, want)
		}
	}
	a, b, c, d := worlds[0], worlds[1], worlds[2], worlds[3]
	read(a, 1)
	read(b, 1)
	read(a, 0) // both fit
	read(c, 1) // and b goes, which was not used for longer
	read(a, 0)
	read(b, 1)
	kept, err := a.d.Transcript(t.Context(), 1<<30)
	a.ok(err)
	for _, w := range []*world{c, d, b} {
		read(w, 1)
	}
	a.tell(submit("a", "hello")) // rows that come in while the rest is not there
	if len(kept) != 1 || kept[0].At.Message != 1 {
		t.Fatal("what was given out has changed")
	}
	read(a, 1)
}

func TestR13_reading_beside_commits_is_safe(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.budget = &driver.Budget{Max: 3000}
	w.d = w.open("b")
	w.tell(attach(run.Fine))
	other := registered(t)
	other.budget = w.budget
	other.d = other.open("b")
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := other.d.Transcript(ctx, 1<<30) // drives w's out
				rows, err2 := w.d.Transcript(ctx, 1<<30)
				if err := errors.Join(err, err2); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				for n := 1; n < len(rows); n++ {
					if rows[n-1].At.Compare(rows[n].At) >= 0 {
						t.Errorf("row %v after %v", rows[n].At, rows[n-1].At)
					}
				}
			}
		})
	}
	for n := range 60 {
		w.tell(submit(id.Input(fmt.Sprint(n)), "hello"))
		w.tell(reply(w.model(), "", "x", "y", "z"))
		w.tell(settle(w.tool("z"), "z"), settle(w.tool("x"), "x"))
		w.tell(settle(w.tool("y"), "y"))
		w.tell(reply(w.model(), "done"))
	}
	cancel()
	wg.Wait()
	rows, err := w.d.Transcript(t.Context(), 1<<30)
	w.ok(err)
	stored, err := w.reader().Transcript(t.Context(), sid, 1, 0)
	w.ok(err)
	same(t, rows, stored)
}

func TestA_session_without_commits_opens_as_not_registered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if st := w.d.State(); st.Version != 0 || st.Session != sid || st.Phase() != "unregistered" {
		t.Fatalf("state %+v", st)
	}
	if _, err := w.reader().State(t.Context(), sid); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	w.store.load = store.ErrFailed
	if _, err := driver.Open(t.Context(), w.store, w.d.Lease(), nil); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("got %v", err)
	}
}

// Scenario: S91
func TestReceipts_say_what_went_in_at_which_boundary(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("a", "hello"), steer("s", "more"))
	r := w.d.State().Run()
	w.tell(reply(w.model(), "", "x"))
	w.tell(settle(w.tool("x"), "ok"))
	for n, want := range []struct {
		boundary string
		input    id.Input
	}{{"run_start", "a"}, {"run_checkpoint", "s"}} {
		got, err := w.reader().Receipt(t.Context(), sid, r, n+1)
		w.ok(err)
		if got.Boundary != want.boundary || len(got.Inputs) != 1 || got.Inputs[0] != want.input {
			t.Fatalf("receipt %+v", got)
		}
	}
	_, err := w.reader().Receipt(t.Context(), sid, r, 3)
	w.is(err, store.ErrNotFound)
}
