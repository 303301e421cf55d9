// Package callback is tools whose calls a client carries out.
//
// A tool is offered to every session by whoever registered it, or to one session that was made with it. A call goes to the client that asked for
// what the session does now, if that one has the tool; else to the latest that registered it. A client that does not answer in time, or that has left,
// is an error result: the model reads it and the run goes on. Nothing of this is durable but the call itself, which is an entry of the session's
// ledger like any other, of class once.
package callback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// Source is what the tools say of where they come from.
const Source = "client"

// Timeout is how long a client may take to answer.
const Timeout = 30 * time.Second

// MaxTools bounds what one client may register, and what one session may be made with.
const MaxTools = 512

// Desk knows which clients are there and which tools they carry out. The zero value is ready; all methods may be called concurrently.
type Desk struct {
	Timeout time.Duration // 0: Timeout

	mu       sync.RWMutex
	offers   map[string]*offer // tools of every session, by name
	issuers  map[id.Session]run.ToolHandler
	left     uint64 // how many have left
	revision uint64
}

// offer is one tool, and who carries it out: who registered it last comes last.
type offer struct {
	def run.ToolDef
	by  []run.ToolHandler
}

// Error is a declaration that cannot be taken.
type Error struct{ Message string }

// Error says why.
func (e *Error) Error() string { return e.Message }

// FaultCode is Invalid.
func (e *Error) FaultCode() fault.Code { return fault.Invalid }

// Check refuses declarations that no registry would take, with an *Error.
func Check(defs []run.ToolDef) error {
	if len(defs) > MaxTools {
		return &Error{fmt.Sprintf("%d tools were given, and %d are the most", len(defs), MaxTools)}
	}
	seen := map[string]bool{}
	for _, d := range defs {
		if err := tool.CheckName(d.Name); err != nil {
			return &Error{err.Error()}
		}
		if seen[d.Name] {
			return &Error{fmt.Sprintf("tool %q is given twice", d.Name)}
		}
		seen[d.Name] = true
		if len(d.Schema) == 0 {
			continue
		}
		if err := tool.CheckSchema(d.Schema); err != nil {
			return &Error{fmt.Sprintf("tool %q: input_schema: %v", d.Name, err)}
		}
	}
	return nil
}

// Register offers tools to every session, each in place of one of the same name, until h leaves. It returns how many were given. One that cannot be
// taken refuses them all, with an *Error.
func (d *Desk) Register(h run.ToolHandler, defs []run.ToolDef) (int, error) {
	if err := Check(defs); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.others(h, defs) + len(defs); n > MaxTools {
		return 0, &Error{fmt.Sprintf("the client would have %d tools, and %d are the most", n, MaxTools)}
	}
	if d.offers == nil {
		d.offers = map[string]*offer{}
	}
	for _, def := range defs {
		o := d.offers[def.Name]
		if o == nil {
			o = &offer{}
			d.offers[def.Name] = o
		}
		o.def = def
		o.by = append(slices.DeleteFunc(o.by, func(x run.ToolHandler) bool { return x == h }), h)
	}
	if len(defs) > 0 {
		d.revision++
	}
	return len(defs), nil
}

// others counts the tools that h offers beside those.
func (d *Desk) others(h run.ToolHandler, defs []run.ToolDef) (n int) {
	for name, o := range d.offers {
		if slices.Contains(o.by, h) && !slices.ContainsFunc(defs, func(x run.ToolDef) bool { return x.Name == name }) {
			n++
		}
	}
	return n
}

// Issue says that h asked for what the session does now. nil: somebody who carries nothing out. undo says that it was refused: it is again who it was
// before, unless somebody else has asked for something since. If anybody has left since, it is nobody.
func (d *Desk) Issue(s id.Session, h run.ToolHandler) (undo func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, left := d.issuers[s], d.left
	d.issue(s, h)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.issuers[s] != h {
			return
		}
		if d.left != left { // maybe it was him
			before = nil
		}
		d.issue(s, before)
	}
}

func (d *Desk) issue(s id.Session, h run.ToolHandler) {
	if h == nil {
		delete(d.issuers, s)
		return
	}
	if d.issuers == nil {
		d.issuers = map[id.Session]run.ToolHandler{}
	}
	d.issuers[s] = h
}

// Leave forgets a client. Tools that nobody else registered are gone. Its open calls are its own affair: it ends them with an error.
func (d *Desk) Leave(h run.ToolHandler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left++
	for name, o := range d.offers {
		n := len(o.by)
		o.by = slices.DeleteFunc(o.by, func(x run.ToolHandler) bool { return x == h })
		if len(o.by) == 0 {
			delete(d.offers, name)
			d.revision++
		} else if len(o.by) < n {
			d.revision++
		}
	}
	for s, x := range d.issuers {
		if x == h {
			delete(d.issuers, s)
		}
	}
}

// Revision rises with every change of which tools there are.
func (d *Desk) Revision() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.revision
}

// Tools returns the tools of clients that a session may use: its own, and those of every session that it has no own one of the same name for.
func (d *Desk) Tools(s id.Session, own []run.ToolDef) []tool.Tool {
	var out []tool.Tool
	mine := map[string]bool{}
	for _, def := range own {
		mine[def.Name] = true
		out = append(out, &remote{d, s, def, true})
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for name, o := range d.offers {
		if !mine[name] {
			out = append(out, &remote{d, s, o.def, false})
		}
	}
	return out
}

// handler finds who carries a call out; nil: nobody who is there.
func (d *Desk) handler(s id.Session, name string, own bool) run.ToolHandler {
	d.mu.RLock()
	defer d.mu.RUnlock()
	issuer := d.issuers[s]
	if own && issuer != nil {
		return issuer
	}
	o := d.offers[name]
	if o == nil || len(o.by) == 0 {
		return nil
	}
	if issuer != nil && slices.Contains(o.by, issuer) {
		return issuer
	}
	return o.by[len(o.by)-1]
}

// remote is one tool of one session.
type remote struct {
	desk    *Desk
	session id.Session
	def     run.ToolDef
	own     bool
}

// anything is the schema of a tool that came without one.
const anything = `{"type":"object"}`

// Spec implements tool.Tool.
func (r *remote) Spec() tool.Spec {
	schema := r.def.Schema
	if len(schema) == 0 {
		schema = []byte(anything)
	}
	// The registry's own limit is behind ours, which says in words what did not answer.
	return tool.Spec{Name: r.def.Name, Description: r.def.Description, Schema: schema, Class: run.Once, Timeout: r.timeout() + 5*time.Second,
		Source: Source, Kind: scope.Callback}
}

func (r *remote) timeout() time.Duration {
	if r.desk.Timeout > 0 {
		return r.desk.Timeout
	}
	return Timeout
}

// Run implements tool.Tool.
func (r *remote) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	h := r.desk.handler(r.session, r.def.Name, r.own)
	if h == nil {
		return tool.Errorf(transcript.ResultFailed, "No client is connected that carries out %q.", r.def.Name), nil
	}
	within, cancel := context.WithTimeout(ctx, r.timeout())
	defer cancel()
	content, isError, err := h.ExecuteTool(within, r.session, transcript.ToolUse{ID: c.ID, Name: c.Name, Args: c.Args})
	switch {
	case err == nil:
		return tool.Result{Content: content, IsError: isError}, nil
	case ctx.Err() != nil:
		return tool.Result{}, ctx.Err()
	case errors.Is(within.Err(), context.DeadlineExceeded):
		return tool.Errorf(transcript.ResultTimeout, "Callback tool '%s' timed out after %s", r.def.Name, r.timeout()), nil
	}
	var said *run.ToolRefused
	if errors.As(err, &said) {
		return tool.Errorf(transcript.ResultFailed, "%s", said.Message), nil
	}
	return tool.Result{}, fmt.Errorf("%w: the client left before it answered: %w", tool.ErrOutcomeUnknown, err)
}
