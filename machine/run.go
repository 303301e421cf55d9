package machine

import (
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// startNext begins the next run with what waits, if nothing runs and somebody could carry it out.
func (b *step) startNext() error {
	phase := b.s.Lifecycle.Phase
	if phase != lifecycle.Idle && phase != lifecycle.Retired || !b.s.Attached() || b.s.Transient.Draining {
		return nil
	}
	batch := b.s.Inbox.Next()
	if batch == nil {
		return nil
	}
	a := b.s.Transient.Attachment
	return b.begin(batch, a.Grain, a.Class, false)
}

// begin binds a run made of the batch. By the caller: whoever asked for it carries it out, and no executor is given it.
func (b *step) begin(batch []inbox.Item, grain run.Grain, class run.Class, caller bool) error {
	r := id.Run(id.Derive(b.at, b.s.Session, b.version, b.ordinal))
	b.ordinal++
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Prepare, Run: r}); err != nil {
		return err
	}
	if err := b.turn(turn.Event{Kind: turn.Start, Run: r}); err != nil {
		return err
	}
	if b.s.Model != nil {
		if err := b.routing(model.RoutingEvent{Kind: model.AdmitRun}); err != nil {
			return err
		}
	}
	b.s.Reply, b.round = 0, -1
	inputs, rows, err := b.stage(r, batch)
	if err != nil {
		return err
	}
	b.tell(event.RunStarted{Inputs: inputs}, first(rows))
	for n, at := range rows {
		if n > 0 {
			b.tell(event.Steered{Input: inputs[n]}, at)
		}
	}
	if len(inputs) > 0 {
		b.receipt("run_start", inputs)
	}
	if grain == run.Whole {
		b.ask(run.Directive{ID: b.effect(), Kind: run.ApplyRun, Class: class, Attempt: 1, Run: r, Upto: b.s.Message + 1, Inputs: inputs,
			Caller: caller})
		return nil
	}
	if err := b.turn(turn.Event{Kind: turn.PrimitiveApplied, Run: r}); err != nil {
		return err
	}
	b.callModel()
	return nil
}

func first(rows []transcript.Position) transcript.Position {
	if len(rows) == 0 {
		return transcript.Position{}
	}
	return rows[0]
}

// stage makes the batch part of the run and writes what it says.
func (b *step) stage(r id.Run, batch []inbox.Item) (inputs []id.Input, rows []transcript.Position, err error) {
	for _, i := range batch {
		inputs = append(inputs, i.ID)
		if !i.Continue {
			rows = append(rows, b.add(transcript.User{Content: i.Content}))
			b.s.Tail = TailPending
		}
		i.Content = nil // it stands in the transcript now
		if err := b.input(i, inbox.Event{Kind: inbox.Stage, Run: r}, nil); err != nil {
			return nil, nil, err
		}
	}
	return inputs, rows, nil
}

// callModel asks for a reply to all that stands in the transcript now.
func (b *step) callModel() {
	b.round = -1
	b.s.Held, b.s.Told = nil, 0
	b.ask(run.Directive{ID: b.effect(), Kind: run.CallModel, Class: run.ReadOnly, Attempt: 1, Run: b.s.Turn.Run,
		Round: b.s.Turn.Round, Upto: b.s.Message + 1})
	b.tell(event.TurnStarted{Number: b.s.Turn.Round}, transcript.Position{})
}

// boundary is crossed when all of a round's calls have their outcome: steers come in, then the model is called again.
func (b *step) boundary() error {
	r := b.s.Turn.Run
	if err := b.turn(turn.Event{Kind: turn.CallsResolved, Run: r}); err != nil {
		return err
	}
	b.s.Tail = TailPending
	if !b.s.Turn.Cancel && b.s.Turn.Round >= b.maxRounds() {
		return b.failRun(turn.CauseTurnLimit, "the run has called the model as often as it may")
	}
	if err := b.turn(turn.Event{Kind: turn.BoundaryContinue, Run: r}); err != nil {
		return err
	}
	if b.s.Turn.Phase == turn.Cancelled {
		return b.closeRun(StatusCancelled)
	}
	b.round = -1
	if err := b.steer(r); err != nil {
		return err
	}
	b.callModel()
	return nil
}

// steer takes the waiting steers into the run.
func (b *step) steer(r id.Run) error {
	_, err := b.takeSteers(r)
	return err
}

func (b *step) takeSteers(r id.Run) ([]run.Steer, error) {
	steers := b.s.Inbox.Steers()
	if len(steers) == 0 {
		return nil, nil
	}
	taken := make([]run.Steer, len(steers))
	inputs := make([]id.Input, len(steers))
	for n, i := range steers {
		inputs[n], taken[n] = i.ID, run.Steer{Input: i.ID, Content: i.Content}
		at := b.add(transcript.User{Content: i.Content})
		b.tell(event.Steered{Input: i.ID}, at)
		if err := b.input(i, inbox.Event{Kind: inbox.Consume, Run: r},
			&Ended{Run: r, Status: StatusCompleted, At: b.at}); err != nil {
			return nil, err
		}
	}
	b.receipt("run_checkpoint", inputs)
	return taken, nil
}

func (b *step) failRun(cause, text string) error {
	return b.failModel(cause, run.Failure{Message: text})
}

// failModel ends the run because of what became of a model call.
func (b *step) failModel(cause string, f run.Failure) error {
	err := b.turn(turn.Event{Kind: turn.FatalFailure, Run: b.s.Turn.Run, Cause: cause, Error: f.Message, Failure: f.Kind})
	if err != nil {
		return err
	}
	return b.closeRun(StatusFailed)
}

// closeRun ends the run, whose turn is in its terminal: nothing stays open, its inputs end, what waits starts.
func (b *step) closeRun(status string) error {
	if err := b.closeOpen(); err != nil {
		return err
	}
	t := b.s.Turn
	reply := transcript.Position{Message: b.s.Reply}
	if status == StatusCompleted {
		b.tell(event.RunCompleted{Usage: t.Usage, Rounds: t.Round, Calls: t.Calls}, reply)
	} else {
		b.tell(event.RunFailed{Class: class(t.Cause), Cause: t.Cause, Kind: t.Failure, Error: t.Error, Usage: t.Usage, Rounds: t.Round, Calls: t.Calls},
			transcript.Position{})
	}
	how := Ended{Run: t.Run, Status: status, Cause: t.Cause, Error: t.Error, Kind: t.Failure, Reply: b.s.Reply, Usage: t.Usage, Rounds: t.Round,
		Calls: t.Calls, At: b.at}
	if b.because != "" {
		how.Cause = b.because
	}
	kind := inbox.Consume
	if status == StatusCancelled || status == StatusAbandoned {
		kind = inbox.Abandon
	}
	for _, i := range b.s.Inbox.Staged() {
		if err := b.input(i, inbox.Event{Kind: kind}, &how); err != nil {
			return err
		}
	}
	if b.s.Model != nil {
		if err := b.routing(model.RoutingEvent{Kind: model.CancelRouting, Cause: model.RunEnded}); err != nil {
			return err
		}
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Close, Run: t.Run}); err != nil {
		return err
	}
	b.s.Held, b.s.Told = nil, 0
	switch b.s.Lifecycle.Phase {
	case lifecycle.Stopped:
		return b.settleStopped()
	case lifecycle.Retired:
		return b.settleRetired()
	default:
		return b.startNext()
	}
}

// closeOpen settles whatever the run still has open, so that the conversation is well formed.
func (b *step) closeOpen() error {
	for _, d := range b.s.Open.All() {
		if d.Kind == run.Deliver {
			continue // of no run
		}
		if d.Kind != run.RunTool {
			b.closeEffect(d, b.s.Turn.Phase.String())
			continue
		}
		kind, result := operation.Abandon, unknownResult(d)
		if b.s.Turn.Phase == turn.Cancelled {
			kind = operation.Cancel
			result = errorResult(d, transcript.ResultCancelled, "stopped by an interrupt while it may have been running")
		}
		if _, err := b.operation(d, operation.Event{Kind: kind}); err != nil {
			return err
		}
		b.settle(d, result)
	}
	return nil
}

func (b *step) maxRounds() int {
	if b.s.Profile != nil && b.s.Profile.MaxRounds > 0 {
		return b.s.Profile.MaxRounds
	}
	return 100
}

func class(cause string) string {
	switch cause {
	case turn.CauseCancelled:
		return "cancelled"
	case turn.CauseTurnLimit:
		return "max_turns"
	case turn.CauseLLMFailure, turn.CauseRetryExhausted:
		return "llm"
	}
	return "internal"
}
