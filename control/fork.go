package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// Replacement is what stands in a fork in place of one message, or of one block of it.
type Replacement struct {
	Entry  transcript.Entry // nil: only a block is replaced
	Kind   ReplacedKind     // of the message whose block it is; any other message is refused
	Result int              // of a message of tool results: which
	Block  int
	With   transcript.Block
}

// ReplacedKind says of what kind of message a block is replaced.
type ReplacedKind uint8

// The kinds.
const (
	UserBlock ReplacedKind = iota
	AssistantBlock
	ResultBlock
)

// ForkAt makes a session that has the first n messages of another, which stays as it is: with the same profile, and nothing that is under way. With a
// replacement one more message follows, the one at index n as it is replaced. Codes: busy while a run is bound or nothing was said yet; invalid for an
// index out of range, and for a replacement that does not fit what is there.
func (p *Plane) ForkAt(ctx context.Context, s id.Session, n int, replace *Replacement) (Session, error) {
	if err := p.may(Writer); err != nil {
		return Session{}, err
	}
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil {
		return Session{}, err
	}
	most := st.Messages
	if replace != nil {
		most--
	}
	switch {
	case st.Run != "":
		return Session{}, fmt.Errorf("fork session %s: %w", s, runtime.ErrBusy)
	case st.Messages == 0:
		return Session{}, fmt.Errorf("fork session %s, in which nothing was said yet: %w", s, runtime.ErrBusy)
	case n < 0 || n > most:
		return Session{}, &Error{Code: fault.Invalid, Message: fmt.Sprintf("message_index %d is out of range: the session has %d messages", n, st.Messages)}
	}
	seed, err := p.seed(ctx, s, n, replace)
	if err != nil {
		return Session{}, err
	}
	limit := MaxSessions
	if p.Defaults != nil {
		d, err := p.Defaults(ctx)
		if err != nil {
			return Session{}, fmt.Errorf("read the realm's settings: %w", err)
		}
		limit = cmp.Or(d.MaxSessions, MaxSessions)
	}
	if err := p.room(ctx, limit); err != nil {
		return Session{}, err
	}
	profile := st.Profile
	if st.Model != "" {
		profile.Model = st.Model
	}
	fork := id.Session(id.New())
	if err := p.Host.RegisterSession(ctx, fork, runtime.Registration{Profile: &profile, Seed: seed}); err != nil {
		return Session{}, err
	}
	return p.get(ctx, fork)
}

// seed reads what a fork begins with.
func (p *Plane) seed(ctx context.Context, s id.Session, n int, replace *Replacement) ([]transcript.Row, error) {
	last := n
	if replace != nil {
		last++
	}
	if last == 0 {
		return nil, nil
	}
	rows, err := p.Host.Transcript(ctx, s, 1, last+1)
	if err != nil || replace == nil {
		return rows, err
	}
	kept := slices.IndexFunc(rows, func(r transcript.Row) bool { return r.At.Message == last })
	if kept < 0 {
		return nil, &Error{Code: fault.Corrupt, Message: fmt.Sprintf("session %s has no message %d", s, n)}
	}
	old := rows[kept:]
	if replace.Entry != nil {
		fresh := old[0]
		fresh.Entry = replace.Entry
		return append(slices.Clone(rows[:kept]), fresh), nil
	}
	changed, err := replace.in(old)
	return append(slices.Clone(rows[:kept]), changed...), err
}

// in returns the rows of one message with the block replaced.
func (r *Replacement) in(rows []transcript.Row) ([]transcript.Row, error) {
	rows = slices.Clone(rows)
	at := 0
	if r.Kind == ResultBlock {
		at = r.Result
	}
	if at < 0 || at >= len(rows) {
		return nil, &Error{Code: fault.Invalid, Message: fmt.Sprintf("result_index %d is out of range: the message has %d results", at, len(rows))}
	}
	var err error
	switch e := rows[at].Entry.(type) {
	case transcript.User:
		if r.Kind != UserBlock {
			return nil, errOtherMessage
		}
		e.Content, err = r.block(e.Content)
		rows[at].Entry = e
	case transcript.Assistant:
		if r.Kind != AssistantBlock {
			return nil, errOtherMessage
		}
		e.Blocks, err = r.block(e.Blocks)
		rows[at].Entry = e
	case transcript.ToolResult:
		if r.Kind != ResultBlock {
			return nil, errOtherMessage
		}
		e.Content, err = r.block(e.Content)
		rows[at].Entry = e
	default:
		return nil, errOtherMessage
	}
	return rows, err
}

var errOtherMessage = &Error{Code: fault.Invalid, Message: "the message is of another kind than its replacement"}

func (r *Replacement) block(blocks transcript.Blocks) (transcript.Blocks, error) {
	if r.Block < 0 || r.Block >= len(blocks) {
		return nil, &Error{Code: fault.Invalid, Message: fmt.Sprintf("block_index %d is out of range: there are %d blocks", r.Block, len(blocks))}
	}
	blocks = slices.Clone(blocks)
	blocks[r.Block] = r.With
	return blocks, nil
}

// Context statuses.
const (
	ContextApplied   = "applied"
	ContextStaged    = "staged"
	ContextDuplicate = "duplicate"
)

// Context is something the model is to know, which nobody said.
type Context struct {
	Session id.Session
	Text    string
	Source  string
	Key     string // the same key, text and source again is a duplicate; the same key with others is refused. Empty: none
}

// InjectContext adds to what the model knows, from its next call on, and starts nothing. When it returns it is durable.
func (p *Plane) InjectContext(ctx context.Context, c Context) (status string, err error) {
	if err := p.may(Writer); err != nil {
		return "", err
	}
	switch {
	case strings.TrimSpace(c.Text) == "":
		return "", &Error{Code: fault.Invalid, Message: "text is blank"}
	case len(c.Text)+len(c.Source) > MaxContent:
		return "", &Error{Code: fault.Invalid, Message: fmt.Sprintf("the text has %d bytes, and %d are the most", len(c.Text), MaxContent)}
	case len(c.Key) > maxName:
		return "", &Error{Code: fault.Invalid, Message: fmt.Sprintf("idempotency_key has at most %d bytes", maxName)}
	}
	text := c.Text
	if c.Source != "" {
		text = "[" + c.Source + "] " + text
	}
	v, err := p.Host.AddContext(ctx, c.Session, c.Key, transcript.Notice{Kind: "context", Text: text})
	var other *runtime.DuplicateError
	switch {
	case errors.As(err, &other):
		return "", &Error{Code: fault.Invalid, Message: "the idempotency_key was used for another text"}
	case err != nil:
		return "", err
	case v.Duplicate:
		return ContextDuplicate, nil
	}
	return ContextStaged, nil
}
