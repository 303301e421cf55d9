package machine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func holdOf(name string) run.Hold {
	for h := run.NoHold; h.Known(); h++ {
		if h.String() == name {
			return h
		}
	}
	return run.NoHold
}

// waits says what a call waits for, and what was decided about it.
func waits(d run.Directive) string {
	line := ""
	if d.Held != run.NoHold {
		line += ", held for " + d.Held.String()
	}
	if w := d.Decision; w != nil {
		line += fmt.Sprintf(", granted=%t by %s", w.Granted, w.By)
	}
	return line
}

// word reads what is said to calls that wait for it.
func (p *player) word(command string, w words) machine.Event {
	switch command {
	case "decide":
		return machine.Decide{Effect: p.calls[w["call"]], Granted: w.has("granted"), By: w["by"], Message: w["message"]}
	case "callbacks":
		ev := machine.SettleCallbacks{Run: p.run(w)}
		for _, name := range strings.FieldsFunc(w["calls"], func(r rune) bool { return r == ',' }) {
			ev.Results = append(ev.Results, brought(p.calls[name], "brought for "+name, w.has("error")))
		}
		return ev
	}
	return nil
}

func brought(e id.Effect, text string, isError bool) run.ToolSettled {
	return run.ToolSettled{ID: e, Result: transcript.ToolResult{Content: transcript.TextBlocks(text), IsError: isError}}
}

// spoken is the good word that a held call waits for; nil: it waits for none.
func spoken(s machine.State, d run.Directive) machine.Event {
	switch {
	case d.Held.ForApproval():
		return machine.Decide{Effect: d.ID, Granted: true, By: "somebody"}
	case d.Held == run.Callback:
		ev := machine.SettleCallbacks{Run: s.Run()}
		for _, d := range s.Callbacks() {
			ev.Results = append(ev.Results, brought(d.ID, "ok", false))
		}
		return ev
	}
	return nil
}

// someWord draws one, that fits or not.
func (w *world) someWord(choose chooser) machine.Event {
	var e id.Effect
	if len(w.order) > 0 {
		e = w.order[len(w.order)-1-choose(min(len(w.order), 4), "which of the last")]
	}
	if choose(2, "decide") == 0 {
		return machine.Decide{Effect: e, Granted: choose(2, "granted") == 0, By: []string{"ann", "bob", ""}[choose(5, "by")%3], Message: "because"}
	}
	ev := machine.SettleCallbacks{Run: w.someRun(choose)}
	for _, d := range w.s.Callbacks() {
		if choose(8, "left out") > 0 {
			ev.Results = append([]run.ToolSettled{brought(d.ID, "ok", choose(4, "error") == 0)}, ev.Results...)
		}
	}
	if choose(8, "another") == 0 {
		ev.Results = append(ev.Results, brought(e, "ok", false))
	}
	return ev
}

// holding is a session whose run waits for an approval, for another that leads to a client, and for two clients.
func holding(t *testing.T) machine.State {
	t.Helper()
	s := calling(t)
	r := (&world{}).replyWithCalls(first(s).ID, []string{"once:approval", "once:approved_callback", "once:callback", "idempotent:callback"})
	return must(t, s, machine.Reported{Report: r})
}

func refusal(t *testing.T, s machine.State, ev machine.Event) *machine.Refusal {
	t.Helper()
	_, err := machine.Step(s, s.Updated, ev)
	var r *machine.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%T%+v: %v, want a refusal", ev, ev, err)
	}
	return r
}

func TestR129_a_word_is_refused_by_the_guard_that_is_to_blame(t *testing.T) {
	t.Parallel()
	s := holding(t)
	calls := openOf(s)
	granted := must(t, s, machine.Decide{Effect: calls[0].ID, Granted: true, By: "ann"})
	denied := must(t, s, machine.Decide{Effect: calls[0].ID, By: "ann"})
	led := must(t, s, machine.Decide{Effect: calls[1].ID, Granted: true, By: "ann"})
	results := func(of ...int) (ev machine.SettleCallbacks) {
		ev.Run = s.Run()
		for _, n := range of {
			ev.Results = append(ev.Results, brought(calls[n].ID, "ok", false))
		}
		return ev
	}
	settled := must(t, s, results(3, 2))
	for name, c := range map[string]struct {
		s     machine.State
		ev    machine.Event
		sort  error
		guard string
	}{
		"decided a second time":             {granted, machine.Decide{Effect: calls[0].ID, By: "bob"}, fsm.ErrStale, machine.GuardUndecided},
		"denied, and then allowed":          {denied, machine.Decide{Effect: calls[0].ID, Granted: true, By: "bob"}, fsm.ErrStale, machine.GuardUndecided},
		"led to a client, and denied":       {led, machine.Decide{Effect: calls[1].ID, By: "bob"}, fsm.ErrStale, machine.GuardUndecided},
		"a decision about a client's call":  {s, machine.Decide{Effect: calls[2].ID, Granted: true, By: "ann"}, fsm.ErrStale, machine.GuardUndecided},
		"a decision about nothing":          {s, machine.Decide{Effect: id.Effect{Version: 9}, By: "ann"}, fsm.ErrStale, machine.GuardUndecided},
		"nobody decides":                    {s, machine.Decide{Effect: calls[0].ID, Granted: true}, fsm.ErrGuard, machine.GuardDecider},
		"a result too few":                  {s, results(2), fsm.ErrGuard, machine.GuardCallbacks},
		"a result twice":                    {s, results(2, 2), fsm.ErrGuard, machine.GuardCallbacks},
		"a result twice, and none missing":  {s, results(2, 3, 3), fsm.ErrGuard, machine.GuardCallbacks},
		"a result of what is to be decided": {s, results(1, 2, 3), fsm.ErrGuard, machine.GuardCallbacks},
		"no result":                         {s, results(), fsm.ErrGuard, machine.GuardCallbacks},
		"no result where none is awaited":   {settled, results(), fsm.ErrGuard, machine.GuardCallbacks},
		"results a second time":             {settled, results(2, 3), fsm.ErrStale, "the directive is open"},
		"a set that has grown":              {led, results(2, 3), fsm.ErrGuard, machine.GuardCallbacks},
		"results of another run":            {s, machine.SettleCallbacks{Run: "r0", Results: results(2, 3).Results}, fsm.ErrGuard, machine.GuardCurrent},
		"results where nothing runs":        {must(t, s, machine.Interrupt{Run: s.Run()}), results(2, 3), fsm.ErrGuard, machine.GuardRunning},
		"an answer instead of an approval":  {s, machine.Reported{Report: brought(calls[0].ID, "ok", false)}, fsm.ErrGuard, "a callback is awaited"},
	} {
		if r := refusal(t, c.s, c.ev); !errors.Is(r, c.sort) || r.Guard != c.guard {
			t.Errorf("%s: refused as %v by %q, want %v by %q", name, r.Sort, r.Guard, c.sort, c.guard)
		}
	}
}

func TestR128_a_word_that_nobody_knows_is_not_waited_for(t *testing.T) {
	t.Parallel()
	s := calling(t)
	r := (&world{}).replyWithCalls(first(s).ID, []string{"once"})
	r.Calls[0].Hold = 99
	if no := refusal(t, s, machine.Reported{Report: r}); no.Guard != "what a call waits for is known" {
		t.Fatalf("refused by %q", no.Guard)
	}
}

func TestR128_a_run_that_only_waits_for_words_loses_nobody_however_often(t *testing.T) {
	t.Parallel()
	s := must(t, holding(t), machine.Bind{Placement: machine.Placement{Runtime: "east"}}, machine.Retire{}) // its orchestrator is to hear of it
	for range 3 * machine.MaxResumes {
		for _, ev := range []machine.Event{machine.Opened{Attachment: machine.Attachment{ID: 1}}, machine.ExecutorLost{Run: s.Run()}} {
			next := must(t, s, ev)
			if next.Version != s.Version {
				t.Fatalf("%T is written: version %d after %d", ev, next.Version, s.Version)
			}
			s = next
		}
	}
	if n := len(s.Approvals()) + len(s.Callbacks()); n != 4 || s.Suspended() {
		t.Fatalf("%d calls are held, suspended %t", n, s.Suspended())
	}
	for _, d := range s.Approvals() {
		s = must(t, s, machine.Decide{Effect: d.ID, By: "ann", Granted: d.Held == run.ApprovedCallback})
	}
	if n := len(s.Callbacks()); n != 3 || !s.Suspended() {
		t.Fatalf("%d calls wait for a client, suspended %t", n, s.Suspended())
	}
}

func TestCheck_notices_each_breach_of_a_rule_about_held_calls(t *testing.T) {
	t.Parallel()
	word := &run.Decision{Granted: true, By: "ann"}
	for _, c := range []struct {
		name, rule string
		spoil      func(*run.Directive)
	}{
		{"a model call that waits for a word", "R128", func(d *run.Directive) { d.Kind = run.CallModel }},
		{"held and handed out", "R128", func(d *run.Directive) { d.Attempt = 1 }},
		{"neither", "R99", func(d *run.Directive) { d.Held = run.NoHold }},
		{"decided and not released", "R129", func(d *run.Directive) { d.Decision = word }},
		{"released by a denial", "R129", func(d *run.Directive) { d.Held, d.Attempt, d.Decision = run.NoHold, 1, &run.Decision{By: "ann"} }},
		{"released by nobody", "R129", func(d *run.Directive) { d.Held, d.Attempt, d.Decision = run.NoHold, 1, &run.Decision{Granted: true} }},
	} {
		s := holding(t)
		change(&s, c.spoil)
		if err := machine.Check(s); err == nil || !strings.Contains(err.Error(), c.rule+":") {
			t.Errorf("%s: %v, want %s", c.name, err, c.rule)
		}
	}
}

func TestCheckCommit_notices_each_breach_of_a_rule_about_held_calls(t *testing.T) {
	t.Parallel()
	open := func(n int, do func(*run.Directive)) func(*machine.Commit) {
		return func(c *machine.Commit) {
			do(&c.Opened[n])
			c.Next.Open = c.Next.Open.Set(c.Opened[n].ID, c.Opened[n])
		}
	}
	decide := func(n int, granted bool) func(machine.State) machine.Event {
		return func(s machine.State) machine.Event {
			return machine.Decide{Effect: openOf(s)[n].ID, Granted: granted, By: "ann", Message: "m"}
		}
	}
	for _, c := range []struct {
		name, rule string
		ev         func(machine.State) machine.Event
		spoil      func(*machine.Commit)
	}{
		{"released without a decision", "R129", decide(0, true), open(0, func(d *run.Directive) { d.Decision = nil })},
		{"released, and held all the same", "R129", decide(0, true), open(0, func(d *run.Directive) { d.Held, d.Attempt = run.Approval, 0 })},
		{"led past its client", "R129", decide(1, true), open(0, func(d *run.Directive) { d.Held, d.Attempt = run.NoHold, 1 })},
		{"told of another decision", "R129", decide(0, true), open(0, func(d *run.Directive) { d.Decision.By = "bob" })},
		{"an untold decision", "R129", decide(0, true), func(c *machine.Commit) { c.Facts = c.Facts[1:] }},
		{"denied by nobody", "R129", decide(0, false), func(c *machine.Commit) { c.Closed[0].Directive.Decision = nil }},
		{"allowed, and closed", "R129", decide(0, false), func(c *machine.Commit) { c.Closed[0].Directive.Decision.Granted = true }},
		{"closed as if it had run", "R128", decide(0, false), func(c *machine.Commit) { c.Closed[0].Directive.Attempt = 1 }},
	} {
		s := holding(t)
		commit, err := machine.Step(s, s.Updated, c.ev(s))
		if err != nil || machine.CheckCommit(s, commit) != nil {
			t.Fatalf("%s: %v, %v", c.name, err, machine.CheckCommit(s, commit))
		}
		c.spoil(&commit)
		if err := machine.CheckCommit(s, commit); err == nil || !strings.Contains(err.Error(), c.rule+":") {
			t.Errorf("%s: %v, want %s", c.name, err, c.rule)
		}
	}
}
