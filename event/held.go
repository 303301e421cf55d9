package event

import "github.com/meerkat-go/meerkat/id"

type (
	// ToolCallHeld: the call waits for a word and has not run. Effect is what the word is to name.
	ToolCallHeld struct {
		Call   id.Call   `json:"id"`
		Name   string    `json:"name"`
		For    string    `json:"waits_for"` // approval, callback
		Effect id.Effect `json:"effect_id"`
	}
	// ToolCallDecided: somebody has said whether the call may be run. There is no second word about it.
	ToolCallDecided struct {
		Call    id.Call   `json:"id"`
		Name    string    `json:"name"`
		Effect  id.Effect `json:"effect_id"`
		Granted bool      `json:"granted"`
		By      string    `json:"decided_by"`
		Message string    `json:"message,omitempty"`
	}
)

// Type returns the public name.
func (ToolCallHeld) Type() string { return "tool_call_held" }

// Type returns the public name.
func (ToolCallDecided) Type() string { return "tool_call_decided" }

func (ToolCallHeld) payload()    {}
func (ToolCallDecided) payload() {}
