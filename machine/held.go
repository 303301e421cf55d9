package machine

import (
	"slices"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// A call that waits for a word is an open entry like any other, and nobody is on it: it has not run, no executor is given it, and losing one
// does not touch it (docs/machine/operation.md).

type (
	// Decide says whether a call that waits for an approval may be carried out. What it says stands; a second is stale.
	Decide struct {
		Effect  id.Effect
		Granted bool
		By      string // who decides
		Message string // for the model, if it is denied
	}
	// SettleCallbacks brings the results of the calls of a run that wait for a client: of all of them at once, or none is taken.
	SettleCallbacks struct {
		Run     id.Run
		Results []run.ToolSettled // in any order
	}
)

func (Decide) machineEvent()          {}
func (SettleCallbacks) machineEvent() {}

// Names of guards that callers tell apart.
const (
	GuardUndecided = "the call waits for an approval"
	GuardDecider   = "whoever decides is named"
	GuardCallbacks = "there is one result for each call that waits for a client"
)

// Approvals lists the calls that wait to be allowed, in order.
func (s State) Approvals() []run.Directive {
	return s.held(run.Hold.ForApproval)
}

// Callbacks lists the calls that wait for a client, in order.
func (s State) Callbacks() []run.Directive {
	return s.held(func(h run.Hold) bool { return h == run.Callback })
}

func (s State) held(which func(run.Hold) bool) (out []run.Directive) {
	for _, d := range s.Open.All() {
		if which(d.Held) {
			out = append(out, d)
		}
	}
	return out
}

// Suspended reports whether the bound run waits for clients alone: nothing else of it is open.
func (s State) Suspended() bool {
	some := false
	for _, d := range s.Open.All() {
		if d.Kind == run.Deliver {
			continue // of no run
		}
		if d.Held != run.Callback {
			return false
		}
		some = true
	}
	return some
}

// idling reports whether all that is open of the bound run is held: there was nobody who could be lost.
func (b *step) idling() bool {
	for _, d := range b.s.Open.All() {
		if d.Kind != run.Deliver && d.Held == run.NoHold {
			return false
		}
	}
	return true
}

// operationOf is the state of an open call, or of a whole run, as its table knows it.
func operationOf(d run.Directive) operation.State {
	s := operation.State{Phase: operation.Running, Repeatable: d.Class.Repeatable(), Attempt: d.Attempt, For: wordFor(d.Held)}
	if d.Held != run.NoHold {
		s.Phase = operation.Held
	}
	return s
}

// wordFor is the next word that a call waits for.
func wordFor(h run.Hold) operation.Word {
	switch h {
	case run.Approval, run.ApprovedCallback:
		return operation.Approval
	case run.Callback:
		return operation.Callback
	case run.NoHold:
	}
	return operation.NoWord
}

// hold opens a call that does not run yet.
func (b *step) hold(d run.Directive, h run.Hold) error {
	wait := operation.Event{Kind: operation.Hold, Repeatable: d.Class.Repeatable(), For: wordFor(h)}
	held, err := operation.Table.Step(operation.State{}, wait)
	if err != nil {
		return err
	}
	d.Held, d.Attempt = h, held.Attempt
	b.ask(d)
	b.tellHeld(d)
	return nil
}

func (b *step) tellHeld(d run.Directive) {
	b.tell(event.ToolCallHeld{Call: d.Call.ID, Name: d.Call.Name, For: wordFor(d.Held).String(), Effect: d.ID}, transcript.Position{})
}

// decided takes the word about a call. One that is allowed is handed out by this very step.
func (b *step) decided(ev Decide) error {
	d, ok := b.s.Open.Get(ev.Effect)
	switch {
	case !ok || !d.Held.ForApproval():
		return &Refusal{Sort: fsm.ErrStale, Region: "operation", Phase: b.s.Turn.Phase.String(), Event: "decide", Guard: GuardUndecided}
	case ev.By == "":
		return b.refuse("decide", GuardDecider)
	}
	b.round = d.Round
	d.Decision = &run.Decision{Granted: ev.Granted, By: ev.By, Message: ev.Message, At: b.at}
	b.tell(event.ToolCallDecided{Call: d.Call.ID, Name: d.Call.Name, Effect: d.ID, Granted: ev.Granted, By: ev.By, Message: ev.Message},
		transcript.Position{})
	if !ev.Granted {
		return b.denied(d)
	}
	next := operation.Event{Kind: operation.Release}
	if d.Held == run.ApprovedCallback {
		next = operation.Event{Kind: operation.Hold, For: operation.Callback}
	}
	after, err := b.operation(d, next)
	if err != nil {
		return err
	}
	d.Attempt = after.Attempt
	if d.Held == run.ApprovedCallback {
		d.Held = run.Callback
		b.ask(d)
		b.tellHeld(d)
		return nil
	}
	d.Held = run.NoHold
	b.ask(d)
	b.tell(event.ToolExecutionStarted{Call: d.Call.ID, Name: d.Call.Name, Attempt: d.Attempt}, transcript.Position{})
	return nil
}

// denied answers a call that must not run.
func (b *step) denied(d run.Directive) error {
	if _, err := b.operation(d, operation.Event{Kind: operation.Refuse}); err != nil {
		return err
	}
	text := "not executed: the call was not allowed"
	if d.Decision.Message != "" {
		text += ": " + d.Decision.Message
	}
	b.closeEffect(d, transcript.ResultDenied)
	if err := b.settled(d, errorResult(d, transcript.ResultDenied, text), 0); err != nil {
		return err
	}
	if b.s.Turn.Pending == 0 {
		return b.boundary()
	}
	return nil
}

// settleCallbacks takes the results of all calls that wait for a client. The last outcome of the round is the boundary, as ever.
func (b *step) settleCallbacks(ev SettleCallbacks) error {
	if err := b.current("settle_callbacks", ev.Run); err != nil {
		return err
	}
	for _, r := range ev.Results {
		if _, open := b.s.Open.Get(r.ID); !open {
			return b.stale("settle_callbacks")
		}
	}
	pending := b.s.Callbacks()
	results := slices.SortedFunc(slices.Values(ev.Results), func(x, y run.ToolSettled) int { return x.ID.Compare(y.ID) })
	exact := slices.EqualFunc(pending, results, func(d run.Directive, r run.ToolSettled) bool { return d.ID == r.ID })
	if len(pending) == 0 || !exact {
		return b.refuse("settle_callbacks", GuardCallbacks)
	}
	for n, d := range pending {
		if err := b.toolSettled(d, results[n]); err != nil {
			return err
		}
	}
	return nil
}

// neverRun settles a held call whose run is over.
func (b *step) neverRun(d run.Directive) error {
	kind := operation.Refuse
	if c := b.s.Turn.Cause; c == turn.CauseCancelled || c == turn.CauseTime {
		kind = operation.Cancel
	}
	if _, err := b.operation(d, operation.Event{Kind: kind}); err != nil {
		return err
	}
	text := "not executed: the run ended before anybody allowed the call"
	if d.Held == run.Callback {
		text = "nothing was executed here: the run ended before a client brought the result of the call"
	}
	b.settle(d, errorResult(d, transcript.ResultNotExecuted, text))
	return nil
}
