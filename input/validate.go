package input

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Reason is the rule of admission that an input breaks.
type Reason uint8

// The reasons. Waiting changes none of them.
const (
	Malformed                   Reason = iota // it has no id or no body, contradicts itself, or would leave the transcript malformed
	DurabilityViolation                       // what is its submitter's own cannot be made again by the system
	PeerHandlingModeInvalid                   // progress of a response is not handled at all: it rides along
	PeerResponseTerminalInvalid               // the answer of a peer says not who it is from or what it answers
)

var reasons = []string{"malformed", "durability_violation", "peer_handling_mode_invalid", "peer_response_terminal_invalid"}

// String returns the public name.
func (r Reason) String() string { return reasons[r] }

// Rejection is a "no" to an input, before anything of it was recorded.
type Rejection struct {
	Reason Reason
	Detail string
}

// Error names both.
func (r *Rejection) Error() string { return r.Reason.String() + ": " + r.Detail }

// FaultCode is Invalid.
func (r *Rejection) FaultCode() fault.Code { return fault.Invalid }

func reject(r Reason, format string, args ...any) error {
	return &Rejection{r, fmt.Sprintf(format, args...)}
}

// Validate says whether the input may be admitted at all, whatever the session is like: nil, or a *Rejection (R100).
func (in Input) Validate() error {
	for _, check := range []func(Input) error{wellFormed, durable, handled, answered} {
		if err := check(in); err != nil {
			return err
		}
	}
	return nil
}

func wellFormed(in Input) error {
	if in.ID == "" {
		return reject(Malformed, "it has no id")
	}
	if in.Kind() == KindNone {
		return reject(Malformed, "it has no body")
	}
	r := in.Options().Identity
	if r.ClearParams && r.Params != "" || r.ClearAuthBinding && !r.AuthBinding.IsZero() {
		return reject(Malformed, "a value is both cleared and given")
	}
	for _, e := range in.brought() {
		switch e.(type) {
		case transcript.User, transcript.Notice:
		default:
			return reject(Malformed, "what it appends are notices and user messages, not %T", e)
		}
	}
	return nil
}

// brought lists the entries that the input brings along for the transcript.
func (in Input) brought() Entries {
	switch b := in.Body.(type) {
	case Prompt:
		return b.Appends
	case Continuation:
		if b.Context != nil {
			return append(Entries{b.Context.Entry}, b.Turn...)
		}
		return b.Turn
	default:
		return nil
	}
}

// durable: what only its submitter has, nobody can make again.
func durable(in Input) error {
	if in.Durability != Derived {
		return nil
	}
	switch in.Source.Kind {
	case SourceOperator, SourcePeer, SourceExternal:
		return reject(DurabilityViolation, "an input from %s cannot be derived", in.Source)
	case SourceFlow, SourceSystem:
	}
	p, _ := in.Body.(Peer)
	switch in.Kind() {
	case KindPeerMessage:
		if p.Convention == nil {
			return nil
		}
	case KindPeerProgress, KindExternalEvent, KindContinuation, KindOperation, KindNone:
		return nil
	case KindPrompt, KindFlowStep, KindPeerRequest, KindPeerTerminal:
	}
	return reject(DurabilityViolation, "a %s cannot be derived", in.Kind())
}

func handled(in Input) error {
	if h := in.Options().Handling; in.Kind() == KindPeerProgress && h != HandlingAbsent {
		return reject(PeerHandlingModeInvalid, "the progress of a response has no handling mode, and this one asks for %s", h)
	}
	return nil
}

// answered: the answer of a peer is found again by who gave it and what it answers.
func answered(in Input) error {
	p, _ := in.Body.(Peer)
	t, terminal := p.Convention.(Terminal)
	if !terminal || in.Source.Kind != SourcePeer {
		return nil
	}
	s := in.Source
	switch {
	case !canonical(s.Peer):
		return reject(PeerResponseTerminalInvalid, "the peer id %q is no UUID in its canonical form", s.Peer)
	case strings.TrimSpace(s.Display) == "":
		return reject(PeerResponseTerminalInvalid, "the peer has no display identity")
	case strings.ContainsFunc(s.Display, unicode.IsControl):
		return reject(PeerResponseTerminalInvalid, "the display identity %q has control characters", s.Display)
	case s.Runtime != "" && strings.TrimSpace(s.Runtime) == "":
		return reject(PeerResponseTerminalInvalid, "the runtime id is blank")
	}
	if _, err := id.ParseSession(t.Request); err != nil {
		return reject(PeerResponseTerminalInvalid, "the request id %q is no UUID", t.Request)
	}
	return nil
}

// canonical reports whether s is a UUID, written as UUIDs are compared.
func canonical(s string) bool {
	u, err := id.ParseSession(s)
	return err == nil && string(u) == s
}
