package control

import (
	"context"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
)

// Callbacks keeps the tools whose calls clients carry out.
type Callbacks interface {
	// Register offers tools to every session, from its next model call on. A tool of the same name is replaced. It returns how many were given.
	Register(h run.ToolHandler, defs []run.ToolDef) (int, error)
	// Issue says that this client asked for what the session does now: calls go to it first. nil: nobody did. undo says that it was refused.
	Issue(s id.Session, h run.ToolHandler) (undo func())
	// Leave forgets a client. Its open calls end with an error.
	Leave(h run.ToolHandler)
}

// RegisterTools offers tools to every session of the realm, until the client leaves: a call of theirs goes to the client that asked for the run, if it
// has the tool, and else to one that registered it.
func (p *Plane) RegisterTools(ctx context.Context, h run.ToolHandler, defs []run.ToolDef) (int, error) {
	if err := p.may(Writer); err != nil {
		return 0, err
	}
	if p.Callbacks == nil {
		return 0, &Error{Code: fault.Unavailable, Message: "tools of clients are not switched on here"}
	}
	return p.Callbacks.Register(h, defs)
}

// Leave forgets a client and its tools. It must be called once for each that registered tools or was named in a Submit.
func (p *Plane) Leave(h run.ToolHandler) {
	if p.Callbacks != nil {
		p.Callbacks.Leave(h)
	}
}
