package input

import (
	"fmt"

	"github.com/meerkat-go/meerkat/fault"
)

// Kind is what an input is for a policy.
type Kind uint8

// The kinds. KindNone is nothing that could be admitted.
const (
	KindNone Kind = iota
	KindPrompt
	KindPeerMessage
	KindPeerRequest
	KindPeerProgress
	KindPeerTerminal
	KindFlowStep
	KindExternalEvent
	KindContinuation
	KindOperation
)

var kinds = []string{"none", "prompt", "peer_message", "peer_request", "peer_response_progress", "peer_response_terminal", "flow_step",
	"external_event", "continuation", "operation"}

// SourceKind says who an input comes from.
type SourceKind uint8

// The sources.
const (
	SourceOperator SourceKind = iota
	SourcePeer
	SourceFlow
	SourceSystem
	SourceExternal
)

var sources = []string{"operator", "peer", "flow", "system", "external"}

// Durability says what becomes of an input that waits when its process dies.
type Durability uint8

// The durabilities.
const (
	Durable   Durability = iota // it is there before it is acknowledged, and stays
	Ephemeral                   // it is forgotten
	Derived                     // whoever made it makes it again
)

var durabilities = []string{"durable", "ephemeral", "derived"}

// Handling is when an input wants to be taken in.
type Handling uint8

// The handling modes. The zero value says nothing, and the policy of the kind decides.
const (
	HandlingAbsent Handling = iota
	HandlingQueue           // in a run of its own, in turn
	HandlingSteer           // in the running run, at its next boundary
)

var handlings = []string{"absent", "queue", "steer"}

// Status is how a peer's answer ended.
type Status uint8

// The statuses.
const (
	StatusCompleted Status = iota
	StatusFailed
	StatusCancelled
)

var statuses = []string{"completed", "failed", "cancelled"}

// Switch is a choice that may be left out: the zero value.
type Switch uint8

// The positions of a switch.
const (
	Unset Switch = iota
	On
	Off
)

// Class is what an input's text is framed as. It decides nothing.
type Class uint8

// The classes. The zero value: none given.
const (
	ClassNone Class = iota
	ClassUserPrompt
	ClassPeerMessage
	ClassPeerRequest
	ClassPeerResponse
	ClassExternalEvent
	ClassFlowStep
	ClassContinuation
	ClassSystemNotice
	ClassToolScopeNotice
	ClassOpsProgress
)

var classes = []string{"none", "user_prompt", "peer_message", "peer_request", "peer_response", "external_event", "flow_step", "continuation",
	"system_notice", "tool_scope_notice", "ops_progress"}

// Salience is how much an input's text wants to be noticed. It decides nothing.
type Salience uint8

// The saliences.
const (
	Normal Salience = iota
	Background
	Important
	Urgent
)

var saliences = []string{"normal", "background", "important", "urgent"}

func (k Kind) String() string       { return kinds[k] }
func (k SourceKind) String() string { return sources[k] }
func (d Durability) String() string { return durabilities[d] }
func (h Handling) String() string   { return handlings[h] }
func (s Status) String() string     { return statuses[s] }
func (c Class) String() string      { return classes[c] }
func (s Salience) String() string   { return saliences[s] }

func (k Kind) MarshalText() ([]byte, error)       { return []byte(k.String()), nil }
func (k SourceKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (d Durability) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
func (h Handling) MarshalText() ([]byte, error)   { return []byte(h.String()), nil }
func (s Status) MarshalText() ([]byte, error)     { return []byte(s.String()), nil }
func (c Class) MarshalText() ([]byte, error)      { return []byte(c.String()), nil }
func (s Salience) MarshalText() ([]byte, error)   { return []byte(s.String()), nil }

func (k *Kind) UnmarshalText(b []byte) (err error)       { return read(k, "kind of input", kinds, b) }
func (k *SourceKind) UnmarshalText(b []byte) (err error) { return read(k, "source", sources, b) }
func (d *Durability) UnmarshalText(b []byte) (err error) {
	return read(d, "durability", durabilities, b)
}
func (h *Handling) UnmarshalText(b []byte) (err error) { return read(h, "handling mode", handlings, b) }
func (s *Status) UnmarshalText(b []byte) (err error)   { return read(s, "status", statuses, b) }
func (c *Class) UnmarshalText(b []byte) (err error)    { return read(c, "render class", classes, b) }
func (s *Salience) UnmarshalText(b []byte) (err error) { return read(s, "salience", saliences, b) }

// read finds a name among the names of an enumeration.
func read[E ~uint8](to *E, what string, names []string, name []byte) error {
	for n, have := range names {
		if have == string(name) {
			*to = E(n)
			return nil
		}
	}
	return &UnknownError{What: what, Name: string(name)}
}

// UnknownError is a word that this program does not know, where it must know all of them.
type UnknownError struct {
	What string // what the word would be: an input type, a status, a handling mode
	Name string
}

// Error names both.
func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.What, e.Name) }

// FaultCode is Invalid.
func (e *UnknownError) FaultCode() fault.Code { return fault.Invalid }
