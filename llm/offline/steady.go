package offline

import (
	"context"
	"iter"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// Steady is a model for tests of what stands around one: whatever it is asked, it says "ok" in one piece, calls no tool and counts no tokens.
type Steady struct{}

// Stream implements llm.Model.
func (Steady) Stream(ctx context.Context, _ llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		if err := pause(ctx, 0); err != nil {
			yield(nil, err)
			return
		}
		if yield(llm.TextPart{Text: "ok"}, nil) {
			yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
		}
	}
}
