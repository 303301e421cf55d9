package machine_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
)

// shut makes a table refuse all it is told, and returns what opens it again.
func shut[P, K ~uint8, S, E any](place **fsm.Table[P, K, S, E]) func() {
	good := *place
	bad := *good
	bad.Refuse = nil
	for k := range good.Events {
		no := fsm.No[P, K]{On: K(k), Why: "shut"}
		for p := range good.Phases {
			no.From = append(no.From, P(p))
		}
		bad.Refuse = append(bad.Refuse, no)
	}
	bad.Rules = nil
	*place = fsm.Must(bad)
	return func() { *place = good }
}

// touched says which parts of a session a step has changed.
func touched(was machine.State, c machine.Commit) (out []string) {
	is := c.Next
	for name, changed := range map[string]bool{"lifecycle": was.Lifecycle != is.Lifecycle, "turn": was.Turn != is.Turn, "inbox": len(c.Inputs) > 0,
		"ledger": len(c.Opened)+len(c.Closed) > 0, "transcript": len(c.Rows) > 0, "events": len(c.Facts) > 0} {
		if changed {
			out = append(out, name)
		}
	}
	return out
}

// Each table in turn refuses what a step asks of it, wherever in the step that is: what other regions had decided by then is void with it. The
// tables are swapped, so this test may not run beside others.
// Scenario: M1, M2
func TestR18_R19_where_one_region_refuses_no_other_has_changed(t *testing.T) {
	for name, shutIt := range map[string]func() func(){
		"lifecycle": func() func() { return shut(&lifecycle.Table) },
		"turn":      func() func() { return shut(&turn.Table) },
		"inbox":     func() func() { return shut(&inbox.Table) },
		"operation": func() func() { return shut(&operation.Table) },
	} {
		with := map[string]int{} // refused steps, by what they would have changed beside this region
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, 2))
			choose := func(n int, _ string) int { return r.IntN(n) }
			w := begun(choose)
			w.quick = true
			for range 40 {
				ev, was, before := w.event(choose), w.s, encodeState(w.s)
				open := shutIt()
				c, refusal := machine.Step(was, w.at, ev)
				open()
				var no *fsm.Refusal
				shut := errors.As(refusal, &no) && no.Guard == "shut"
				if refusal != nil && (encodeState(was) != before || encodeCommit(c) != encodeCommit(machine.Commit{})) {
					t.Fatalf("%s refuses %T: %s\nbecame %s\nwith %s", name, ev, before, encodeState(was), encodeCommit(c))
				}
				good, refusal, breach := w.tell(ev)
				if breach != nil {
					t.Fatal(breach)
				}
				if shut && refusal == nil {
					for _, part := range touched(was, good) {
						with[part]++
					}
				}
			}
		}
		want := map[string][]string{"lifecycle": {"turn", "inbox", "ledger", "transcript"}, "turn": {"lifecycle", "inbox", "ledger", "transcript"},
			"inbox": {"lifecycle", "turn", "ledger", "transcript"}, "operation": {"turn", "ledger", "transcript"}}[name]
		for _, part := range want {
			if with[part] == 0 {
				t.Errorf("no step was refused by %s that would have changed the %s: %v", name, part, with)
			}
		}
	}
}

// history plays a session's life drawn from a seed, and returns a digest of all that was decided.
func history(seed uint64) (string, error) {
	r := rand.New(rand.NewPCG(seed, 3))
	choose := func(n int, _ string) int { return r.IntN(n) }
	w := begun(choose)
	w.quick = true // each step is taken again when the whole is
	sum := sha256.New()
	for range 1 + choose(40, "steps") {
		ev := w.event(choose)
		c, refusal, breach := w.tell(ev)
		if breach != nil {
			return "", fmt.Errorf("after %T%+v: %w", ev, ev, breach)
		}
		fmt.Fprintln(sum, refusal, encodeCommit(c))
	}
	if err := w.settle(60); err != nil {
		return "", err
	}
	fmt.Fprintln(sum, encodeState(w.s))
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Scenario: M3
func TestR20_R22_a_thousand_histories_come_out_the_same_when_they_are_played_again(t *testing.T) {
	t.Parallel()
	distinct := map[string]bool{}
	for seed := range uint64(1000) {
		first, err := history(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		again, err := history(seed)
		if err != nil || again != first {
			t.Fatalf("seed %d comes out otherwise: %s and %s, %v", seed, first, again, err)
		}
		distinct[first] = true
	}
	if len(distinct) < 990 {
		t.Errorf("%d histories of 1000 seeds", len(distinct))
	}
}

// What was decided about an input when it was admitted may be damaged in a way that nobody could read differently: then nobody guesses.
// Scenario: S71
func TestR106_an_input_whose_stamp_is_damaged_fails_aloud_and_alone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, ev := range []machine.Event{machine.Register{}, prompt("i1", "say 1", inbox.Queue), prompt("i2", "say 2", inbox.Queue)} {
		if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
			t.Fatal(refusal, breach)
		}
	}
	i, _ := w.s.Inbox.Find("i1", "")
	stamp := *i.Stamp
	stamp.Policy, stamp.Means = inbox.Policy{}, inbox.Semantics{}
	i.Stamp = &stamp
	damaged := w.s
	damaged.Inbox = damaged.Inbox.Put(i)
	c, err := machine.Step(damaged, w.at, machine.Attach{Attachment: machine.Attachment{ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.Check(c.Next); err != nil {
		t.Error(err)
	}
	failed := slices.IndexFunc(c.Inputs, func(x machine.InputChange) bool { return x.Item.ID == "i1" && x.Ended != nil })
	if failed < 0 {
		t.Fatalf("it has not ended: %+v", c.Inputs)
	}
	if how := c.Inputs[failed].Ended; how.Status != machine.StatusFailed || how.Cause != turn.CauseRuntimeApply || !strings.Contains(how.Error, "damaged") {
		t.Errorf("it ended %+v", how)
	}
	if !slices.ContainsFunc(c.Facts, func(e event.Event) bool {
		told, ok := e.Payload.(event.RunFailed)
		return ok && strings.Contains(told.Error, "damaged")
	}) {
		t.Error("nobody is told")
	}
	if on := c.Next.Inbox.Staged(); len(on) != 1 || on[0].ID != "i2" || c.Next.Run() == "" || c.Next.Open.Len() != 1 {
		t.Errorf("and then %+v", on)
	}
}
