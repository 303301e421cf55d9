// Package offline is a model that is none: rules that understand a documented handful of requests about a workspace and answer
// them from the results of real tool calls, in the way a model does (docs/offline.md).
//
// It needs no network, no key and no state. It looks at the last message of the user, at the tools that are offered and at the
// results that have come since, and says what is next: more calls, or the answer. Equal requests get equal replies. It never
// pretends to be more than it is: what it does not understand, it says so.
package offline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// Provider is the provider name in errors.
const Provider = "offline"

// DefaultDelay is the pause between two parts of a reply where Model.Delay is 0.
const DefaultDelay = 3 * time.Millisecond

const (
	pieceSize = 24  // bytes of text in a part, about
	maxPieces = 200 // parts of an answer: a long one has larger parts, so that it takes no longer
)

// Model is the stand-in. The zero value is ready for use. It implements llm.Model.
type Model struct {
	Delay time.Duration // between two parts; 0: DefaultDelay; below 0: none
}

// Stream answers. Its only errors are those of an ending ctx. Usage is an estimate: a rule has no tokens, so each four bytes of
// the conversation and of the reply count as one.
func (m Model) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		delay := m.Delay
		if delay == 0 {
			delay = DefaultDelay
		}
		parts := reply(req)
		for i, p := range parts {
			wait := delay
			if i == 0 {
				wait = 0
			}
			if err := pause(ctx, wait); err != nil {
				yield(nil, err)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// reply returns the whole reply to a request.
func reply(req llm.Request) []llm.Part {
	t := listen(req)
	answer := t.answer()
	var parts []llm.Part
	size := 0
	stop := transcript.StopEndTurn
	if len(t.pending) > 0 {
		stop = transcript.StopToolUse
		for i, p := range t.pending {
			size += len(p.name) + len(p.args)
			parts = append(parts, llm.CallPart{Index: i, ID: t.callID(i), Name: p.name}, llm.CallPart{Index: i, Args: p.args})
		}
	} else {
		size = len(answer)
		for _, piece := range pieces(answer, max(pieceSize, len(answer)/maxPieces)) {
			parts = append(parts, llm.TextPart{Text: piece})
		}
	}
	usage := transcript.Usage{Input: t.size / 4, Output: (size + 3) / 4}
	return append(parts, llm.UsagePart{Usage: usage}, llm.Done{Stop: stop})
}

// pieces splits text after white space into parts of at least size bytes. Joined, they are the text again.
func pieces(text string, size int) []string {
	var out []string
	for len(text) > size {
		end := strings.IndexAny(text[size:], " \n")
		if end < 0 {
			break
		}
		end += size + 1
		out = append(out, text[:end])
		text = text[end:]
	}
	if text != "" {
		out = append(out, text)
	}
	return out
}

func pause(ctx context.Context, d time.Duration) error {
	if d > 0 && ctx.Err() == nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &llm.Error{Kind: llm.CallTimeout, Provider: Provider, Message: "the time for the call has run out", Err: context.Cause(ctx)}
	}
	return fmt.Errorf("%s: model call abandoned: %w", Provider, err)
}
