package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/transcript"
)

// AddContext gives a session something to know that nobody has said. It starts nothing: a run that is bound takes it in at its next boundary, in front
// of its next model call, and at rest it comes with the next run, in front of what begins that. It is an input: durable when this returns, told to
// clients like any other, and listed while it waits.
//
// The same key with the same entry is a duplicate, under the first input's id; the verdict's Run is the run that input is part of, if it lives. The same
// key with another entry is a *DuplicateError. A key that is empty is nobody's. Other errors are those of AcceptWithoutWake.
func (h *Host) AddContext(ctx context.Context, sid id.Session, key string, entry transcript.Notice) (machine.Verdict, error) {
	sum := sha256.Sum256([]byte(entry.Kind + "\x00" + entry.Text))
	digest := hex.EncodeToString(sum[:])
	of := input.Input{Source: input.Source{Kind: input.SourceSystem}, Correlation: digest,
		Body: input.Continuation{Reason: "context", Handling: input.HandlingSteer, Turn: input.Entries{entry}}}
	a := h.accept(ctx, sid, Input{Key: key, Of: &of, WithoutWake: true}, false)
	if a.err != nil || !a.verdict.Duplicate {
		return a.verdict, failed("add context to", sid, a.err)
	}
	first, ok := a.state.Inbox.Find(a.verdict.Input, "")
	if !ok { // it has ended; an input stays for look-ups, with the digest of what it said
		how, err := h.reader().Input(ctx, sid, a.verdict.Input)
		if err != nil {
			return machine.Verdict{}, failed("add context to", sid, noInput(err))
		}
		first = how.Item
	}
	if first.Stamp == nil || first.Kind() != input.KindContinuation || first.Stamp.Correlation != digest {
		return machine.Verdict{}, failed("add context to", sid, &DuplicateError{Input: a.verdict.Input, Run: a.verdict.Run})
	}
	return a.verdict, nil
}
