package driver

import (
	"context"
	"testing"

	"github.com/meerkat-go/meerkat/transcript"
)

func TestR13_results_that_settle_in_any_order_do_not_copy_the_transcript_before_them(t *testing.T) {
	t.Parallel()
	const history = 20_000
	row := func(message, ordinal int) transcript.Row {
		return transcript.Row{At: transcript.Position{Message: message, Ordinal: ordinal}}
	}
	c := &cache{read: func(context.Context) ([]transcript.Row, error) { return nil, nil }}
	for n := range history {
		c.add([]transcript.Row{row(n+1, 0)})
	}
	before, err := c.before(t.Context(), history+1)
	if err != nil || len(before) != history {
		t.Fatalf("%d rows, %v", len(before), err)
	}
	for len(c.rows)+3 > cap(c.rows) { // growing copies, at times that have nothing to do with the order
		c.rows = append(c.rows[:len(c.rows):len(c.rows)], make([]transcript.Row, len(c.rows))...)[:len(c.rows)]
	}
	first := &c.rows[0]
	for _, ordinal := range []int{2, 0, 1} {
		c.add([]transcript.Row{row(history+1, ordinal)})
	}
	if &c.rows[0] != first {
		t.Error("the transcript was copied for a result that came early")
	}
	// Who reads the round while it settles keeps what was given.
	c.add([]transcript.Row{row(history+2, 1)})
	open, err := c.before(t.Context(), history+3)
	if err != nil || len(open) != history+4 {
		t.Fatalf("%d rows, %v", len(open), err)
	}
	c.add([]transcript.Row{row(history+2, 0)})
	if got := open[history+3].At; got != (transcript.Position{Message: history + 2, Ordinal: 1}) {
		t.Errorf("what was given has become %v", got)
	}
	if got, err := c.before(t.Context(), history+3); err != nil || len(got) != history+5 || got[history+3].At.Ordinal != 0 {
		t.Errorf("%d rows, %v", len(got), err)
	}
}
