package machine

import (
	"errors"
	"slices"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// startNext begins the next run with what waits, if nothing runs and somebody could carry it out.
func (b *step) startNext() error {
	for {
		phase := b.s.Lifecycle.Phase
		if phase != lifecycle.Idle && phase != lifecycle.Retired || !b.s.Attached() || b.s.Transient.Draining || b.ending {
			return nil
		}
		batch := b.s.Inbox.Batch(phase == lifecycle.Retired)
		if len(batch.Items) == 0 {
			return b.goOnWithNews()
		}
		done, err := b.unfit(batch)
		if err != nil {
			return err
		}
		if done {
			continue
		}
		a := b.s.Transient.Attachment
		return b.begin(batch, a.Grain, a.Class, false)
	}
}

// unfit ends, or puts back, what no run can be made of: a request to go on where nothing waits for a reply, inputs that ask for different things.
func (b *step) unfit(batch inbox.Batch) (bool, error) {
	if batch.Execution() == inbox.ResumePending && b.s.Tail != TailPending && len(batch.Appends()) == 0 {
		for _, i := range batch.Items {
			how := &Ended{Status: StatusCompleted, At: b.at}
			if err := b.input(i, inbox.Event{Kind: inbox.Consume}, how); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	_, err := batch.Options()
	if err == nil {
		return false, nil
	}
	var conflict *input.Conflict
	if !errors.As(err, &conflict) {
		return false, err
	}
	b.s.Seq++
	return true, b.putBack(b.waiting(conflict.Input), inbox.Event{Kind: inbox.Refuse, Seq: b.s.Seq},
		run.Failure{Message: "cannot be part of a run: " + conflict.Error()})
}

// putBack makes an input wait again; one that was tried as often as it may be is given up.
func (b *step) putBack(i inbox.Item, e inbox.Event, why run.Failure) error {
	after, err := inbox.Table.Step(i, e)
	if err != nil {
		return err
	}
	var how *Ended
	if after.Phase.Terminal() {
		how = &Ended{Run: b.s.Lifecycle.Run, Status: StatusAbandoned, Cause: inbox.MaxAttemptsExhausted.String(), Error: why.Message, Kind: why.Kind,
			Attempts: after.Attempts, At: b.at}
	}
	return b.input(i, e, how)
}

// begin binds a run made of the batch. By the caller: whoever asked for it carries it out, and no executor is given it.
func (b *step) begin(batch inbox.Batch, grain run.Grain, class run.Class, caller bool) error {
	r := id.Run(id.Derive(b.at, b.s.Session, b.version, b.ordinal))
	b.ordinal++
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Prepare, Run: r}); err != nil {
		return err
	}
	start := turn.Event{Kind: turn.Start, Run: r, Deadline: b.deadline()}
	if batch.ContextOnly {
		start.Kind = turn.StartImmediate
	}
	if err := b.turn(start); err != nil {
		return err
	}
	b.s.Reply, b.round = 0, -1
	b.preamble()
	inputs, err := b.stage(r, batch)
	if err != nil {
		return err
	}
	if b.s.Model != nil && !batch.ContextOnly {
		if err := b.routing(model.RoutingEvent{Kind: model.AdmitRun}); err != nil {
			return err
		}
	}
	asked, err := batch.Options()
	if err != nil {
		return err
	}
	b.s.Turn.Model = modelOf(asked.Identity)
	forbidden := b.restrict(r, asked.Overlay)
	spent := b.spent()
	switch {
	case len(batch.Items) == 1 && batch.Items[0].Unstamped():
		return b.failRun(turn.CauseRuntimeApply, "what was decided about the input when it was admitted is damaged")
	case batch.ContextOnly:
		return b.contextOnly(r)
	case forbidden != nil:
		return b.failRun(turn.CauseRuntimeApply, "the run cannot have the tools it asks for: "+toolset.Because(forbidden))
	case spent != nil && !caller:
		return b.exhausted(spent, nil)
	case grain == run.Whole:
		if err := b.crossServers(); err != nil {
			return err
		}
		b.crossTools()
		b.ask(run.Directive{ID: b.effect(), Kind: run.ApplyRun, Class: class, Attempt: 1, Run: r, Upto: b.s.Message + 1, Inputs: inputs,
			Caller: caller, Model: b.callee()})
		return nil
	}
	if err := b.turn(turn.Event{Kind: turn.PrimitiveApplied, Run: r}); err != nil {
		return err
	}
	return b.callModel()
}

// contextOnly ends a run that only adds to the transcript: nobody will come any more who would take it along.
func (b *step) contextOnly(r id.Run) error {
	if err := b.turn(turn.Event{Kind: turn.PrimitiveApplied, Run: r}); err != nil {
		return err
	}
	return b.closeRun(StatusCompleted)
}

// stage makes the batch part of the run, writes what it says, and tells of the run.
func (b *step) stage(r id.Run, batch inbox.Batch) (inputs []id.Input, err error) {
	for _, i := range batch.Items {
		inputs = append(inputs, i.ID)
		if err := b.input(i, inbox.Event{Kind: inbox.Stage, Run: r, Said: true}, nil); err != nil {
			return nil, err
		}
	}
	lines := b.unsaid(batch.Appends())
	if len(lines) == 0 && len(batch.Items) > 0 && b.s.Tail != TailPending {
		text := "an earlier message has no answer yet, or has come again: " + string(inputs[0])
		lines = append(lines, inbox.Append{Input: inputs[0], Entry: transcript.Notice{Kind: "tried_again", Text: text}})
	}
	b.started(inputs, batch.Lead(), lines)
	if len(inputs) > 0 {
		b.receipt("run_start", inputs)
	}
	return inputs, nil
}

// started writes what the inputs of a run say, and tells of it: the run is told with what drives it, all else as taken in.
func (b *step) started(inputs []id.Input, lead id.Input, lines []inbox.Append) {
	first := map[id.Input]transcript.Position{}
	var order []id.Input
	for _, l := range lines {
		at, ok := b.line(l)
		if _, told := first[l.Input]; ok && !told {
			first[l.Input], order = at, append(order, l.Input)
		}
	}
	if _, says := first[lead]; !says && len(order) > 0 {
		lead = order[0]
	}
	b.tell(event.RunStarted{Inputs: inputs}, first[lead])
	for _, in := range order {
		if in != lead {
			b.tell(event.Steered{Input: in}, first[in])
		}
	}
}

// unsaid leaves out what stands in the transcript already.
func (b *step) unsaid(lines []inbox.Append) []inbox.Append {
	said := get(b.s.Said)
	return slices.DeleteFunc(lines, func(l inbox.Append) bool { return l.Key != "" && said.has(l.Key) })
}

// line writes what an input says, unless a line of its key stands already.
func (b *step) line(l inbox.Append) (transcript.Position, bool) {
	if l.Key != "" {
		said := get(b.s.Said)
		if said.has(l.Key) {
			return transcript.Position{}, false
		}
		put(b, &b.s.Said, SaidRegion, said.with(l.Key))
	}
	b.s.Tail = TailPending
	return b.add(l.Entry), true
}

// callModel asks for a reply to all that stands in the transcript now.
func (b *step) callModel() error {
	b.round = -1
	if err := b.crossServers(); err != nil {
		return err
	}
	b.crossTools()
	if err := b.announce(); err != nil {
		return err
	}
	b.s.Held, b.s.Told = nil, 0
	b.ask(run.Directive{ID: b.effect(), Kind: run.CallModel, Class: run.ReadOnly, Attempt: 1, Run: b.s.Turn.Run,
		Round: b.s.Turn.Round, Upto: b.s.Message + 1, MaxOutput: b.allowance(), Model: b.callee()})
	b.tell(event.TurnStarted{Number: b.s.Turn.Round}, transcript.Position{})
	return nil
}

// boundary is crossed when all of a round's calls have their outcome: steers come in, then the model is called again.
func (b *step) boundary() error {
	r := b.s.Turn.Run
	if err := b.turn(turn.Event{Kind: turn.CallsResolved, Run: r}); err != nil {
		return err
	}
	b.s.Tail = TailPending
	if over, err := b.halt(); over || err != nil {
		return err
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
	return b.callModel()
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
	var taken []run.Steer
	told := map[id.Input]bool{}
	for _, l := range inbox.Appends(steers) {
		at, ok := b.line(l)
		if !ok {
			continue
		}
		if !told[l.Input] {
			b.tell(event.Steered{Input: l.Input}, at)
		}
		told[l.Input] = true
		taken = append(taken, run.Steer{Input: l.Input, Content: said(l.Entry)})
	}
	inputs := make([]id.Input, len(steers))
	for n, i := range steers {
		inputs[n] = i.ID
		if err := b.input(i, inbox.Event{Kind: inbox.Consume, Run: r}, &Ended{Run: r, Status: StatusCompleted, At: b.at}); err != nil {
			return nil, err
		}
	}
	b.receipt("run_checkpoint", inputs)
	return taken, nil
}

// said is what a line says, for an executor that has the transcript in a form of its own.
func said(e transcript.Entry) transcript.Blocks {
	switch e := e.(type) {
	case transcript.User:
		return e.Content
	case transcript.Notice:
		return transcript.TextBlocks(e.Text)
	}
	return nil
}

func (b *step) failRun(cause, text string) error {
	return b.failModel(cause, run.Failure{Message: text})
}

// failModel ends the run because of what became of a model call, or of the whole run elsewhere.
func (b *step) failModel(cause string, f run.Failure) error {
	err := b.turn(turn.Event{Kind: turn.FatalFailure, Run: b.s.Turn.Run, Cause: cause, Error: f.Message, Failure: f.Kind})
	if err != nil {
		return err
	}
	if b.s.Turn.Answered {
		return b.withoutOutput(cause, f.Message, nil)
	}
	return b.closeRun(StatusFailed)
}

// closeRun ends the run, whose turn is in its terminal: nothing stays open, its inputs end, what waits starts.
func (b *step) closeRun(status string) error {
	if err := b.closeOpen(); err != nil {
		return err
	}
	t := b.s.Turn
	if !t.Answered {
		b.tellEnd(status)
	}
	how := Ended{Run: t.Run, Status: status, Cause: t.Cause, Error: t.Error, Kind: t.Failure, Reply: b.s.Reply, Usage: t.Usage, Rounds: t.Round,
		Calls: t.Calls, Output: b.output, NoOutput: b.noOutput, At: b.at}
	b.output, b.noOutput = nil, nil
	if b.because != "" {
		how.Cause = b.because
	}
	kind := inbox.Consume
	if status == StatusCancelled || status == StatusAbandoned {
		kind = inbox.Abandon
	}
	for _, i := range b.s.Inbox.Staged() {
		if err := b.input(i, inbox.Event{Kind: kind, Reason: reasonOf(how)}, &how); err != nil {
			return err
		}
	}
	if err := b.endRouting(model.RunEnded); err != nil {
		return err
	}
	if err := b.unrestrict(); err != nil {
		return err
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

// tellEnd tells how the run has ended; with its answer, if an output is still to be found.
func (b *step) tellEnd(status string) {
	t := b.s.Turn
	if status == StatusCompleted {
		b.tell(event.RunCompleted{Usage: t.Usage, Rounds: t.Round, Calls: t.Calls, Cause: t.Cause, ExtractionRequired: t.Answered},
			transcript.Position{Message: b.s.Reply})
		return
	}
	b.tell(event.RunFailed{Class: class(t.Cause), Cause: t.Cause, Kind: t.Failure, Error: t.Error, Usage: t.Usage, Rounds: t.Round, Calls: t.Calls},
		transcript.Position{})
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
		if d.Held != run.NoHold {
			if err := b.neverRun(d); err != nil {
				return err
			}
			continue
		}
		kind, result := operation.Abandon, unknownResult(d)
		why := map[string]string{turn.CauseCancelled: "by an interrupt", turn.CauseTime: "because the time of the run was up"}[b.s.Turn.Cause]
		if why != "" {
			kind = operation.Cancel
			result = errorResult(d, transcript.ResultCancelled, "stopped "+why+" while it may have been running")
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
	case turn.CauseBudget, turn.CauseTime:
		return "budget"
	case turn.CauseToolFailure:
		return "tool"
	case turn.CauseLLMFailure, turn.CauseRetryExhausted:
		return "llm"
	}
	return "internal"
}
