package run

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// ToolDef declares a tool whose calls a client carries out.
type ToolDef struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"input_schema"` // JSON Schema of an object
}

// ToolHandler is a client that carries calls out: one live connection. Values are compared with ==, so an implementation is a pointer.
type ToolHandler interface {
	// ExecuteTool carries one call out and blocks until the client has answered, ctx ends, or the client is gone. *ToolRefused: it
	// answered that it cannot. Any other error says that there is no answer, and the call may have been carried out.
	ExecuteTool(ctx context.Context, s id.Session, call transcript.ToolUse) (content transcript.Blocks, isError bool, err error)
}

// ToolRefused is a client's answer that it cannot carry a call out. The model reads the message.
type ToolRefused struct{ Message string }

// Error returns the message.
func (e *ToolRefused) Error() string { return e.Message }

// Equal reports whether d and e declare the same. A schema is compared as it is written.
func (d ToolDef) Equal(e ToolDef) bool {
	return d.Name == e.Name && d.Description == e.Description && bytes.Equal(d.Schema, e.Schema)
}
