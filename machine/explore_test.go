//go:build !race

// Nothing here runs beside anything: the race detector would only make it slow. make explore runs it, and CI with it.

package machine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// shape is what of a state decides, with everything that only counts up left out: versions, positions, cursors, times. Two states
// of one shape go on alike, so exploring one of them is enough.
func shape(w *world) string {
	s := w.s
	var b strings.Builder
	l := s.Lifecycle
	fmt.Fprint(&b, l.Phase, l.Stopping, l.Retiring, l.Away, l.Archived, s.Transient.Draining, s.Transient.Placement.Runtime, s.Attached(), s.Transient.Attachment.Grain, s.Tail, s.Told, " ")
	t := s.Turn
	if s.Lifecycle.Phase == lifecycle.Running {
		fmt.Fprint(&b, t.Phase, t.Round, t.Attempt, t.Pending, t.Cancel, t.Resumes, t.Answered, t.Tries, " ")
	}
	if s.Profile != nil && s.Profile.Budget.Tokens > 0 { // only then it decides how many were used
		fmt.Fprint(&b, min(s.Usage.Input+s.Usage.Output, s.Profile.Budget.Tokens), "tokens ")
	}
	for _, h := range s.Held {
		fmt.Fprint(&b, "held", h.Ordinal, " ")
	}
	for i := range s.Inbox.All() {
		fmt.Fprint(&b, i.ID, i.Phase, i.Lane, i.Continue, i.Seq > 0, " ")
	}
	for _, d := range s.Open.All() {
		fmt.Fprint(&b, d.Kind, d.Class, d.Attempt, d.At.Ordinal, d.Caller, d.Signal.Kind, d.Held, " ")
	}
	// What ended is in no state; a driver looks it up.
	for _, in := range w.accepted {
		if _, over := w.ended[in]; over {
			fmt.Fprint(&b, in, "over ")
		}
	}
	return b.String()
}

// moves are the events told in each state of a small world: two inputs and a continuation, replies with two calls, crashes, interrupts.
func moves(w *world, grain run.Grain) []machine.Event {
	s := w.s
	out := []machine.Event{machine.Stop{}, machine.Attach{Attachment: machine.Attachment{ID: 1, Grain: grain, Class: run.Idempotent}},
		machine.Detach{ID: 1}, machine.Register{}, w.known(machine.Submit{Input: given.Input{ID: "c"}, Continue: true})}
	for n, lane := range []inbox.Lane{inbox.Queue, inbox.Steer} {
		out = append(out, w.known(prompt([]id.Input{"i", "s"}[n], "look", lane)))
	}
	if r := s.Run(); r != "" {
		out = append(out, machine.Interrupt{Run: r}, machine.CancelAfterBoundary{Run: r}, machine.ExecutorLost{Run: r},
			machine.ExecutorLost{Run: r, Given: map[id.Effect]bool{}})
	}
	for _, d := range s.Open.All() {
		out = append(out, machine.Reported{Report: answer(d)})
		if d.Kind == run.CallModel {
			out = append(out, machine.Reported{Report: w.replyWithCalls(d.ID, []string{"once", "read_only"})},
				machine.Reported{Report: run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: "network", Retryable: true}}})
		}
		if d.Kind == run.ApplyRun {
			out = append(out, machine.Reported{Report: run.RunApplied{ID: d.ID, Failed: &run.Failure{Message: "no"}}})
		}
	}
	return out
}

// Every state that a small world can get into is visited, shortest ways first; in each, every move is made, all rules are checked,
// and a fair driver brings the session to rest.
func TestR51_every_reachable_state_of_a_small_world_keeps_the_rules_and_comes_to_rest(t *testing.T) {
	t.Parallel()
	for name, grain := range map[string]run.Grain{"step by step": run.Fine, "whole runs": run.Whole} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			explore(t, small, func(w *world) []machine.Event { return moves(w, grain) })
		})
	}
	t.Run("the life of a session", func(t *testing.T) {
		t.Parallel()
		explore(t, small, lives)
	})
	t.Run("the search for an output", func(t *testing.T) {
		t.Parallel()
		p := small
		p.Schema, p.Budget = []byte("{}"), run.Budget{Tokens: 12, Calls: 2}
		explore(t, p, outputs)
	})
}

// lives are the events that make and end sessions, with just enough work to be in the way: two inputs, a run by the caller,
// crashes, a place.
func lives(w *world) []machine.Event {
	place := machine.Placement{Runtime: "east", Fence: 1}
	out := []machine.Event{machine.Opened{}, machine.Opened{Attachment: machine.Attachment{ID: 2}}, machine.Register{},
		machine.Unbind{Placement: place}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, machine.Detach{ID: 1}, machine.Drain{},
		machine.Drain{Over: true}, machine.Unregister{}, machine.Stop{}, machine.Retire{}, machine.AbandonRetired{}, machine.Archive{},
		machine.Reset{}, machine.Recycle{}, machine.Recover{}, machine.Destroy{}, machine.Serve{}}
	if _, d, some := w.s.Open.First(); !some || d.Kind != run.Deliver {
		out = append(out, machine.Bind{Placement: place}) // signals that nobody takes would add up for ever
	}
	for _, name := range []string{"i", "j", "k"} {
		in := w.known(input(name))
		in.Caller = name == "j"
		out = append(out, in)
	}
	if r := w.s.Run(); r != "" {
		out = append(out, machine.Interrupt{Run: r}, machine.CancelAfterBoundary{Run: r}, machine.ExecutorLost{Run: r})
	}
	for _, d := range w.s.Open.All() {
		out = append(out, machine.Reported{Report: answer(d)})
		if d.Kind == run.ApplyRun {
			out = append(out, machine.Reported{Report: run.RunRefused{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Message: "no"}}},
				machine.Reported{Report: run.BoundaryReached{ID: d.ID}})
		}
	}
	return out
}

// small bounds a run to two rounds of two attempts.
var small = run.Profile{MaxRounds: 2, Retry: run.RetryPolicy{Max: 1}}

// outputs are the events around the search for an output, in a session that has few tokens: one input, crashes, interrupts.
func outputs(w *world) []machine.Event {
	out := []machine.Event{machine.Stop{}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, w.known(prompt("i", "look", inbox.Queue)),
		w.known(prompt("s", "look", inbox.Steer)), machine.Archive{}}
	if r := w.s.Run(); r != "" {
		out = append(out, machine.Interrupt{Run: r}, machine.CancelAfterBoundary{Run: r}, machine.ExecutorLost{Run: r})
	}
	for _, d := range w.s.Open.All() {
		out = append(out, machine.Reported{Report: answer(d)})
		switch d.Kind {
		case run.CallModel:
			out = append(out, machine.Reported{Report: w.replyWithCalls(d.ID, []string{"read_only"})})
		case run.Extract:
			for v := run.OutputFailed; v <= run.OutputInvalid; v++ {
				out = append(out, machine.Reported{Report: run.Extracted{ID: d.ID, Attempt: d.Attempt, Verdict: v, Error: "no", Usage: transcript.Usage{Output: 2}}})
			}
			out = append(out, machine.Reported{Report: run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: "network", Retryable: true}}})
		}
	}
	return out
}

func explore(t *testing.T, profile run.Profile, moves func(*world) []machine.Event) {
	most := 60_000
	if testing.Short() {
		most = 2_000
	}
	type place struct {
		w   *world
		way []machine.Event
	}
	begin := newWorld()
	begin.quick = true
	if _, refusal, breach := begin.tell(machine.Register{Profile: &profile}); refusal != nil || breach != nil {
		t.Fatal(refusal, breach)
	}
	seen := map[string]bool{shape(begin): true}
	next := []place{{w: begin}}
	started, steps, refusals, deepest := time.Now(), 0, 0, 0
	for len(next) > 0 && len(seen) < most {
		p := next[0]
		next = next[1:]
		deepest = max(deepest, len(p.way))
		for _, ev := range moves(p.w) {
			steps++
			if _, refusal := machine.Step(p.w.s, p.w.at.Add(time.Second), ev); refusal != nil {
				refusals++
				continue
			}
			w := p.w.clone()
			way := append(slices.Clip(p.way), ev)
			if _, _, breach := w.tell(ev); breach != nil {
				t.Fatalf("%v\nafter\n%s", breach, told(way))
			}
			if key := shape(w); !seen[key] {
				seen[key] = true
				next = append(next, place{w, way})
				rest := w.clone()
				if err := rest.settle(30); err != nil {
					t.Fatalf("%v\nafter\n%s", err, told(way))
				}
			}
		}
	}
	t.Logf("%d states, %d steps, %d of them refused, depth %d, exhausted %t, %v", len(seen), steps, refusals, deepest, len(next) == 0,
		time.Since(started).Round(time.Millisecond))
	if len(next) > 0 && most > 2_000 {
		t.Errorf("the world is too large to be exhausted: %d states are left", len(next))
	}
	if phases := phasesIn(seen); len(phases) < 3 {
		t.Errorf("only %v were reached", phases)
	}
}

// phasesIn lists the lifecycle phases among shapes, so that an exploration that goes nowhere is noticed.
func phasesIn(seen map[string]bool) map[string]bool {
	out := map[string]bool{}
	for key := range seen {
		for _, p := range []lifecycle.Phase{lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired, lifecycle.Destroyed} {
			if strings.HasPrefix(key, p.String()) {
				out[p.String()] = true
			}
		}
	}
	return out
}

// told writes a way down, a line for each event.
func told(way []machine.Event) string {
	var b strings.Builder
	for _, ev := range way {
		fmt.Fprintf(&b, "%T%+v\n", ev, ev)
	}
	return b.String()
}

// wordMoves are the moves of a world in which two calls wait for words, and what may come between.
func wordMoves(w *world) []machine.Event {
	out := []machine.Event{machine.Attach{Attachment: machine.Attachment{ID: 1}}, machine.Stop{}, machine.Opened{}, w.known(input("i")), w.known(prompt("s", "look", inbox.Steer))}
	if r := w.s.Run(); r != "" {
		out = append(out, machine.Interrupt{Run: r}, machine.CancelAfterBoundary{Run: r}, machine.ExecutorLost{Run: r})
	}
	for _, d := range w.s.Open.All() {
		switch {
		case d.Kind == run.CallModel:
			out = append(out, machine.Reported{Report: answer(d)},
				machine.Reported{Report: w.replyWithCalls(d.ID, []string{"once:approval", "read_only:approved_callback", "once:callback"})})
		case d.Held.ForApproval():
			out = append(out, machine.Decide{Effect: d.ID, By: "ann"}, machine.Decide{Effect: d.ID, By: "ann", Granted: true})
		case d.Held == run.Callback:
			out = append(out, spoken(w.s, d), machine.Reported{Report: answer(d)})
		default:
			out = append(out, machine.Reported{Report: answer(d)})
		}
	}
	return out
}

func TestR128_R129_every_state_with_calls_that_wait_keeps_the_rules_and_comes_to_rest(t *testing.T) {
	t.Parallel()
	explore(t, run.Profile{MaxRounds: 2}, wordMoves)
}
