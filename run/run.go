// Package run holds the words that pass between a session and whoever carries its runs out: directives go down, reports come
// back.
//
// A directive is an open entry of the session's ledger: something asked for and not answered yet. A report answers exactly one
// directive, by its id. Neither says who carries it out, or where.
package run

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Kind says what a directive asks for.
type Kind uint8

// The kinds of directive.
const (
	CallModel Kind = iota + 1 // one model call on the transcript before Upto
	RunTool                   // one tool call
	ApplyRun                  // the whole run, by an executor that has a loop of its own
	Deliver                   // a signal to whoever placed the session; answered by the host and not by an executor
	Extract                   // one try at the output that the profile's schema wants, made from the transcript before Upto
)

var kindNames = [...]string{"", "call_model", "run_tool", "apply_run", "deliver", "extract"}

func (k Kind) String() string { return kindNames[k] }

// Class says what may be done again when it is not known whether it was done: declared by the tool, frozen with the intent.
type Class uint8

// The classes. The zero value is the careful one.
const (
	Once       Class = iota // never run again unless it surely did not run
	ReadOnly                // changes nothing: may be repeated
	Idempotent              // repeating it under the same call id has the effect of doing it once
)

var classNames = [...]string{"once", "read_only", "idempotent"}

func (c Class) String() string { return classNames[c] }

// Repeatable reports whether a call of this class may be issued again under the same id.
func (c Class) Repeatable() bool { return c != Once }

// Directive asks for one thing. The answer is a Report under the same id.
type Directive struct {
	ID        id.Effect           `json:"id"`
	Kind      Kind                `json:"kind"`
	Class     Class               `json:"class,omitempty"` // as declared when the intent was committed
	Attempt   int                 `json:"attempt"`         // counts from 1; 0: it is held
	Run       id.Run              `json:"run"`
	Round     int                 `json:"round"`                // counts from 0: the model call this belongs to
	Call      transcript.ToolUse  `json:"call,omitzero"`        // RunTool
	At        transcript.Position `json:"at,omitzero"`          // RunTool: where its result goes, reserved with the intent
	Upto      int                 `json:"upto,omitempty"`       // not RunTool: the transcript is the messages before this one; a reply goes here
	NotBefore time.Time           `json:"not_before,omitzero"`  // CallModel, Extract: a retry waits until then
	MaxOutput int                 `json:"max_output,omitempty"` // CallModel, Extract: tokens the reply may have, as a budget leaves them; 0: no budget
	Misfit    *Misfit             `json:"misfit,omitempty"`     // Extract: the try before this one; nil: this is the first. Never changed in place
	Inputs    []id.Input          `json:"inputs,omitempty"`     // ApplyRun: what the run is made of, in order
	Caller    bool                `json:"caller,omitempty"`     // ApplyRun: whoever asked for the run carries it out, not an executor
	Model     *identity.Identity  `json:"model,omitempty"`      // not RunTool: what answers. Nil: the profile's model. Only named: by whoever has it. Never changed in place
	Signal    Signal              `json:"signal,omitzero"`      // Deliver
	Held      Hold                `json:"held,omitempty"`       // RunTool: what it waits for; while it does it has not run, and no executor is given it
	Decision  *Decision           `json:"decision,omitempty"`   // RunTool: nil: nobody was asked, or nobody has answered. Never changed in place
}

// Signal tells whoever placed a session what became of it there. It is told until it is taken, so it may be told twice.
type Signal struct {
	Kind       SignalKind `json:"kind"`
	Runtime    string     `json:"runtime"`
	Fence      uint64     `json:"fence"`
	Generation uint64     `json:"generation"`
}

// SignalKind says what a signal tells.
type SignalKind string

// The kinds of signal.
const (
	RuntimeBound     SignalKind = "runtime_bound" // told while binding, never later
	RuntimeRetired   SignalKind = "runtime_retired"
	RuntimeDestroyed SignalKind = "runtime_destroyed"
)

// Intent is one call a model asked for, judged by the executor that knows the tools: its class, a refusal if it must not run, and what it is
// to wait for.
type Intent struct {
	Call    transcript.ToolUse
	Class   Class
	Refusal *Refusal // nil: to be run
	Hold    Hold     // of no account beside a refusal
}

// Refusal is the error result of a call that is never run: unknown tool, arguments that break the schema.
type Refusal struct {
	Code    string // one of the transcript.Result constants
	Message string
}

// Report answers one directive: ModelReplied, ModelFailed, ToolSettled, Extracted, RunApplied, RunRefused or Delivered. BoundaryReached is
// about one and leaves it open.
type Report interface {
	Answers() id.Effect
	report()
}

// ModelReplied tells a complete reply. Calls has one intent for each tool use in Reply, in order; none: the reply is final.
type ModelReplied struct {
	ID    id.Effect
	Reply transcript.Assistant
	Calls []Intent
}

// ModelFailed tells that an attempt at CallModel or Extract gave no reply. It names its attempt, so that a late failure does not count against
// the next.
type ModelFailed struct {
	ID      id.Effect
	Attempt int
	Failure Failure
}

// Failure says what went wrong with a model call.
type Failure struct {
	Kind       string        `json:"kind"` // llm.Kind's name, such as rate_limited
	Message    string        `json:"message"`
	Retryable  bool          `json:"retryable,omitempty"`
	RetryAfter time.Duration `json:"retry_after,omitempty"` // the provider's hint; 0: none
}

// ToolSettled tells what came of a tool call.
type ToolSettled struct {
	ID       id.Effect
	Result   transcript.ToolResult
	Duration time.Duration
}

// RunApplied is the receipt of a whole run by an executor with a loop of its own.
type RunApplied struct {
	ID      id.Effect
	Inputs  []id.Input         // what was applied; if it is given it must be the run's inputs, in order
	Appends []transcript.Entry // what is to be appended to the transcript, in order: Notice, User, Assistant
	Usage   transcript.Usage
	Failed  *Failure // nil: completed
	// Cause is one of this package's: why the run failed, or CauseBudget of one that completed with what there was. Empty: of a failed run
	// CauseRuntimeApply. Anything else is refused, and changes nothing.
	Cause string
}

// RunRefused tells that nothing of a whole run was done, and that it may be tried again: its inputs wait once more, behind what waits
// already, and end when they were tried too often.
type RunRefused struct {
	ID      id.Effect
	Attempt int
	Failure Failure
}

// BoundaryReached tells that an executor with a loop of its own is between two calls of its model. It takes the steers that wait into the
// run; the run's directive stays open.
type BoundaryReached struct{ ID id.Effect }

// Boundary is what there is for an executor at a boundary of its own.
type Boundary struct {
	Cancel bool    // the run is to end here: report what there is and leave
	Steers []Steer // in order; part of the transcript and of the run now
}

// Steer is an input that was taken into a running run.
type Steer struct {
	Input   id.Input // empty: the store hid for a while that it was taken, and only what it says is known
	Content transcript.Blocks
}

// Delivered tells that a signal was taken.
type Delivered struct{ ID id.Effect }

// Answers returns the id of the directive the report answers.
func (r RunRefused) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report is about.
func (r BoundaryReached) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report answers.
func (r Delivered) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report answers.
func (r ModelReplied) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report answers.
func (r ModelFailed) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report answers.
func (r ToolSettled) Answers() id.Effect { return r.ID }

// Answers returns the id of the directive the report answers.
func (r RunApplied) Answers() id.Effect { return r.ID }

func (ModelReplied) report()    {}
func (ModelFailed) report()     {}
func (ToolSettled) report()     {}
func (RunApplied) report()      {}
func (RunRefused) report()      {}
func (BoundaryReached) report() {}
func (Delivered) report()       {}

// Grain says how finely an executor reports.
type Grain uint8

// The grains.
const (
	Fine  Grain = iota // one report per model call and per tool call
	Whole              // one report per run
)

// Profile is how the runs of a session are carried out. It is set when the session is registered and durable with it.
type Profile struct {
	Model     string      `json:"model,omitempty"`      // provider/name, or a name of the catalogue
	Workspace string      `json:"workspace,omitempty"`  // absolute folder the tools work in; empty: none
	Tools     string      `json:"tools,omitempty"`      // preset: none, safe, workspace, full
	MaxOutput int         `json:"max_output,omitempty"` // tokens per reply; 0: the model's default
	MaxRounds int         `json:"max_rounds,omitempty"` // model calls per run; 0: 100
	Retry     RetryPolicy `json:"retry,omitzero"`
	Budget    Budget      `json:"budget,omitzero"`
	// Schema is a JSON Schema of an object, or a wrapper of one (tool.NewForm): each run ends with an output that fits it, or says why there
	// is none. Nil: none is wanted. An executor with a loop of its own is not asked for an output.
	Schema json.RawMessage `json:"output_schema,omitempty"`
	// SchemaRetries is how often a model is told that its output does not fit and asked again; 0: 2; negative: never.
	SchemaRetries int `json:"schema_retries,omitempty"`

	Params json.RawMessage   `json:"provider_params,omitempty"` // an object that is merged into each request to the provider; nil: nothing
	Env    map[string]string `json:"shell_env,omitempty"`       // added to the environment of the shell; never shown to a model
	// Client are tools of this session alone whose calls a client carries out. They come before tools of the same name that all sessions have.
	Client []ToolDef `json:"client_tools,omitempty"`

	Filter scope.Filter      `json:"tool_filter,omitzero"`  // which tools of all these, and of those that come later, the session has; zero: all
	Labels map[string]string `json:"labels,omitempty"`      // by which sessions are found; nobody here reads meaning into them
	App    json.RawMessage   `json:"app_context,omitempty"` // kept for whoever made the session
	// System is the system prompt of a session that was made to run later: it is written with the first run, and can be changed before.
	System string `json:"system,omitempty"`
}

// RetryPolicy bounds the attempts at one model call. The zero value means 3 retries, from 500 ms doubling to 30 s.
type RetryPolicy struct {
	Max     int           `json:"max,omitempty"` // retries after the first attempt; negative: none
	Initial time.Duration `json:"initial,omitempty"`
	Cap     time.Duration `json:"cap,omitempty"`
}

// Equal reports whether p and q say the same. JSON is compared as it is written.
func (p Profile) Equal(q Profile) bool {
	return p.Model == q.Model && p.Workspace == q.Workspace && p.Tools == q.Tools && p.MaxOutput == q.MaxOutput && p.MaxRounds == q.MaxRounds &&
		p.Retry == q.Retry && p.Budget == q.Budget && bytes.Equal(p.Schema, q.Schema) && p.SchemaRetries == q.SchemaRetries &&
		bytes.Equal(p.Params, q.Params) && maps.Equal(p.Env, q.Env) && slices.EqualFunc(p.Client, q.Client, ToolDef.Equal) &&
		maps.Equal(p.Labels, q.Labels) && bytes.Equal(p.App, q.App) && p.System == q.System && p.Filter.Equal(q.Filter)
}
