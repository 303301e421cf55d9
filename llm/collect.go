package llm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Collect puts a reply together from its parts, in the order of arrival, and passes each part to emit as it comes (emit may be
// nil; Done is not passed on, since only Collect's return says whether the reply is good).
//
// It stops at Done and looks at nothing after it. A stream that ends without one is Truncated. The arguments of a call that are
// no JSON object are InvalidArguments; none at all mean {}. A reply with nothing visible and nothing to do is Empty, or
// ContentFiltered where the provider says that it withheld the answer. With an error the reply is void; what is returned
// holds only the usage that was reported, for accounts.
func Collect(seq iter.Seq2[Part, error], emit func(Part)) (transcript.Assistant, error) {
	a := assembler{calls: map[int]*slot{}}
	void := func(err error) (transcript.Assistant, error) { return transcript.Assistant{Usage: a.usage}, err }
	var end *Done
	for p, err := range seq {
		if err != nil {
			return void(err)
		}
		if d, ok := p.(Done); ok {
			end = &d
			break
		}
		if err := a.add(p); err != nil {
			return void(err)
		}
		if emit != nil {
			emit(p)
		}
	}
	if end == nil {
		return void(&Error{Kind: Truncated, Message: "the stream ended before the reply did"})
	}
	blocks, err := a.blocks(end.Stop)
	if err != nil {
		return void(err)
	}
	if !substantial(blocks) {
		if end.Stop == transcript.StopFiltered {
			return void(&Error{Kind: ContentFiltered, Message: "the provider withheld the reply"})
		}
		return void(&Error{Kind: Empty, Message: "the reply holds no text and no tool call"})
	}
	return transcript.Assistant{Blocks: blocks, Stop: end.Stop, Usage: a.usage}, nil
}

// slot is a block that is being put together. Which fields count depends on kind.
type slot struct {
	kind   slotKind
	text   strings.Builder // text, reasoning, or the arguments of a call
	id     id.Call
	name   string
	meta   *transcript.Meta
	closed bool // reasoning: nothing more belongs to it
}

type slotKind uint8

const (
	textSlot slotKind = iota
	reasoningSlot
	callSlot
)

type assembler struct {
	slots []*slot
	calls map[int]*slot
	usage *transcript.Usage
}

func (a *assembler) add(p Part) error {
	switch p := p.(type) {
	case TextPart:
		if p.Text != "" {
			a.open(textSlot).text.WriteString(p.Text)
		}
	case ReasoningPart:
		if p.Text == "" && p.Meta == nil {
			return nil
		}
		s := a.open(reasoningSlot)
		s.text.WriteString(p.Text)
		if p.Meta != nil {
			s.meta, s.closed = p.Meta, true
		}
	case CallPart:
		return a.addCall(p)
	case UsagePart:
		a.addUsage(p.Usage)
	case Done: // Collect stops there
	default:
		return &Error{Kind: Garbled, Message: fmt.Sprintf("the adapter yielded a part of type %T", p)}
	}
	return nil
}

// open returns the last slot if it is of that kind and still takes text, or else a new one.
func (a *assembler) open(kind slotKind) *slot {
	if n := len(a.slots); n > 0 && a.slots[n-1].kind == kind && !a.slots[n-1].closed {
		return a.slots[n-1]
	}
	s := &slot{kind: kind}
	a.slots = append(a.slots, s)
	return s
}

func (a *assembler) addCall(p CallPart) error {
	s := a.calls[p.Index]
	if s == nil {
		s = &slot{kind: callSlot}
		a.calls[p.Index] = s
		a.slots = append(a.slots, s)
	}
	if p.ID != "" && s.id != "" && p.ID != s.id || p.Name != "" && s.name != "" && p.Name != s.name {
		return &Error{Kind: Garbled, Message: fmt.Sprintf("tool call %d is named twice: %s %s, then %s %s", p.Index, s.id, s.name, p.ID, p.Name)}
	}
	if p.ID != "" {
		s.id = p.ID
	}
	if p.Name != "" {
		s.name = p.Name
	}
	if p.Meta != nil {
		s.meta = p.Meta
	}
	s.text.WriteString(p.Args)
	return nil
}

// addUsage replaces field by field: providers report totals so far, some of them only in the first or the last event.
func (a *assembler) addUsage(u transcript.Usage) {
	if a.usage == nil {
		a.usage = &transcript.Usage{}
	}
	for _, f := range []struct {
		to   *int
		from int
	}{{&a.usage.Input, u.Input}, {&a.usage.Output, u.Output}, {&a.usage.CacheRead, u.CacheRead}, {&a.usage.CacheWrite, u.CacheWrite}} {
		if f.from > 0 {
			*f.to = f.from
		}
	}
}

func (a *assembler) blocks(stop transcript.StopReason) (transcript.Blocks, error) {
	out := make(transcript.Blocks, 0, len(a.slots))
	var seen []id.Call
	for _, s := range a.slots {
		switch s.kind {
		case textSlot:
			out = append(out, transcript.Text{Text: s.text.String()})
		case reasoningSlot:
			out = append(out, transcript.Reasoning{Text: s.text.String(), Meta: s.meta})
		case callSlot:
			if s.id == "" || s.name == "" || slices.Contains(seen, s.id) {
				return nil, &Error{Kind: Garbled, Message: fmt.Sprintf("a tool call without an id of its own or without name (id %q, name %q)", s.id, s.name)}
			}
			seen = append(seen, s.id)
			args, err := arguments(s, stop)
			if err != nil {
				return nil, err
			}
			out = append(out, transcript.ToolUse{ID: s.id, Name: s.name, Args: args, Meta: s.meta})
		}
	}
	return out, nil
}

func arguments(s *slot, stop transcript.StopReason) (json.RawMessage, error) {
	args := bytes.TrimSpace([]byte(s.text.String()))
	switch {
	case len(args) == 0:
		return json.RawMessage("{}"), nil
	case args[0] == '{' && json.Valid(args):
		return args, nil
	case stop == transcript.StopMaxTokens:
		return nil, &Error{Kind: InvalidArguments, Message: fmt.Sprintf("the reply reached its output limit within the arguments of a call to %s: raise the limit of output tokens", s.name)}
	}
	return nil, &Error{Kind: InvalidArguments, Message: fmt.Sprintf("the arguments of a call to %s are no JSON object: %s", s.name, Excerpt(string(args), 200))}
}

// substantial reports whether a reply has anything to see or to do.
func substantial(blocks transcript.Blocks) bool {
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			if strings.TrimSpace(b.Text) != "" {
				return true
			}
		case transcript.Reasoning:
			if b.Meta != nil || strings.TrimSpace(b.Text) != "" {
				return true
			}
		case transcript.ToolUse, transcript.Media:
			return true
		}
	}
	return false
}

// Excerpt returns s on one line and at most max characters long, with a mark where it was cut.
func Excerpt(s string, max int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if r := []rune(s); len(r) > max {
		return string(r[:max]) + fmt.Sprintf("… (%d more characters)", len(r)-max)
	}
	return s
}
