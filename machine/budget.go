package machine

import (
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Budgets are looked at where a model would be called next: when a run begins, at a boundary, before a retry is waited for. Counters are part
// of the state: the tokens of the session, the calls of the run, the time at which a run must be over.

// gone is a budget that is used up.
type gone struct {
	kind        turn.Kind // what the turn is told
	cause       string
	budget      string // its public name
	used, limit int64
	text        string
}

func (b *step) budget() run.Budget {
	if b.s.Profile == nil {
		return run.Budget{}
	}
	return b.s.Profile.Budget
}

// deadline is when the time of a run that begins now is up. Zero: never.
func (b *step) deadline() time.Time {
	if d := b.budget().Duration; d > 0 {
		return b.at.Add(d).Round(0)
	}
	return time.Time{}
}

// late reports whether the run's time will be up after a while; after none: whether it is.
func (b *step) late(after time.Duration) bool {
	d := b.s.Turn.Deadline
	return !d.IsZero() && !b.at.Add(after).Before(d)
}

// Overdue reports whether a run is bound whose time is up at a time. Deadline says when that will be; zero: never.
func (s State) Overdue(at time.Time) bool {
	d := s.Deadline()
	return !d.IsZero() && !at.Before(d)
}

// Deadline is when the time of the bound run is up. Zero: there is none, or it may take for ever.
func (s State) Deadline() time.Time {
	if s.Lifecycle.Run == "" || s.Turn.Run != s.Lifecycle.Run {
		return time.Time{}
	}
	return s.Turn.Deadline
}

// spend counts tokens.
func (b *step) spend(u transcript.Usage) {
	b.s.Turn.Usage, b.s.Usage = b.s.Turn.Usage.Add(u), b.s.Usage.Add(u)
}

// allowance is how many tokens a reply may have, if a budget bounds it: what is left, and no more than the profile allows. 0: no budget.
func (b *step) allowance() int {
	limit := b.budget().Tokens
	if limit <= 0 {
		return 0
	}
	left := max(limit-b.s.Usage.Input-b.s.Usage.Output, 1)
	if most := b.s.Profile.MaxOutput; most > 0 {
		return min(left, most)
	}
	return left
}

// spent is the budget because of which no model may be called: tokens before time. Nil: none.
func (b *step) spent() *gone {
	budget, used := b.budget(), b.s.Usage.Input+b.s.Usage.Output
	switch {
	case budget.Tokens > 0 && used >= budget.Tokens:
		return &gone{turn.BudgetExhausted, turn.CauseBudget, "tokens", int64(used), int64(budget.Tokens),
			fmt.Sprintf("the session has used %d of at most %d tokens", used, budget.Tokens)}
	case b.late(0):
		return b.timeIsUp("")
	}
	return nil
}

func (b *step) timeIsUp(and string) *gone {
	limit := b.budget().Duration
	used := limit + b.at.Sub(b.s.Turn.Deadline)
	return &gone{turn.TimeBudgetExceeded, turn.CauseTime, "time", used.Milliseconds(), limit.Milliseconds(),
		fmt.Sprintf("the run may take %s%s", limit, and)}
}

// halt ends the run at a boundary where the model may not be called again. It reports whether the run is over.
func (b *step) halt() (over bool, err error) {
	spent, calls, budget := b.spent(), b.s.Turn.Calls, b.budget()
	switch {
	case b.s.Turn.Round >= b.maxRounds():
		err := b.turn(turn.Event{Kind: turn.TurnLimitReached, Run: b.s.Turn.Run, Error: "the run has called the model as often as it may"})
		if err != nil {
			return true, err
		}
		return true, b.closeTurn()
	case spent != nil:
		return true, b.exhausted(spent, nil)
	case budget.Calls > 0 && calls >= budget.Calls:
		return true, b.exhausted(&gone{turn.BudgetExhausted, turn.CauseBudget, "tool_calls", int64(calls), int64(budget.Calls),
			fmt.Sprintf("the run has made %d of at most %d tool calls", calls, budget.Calls)}, nil)
	}
	return false, nil
}

// exhausted ends the run because of a budget, or the search for its output if the answer is in. Last is the try at the output before.
func (b *step) exhausted(g *gone, last *run.Misfit) error {
	if err := b.turn(turn.Event{Kind: g.kind, Run: b.s.Turn.Run, Error: g.text}); err != nil {
		return err
	}
	if b.s.Turn.Phase != turn.Cancelled {
		b.tell(event.BudgetWarning{Budget: g.budget, Used: g.used, Limit: g.limit, Percent: 1}, transcript.Position{})
	}
	if b.s.Turn.Answered {
		return b.withoutOutput(g.cause, g.text, last)
	}
	return b.closeTurn()
}

// closeTurn ends the run as its turn has ended.
func (b *step) closeTurn() error {
	switch b.s.Turn.Phase {
	case turn.Completed:
		return b.closeRun(StatusCompleted)
	case turn.Cancelled:
		return b.closeRun(StatusCancelled)
	}
	return b.closeRun(StatusFailed)
}

// spare marks the calls of a reply that used a budget up: they are answered, and not run. It returns how many they are.
func (b *step) spare(calls []run.Intent) ([]run.Intent, int) {
	spent := b.spent()
	if spent == nil {
		return calls, 0
	}
	spared, n := make([]run.Intent, len(calls)), 0
	for i, c := range calls {
		if c.Refusal == nil {
			c.Refusal = &run.Refusal{Code: transcript.ResultNotExecuted, Message: "not executed: " + spent.text}
			n++
		}
		spared[i] = c
	}
	return spared, n
}
