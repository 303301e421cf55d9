package jsonrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

var _ run.ToolHandler = (*client)(nil)

func registerTools(r *request) (any, error) {
	var p wire.ToolsParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	defs, err := present.Tools(p)
	if err != nil {
		return nil, err
	}
	n, err := r.plane.RegisterTools(r.ctx, r.client, defs)
	if err != nil {
		return nil, err
	}
	return wire.Registered{Registered: n}, nil
}

// execute is what a client is asked to carry out.
type execute struct {
	Call id.Call         `json:"tool_use_id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"arguments"`
}

// ExecuteTool implements run.ToolHandler: the client at the other end carries the call out. How long it may take is the tool's affair.
func (c *client) ExecuteTool(ctx context.Context, s id.Session, call transcript.ToolUse) (transcript.Blocks, bool, error) {
	c.afterStart(ctx, s, call.ID)
	args := call.Args
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	raw, err := c.conn.Call(ctx, "tool/execute", execute{call.ID, call.Name, args})
	var refused *jsonrpc2.Error
	if errors.As(err, &refused) {
		return nil, false, &run.ToolRefused{Message: refused.Message}
	}
	if err != nil {
		return nil, false, fmt.Errorf("ask the client to carry out %s: %w", call.Name, err)
	}
	var answer struct {
		Content string `json:"content"`
		IsError bool   `json:"is_error"`
	}
	if hasParams(raw) {
		if err := json.Unmarshal(raw, &answer); err != nil {
			return nil, false, &run.ToolRefused{Message: "The client answered with what is no tool result: " + err.Error()}
		}
	}
	return transcript.TextBlocks(answer.Content), answer.IsError, nil
}
