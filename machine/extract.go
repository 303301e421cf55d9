package machine

import (
	"encoding/json"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// A run that wants an output tells its end with its answer. What follows looks for the output; it never ends otherwise than completed, and
// nothing of it stands in the transcript (docs/machine/turn.md).

// GuardJSON is the name of the guard that an output is what it says it is.
const GuardJSON = "the output is JSON"

// answered ends a run with its final reply, or begins to look for its output.
func (b *step) answered(d run.Directive, reply transcript.Assistant) error {
	end := turn.Event{Kind: turn.BoundaryComplete, Run: d.Run}
	if b.s.Profile != nil && len(b.s.Profile.Schema) > 0 {
		end.Kind, end.Tries = turn.EnterExtraction, b.tries()
	}
	if err := b.turn(end); err != nil {
		return err
	}
	if b.s.Turn.Phase == turn.Cancelled {
		return b.closeRun(StatusCancelled)
	}
	b.tell(event.TurnCompleted{Stop: reply.Stop, Usage: reply.Usage}, transcript.Position{})
	if !b.s.Turn.Answered {
		return b.closeRun(StatusCompleted)
	}
	b.tellEnd(StatusCompleted)
	b.round = -1
	return b.extract(d.Model, nil)
}

// tries is how often an output may be asked for.
func (b *step) tries() int {
	switch n := b.s.Profile.SchemaRetries; {
	case n < 0:
		return 1
	case n == 0:
		return 3
	default:
		return n + 1
	}
}

// extract asks for the output, unless a budget is used up: whoever gave the answer. Misfit is the try before, if there was one.
func (b *step) extract(whom *identity.Identity, misfit *run.Misfit) error {
	if gone := b.spent(); gone != nil {
		return b.exhausted(gone, misfit)
	}
	b.ask(run.Directive{ID: b.effect(), Kind: run.Extract, Class: run.ReadOnly, Attempt: 1, Run: b.s.Turn.Run, Round: b.s.Turn.Round,
		Upto: b.s.Message + 1, MaxOutput: b.allowance(), Misfit: misfit, Model: whom})
	return nil
}

// extracted takes in what came of a try.
func (b *step) extracted(d run.Directive, r run.Extracted) error {
	if r.Verdict == run.OutputValid && !json.Valid(r.Output) {
		return b.refuse("extracted", GuardJSON)
	}
	b.round = d.Round
	b.closeEffect(d, r.Verdict.String())
	b.spend(r.Usage)
	cancelled := b.s.Turn.Cancel
	if err := b.turn(turn.Event{Kind: turn.ExtractionReplied, Run: d.Run, Verdict: r.Verdict}); err != nil {
		return err
	}
	switch {
	case b.s.Turn.Output:
		b.output = r.Output
		b.tell(event.ExtractionSucceeded{Output: r.Output}, transcript.Position{})
		return b.closeRun(StatusCompleted)
	case b.s.Turn.Phase == turn.Extracting:
		return b.extract(d.Model, &run.Misfit{Text: r.Text, Error: r.Error})
	case cancelled:
		return b.withoutOutput(turn.CauseCancelled, "a cancel was asked for", &run.Misfit{Text: r.Text})
	}
	return b.withoutOutput(turn.CauseOutput, r.Error, &run.Misfit{Text: r.Text})
}

// withoutOutput ends a run that has its answer and will have no output, whose turn is completed. Last is the try that was answered last;
// nil: the one that an open directive tells of, if any.
func (b *step) withoutOutput(cause, why string, last *run.Misfit) error {
	for _, d := range b.s.Open.All() {
		if d.Kind == run.Extract {
			b.closeEffect(d, "given_up")
			if last == nil {
				last = d.Misfit
			}
		}
	}
	none := run.NoOutput{Attempts: b.s.Turn.Tries, Reason: cause}
	if why != "" {
		none.Reason += ": " + why
	}
	if last != nil {
		none.Last = last.Text
	}
	b.noOutput = &none
	b.tell(event.ExtractionFailed{Last: none.Last, Attempts: none.Attempts, Reason: none.Reason}, transcript.Position{})
	return b.closeRun(StatusCompleted)
}
