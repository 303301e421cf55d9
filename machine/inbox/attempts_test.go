package inbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/input"
)

// Scenario: S73, S74, S76
func TestR105_what_always_fails_gets_three_attempts_in_a_row_and_is_then_given_up(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(message("a", 0), idle)
	w.submit(message("b", 0), idle)
	for attempt := 1; attempt <= MaxAttempts; attempt++ {
		if b := w.begin(false, false); show(b.Items) != "a b" {
			t.Fatalf("attempt %d is with %s", attempt, show(b.Items))
		}
		w.fail()
		for i := range w.box.All() {
			if i.Phase != Queued || i.Attempts != attempt || i.Seq > 2 || !i.speaks() {
				t.Errorf("after attempt %d: %+v", attempt, i)
			}
		}
	}
	for _, in := range []string{"a", "b"} {
		i := w.ended[message(in, 0).ID]
		if i.Phase != Abandoned || i.Reason != MaxAttemptsExhausted || i.Attempts != MaxAttempts || i.Run == "" {
			t.Errorf("%s ends as %+v", in, i)
		}
	}
	if b := w.begin(false, false); len(b.Items) != 0 || w.box.Len() != 0 || w.err() != nil {
		t.Errorf("there is a fourth attempt with %s: %v", show(b.Items), w.err())
	}
}

// Scenario: S75
func TestR105_what_keeps_failing_goes_behind_what_can_go_on(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(prompt("bad", input.Options{}), idle)
	for n := range 3 {
		w.submit(prompt(fmt.Sprint("good", n), input.Options{}), idle)
	}
	var runs []string
	for b := w.begin(false, false); len(b.Items) > 0; b = w.begin(false, false) {
		runs = append(runs, show(b.Items))
		if b.Items[0].ID == "bad" {
			w.fail()
		} else {
			w.finish(Consume, NoReason)
		}
	}
	if got := strings.Join(runs, " "); got != "bad good0 good1 good2 bad bad" || w.ended["bad"].Reason != MaxAttemptsExhausted || w.err() != nil {
		t.Errorf("runs %s; %+v %v", got, w.ended["bad"], w.err())
	}
}

// Scenario: S77
func TestR105_a_member_that_has_ended_meanwhile_does_not_keep_the_others_from_moving_back(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, in := range []string{"a", "b", "c"} {
		w.submit(message(in, 0), idle)
	}
	batch := w.begin(false, false)
	w.fail()
	b, _ := w.box.Find("b", "")
	if err := w.step(b, Event{Kind: Abandon, Reason: Cancelled}); err != nil {
		t.Fatal(err)
	}
	w.submit(prompt("p", input.Options{}), idle)
	for _, i := range batch.Items {
		now, live := w.box.Find(i.ID, "")
		if !live {
			now = w.ended[i.ID]
		}
		w.seq++
		next, err := Table.Step(now, Event{Kind: Defer, Seq: w.seq})
		if err != nil {
			t.Fatalf("%s: %v", i.ID, err)
		}
		if live {
			w.box = w.box.Put(next)
		} else if next.Seq != now.Seq || next.Phase != Abandoned {
			t.Errorf("%s goes on after its end", i.ID)
		}
	}
	if got := show(slices.Collect(w.box.All())); got != "p a c" || Check(w.box) != nil || w.err() != nil {
		t.Errorf("%s: %v %v", got, Check(w.box), w.err())
	}
}

// Scenario: S78
func TestR105_a_refused_input_moves_back_alone_and_ends_alone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, in := range []string{"a", "b", "c"} {
		w.submit(message(in, 0), idle)
	}
	for attempt := 1; attempt <= MaxAttempts; attempt++ {
		b, _ := w.box.Find("b", "")
		w.refuse(b)
		if b, live := w.box.Find("b", ""); live != (attempt < MaxAttempts) || live && b.Attempts != attempt {
			t.Errorf("attempt %d: %t %+v", attempt, live, b)
		}
	}
	b := w.begin(false, false)
	if i := w.ended["b"]; show(b.Items) != "a c" || b.Items[0].Attempts != 0 || i.Reason != MaxAttemptsExhausted || i.Attempts != MaxAttempts {
		t.Errorf("%s go on; b ends as %+v", show(b.Items), i)
	}
	if err := w.err(); err != nil {
		t.Error(err)
	}
}

func TestR105_an_input_that_was_part_of_a_run_before_attempts_were_counted_is_rolled_back_like_others(t *testing.T) {
	t.Parallel()
	i, err := Table.Step(Item{ID: "a", Key: "a", Seq: 3, Phase: Staged, Run: "r"}, Event{Kind: Rollback})
	if err != nil || i.Phase != Queued || i.Run != "" || i.Seq != 3 {
		t.Errorf("%+v %v", i, err)
	}
}

func TestEvery_end_keeps_its_reason_and_no_text(t *testing.T) {
	t.Parallel()
	for r := Retired; r <= NeverExecuted; r++ {
		for _, staged := range []bool{false, true} {
			w := newWorld()
			w.submit(prompt("p", input.Options{}), idle)
			if staged {
				w.begin(false, false)
			}
			for i := range w.box.All() {
				if err := w.step(i, Event{Kind: Abandon, Reason: r}); err != nil {
					t.Fatal(err)
				}
			}
			if i := w.ended["p"]; i.Reason != r || i.Content != nil || (i.Run != "") != staged || (r != MaxAttemptsExhausted && w.err() != nil) {
				t.Errorf("%+v %v", i, w.err())
			}
		}
	}
}
