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
	"pgregory.net/rapid"
)

// chooser draws the next number below n; rapid, or a seeded generator, stands behind it.
type chooser func(n int, what string) int

// calls makes a reply that asks for some calls. Call ids are unique in a session, as adapters make them.
func (w *world) replyWithCalls(e id.Effect, classes []string) run.ModelReplied {
	r := run.ModelReplied{ID: e, Reply: transcript.Assistant{Stop: transcript.StopToolUse, Usage: &transcript.Usage{Input: 3, Output: 2}}}
	for n, class := range classes {
		i := intent(fmt.Sprintf("%s-%d:%s", e, n, class))
		if t := w.s.Toolset; t != nil && t.Round.Visible != nil { // else any name will do
			i.Call.Name = []string{"tool_a", "tool_b", "tool_x"}[n%3]
		}
		r.Calls, r.Reply.Blocks = append(r.Calls, i), append(r.Reply.Blocks, i.Call)
	}
	return r
}

var classes = []string{"once", "read_only", "idempotent", "unknown", "invalid", "once:approval", "read_only:callback", "idempotent:approved_callback",
	"once:callback", "unknown:approval"}

// event draws an event: mostly one that fits the state, sometimes nonsense.
func (w *world) event(choose chooser) machine.Event {
	if choose(8, "life") == 0 {
		return w.life(choose)
	}
	if choose(6, "regional") == 0 {
		return w.regional(choose)
	}
	if choose(5, "sight") == 0 {
		return w.sight(choose)
	}
	if choose(3, "word") == 0 && len(w.s.Approvals())+len(w.s.Callbacks()) > 0 || choose(40, "no word") == 0 {
		return w.someWord(choose)
	}
	switch choose(16, "event") {
	case 0:
		ev := machine.Register{System: strings.Repeat("be brief", choose(2, "system"))}
		if choose(2, "profile") == 1 {
			ev.Profile = someProfile(choose)
		}
		if choose(3, "seed") == 0 {
			ev.Seed = seed([]string{"s u a", "u a:x,y r:y", "u", "n", "u r:x", "a:x u"}[choose(6, "which seed")])
		}
		return ev
	case 1:
		return machine.Bind{Placement: machine.Placement{Runtime: []string{"", "east", "west"}[choose(3, "runtime")]}}
	case 2:
		a := machine.Attachment{ID: uint64(1 + choose(2, "executor"))}
		if choose(4, "whole") == 0 {
			a.Grain, a.Class = run.Whole, run.Class(choose(3, "class"))
		}
		return machine.Attach{Attachment: a}
	case 3:
		if choose(3, "really") == 0 {
			return machine.Detach{ID: uint64(1 + choose(2, "executor"))}
		}
		return machine.Interrupt{Run: w.someRun(choose), Reason: "enough"}
	case 4, 5, 6:
		return w.submit(choose)
	case 7:
		return machine.CancelAfterBoundary{Run: w.someRun(choose)}
	case 8:
		if choose(3, "really") == 0 {
			return machine.Stop{Reason: "maintenance"}
		}
		return w.submit(choose)
	case 9, 10:
		ev := machine.ExecutorLost{Run: w.someRun(choose), Reason: "gone"}
		if choose(2, "given") == 1 {
			ev.Given = map[id.Effect]bool{}
			for _, d := range w.s.Open.All() {
				ev.Given[d.ID] = choose(2, "handed out") == 1
			}
		}
		return ev
	}
	return machine.Reported{Report: w.report(choose)}
}

// someProfile draws one, now and then with budgets and with a schema.
func someProfile(choose chooser) *run.Profile {
	p := &run.Profile{MaxRounds: 1 + choose(4, "rounds"), Retry: run.RetryPolicy{Max: choose(3, "retries") - 1}}
	if choose(2, "schema") == 1 {
		p.Schema, p.SchemaRetries = []byte(`{}`), choose(3, "tries")-1
	}
	if choose(3, "budget") == 0 {
		p.Budget = run.Budget{Tokens: choose(60, "tokens"), Calls: choose(6, "calls"), Duration: time.Duration(choose(2, "time")*choose(60, "seconds")) * time.Second}
		p.MaxOutput = choose(2, "output") * 20
	}
	return p
}

// someOutput answers a try at an output.
func someOutput(d run.Directive, choose chooser) run.Report {
	r := run.Extracted{ID: d.ID, Attempt: max(d.Attempt-choose(2, "late"), 0), Text: "hm", Error: "no", Usage: transcript.Usage{Output: 1},
		Verdict: run.OutputVerdict(choose(3, "verdict"))}
	switch {
	case choose(5, "failure") == 0:
		return run.ModelFailed{ID: d.ID, Attempt: r.Attempt, Failure: run.Failure{Kind: "network", Retryable: choose(5, "fatal") > 0}}
	case r.Verdict == run.OutputValid:
		r.Output = []byte([]string{`{"n":1}`, `{"n":`}[choose(8, "broken")/7])
	}
	return r
}

// life draws what is said about the session's life.
func (w *world) life(choose chooser) machine.Event {
	place := machine.Placement{Runtime: []string{"east", "west"}[choose(2, "runtime")], Fence: uint64(choose(2, "fence"))}
	epoch := []id.Epoch{w.s.Lifecycle.Epoch, "older"}[choose(2, "epoch")]
	all := []machine.Event{machine.Opened{Reason: "the process has ended"}, machine.Opened{Attachment: machine.Attachment{ID: 3}},
		machine.Bind{Placement: place, Epoch: &epoch}, machine.Unbind{Placement: place}, machine.Drain{}, machine.Drain{Over: true},
		machine.Unregister{}, machine.Retire{}, machine.AbandonRetired{}, machine.Reset{}, machine.Recycle{}, machine.Recover{},
		machine.Serve{}, machine.Tick{}, machine.Published{Kind: "note", Body: `{"n":1}`}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 4}},
		machine.Handled{Epoch: epoch, Attachment: uint64(choose(3, "executor")), Event: machine.Retire{}}, machine.Amend{Profile: *someProfile(choose)}}
	if choose(6, "for good") == 0 {
		all = append(all, machine.Destroy{}, machine.Archive{})
	}
	return all[choose(len(all), "which")]
}

func (w *world) someRun(choose chooser) id.Run {
	if choose(4, "run") > 0 {
		return w.s.Run()
	}
	return []id.Run{"", "nobody's", w.s.Turn.Run}[choose(3, "which run")]
}

func (w *world) submit(choose chooser) machine.Event {
	n := choose(6, "input")
	in := id.Input(fmt.Sprintf("i%d", n))
	ev := prompt(in, fmt.Sprintf("say %d", n), inbox.Lane(choose(2, "lane")))
	if choose(3, "kind") == 0 {
		kinds := []string{"message", "request", "progress", "answer", "event", "go_on", "operation", "step"}
		ev.Input = (&player{}).given(words{"id": string(in), "kind": kinds[choose(len(kinds), "which kind")], "text": fmt.Sprintf("say %d", n),
			"mode": []string{"", "queue", "steer"}[choose(3, "mode")], "intent": []string{"hush", "sum"}[choose(2, "intent")], "reason": "because"})
	}
	ev.Caller, ev.RequireIdle, ev.WithoutWake = choose(12, "caller") == 0, choose(6, "idle") == 0, choose(8, "quiet") == 0
	if body, ok := ev.Input.Body.(given.Prompt); ok && choose(8, "overlay") == 0 {
		body.Run.Overlay = words{[]string{"allow", "block"}[choose(2, "sort")]: []string{"tool_a", "", "nowhere", "view_image"}[choose(4, "tools")]}.overlay()
		ev.Input.Body = body
	}
	if choose(3, "scope") == 0 {
		ev.Input.Supersession = "s"
	}
	if choose(3, "key") == 0 {
		ev.Input.Key = fmt.Sprintf("k%d", choose(3, "which key"))
	}
	if choose(8, "continue") == 0 {
		ev.Continue, ev.Input.Body = true, nil
	}
	ev.Prior = w.prior(ev.Input)
	return ev
}

// report answers something open; now and then something that is not open, or with the wrong thing.
func (w *world) report(choose chooser) run.Report {
	var d run.Directive
	if open := openOf(w.s); len(open) > 0 && choose(8, "fitting") > 0 {
		d = open[choose(len(open), "entry")]
	} else if len(w.order) > 0 && choose(4, "known") > 0 {
		d = w.asked[w.order[choose(len(w.order), "entry")]]
	} else {
		d = run.Directive{ID: id.Effect{Version: 77}}
	}
	kind := d.Kind
	if choose(20, "sort") == 0 {
		kind = run.Kind(1 + choose(5, "kind"))
	}
	switch kind {
	case run.CallModel:
		switch choose(5, "answer") {
		case 0, 1:
			var picked []string
			for range 1 + choose(3, "calls") {
				picked = append(picked, classes[choose(len(classes), "class")])
			}
			return w.replyWithCalls(d.ID, picked)
		case 2:
			return run.ModelFailed{ID: d.ID, Attempt: max(d.Attempt-choose(2, "late"), 0), Failure: run.Failure{Kind: "network",
				Retryable: choose(5, "fatal") > 0, RetryAfter: time.Duration(choose(2, "hint")) * time.Minute}}
		}
		return answer(run.Directive{Kind: run.CallModel, ID: d.ID})
	case run.RunTool:
		return run.ToolSettled{ID: d.ID, Result: transcript.ToolResult{Content: transcript.TextBlocks("ok"), IsError: choose(4, "error") == 0}}
	case run.Deliver:
		return run.Delivered{ID: d.ID}
	case run.Extract:
		return someOutput(d, choose)
	default:
		switch choose(6, "short") {
		case 0:
			return run.BoundaryReached{ID: d.ID}
		case 1:
			return run.RunRefused{ID: d.ID, Attempt: max(d.Attempt-choose(2, "late"), 0), Failure: run.Failure{Message: "not now"}}
		}
		r := run.RunApplied{ID: d.ID, Usage: transcript.Usage{Input: 1}}
		for range choose(3, "appends") {
			r.Appends = append(r.Appends, []transcript.Entry{transcript.User{Content: transcript.TextBlocks("u")}, transcript.Notice{Kind: "n"},
				transcript.Assistant{Blocks: transcript.TextBlocks("a")}, transcript.ToolResult{Call: "x"}}[choose(4, "entry")])
		}
		if choose(4, "failed") == 0 {
			r.Failed = &run.Failure{Kind: "internal", Message: "no"}
		}
		if choose(4, "because") == 0 {
			r.Cause = []string{run.CauseBudget, run.CauseToolFailure, "a whim"}[choose(3, "cause")]
		}
		return r
	}
}

// wander tells a world a number of events and then lets it come to rest. It returns what broke a rule, with the way there.
func wander(w *world, steps int, choose chooser) error {
	var way []string
	for range steps {
		ev := w.event(choose)
		_, refusal, breach := w.tell(ev)
		way = append(way, fmt.Sprintf("%T%+v: %v", ev, ev, refusal))
		if breach != nil {
			return fmt.Errorf("%w\nafter\n%s", breach, strings.Join(way, "\n"))
		}
	}
	if err := w.settle(60); err != nil {
		return fmt.Errorf("%w\nafter\n%s", err, strings.Join(way, "\n"))
	}
	if w.s.Lifecycle.Phase == lifecycle.Running || w.s.Inbox.Driving() > 0 {
		return fmt.Errorf("R51: at rest in phase %s with %d inputs live", w.s.Phase(), w.s.Inbox.Len())
	}
	for r, over := range w.runs {
		if !over {
			return fmt.Errorf("R32: run %s never ended", r)
		}
	}
	return nil
}

// begun is a world that has got somewhere, so that a short walk reaches more.
func begun(choose chooser) *world {
	w := newWorld()
	if choose(5, "begin") == 0 {
		return w
	}
	for _, ev := range []machine.Event{machine.Register{Profile: someProfile(choose)},
		machine.Attach{Attachment: machine.Attachment{ID: 1}}, prompt("i0", "say 0", inbox.Queue)} {
		if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
			panic(fmt.Sprint(refusal, breach))
		}
	}
	return w
}

// Scenario: M1, M3
func TestR19_R20_R31_whatever_a_session_is_told_the_rules_hold_and_it_comes_to_rest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		if err := wander(begun(choose), choose(60, "steps"), choose); err != nil {
			t.Fatal(err)
		}
	})
}

// Everything is idempotent by an id it carries, so mail whose fate is unknown may be told again (R25): the second time it is a
// duplicate, stale, or changes nothing. Submit needs its prior, as a driver looks it up.
func TestR25_what_was_committed_may_be_told_again(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		w := begun(choose)
		for range choose(40, "steps") {
			ev := w.event(choose)
			if _, refusal, _ := w.tell(ev); refusal != nil {
				continue
			}
			if h, ok := ev.(machine.Handled); ok {
				ev = h.Event
			}
			switch again := ev.(type) {
			case machine.Submit:
				ev = w.known(again)
			case machine.Register, machine.Attach, machine.ExecutorLost, machine.Opened, machine.Serve, machine.Published, machine.Tick:
				continue // told by what is at hand, not by mail: a second is a second one
			case machine.Servers, machine.Work, machine.Toolset:
				continue // a second wish, a second call, a second time that it got on
			}
			c, refusal, breach := w.tell(ev)
			if breach != nil || refusal == nil && c.Next.Version != c.From {
				t.Fatalf("%T%+v told twice writes twice: %v", ev, ev, breach)
			}
		}
	})
}

func TestR20_derived_identifiers_differ_within_a_session(t *testing.T) {
	t.Parallel()
	w := newWorld()
	tell := func(ev machine.Event) {
		t.Helper()
		if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
			t.Fatal(refusal, breach)
		}
	}
	tell(machine.Register{})
	tell(machine.Attach{Attachment: machine.Attachment{ID: 1}})
	for n := range 50 {
		tell(prompt(id.Input(fmt.Sprint(n)), "x", inbox.Queue))
		tell(machine.Reported{Report: w.replyWithCalls(w.order[len(w.order)-1], classes[:3])})
		if err := w.settle(10); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.runs) != 50 || len(w.order) != 50*5 {
		t.Fatalf("%d runs and %d directives of 50 inputs", len(w.runs), len(w.order))
	}
	if sorted := slices.IsSortedFunc(w.order, id.Effect.Compare); !sorted {
		t.Fatal("directives are not named in the order in which they were asked for")
	}
}
