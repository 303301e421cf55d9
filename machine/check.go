package machine

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
)

// Check says what is wrong with a state between two steps: nil, or joined errors that each begin with the number of a rule of
// docs/rules.md. It is for tests, simulations and doctors; Step does not need it.
func Check(s State) error {
	var f findings
	f.lifecycle(s)
	f.turn(s)
	f.add(turn.Check(s.Turn))
	f.ledger(s)
	f.round(s)
	f.inbox(s)
	f.regions(s)
	f.waiting(s)
	f.sees(s)
	return errors.Join(f...)
}

type findings []error

// regions: each keeps its own rules, and a session that is over has nothing of them.
func (f *findings) regions(s State) {
	r := s.Regions
	*f = append(*f, toolserver.Check(get(r.Servers)), toolset.Check(get(r.Toolset)), model.Check(get(r.Model)), peer.Check(get(r.Peer)), registry.Check(get(r.Work)), get(r.Said).Check(),
		peer.CheckLink(get(r.Peer), s.Transient.Link))
	f.want(s.Lifecycle.Phase != lifecycle.Destroyed || r == Regions{}, "R55", "a destroyed session has regions left")
}

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

// add notes what another check has found.
func (f *findings) add(err error) {
	if err != nil {
		*f = append(*f, err)
	}
}

func (f *findings) lifecycle(s State) {
	l := s.Lifecycle
	f.want((l.Phase == lifecycle.Running) == (l.Run != ""), "R30", "phase %s with run %q", l.Phase, l.Run)
	f.want(!l.Stopping || l.Phase == lifecycle.Running, "R43", "stopping in phase %s", l.Phase)
	f.want(!l.Retiring || l.Phase == lifecycle.Running, "R54", "retiring in phase %s", l.Phase)
	f.want(!l.Archived || l.Phase == lifecycle.Retired, "R54", "archived in phase %s", l.Phase)
	f.want(l.Reason == "" || l.Stopping || l.Phase == lifecycle.Stopped, "R43", "a reason to stop in phase %s", l.Phase)
	f.want(!l.Away || s.Transient == Transient{}, "R57", "unregistered, and wired to %+v", s.Transient)
	f.want(!s.Transient.Draining || l.Phase != lifecycle.Unregistered && l.Phase != lifecycle.Destroyed, "R57", "draining in phase %s", l.Phase)
	rule := "R43"
	switch l.Phase {
	case lifecycle.Destroyed:
		rule = "R55"
		f.want(s.Transient == Transient{}, "R55", "destroyed, and wired to %+v", s.Transient)
	case lifecycle.Stopped, lifecycle.Unregistered:
	case lifecycle.Idle, lifecycle.Running, lifecycle.Retired:
		return
	}
	f.want(s.Inbox.Len() == 0, rule, "%d inputs live in phase %s", s.Inbox.Len(), l.Phase)
	f.want(s.Transient.Placement == Placement{}, rule, "placed in phase %s", l.Phase)
}

func (f *findings) turn(s State) {
	t, running := s.Turn, s.Lifecycle.Phase == lifecycle.Running
	f.want(t.Phase != turn.DrainingBoundary, "R51", "at rest in phase %s", t.Phase)
	active := t.Phase != turn.Ready && !t.Phase.Terminal()
	f.want(active == running, "R30", "turn %s while the session is %s", t.Phase, s.Lifecycle.Phase)
	f.want(!running || t.Run == s.Lifecycle.Run, "R30", "turn of run %q while %q is bound", t.Run, s.Lifecycle.Run)
	f.want(!t.Cancel || running, "R42", "a cancel without a run")
	f.want((t.Pending > 0) == (t.Phase == turn.WaitingForOps), "R51", "%d calls pending in phase %s", t.Pending, t.Phase)
	f.want(t.Resumes >= 0 && t.Resumes <= MaxResumes, "R04", "resumed %d times", t.Resumes)
	b := &step{s: s}
	limit := b.maxRounds()
	replying := t.Phase == turn.CallingLlm || t.Phase == turn.ErrorRecovery && !t.Answered
	f.want(t.Round <= limit && !(replying && t.Round == limit), "R51", "round %d of at most %d in phase %s", t.Round, limit, t.Phase)
	switch t.Phase {
	case turn.ApplyingPrimitive:
		f.want(s.Tail == TailPending || s.served(), "R37", "phase %s, and the transcript waits for no reply", t.Phase)
	case turn.CallingLlm:
		f.want(s.Tail == TailPending, "R37", "phase %s, and the transcript waits for no reply", t.Phase)
	case turn.ErrorRecovery:
		f.want((s.Tail == TailPending) != t.Answered, "R37", "phase %s, and the transcript waits for a reply: %t", t.Phase, s.Tail == TailPending)
	case turn.Extracting:
		f.want(s.Tail == TailReply, "R110", "phase %s, and the transcript does not end with the answer", t.Phase)
	case turn.WaitingForOps:
		f.want(s.Tail == TailReply, "R37", "calls are out, and the transcript does not end with a reply")
	case turn.Ready, turn.DrainingBoundary, turn.Completed, turn.Failed, turn.Cancelled:
	}
}

// ledger: what is open belongs to the bound run and is what its phase waits for (R51). An active run waits for something.
func (f *findings) ledger(s State) {
	var open [run.Extract + 1]int
	for key, d := range s.Open.All() {
		open[d.Kind]++
		f.want(key == d.ID && d.ID.Version <= s.Version, "R20", "entry %s has id %s at version %d", key, d.ID, s.Version)
		f.want(d.Run == s.Lifecycle.Run || d.Kind == run.Deliver && d.Run == "", "R36", "entry %s of run %q is open while %q is bound", key, d.Run, s.Lifecycle.Run)
		f.held(d)
		switch d.Kind {
		case run.CallModel, run.Extract:
			f.replies(s, d)
			f.want(d.Attempt == s.Turn.Attempt, "R10", "entry %s has attempt %d, the turn %d", key, d.Attempt, s.Turn.Attempt)
			f.want(d.Round == s.Turn.Round, "R51", "entry %s is of round %d, the turn in %d", key, d.Round, s.Turn.Round)
			f.want(d.Upto == s.Message+1, "R08", "entry %s is pinned to %d, the transcript ends before %d", key, d.Upto, s.Message+1)
		case run.RunTool:
			f.want(d.Round == s.Turn.Round-1, "R51", "call %s is of round %d, the turn in %d", key, d.Round, s.Turn.Round-1)
			f.want(d.At.Message == s.Message, "R07", "call %s has place %v, reserved is message %d", key, d.At, s.Message)
			f.attempts(d)
		case run.ApplyRun:
			f.want(d.Upto <= s.Message+1, "R08", "entry %s is pinned to %d, the transcript ends before %d", key, d.Upto, s.Message+1)
			f.attempts(d)
		case run.Deliver:
			f.want(d.Signal.Runtime != "" && d.Signal.Kind != "", "R59", "entry %s tells %+v", key, d.Signal)
		}
	}
	var due [run.Extract + 1]int
	due[run.Deliver] = open[run.Deliver]
	switch s.Turn.Phase {
	case turn.ApplyingPrimitive:
		due[run.ApplyRun] = 1
	case turn.CallingLlm:
		due[run.CallModel] = 1
	case turn.Extracting:
		due[run.Extract] = 1
	case turn.ErrorRecovery:
		due[run.CallModel] = 1
		if s.Turn.Answered {
			due[run.CallModel], due[run.Extract] = 0, 1
		}
	case turn.WaitingForOps:
		due[run.RunTool] = s.Turn.Pending
	case turn.Ready, turn.DrainingBoundary, turn.Completed, turn.Failed, turn.Cancelled:
	}
	f.want(open == due, "R51", "open by kind %v, phase %s waits for %v", open[1:], s.Turn.Phase, due[1:])
}

// replies: what a model is asked for is within the budgets (R112, R113, R114), and the output is one the profile wants.
func (f *findings) replies(s State, d run.Directive) {
	b := &step{s: s, at: d.NotBefore}
	f.want(d.Kind != run.Extract || s.Profile != nil && len(s.Profile.Schema) > 0, "R110", "entry %s asks for an output that nobody wants", d.ID)
	f.want((d.Misfit != nil) == (d.Kind == run.Extract && s.Turn.Tries > 0), "R111", "entry %s tells of a try before: %t, after %d tries", d.ID,
		d.Misfit != nil, s.Turn.Tries)
	f.want(d.MaxOutput == b.allowance(), "R113", "entry %s may have %d tokens, and %d are left", d.ID, d.MaxOutput, b.allowance())
	f.want(b.spent() == nil, "R112", "entry %s is asked for, and a budget is used up", d.ID)
}

func (f *findings) attempts(d run.Directive) {
	most := 1
	if d.Class.Repeatable() {
		most = operation.MaxAttempts
	}
	rule := "R04"
	if !d.Class.Repeatable() {
		rule = "R35"
	}
	f.want(d.Attempt <= most, rule, "entry %s of class %s is at attempt %d", d.ID, d.Class, d.Attempt)
}

// round: the calls of the round are told up to the first that is out; those beyond it are out or held (R52).
func (f *findings) round(s State) {
	if s.Turn.Phase != turn.WaitingForOps {
		f.want(len(s.Held) == 0 && s.Told == 0, "R52", "%d outcomes held and %d told in phase %s", len(s.Held), s.Told, s.Turn.Phase)
		return
	}
	n := s.Told + len(s.Held) + s.Turn.Pending
	where := make([]string, max(n, 0))
	note := func(ordinal int, what string) {
		ok := ordinal >= s.Told && ordinal < n && where[ordinal] == ""
		f.want(ok, "R52", "ordinal %d is %s, of %d calls with %d told", ordinal, what, n, s.Told)
		if ok {
			where[ordinal] = what
		}
	}
	for _, d := range s.Open.All() {
		if d.Kind == run.RunTool {
			note(d.At.Ordinal, "out")
		}
	}
	for i, h := range s.Held {
		note(h.Ordinal, "held")
		f.want(i == 0 || s.Held[i-1].Ordinal < h.Ordinal, "R52", "outcomes held in disorder")
	}
	f.want(s.Told < n && where[s.Told] == "out", "R52", "outcome %d is held although all before it are told", s.Told)
}

func (f *findings) inbox(s State) {
	*f = append(*f, inbox.Check(s.Inbox))
	staged, alone := 0, false
	for i := range s.Inbox.All() {
		f.want(i.Seq <= s.Seq, "R33", "input %s has seq %d of %d", i.ID, i.Seq, s.Seq)
		switch i.Phase {
		case inbox.Queued:
			f.want(i.Run == "", "R31", "input %s waits and has run %s", i.ID, i.Run)
		case inbox.Staged:
			staged++
			alone = alone || i.Continue
			f.want(i.Run == s.Lifecycle.Run, "R31", "input %s is part of run %q while %q is bound", i.ID, i.Run, s.Lifecycle.Run)
		case inbox.Absent, inbox.Consumed, inbox.Abandoned, inbox.Superseded, inbox.Coalesced:
			f.want(false, "R31", "input %s is live and %s", i.ID, i.Phase)
		}
	}
	f.want((staged > 0) == (s.Lifecycle.Run != "" && !s.served()), "R31", "%d inputs staged, run %q bound", staged, s.Lifecycle.Run)
	f.want(!alone || staged == 1, "R31", "a continuation shares its run with %d inputs", staged-1)
	if !s.Attached() || s.Transient.Draining {
		return
	}
	switch s.Lifecycle.Phase {
	case lifecycle.Idle:
		f.want(s.Work == nil || !s.Work.News(), "R51", "background work has ended, and an executor is idle")
		f.want(s.Inbox.Driving() == 0, "R51", "%d inputs wait while an executor is idle", s.Inbox.Driving())
	case lifecycle.Retired:
		f.want(s.Inbox.Len() == 0, "R51", "%d inputs wait while an executor is idle and nobody will come any more", s.Inbox.Len())
	case lifecycle.Unregistered, lifecycle.Running, lifecycle.Stopped, lifecycle.Destroyed:
	}
}

func live(s State) map[id.Input]inbox.Item {
	m := make(map[id.Input]inbox.Item, s.Inbox.Len())
	for i := range s.Inbox.All() {
		m[i.ID] = i
	}
	return m
}
