package machine_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// withCalls is a session whose run waits for two calls, the second of which is settled, with an input that waits.
func withCalls(t *testing.T) machine.State {
	s := must(t, machine.State{Session: session}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, input("i1"), input("i2"))
	s = must(t, s, machine.Reported{Report: (&world{}).replyWithCalls(first(s).ID, []string{"once", "read_only"})})
	return must(t, s, machine.Reported{Report: answer(openOf(s)[1])})
}

func calling(t *testing.T) machine.State {
	return must(t, machine.State{Session: session}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, input("i1"))
}

// searching is a session whose run has its answer, and looks for its output for the second time, under a budget.
func searching(t *testing.T) machine.State {
	p := &run.Profile{Schema: []byte("{}"), Budget: run.Budget{Tokens: 100}}
	s := must(t, machine.State{Session: session}, machine.Register{Profile: p}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, input("i1"))
	s = must(t, s, machine.Reported{Report: answer(first(s))})
	return must(t, s, machine.Reported{Report: run.Extracted{ID: first(s).ID, Attempt: 1, Verdict: run.OutputInvalid, Text: "x", Error: "no"}})
}

// change replaces the first open entry.
func change(s *machine.State, do func(*run.Directive)) {
	d := first(*s)
	do(&d)
	s.Open = s.Open.Set(first(*s).ID, d)
}

func TestCheck_notices_each_breach_of_a_rule_in_a_state(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rule string
		scene      func(*testing.T) machine.State
		spoil      func(*machine.State)
	}{
		{"running without a run", "R30", calling, func(s *machine.State) { s.Lifecycle.Run = "" }},
		{"stopping at rest", "R43", calling, func(s *machine.State) { s.Lifecycle.Phase, s.Lifecycle.Stopping = lifecycle.Idle, true }},
		{"inputs live in a stopped session", "R43", calling, func(s *machine.State) { s.Lifecycle = lifecycle.State{Phase: lifecycle.Stopped} }},
		{"at rest at a boundary", "R51", calling, func(s *machine.State) { s.Turn.Phase = turn.DrainingBoundary }},
		{"turn over while a run is bound", "R30", calling, func(s *machine.State) { s.Turn.Phase = turn.Completed }},
		{"turn of another run", "R30", calling, func(s *machine.State) { s.Turn.Run = "other" }},
		{"nothing open", "R51", calling, func(s *machine.State) { s.Open = machine.Ledger{} }},
		{"an entry of another run", "R36", calling, func(s *machine.State) { change(s, func(d *run.Directive) { d.Run = "other" }) }},
		{"an entry of the future", "R20", calling, func(s *machine.State) { change(s, func(d *run.Directive) { d.ID.Version = 99 }) }},
		{"an attempt out of step", "R10", calling, func(s *machine.State) { change(s, func(d *run.Directive) { d.Attempt = 2 }) }},
		{"a model call pinned elsewhere", "R08", calling, func(s *machine.State) { change(s, func(d *run.Directive) { d.Upto = 1 }) }},
		{"no reply is awaited", "R37", calling, func(s *machine.State) { s.Tail = machine.TailReply }},
		{"resumed without end", "R04", calling, func(s *machine.State) { s.Turn.Resumes = machine.MaxResumes + 1 }},
		{"an output that nobody wants", "R110", searching, func(s *machine.State) { s.Profile = &run.Profile{Budget: s.Profile.Budget} }},
		{"a search before the answer", "R110", searching, func(s *machine.State) { s.Turn.Answered = false }},
		{"a search behind no answer", "R110", searching, func(s *machine.State) { s.Tail = machine.TailPending }},
		{"a try that forgets the one before", "R111", searching, func(s *machine.State) { change(s, func(d *run.Directive) { d.Misfit = nil }) }},
		{"a try too many", "R111", searching, func(s *machine.State) { s.Turn.Tries = 3 }},
		{"a call beyond the budget", "R112", searching, func(s *machine.State) { s.Usage.Input = 100 }},
		{"a reply longer than what is left", "R113", searching, func(s *machine.State) { change(s, func(d *run.Directive) { d.MaxOutput++ }) }},
		{"a retry beyond the deadline", "R112", searching, func(s *machine.State) {
			s.Turn.Deadline = s.Updated
			change(s, func(d *run.Directive) { d.NotBefore = s.Updated })
		}},
		{"a second chance for once", "R35", withCalls, func(s *machine.State) { change(s, func(d *run.Directive) { d.Attempt = 2 }) }},
		{"too many attempts", "R04", withCalls, func(s *machine.State) { change(s, func(d *run.Directive) { d.Class, d.Attempt = run.Idempotent, 4 }) }},
		{"a result without its place", "R07", withCalls, func(s *machine.State) { change(s, func(d *run.Directive) { d.At.Message++ }) }},
		{"more calls pending than out", "R51", withCalls, func(s *machine.State) { s.Turn.Pending++ }},
		{"an outcome held of no call", "R52", withCalls, func(s *machine.State) { s.Held = []machine.Held{{Ordinal: 5}} }},
		{"held outcomes without calls", "R52", calling, func(s *machine.State) { s.Held = []machine.Held{{}} }},
		{"an outcome held that is due", "R52", withCalls, func(s *machine.State) {
			s.Held = []machine.Held{{Ordinal: 0}}
			change(s, func(d *run.Directive) { d.At.Ordinal = 1 })
		}},
		{"an input of no admission", "R33", withCalls, func(s *machine.State) { s.Seq = 1 }},
		{"a staged input of another run", "R31", withCalls, func(s *machine.State) {
			i := s.Inbox.Staged()[0]
			i.Run = "other"
			s.Inbox = s.Inbox.Put(i)
		}},
		{"a run without inputs", "R31", withCalls, func(s *machine.State) {
			i := s.Inbox.Staged()[0]
			i.Phase = inbox.Consumed
			s.Inbox = s.Inbox.Put(i)
		}},
		{"a waiting input with a run", "R31", withCalls, func(s *machine.State) {
			i := s.Inbox.Next()[0]
			i.Run = "other"
			s.Inbox = s.Inbox.Put(i)
		}},
		{"two inputs of one key", "R33", withCalls, func(s *machine.State) {
			i := s.Inbox.Next()[0]
			i.ID, i.Seq = "i3", 3
			s.Seq, s.Inbox = 3, s.Inbox.Put(i)
		}},
		{"an executor idles", "R51", func(t *testing.T) machine.State {
			return must(t, machine.State{Session: session}, machine.Register{}, input("i1"))
		}, func(s *machine.State) { s.Transient.Attachment.ID = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			if err := machine.Check(s); err != nil {
				t.Fatalf("before: %v", err)
			}
			if c.spoil(&s); !cites(machine.Check(s), c.rule) {
				t.Fatalf("want %s, got %v", c.rule, machine.Check(s))
			}
		})
	}
}

func cites(err error, rule string) bool {
	return err != nil && strings.Contains("\n"+err.Error(), "\n"+rule+": ")
}

func TestCheckCommit_notices_each_breach_of_a_rule_in_a_commit(t *testing.T) {
	t.Parallel()
	settle := func(s machine.State) machine.Event { return machine.Reported{Report: answer(first(s))} }
	lost := func(s machine.State) machine.Event { return machine.ExecutorLost{Run: s.Run()} }
	late := func(machine.State) machine.Event { return input("late") }
	for _, c := range []struct {
		name, rule string
		scene      func(*testing.T) machine.State
		ev         func(machine.State) machine.Event
		spoil      func(*machine.Commit)
	}{
		{"a version is skipped", "R21", calling, settle, func(c *machine.Commit) { c.Next.Version++ }},
		{"a change without a version", "R21", calling, settle, func(c *machine.Commit) { c.Next.Version = c.From }},
		{"a version without a change", "R21", calling, func(machine.State) machine.Event { return input("i1") }, func(c *machine.Commit) { c.Next.Version++ }},
		{"a profile nobody is told of", "R23", calling, settle, func(c *machine.Commit) { c.Next.Profile = &run.Profile{} }},
		{"a cursor is left out", "R28", calling, settle, func(c *machine.Commit) { c.Facts[1].Cursor++ }},
		{"an event of another session", "R28", calling, settle, func(c *machine.Commit) { c.Facts[0].Session = "other" }},
		{"a directive vanishes", "R36", calling, settle, func(c *machine.Commit) { c.Closed = nil }},
		{"a directive is open and not opened", "R01", withCalls, settle, func(c *machine.Commit) { c.Opened = nil }},
		{"a directive is opened twice", "R01", withCalls, settle, func(c *machine.Commit) { c.Opened = append(c.Opened, c.Opened[0]) }},
		{"a directive has another's id", "R20", withCalls, settle, func(c *machine.Commit) {
			c.Opened[0].ID = id.Effect{Version: 1}
			c.Next.Open = machine.Ledger{}.Set(c.Opened[0].ID, c.Opened[0])
		}},
		{"what was open stays open", "R36", calling, settle, func(c *machine.Commit) {
			c.Next.Open = c.Next.Open.Set(c.Closed[0].Directive.ID, c.Closed[0].Directive)
		}},
		{"a class is not frozen", "R05", calling, lost, func(c *machine.Commit) { c.Opened[0].Class = run.Idempotent }},
		{"once is issued again", "R35", calling, lost, func(c *machine.Commit) { c.Opened[0].Class = run.Once }},
		{"a wait is cut short", "R39", calling, lost, func(c *machine.Commit) { c.Opened[0].NotBefore = c.Next.Updated }},
		{"an attempt is not counted", "R04", calling, lost, func(c *machine.Commit) { c.Opened[0].Attempt = 0 }},
		{"a directive moves", "R07", calling, lost, func(c *machine.Commit) { c.Opened[0].Upto++ }},
		{"two rows at one place", "R27", calling, settle, func(c *machine.Commit) { c.Rows = append(c.Rows, c.Rows[0]) }},
		{"a row in the past", "R07", calling, settle, func(c *machine.Commit) { c.Rows[0].At.Message = 1 }},
		{"a message without rows", "R27", calling, settle, func(c *machine.Commit) { c.Rows = nil }},
		{"a call without a result", "R07", withCalls, settle, func(c *machine.Commit) { c.Rows = c.Rows[1:] }},
		{"an input vanishes", "R31", calling, settle, func(c *machine.Commit) { c.Inputs = nil }},
		{"an input ends twice", "R31", calling, settle, func(c *machine.Commit) { c.Inputs = append(c.Inputs, c.Inputs[0]) }},
		{"an input ends as it did not", "R31", calling, settle, func(c *machine.Commit) { c.Inputs[0].Ended.Status = machine.StatusCancelled }},
		{"an admission is not told", "R31", calling, late, func(c *machine.Commit) { c.Inputs = nil }},
		{"an admission without a place in the order", "R33", calling, late, func(c *machine.Commit) {
			i := c.Inputs[0].Item
			i.Phase = inbox.Consumed
			c.Next.Inbox = c.Next.Inbox.Put(i)
			i.Phase, i.Seq = inbox.Queued, 1 // that of an input that is there
			c.Next.Inbox = c.Next.Inbox.Put(i)
		}},
		{"a run ends in silence", "R32", calling, settle, func(c *machine.Commit) { replace(c, event.RunCompleted{}.Type(), event.TextComplete{}) }},
		{"a run ends twice", "R32", calling, settle, func(c *machine.Commit) { replace(c, event.TextComplete{}.Type(), event.RunFailed{}) }},
		{"a run ends again with its output", "R32", searching, settle, func(c *machine.Commit) {
			replace(c, event.ExtractionSucceeded{}.Type(), event.RunCompleted{})
		}},
		{"a receipt is left out", "R32", withCalls, func(s machine.State) machine.Event { return settle(s) }, func(c *machine.Commit) {
			c.Receipts = append(c.Receipts, machine.Receipt{Run: c.Next.Run(), Sequence: 3, Inputs: []id.Input{"x"}})
		}},
		{"an outcome is told out of order", "R52", withCalls, settle, func(c *machine.Commit) {
			for n := range c.Facts {
				if c.Facts[n].At == (transcript.Position{Message: 3}) {
					c.Facts[n].At.Ordinal = 1
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.scene(t)
			got, err := machine.Step(s, newWorld().at, c.ev(s))
			if err != nil {
				t.Fatal(err)
			}
			if err := machine.CheckCommit(s, got); err != nil {
				t.Fatalf("before: %v", err)
			}
			if c.spoil(&got); !cites(machine.CheckCommit(s, got), c.rule) {
				t.Fatalf("want %s, got %v", c.rule, machine.CheckCommit(s, got))
			}
		})
	}
}

// replace puts another payload in the place of the events of one type.
func replace(c *machine.Commit, typ string, p event.Payload) {
	for n := range c.Facts {
		if c.Facts[n].Payload.Type() == typ {
			c.Facts[n].Payload = p
		}
	}
}

func TestA_session_is_titled_by_the_first_line_that_says_something(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 200)
	for _, c := range []struct{ text, want string }{
		{"hello", "hello"},
		{"\n\n  what is in this folder?  \nTell me.", "what is in this folder?"},
		{long, strings.Repeat("é", 79) + "…"},
		{strings.Repeat("x", 80), strings.Repeat("x", 80)},
		{"a\xffb", "ab"},
	} {
		in := prompt("i1", c.text, inbox.Queue)
		s := must(t, machine.State{Session: session}, machine.Register{}, in, input("i2"))
		if s.Title != c.want {
			t.Errorf("%.20q gives %q, want %q", c.text, s.Title, c.want)
		}
	}
}

func TestWhat_is_told_of_a_session_follows_its_state(t *testing.T) {
	t.Parallel()
	s := must(t, machine.State{Session: session}, machine.Register{System: "be brief"}, input("i1"))
	if s.Phase() != "idle" || s.Attached() || s.Run() != "" || s.Inbox.Waiting() != 1 {
		t.Errorf("%s, attached %t, run %q, %d waiting", s.Phase(), s.Attached(), s.Run(), s.Inbox.Waiting())
	}
	s = must(t, s, machine.Attach{Attachment: machine.Attachment{ID: 1}})
	if s.Phase() != "running" || s.Run() == "" || !s.Pending() || s.Inbox.Waiting() != 0 {
		t.Errorf("%s, run %q, pending %t, %d waiting", s.Phase(), s.Run(), s.Pending(), s.Inbox.Waiting())
	}
	s = must(t, s, machine.Reported{Report: answer(first(s))})
	if s.Phase() != "attached" || s.Pending() {
		t.Errorf("%s, pending %t", s.Phase(), s.Pending())
	}
}
