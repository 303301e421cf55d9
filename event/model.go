package event

import "github.com/meerkat-go/meerkat/identity"

type (
	// ModelChanged: the next model call is made with another identity, or more or less is known of what it can do.
	// Parameters for the provider are left out.
	ModelChanged struct {
		Previous identity.Identity `json:"previous,omitzero"`
		Current  identity.Identity `json:"current"`
		Status   identity.Status   `json:"status"`
	}
	// ModelChangeBegun: a client for another identity is being made ready. ModelChanged or ModelChangeAborted ends it.
	ModelChangeBegun struct {
		Token    identity.Token    `json:"token"`
		Model    string            `json:"model"`
		Provider identity.Provider `json:"provider"`
	}
	// ModelChangeAborted: the identity stays what it was.
	ModelChangeAborted struct {
		Token identity.Token `json:"token"`
	}
	// ModelSwitchChanged: a switch to another model is accepted, in force, or over.
	ModelSwitchChanged struct {
		Request string          `json:"request_id"`
		Model   string          `json:"model"`
		Phase   string          `json:"phase"`          // accepted, active, or how it ended: an identity.SwitchTerminal
		Runs    int             `json:"runs,omitempty"` // accepted, active: how many it is for; 0: until changed
		Denial  identity.Denial `json:"denial_reason,omitempty"`
		Unused  int             `json:"unused,omitempty"` // runs that were not had, since the session ended
	}
	// ApprovalDecided: somebody was asked whether a switch or a picture may be, and has answered.
	ApprovalDecided struct {
		ID       string                  `json:"id"`
		Parent   identity.ApprovalParent `json:"parent"`
		Approved bool                    `json:"approved"`
	}
	// ImageOperationChanged: the making of a picture has come so far.
	ImageOperationChanged struct {
		Operation string          `json:"operation_id"`
		Phase     string          `json:"phase"` // or how it ended: an identity.ImageTerminal
		Over      bool            `json:"over,omitempty"`
		Denial    identity.Denial `json:"denial_reason,omitempty"`
	}
	// ModelRoutingChanged: another model may answer than before.
	ModelRoutingChanged struct {
		Topology  uint64         `json:"topology_epoch"`
		Effective identity.Route `json:"effective"`
	}
)

// Type returns the public name.
func (ModelChanged) Type() string          { return "model_changed" }
func (ModelChangeBegun) Type() string      { return "model_change_begun" }
func (ModelChangeAborted) Type() string    { return "model_change_aborted" }
func (ModelSwitchChanged) Type() string    { return "model_switch_changed" }
func (ApprovalDecided) Type() string       { return "approval_decided" }
func (ImageOperationChanged) Type() string { return "image_operation_changed" }
func (ModelRoutingChanged) Type() string   { return "model_routing_changed" }

func (ModelChanged) payload()          {}
func (ModelChangeBegun) payload()      {}
func (ModelChangeAborted) payload()    {}
func (ModelSwitchChanged) payload()    {}
func (ApprovalDecided) payload()       {}
func (ImageOperationChanged) payload() {}
func (ModelRoutingChanged) payload()   {}

// The domains of ToolConfigChanged. None: a server that brings tools.
const (
	ToolScope       = "tool_scope"       // what a model is offered
	ClientTools     = "client_tools"     // what clients carry out
	DeferredCatalog = "deferred_catalog" // what it can ask for
)

// ToolsApplied says how a boundary changed what a model is offered. Names are sorted.
type ToolsApplied struct {
	BaseChanged    bool     `json:"base_changed"`    // other tools are there, offered or not
	VisibleChanged bool     `json:"visible_changed"` // the model is offered others than before
	Revision       uint64   `json:"revision"`        // in force from here on
	Shown          []string `json:"shown,omitempty"`
	Hidden         []string `json:"hidden,omitempty"`
	Dormant        []string `json:"dormant,omitempty"` // grants that sleep: their names are now those of other tools
	Foreign        []string `json:"foreign,omitempty"` // names of filters of which the same is so
}

// ToolsDeferred says how what a model can ask for has changed. Names are sorted.
type ToolsDeferred struct {
	Added   []string `json:"added_hidden_names,omitempty"`
	Removed []string `json:"removed_hidden_names,omitempty"`
	Pending []string `json:"pending_sources,omitempty"` // still being connected
}
