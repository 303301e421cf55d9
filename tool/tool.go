// Package tool is the contract for what an agent can do: a tool declares its arguments and the class of its effect, a registry
// checks calls and runs them.
//
// A tool's class says what may be done when a crash leaves it open whether a call ran (package run). It is frozen with the intent
// of each call, so declare it truly: ReadOnly if the call changes nothing, Idempotent if a second call under the same id has no
// further effect, Once otherwise. Every tool passes tooltest.Run.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Spec is a tool's declaration. It does not change while the tool lives.
type Spec struct {
	Name        string
	Description string
	Schema      json.RawMessage // JSON Schema of an object
	Class       run.Class
	Timeout     time.Duration // 0: the registry's default
	Source      string        // who offers it: builtin, or the name of a tool server
	Kind        scope.Kind    // what sort of source that is; empty: scope.Builtin for builtin, else scope.Bundle: linked in
}

// Witness says whose tool it is. A tool of the same name that comes from elsewhere is another one.
func (s Spec) Witness() scope.Witness {
	p := scope.Provenance{Kind: s.Kind, Source: s.Source}
	if p.Source == "" {
		p.Source = "unnamed"
	}
	switch {
	case p.Kind != "":
	case p.Source == string(scope.Builtin):
		p.Kind = scope.Builtin
	default:
		p.Kind = scope.Bundle
	}
	return scope.WitnessOf(p)
}

// Call is one use of a tool. Args has passed the tool's schema.
type Call struct {
	ID      id.Call // the idempotency key
	Name    string
	Args    json.RawMessage
	Attempt int // counts from 1; above 1 only for repeatable classes
}

// Result is what a tool has to say. An error result is a result: the model reads it and goes on.
type Result struct {
	Content transcript.Blocks
	IsError bool
	Code    string // a transcript.Result constant where IsError has a known reason; may be empty
}

// Text makes a result of text.
func Text(s string) Result { return Result{Content: transcript.TextBlocks(s)} }

// Errorf makes an error result.
func Errorf(code, format string, args ...any) Result {
	return Result{Content: transcript.TextBlocks(fmt.Sprintf(format, args...)), IsError: true, Code: code}
}

// Tool does one thing. Run blocks until it is done or ctx ends, and returns soon after ctx ends with everything it started
// stopped: a process with its whole group. It returns an error only when ctx ended or when it cannot know whether the call took
// effect (wrap ErrOutcomeUnknown); all else is a Result. Safe for concurrent use.
type Tool interface {
	Spec() Spec
	Run(ctx context.Context, c Call) (Result, error)
}

// ErrOutcomeUnknown says that a call may or may not have taken effect, as after a lost connection.
var ErrOutcomeUnknown = fault.New(fault.OutcomeUnknown, "the tool call may or may not have taken effect")
