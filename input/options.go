package input

import (
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/scope"
)

// Options are what an input asks of the run that it becomes part of. The zero value asks for nothing.
type Options struct {
	Handling     Handling
	Overlay      scope.Overlay    // which tools this run may see
	Identity     identity.Request // which model, at which provider, paid for by whom
	KeepAlive    Switch
	Render       Render
	Skills       []Skill
	Instructions []string // for this run, after those of the session
}

// Render says how the text is framed. It decides nothing.
type Render struct {
	Class    Class    `json:"class,omitempty"`
	Salience Salience `json:"salience,omitempty"`
}

// IsZero reports whether nothing is said.
func (r Render) IsZero() bool { return r == Render{} }

// Skill names a skill to be loaded for the run.
type Skill struct {
	Source string `json:"source_uuid"`
	Name   string `json:"skill_name"`
}

// IsZero reports whether nothing is asked for.
func (o Options) IsZero() bool {
	return o.Handling == HandlingAbsent && o.Render.IsZero() && !o.Particular()
}

// Particular reports whether the run must be made for these options: one that has begun already is not what they ask for.
func (o Options) Particular() bool {
	return !o.Overlay.IsZero() || o.Overlay.Dispatch != "" || o.Identity != (identity.Request{}) || o.KeepAlive != Unset || len(o.Skills) > 0 ||
		len(o.Instructions) > 0
}

// optionsJSON is the form of Options in JSON. A dispatch context stands beside its overlay, whose own form leaves it out: it is kept
// with an input that waits, so that a restart goes on alike, and nowhere else.
type optionsJSON struct {
	Handling     Handling          `json:"handling_mode,omitempty"`
	Overlay      scope.Overlay     `json:"tool_overlay,omitzero"`
	Dispatch     string            `json:"dispatch_context,omitempty"`
	Model        string            `json:"model,omitempty"`
	Provider     identity.Provider `json:"provider,omitempty"`
	Server       string            `json:"self_hosted_server_id,omitempty"`
	Params       identity.Params   `json:"provider_params,omitempty"`
	ClearParams  bool              `json:"clear_provider_params,omitempty"`
	Auth         identity.Binding  `json:"auth_binding,omitzero"`
	ClearAuth    bool              `json:"clear_auth_binding,omitempty"`
	KeepAlive    *bool             `json:"keep_alive,omitempty"`
	Render       Render            `json:"render_metadata,omitzero"`
	Skills       []Skill           `json:"skill_refs,omitempty"`
	Instructions []string          `json:"additional_instructions,omitempty"`
}

func (o Options) MarshalJSON() ([]byte, error) {
	r := o.Identity
	out := optionsJSON{o.Handling, o.Overlay, o.Overlay.Dispatch, r.Model, r.Provider, r.SelfHostedServer, r.Params, r.ClearParams, r.AuthBinding,
		r.ClearAuthBinding, nil, o.Render, o.Skills, o.Instructions}
	if o.KeepAlive != Unset {
		on := o.KeepAlive == On
		out.KeepAlive = &on
	}
	return marshal(out)
}

func (o *Options) UnmarshalJSON(data []byte) error {
	var in optionsJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*o = Options{Handling: in.Handling, Overlay: in.Overlay, Render: in.Render, Skills: in.Skills, Instructions: in.Instructions,
		Identity: identity.Request{Model: in.Model, Provider: in.Provider, SelfHostedServer: in.Server, Params: in.Params, ClearParams: in.ClearParams,
			AuthBinding: in.Auth, ClearAuthBinding: in.ClearAuth}}
	o.Overlay.Dispatch = in.Dispatch
	if in.KeepAlive != nil {
		o.KeepAlive = Off
		if *in.KeepAlive {
			o.KeepAlive = On
		}
	}
	return nil
}

// Conflict says that inputs of one batch ask for different things. It names the field, and the first input that contradicts an earlier one.
type Conflict struct {
	Field string
	Input id.Input
}

// Error names both.
func (c *Conflict) Error() string {
	return fmt.Sprintf("inputs of one run disagree about %s: input %s contradicts one before it", c.Field, c.Input)
}

// FaultCode is Invalid.
func (c *Conflict) FaultCode() fault.Code { return fault.Invalid }
