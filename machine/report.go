package machine

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func (b *step) reported(ev Reported) error {
	d, ok := b.s.Open.Get(ev.Report.Answers())
	switch r := ev.Report.(type) {
	case run.ModelReplied:
		if !ok || d.Kind != run.CallModel {
			return b.stale("model_replied")
		}
		return b.modelReplied(d, r)
	case run.ModelFailed:
		if !ok || d.Kind != run.CallModel && d.Kind != run.Extract || d.Attempt != r.Attempt {
			return b.stale("model_failed")
		}
		return b.modelFailed(d, r)
	case run.Extracted:
		if !ok || d.Kind != run.Extract || d.Attempt != r.Attempt {
			return b.stale("extracted")
		}
		return b.extracted(d, r)
	case run.ToolSettled:
		if !ok || d.Kind != run.RunTool {
			return b.stale("tool_settled")
		}
		return b.toolSettled(d, r)
	case run.RunApplied:
		if !ok || d.Kind != run.ApplyRun {
			return b.stale("run_applied")
		}
		return b.runApplied(d, r)
	case run.RunRefused:
		if !ok || d.Kind != run.ApplyRun || d.Attempt != r.Attempt {
			return b.stale("run_refused")
		}
		return b.runRefused(d, r)
	case run.BoundaryReached:
		if !ok || d.Kind != run.ApplyRun {
			return b.stale("boundary_reached")
		}
		return b.boundaryReached(d)
	case run.Delivered:
		if !ok || d.Kind != run.Deliver {
			return b.stale("delivered")
		}
		b.closeEffect(d, "delivered")
		return nil
	}
	panic(fmt.Sprintf("machine: report %T", ev.Report))
}

func (b *step) stale(event string) error {
	return &Refusal{Sort: fsm.ErrStale, Region: "ledger", Phase: b.s.Turn.Phase.String(), Event: event,
		Guard: "the directive is open"}
}

func (b *step) modelReplied(d run.Directive, r run.ModelReplied) error {
	same := func(u transcript.ToolUse, i run.Intent) bool { return u.ID == i.Call.ID && u.Name == i.Call.Name }
	if !slices.EqualFunc(r.Reply.Blocks.ToolUses(), r.Calls, same) {
		return b.refuse("model_replied", "one intent for each call of the reply, in order")
	}
	if slices.ContainsFunc(r.Calls, func(i run.Intent) bool { return !i.Hold.Known() }) {
		return b.refuse("model_replied", "what a call waits for is known")
	}
	b.round = d.Round
	b.closeEffect(d, "replied")
	at := b.add(r.Reply)
	b.s.Tail, b.s.Reply = TailReply, at.Message
	if u := r.Reply.Usage; u != nil {
		b.spend(*u)
	}
	if r.Reply.Blocks.Plain() != "" {
		b.tell(event.TextComplete{}, at)
	}
	if len(r.Calls) > 0 {
		return b.openCalls(d, at, r.Calls)
	}
	if err := b.turn(turn.Event{Kind: turn.ReturnedFinal, Run: d.Run}); err != nil {
		return err
	}
	return b.answered(d, r.Reply)
}

// openCalls commits the intents of a reply: each call's class is frozen and the place of its result reserved. Calls of a reply that used a
// budget up are not run.
func (b *step) openCalls(reply run.Directive, at transcript.Position, calls []run.Intent) error {
	calls, spared := b.spare(b.gate(calls))
	if err := b.turn(turn.Event{Kind: turn.ReturnedCalls, Run: reply.Run, N: len(calls), Spared: spared}); err != nil {
		return err
	}
	b.s.Message++
	results := b.s.Message
	for _, c := range calls {
		b.tell(event.ToolCallRequested{Call: c.Call.ID, Name: c.Call.Name}, at)
	}
	for n, c := range calls {
		d := run.Directive{ID: b.effect(), Kind: run.RunTool, Class: c.Class, Attempt: 1, Run: reply.Run, Round: reply.Round,
			Call: c.Call, At: transcript.Position{Message: results, Ordinal: n}}
		if c.Refusal != nil {
			if _, err := operation.Table.Step(operation.State{}, operation.Event{Kind: operation.Refuse}); err != nil {
				return err
			}
			if err := b.settled(d, errorResult(d, c.Refusal.Code, c.Refusal.Message), 0); err != nil {
				return err
			}
			continue
		}
		if c.Hold != run.NoHold {
			if err := b.hold(d, c.Hold); err != nil {
				return err
			}
			continue
		}
		start := operation.Event{Kind: operation.Start, Repeatable: c.Class.Repeatable()}
		begun, err := operation.Table.Step(operation.State{}, start)
		if err != nil {
			return err
		}
		d.Attempt = begun.Attempt
		b.ask(d)
		b.tell(event.ToolExecutionStarted{Call: c.Call.ID, Name: c.Call.Name, Attempt: d.Attempt}, transcript.Position{})
	}
	if b.s.Turn.Pending == 0 {
		return b.boundary()
	}
	return nil
}

func (b *step) toolSettled(d run.Directive, r run.ToolSettled) error {
	over, err := b.operation(d, operation.Event{Kind: operation.Settle, IsError: r.Result.IsError})
	if err != nil {
		return err
	}
	outcome := "ok"
	switch {
	case r.Result.Code != "":
		outcome = r.Result.Code
	case over.Phase == operation.Failed:
		outcome = "error"
	}
	b.round = d.Round
	r.Result.Call, r.Result.Name = d.Call.ID, d.Call.Name
	b.closeEffect(d, outcome)
	if err := b.settled(d, r.Result, r.Duration); err != nil {
		return err
	}
	if b.s.Turn.Pending == 0 {
		return b.boundary()
	}
	return nil
}

// operation moves an open call, or a whole run, along its table.
func (b *step) operation(d run.Directive, e operation.Event) (operation.State, error) {
	return operation.Table.Step(operationOf(d), e)
}

// settled writes the outcome of a call at its place and counts it off the round.
func (b *step) settled(d run.Directive, result transcript.ToolResult, took time.Duration) error {
	if err := b.turn(turn.Event{Kind: turn.CallSettled, Run: d.Run}); err != nil {
		return err
	}
	b.outcome(d, result, took)
	return nil
}

// settle closes an open call whose run is over.
func (b *step) settle(d run.Directive, result transcript.ToolResult) {
	b.closeEffect(d, result.Code)
	b.outcome(d, result, 0)
	b.s.Tail = TailPending
}

// outcome writes a result row, and tells the outcomes of the round in the order of its calls: one that comes early is held until
// those before it are in.
func (b *step) outcome(d run.Directive, result transcript.ToolResult, took time.Duration) {
	b.write(d.At, result)
	held := make([]Held, 0, len(b.s.Held)+1)
	mine := Held{d.At.Ordinal, d.Call.ID, d.Call.Name, result.IsError, result.Code, took}
	placed := false
	for _, h := range b.s.Held {
		if !placed && mine.Ordinal < h.Ordinal {
			held, placed = append(held, mine), true
		}
		held = append(held, h)
	}
	if !placed {
		held = append(held, mine)
	}
	for len(held) > 0 && held[0].Ordinal == b.s.Told {
		h := held[0]
		b.tell(event.ToolExecutionCompleted{Call: h.Call, Name: h.Name, IsError: h.IsError, Code: h.Code, Duration: h.Duration},
			transcript.Position{Message: d.At.Message, Ordinal: h.Ordinal})
		held, b.s.Told = held[1:], b.s.Told+1
	}
	b.s.Held = nil
	if len(held) > 0 {
		b.s.Held = held
	}
}

func (b *step) modelFailed(d run.Directive, r run.ModelFailed) error {
	b.round = d.Round
	if !r.Failure.Retryable {
		return b.failModel(turn.CauseLLMFailure, r.Failure)
	}
	policy := b.retry()
	attempts, delay := policy.Max+1, policy.delay(d.ID, r.Attempt, r.Failure)
	switch {
	case b.s.Turn.Cancel: // the turn says how it ends
	case d.Attempt >= attempts && r.Failure.Kind == "invalid_tool_call":
		return b.failModel(turn.CauseToolFailure, r.Failure)
	case d.Attempt >= attempts:
		return b.failModel(turn.CauseRetryExhausted, r.Failure)
	case b.late(delay):
		return b.exhausted(b.timeIsUp(", and another attempt would come later: "+r.Failure.Message), nil)
	}
	err := b.turn(turn.Event{Kind: turn.RecoverableFailure, Run: d.Run, Attempt: r.Attempt, Attempts: attempts})
	switch {
	case err != nil:
		return err
	case b.s.Turn.Phase == turn.Cancelled:
		return b.closeRun(StatusCancelled)
	case b.s.Turn.Phase == turn.Completed:
		return b.withoutOutput(turn.CauseCancelled, "a cancel was asked for", nil)
	}
	d.Attempt, d.NotBefore = d.Attempt+1, b.at.Add(delay)
	b.ask(d)
	b.tell(event.Retrying{Attempt: r.Attempt, Max: attempts, Kind: r.Failure.Kind, Error: r.Failure.Message, Delay: delay},
		transcript.Position{})
	return nil
}

type retryPolicy run.RetryPolicy

func (b *step) retry() retryPolicy {
	var p retryPolicy
	if b.s.Profile != nil {
		p = retryPolicy(b.s.Profile.Retry)
	}
	if p.Max == 0 {
		p.Max = 3
	}
	p.Max = max(p.Max, 0)
	if p.Initial <= 0 {
		p.Initial = 500 * time.Millisecond
	}
	if p.Cap <= 0 {
		p.Cap = 30 * time.Second
	}
	return p
}

// delay before the attempt that follows the given one: doubling, spread by ten per cent either way, never above the cap; a longer
// hint of the provider wins; a rate limit without a hint waits for the cap, at most half a minute.
func (p retryPolicy) delay(e id.Effect, attempt int, f run.Failure) time.Duration {
	d := p.Initial
	for range attempt - 1 {
		d = min(2*d, p.Cap)
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", e, attempt)
	d = min(d+d*time.Duration(int(h.Sum32()%201)-100)/1000, p.Cap)
	switch {
	case f.RetryAfter > d:
		d = f.RetryAfter
	case f.Kind == "rate_limited" && f.RetryAfter == 0:
		d = max(d, min(30*time.Second, p.Cap))
	}
	return d
}

func (b *step) runApplied(d run.Directive, r run.RunApplied) error {
	switch {
	case r.Inputs != nil && !slices.Equal(r.Inputs, d.Inputs):
		return b.refuse("run_applied", GuardReceipt)
	case r.Cause != "" && !(r.Failed != nil && turn.Failing(r.Cause) || r.Failed == nil && r.Cause == turn.CauseBudget):
		return b.refuse("run_applied", GuardCause)
	case slices.ContainsFunc(r.Appends, unfit):
		return b.refuse("run_applied", "what is appended are notices, user messages and replies without calls")
	}
	return b.applied(d, r)
}

// boundaryReached takes the steers that wait into a run whose executor has a loop of its own, and says whether it is to end.
func (b *step) boundaryReached(d run.Directive) error {
	b.round = d.Round
	told := &run.Boundary{Cancel: b.s.Turn.Cancel}
	b.c.Verdict.Boundary = told
	if told.Cancel {
		return nil
	}
	steers, err := b.takeSteers(d.Run)
	if len(steers) > 0 {
		told.Steers, b.s.Tail = steers, TailPending
	}
	return err
}

// unfit finds what would leave the conversation malformed: a call, or a result, on its own.
func unfit(e transcript.Entry) bool {
	switch e := e.(type) {
	case transcript.Notice, transcript.User:
		return false
	case transcript.Assistant:
		return len(e.Blocks.ToolUses()) > 0
	}
	return true
}

func (b *step) applied(d run.Directive, r run.RunApplied) error {
	b.round = d.Round
	b.closeEffect(d, "applied")
	for _, e := range r.Appends {
		at := b.add(e)
		if _, ok := e.(transcript.Assistant); ok {
			b.s.Reply, b.s.Tail = at.Message, TailReply
			b.tell(event.TextComplete{}, at)
		} else {
			b.s.Tail = TailPending
		}
	}
	b.spend(r.Usage)
	if r.Failed != nil {
		return b.failModel(cmp.Or(r.Cause, turn.CauseRuntimeApply), *r.Failed)
	}
	if err := b.turn(turn.Event{Kind: turn.RunReported, Run: d.Run, Cause: r.Cause}); err != nil {
		return err
	}
	if b.s.Turn.Phase == turn.Cancelled {
		return b.closeRun(StatusCancelled)
	}
	return b.closeRun(StatusCompleted)
}

func errorResult(d run.Directive, code, text string) transcript.ToolResult {
	return transcript.ToolResult{Call: d.Call.ID, Name: d.Call.Name, Content: transcript.TextBlocks(text), IsError: true, Code: code}
}

func unknownResult(d run.Directive) transcript.ToolResult {
	why := "its run was given up"
	switch {
	case !d.Class.Repeatable():
		why = "it is not declared safe to repeat"
	case d.Attempt >= operation.MaxAttempts:
		why = "it was tried as often as it may be"
	}
	return errorResult(d, transcript.ResultOutcomeUnknown, "outcome unknown: whoever ran this call was lost while it may have been "+
		"running, and "+why+". It will not be run again. Check whether it took effect before you do anything that depends on it.")
}

// runRefused ends a run of which nothing was done.
func (b *step) runRefused(d run.Directive, r run.RunRefused) error {
	b.round = d.Round
	b.closeEffect(d, "refused")
	for _, i := range b.s.Inbox.Staged() {
		e := inbox.Event{Kind: inbox.Rollback}
		if b.s.Inbox.Driving() > 0 { // behind them: what fails holds nobody up
			b.s.Seq++
			e.Seq = b.s.Seq
		}
		if err := b.putBack(i, e, r.Failure); err != nil {
			return err
		}
	}
	return b.failModel(turn.CauseRuntimeApply, r.Failure)
}
