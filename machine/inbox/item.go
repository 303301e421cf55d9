package inbox

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/transcript"
)

// Reason is why an input was abandoned.
type Reason uint8

// The reasons. NoReason is that of an input that was not abandoned, or at a time when none was kept.
const (
	NoReason Reason = iota
	Retired
	Reset
	Stopped
	Destroyed
	Cancelled
	MaxAttemptsExhausted
	OutcomeUnknown // its run may have happened
	NeverExecuted
)

// Item is one live input. It is a value; what it points to is never changed. One without a Stamp is older than stamps, or a plain prompt
// of the operator, which needs none.
type Item struct {
	ID       id.Input          `json:"id"`
	Key      string            `json:"key"` // idempotency key
	Seq      id.Seq            `json:"seq"` // may be below 1: before all others
	Lane     Lane              `json:"lane,omitempty"`
	Phase    Phase             `json:"phase"`
	Run      id.Run            `json:"run,omitempty"`
	Continue bool              `json:"continue,omitempty"` // adds nothing to the transcript
	Content  transcript.Blocks `json:"content,omitempty"`  // of a prompt
	Attempts int               `json:"attempts,omitempty"` // how often it was staged, or refused for it
	Said     bool              `json:"said,omitempty"`     // what it says stands in the transcript: staged again, it adds nothing
	By       id.Input          `json:"by,omitempty"`       // Superseded, Coalesced: who took its place
	Reason   Reason            `json:"reason,omitempty"`   // Abandoned
	Stamp    *Stamp            `json:"stamp,omitempty"`
	Says     *Says             `json:"says,omitempty"` // beside Content; nil: nothing
}

// Stamp is what was decided about an input when it was admitted. It holds whatever the rules say later (R102).
type Stamp struct {
	Kind        input.Kind       `json:"kind"`
	Policy      Policy           `json:"policy,omitzero"`
	Means       Semantics        `json:"means,omitzero"`
	Scope       string           `json:"supersession_key,omitempty"`
	Source      input.Source     `json:"source,omitzero"`
	Correlation string           `json:"correlation_id,omitempty"`
	Durability  input.Durability `json:"durability,omitempty"`
	Visibility  input.Visibility `json:"visibility,omitzero"`
	Options     *input.Options   `json:"options,omitempty"` // nil: it asks for nothing
}

// Says is what an input adds to the transcript, kept until it does.
type Says struct {
	Context *input.Context `json:"context,omitempty"` // comes before all else
	Reply   *input.Reply   `json:"reply,omitempty"`   // becomes context when its run is made
	Entries input.Entries  `json:"entries,omitempty"`
}

// Scope is what an input replaces while that waits: whatever has the same. The zero value: nothing.
type Scope struct {
	Kind input.Kind
	Key  string
}

// Compare orders scopes by kind, then key.
func (s Scope) Compare(o Scope) int {
	switch {
	case s.Kind != o.Kind:
		return int(s.Kind) - int(o.Kind)
	case s.Key < o.Key:
		return -1
	case s.Key > o.Key:
		return 1
	}
	return 0
}

// Kind returns what the input is. A plain one is a prompt.
func (i Item) Kind() input.Kind {
	if i.Stamp == nil {
		return input.KindPrompt
	}
	return i.Stamp.Kind
}

// Means returns the semantics the input was stamped with, or those that a plain one has.
func (i Item) Means() Semantics {
	if i.Stamp != nil {
		return i.Stamp.Means
	}
	var s Semantics
	if i.Lane == Steer {
		s.Boundary = RunCheckpoint
	}
	if i.Continue {
		s.Execution = ResumePending
	}
	return s
}

func (i Item) policy() Policy {
	if i.Stamp == nil {
		return Policy{}
	}
	return i.Stamp.Policy
}

func (i Item) options() input.Options {
	if i.Stamp == nil || i.Stamp.Options == nil {
		return input.Options{}
	}
	return *i.Stamp.Options
}

// Unstamped reports whether the input's stamp says not what it means: it is damaged. Such a one is taken alone, so that it fails aloud.
func (i Item) Unstamped() bool { return i.Stamp != nil && i.Stamp.Policy.Version == 0 }

// Scope returns what the input replaces, and by what it is replaced: nothing, unless its policy says so and it has a key for it.
func (i Item) Scope() Scope {
	q := i.policy().Queue
	if i.Stamp == nil || i.Stamp.Scope == "" || q != Coalescing && q != Superseding {
		return Scope{}
	}
	return Scope{i.Stamp.Kind, i.Stamp.Scope}
}

// rides reports whether the input never starts a run (R107).
func (i Item) rides() bool { return i.Means().Passenger && !i.Unstamped() }

// atBoundary reports whether a running run may take the input in (R108). What asks for a run of its own kind waits for that.
func (i Item) atBoundary() bool {
	return i.Lane == Steer && i.Means().Boundary == RunCheckpoint && i.speaks() && !i.options().Particular() && !i.Unstamped()
}

// fact reports whether the input is nothing but something to be known: it starts no run, and the one that is bound takes it in at its next boundary,
// whatever else waits. It is a continuation that was submitted without wake.
func (i Item) fact() bool { return i.Kind() == input.KindContinuation && i.rides() && i.atBoundary() }

// speaks reports whether the input adds anything to the transcript.
func (i Item) speaks() bool { return !i.Said && (len(i.Content) > 0 || i.Says != nil) }

// Append is one line that an input adds to the transcript.
type Append struct {
	Input id.Input
	Key   string // not empty: where a line of this key stands already, it is not added again
	Entry transcript.Entry
}

// Appends returns what inputs add to the transcript, in order: passengers come first, so that what drives has the last word, and the
// context of an input comes before its own words. An input that has said it already adds nothing.
func Appends(items []Item) []Append {
	var out []Append
	for _, riding := range [...]bool{true, false} {
		for _, i := range items {
			if i.rides() == riding {
				out = i.appends(out)
			}
		}
	}
	return out
}

func (i Item) appends(out []Append) []Append {
	if !i.speaks() {
		return out
	}
	if i.Says != nil {
		if c := i.Says.Context; c != nil {
			out = append(out, Append{i.ID, c.Key, c.Entry})
		}
		if i.Says.Reply != nil {
			c := i.Says.Reply.Context()
			out = append(out, Append{i.ID, c.Key, c.Entry})
		}
	}
	if len(i.Content) > 0 {
		out = append(out, Append{Input: i.ID, Entry: transcript.User{Content: i.Content}})
	}
	if i.Says != nil {
		for _, e := range i.Says.Entries {
			out = append(out, Append{Input: i.ID, Entry: e})
		}
	}
	return out
}
