package inbox

import (
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
)

// Options returns what the batch asks of its run: what its drivers ask for, as one. Values are equal or left out, lists are strung
// together in order; anything else is an *input.Conflict (R109). Passengers ask for nothing: they add words to somebody else's run.
func (b Batch) Options() (input.Options, error) {
	var m merger
	for _, i := range b.Items {
		if i.rides() || b.ContextOnly {
			continue
		}
		if m.add(i.options()); m.field != "" {
			return input.Options{}, &input.Conflict{Field: m.field, Input: i.ID}
		}
	}
	return m.o, nil
}

// merger puts options together. The first field that two of them contradict each other in stays noted.
type merger struct {
	o     input.Options
	field string
}

func (m *merger) add(o input.Options) {
	have, want := &m.o, o
	one(m, "handling_mode", &have.Handling, want.Handling)
	if !want.Overlay.IsZero() || want.Overlay.Dispatch != "" {
		if none := have.Overlay; none.IsZero() && none.Dispatch == "" {
			have.Overlay = want.Overlay
		} else if !have.Overlay.Equal(want.Overlay) || have.Overlay.Dispatch != want.Overlay.Dispatch {
			m.note("tool_overlay")
		}
	}
	h, w := &have.Identity, want.Identity
	one(m, "model", &h.Model, w.Model)
	one(m, "provider", &h.Provider, w.Provider)
	one(m, "self_hosted_server_id", &h.SelfHostedServer, w.SelfHostedServer)
	one(m, "provider_params", &h.Params, w.Params)
	one(m, "provider_params", &h.ClearParams, w.ClearParams)
	if h.ClearParams && h.Params != "" {
		m.note("provider_params")
	}
	one(m, "auth_binding", &h.AuthBinding, w.AuthBinding)
	one(m, "auth_binding", &h.ClearAuthBinding, w.ClearAuthBinding)
	if h.ClearAuthBinding && h.AuthBinding != (identity.Binding{}) {
		m.note("auth_binding")
	}
	one(m, "keep_alive", &have.KeepAlive, want.KeepAlive)
	one(m, "render_metadata", &have.Render, want.Render)
	have.Skills = append(have.Skills, want.Skills...)
	have.Instructions = append(have.Instructions, want.Instructions...)
}

func (m *merger) note(field string) {
	if m.field == "" {
		m.field = field
	}
}

// one merges one value: what is zero says nothing.
func one[T comparable](m *merger, field string, have *T, want T) {
	var nothing T
	switch {
	case want == nothing || *have == want:
	case *have == nothing:
		*have = want
	default:
		m.note(field)
	}
}

// Voice is who speaks in a run. A field is empty where nobody says it, and where not all who say it say the same: it does not depend on
// the order, or on how often something is said (R109).
type Voice struct {
	Correlation string
	Peer        string
	Display     string
	Runtime     string
	Flow        string
	External    string // name of an external source
}

// Voice returns who speaks in the batch, passengers among them.
func (b Batch) Voice() Voice {
	var v, torn Voice
	for _, i := range b.Items {
		if i.Stamp == nil {
			continue
		}
		s := i.Stamp.Source
		fact(&v.Correlation, &torn.Correlation, i.Stamp.Correlation)
		fact(&v.Peer, &torn.Peer, s.Peer)
		fact(&v.Display, &torn.Display, s.Display)
		fact(&v.Runtime, &torn.Runtime, s.Runtime)
		fact(&v.Flow, &torn.Flow, s.Flow)
		fact(&v.External, &torn.External, s.Name)
	}
	return v
}

// fact takes a fact on, unless it was contradicted before.
func fact(have, torn *string, said string) {
	switch {
	case said == "" || *torn != "" || *have == said:
	case *have == "":
		*have = said
	default:
		*have, *torn = "", "contradicted"
	}
}
