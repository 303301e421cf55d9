package meerkat

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/anthropic"
	"github.com/meerkat-go/meerkat/llm/catalog"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/offline"
	"github.com/meerkat-go/meerkat/llm/rehearsal"
)

// models is the source of all models of a realm. A provider has one adapter, whatever the model, so that its models share connections
// and names that somebody makes up cost no memory. Models that the realm's settings name are there as soon as they are written.
type models struct {
	base     llm.Directory
	every    llm.Model
	plain    map[string]bool // providers whose models are not of the catalogue: what can be relied on is text
	settings *config.Document

	mu   sync.Mutex
	view *config.View   // that now was made of
	now  *llm.Directory // base and what the settings name
}

// selfHosted is the provider of the models of the realm's settings.
const selfHosted = "self_hosted"

func newModels(c Config, settings *config.Document) *models {
	m := &models{every: c.Every, settings: settings, plain: map[string]bool{"offline": true, "rehearsal": true, selfHosted: true}}
	played := &scripts{within: c.Within, opened: map[string]llm.Model{}}
	m.base.Catalog = catalog.Models()
	m.base.Providers = map[string]llm.Provider{
		"anthropic": {Missing: "ANTHROPIC_API_KEY"},
		"openai":    {Missing: "OPENAI_API_KEY, or OPENAI_BASE_URL for another server that speaks its protocol"},
		"gemini":    {Missing: "nothing yet: this version has no adapter for Gemini"},
		"offline":   {Open: func(string) (llm.Model, error) { return offline.Model{}, nil }},
		"rehearsal": {Open: played.open},
	}
	for _, p := range c.Providers {
		adapter := sync.OnceValues(func() (llm.Model, error) { return open(p) })
		m.base.Providers[p.Name] = llm.Provider{Open: func(string) (llm.Model, error) { return adapter() }}
		m.plain[p.Name] = !p.Hosted()
	}
	for name, model := range c.Models {
		m.base.Providers[name] = llm.Provider{Open: func(string) (llm.Model, error) { return model, nil }}
		m.plain[name] = true
	}
	return m
}

// directory returns the models there are now. If the settings cannot be read it is what they said last, and the error says why.
func (m *models) directory(ctx context.Context) (*llm.Directory, error) {
	if m.settings == nil {
		return &m.base, nil
	}
	v, err := m.settings.View(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil && m.now == nil:
		return &m.base, err
	case err != nil:
		return m.now, err
	case v != m.view:
		m.view, m.now = v, m.with(v)
	}
	return m.now, nil
}

// with returns base and the models of the settings.
func (m *models) with(v *config.View) *llm.Directory {
	if len(v.Models) == 0 {
		return &m.base
	}
	d := &llm.Directory{Providers: maps.Clone(m.base.Providers), Catalog: append([]llm.Known{}, m.base.Catalog...)}
	adapters := map[string]func() (llm.Model, error){}
	for name, p := range v.Servers {
		adapters[name] = sync.OnceValues(func() (llm.Model, error) { return open(p) })
	}
	of := map[string]config.SelfHosted{}
	for _, s := range v.Models {
		of[s.Alias] = s
		d.Catalog = append(d.Catalog, llm.Known{Info: llm.Info{Name: selfHosted + "/" + s.Alias, Provider: selfHosted, Context: s.Context, MaxOutput: s.MaxOutput,
			CallTimeout: s.Timeout}, Surface: identity.Surface{Vision: s.Vision, ImageInput: s.Vision, Reasoning: s.Reasoning}})
	}
	d.Providers[selfHosted] = llm.Provider{Open: func(alias string) (llm.Model, error) {
		s, ok := of[alias]
		if !ok {
			return nil, &llm.Error{Kind: llm.UnknownModel, Provider: selfHosted, Message: fmt.Sprintf("self_hosted.models has no %q", alias)}
		}
		model, err := adapters[s.Server]()
		return renamed{model, s.Remote}, err
	}}
	return d
}

// renamed is a model that its server calls otherwise.
type renamed struct {
	llm.Model
	name string
}

// Stream implements llm.Model.
func (r renamed) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	req.Model = r.name
	return r.Model.Stream(ctx, req)
}

func open(p config.Provider) (llm.Model, error) {
	switch p.Kind {
	case config.Anthropic:
		return anthropic.New(anthropic.Config{Name: p.Name, BaseURL: p.BaseURL, APIKey: p.Key})
	case config.Compat:
		return compat.New(compat.Config{Name: p.Name, BaseURL: p.BaseURL, APIKey: p.Key})
	}
	return nil, fmt.Errorf("provider %s: there is no wire format %q", p.Name, p.Kind)
}

// Model implements llm.Source. A script may be named rehearsal:path as well as rehearsal/path.
func (m *models) Model(ctx context.Context, name string) (llm.Model, llm.Info, error) {
	if m.every != nil && name != "" {
		return m.every, llm.Info{Name: name, Provider: "test"}, nil
	}
	d, err := m.directory(ctx)
	if err != nil {
		return nil, llm.Info{}, err
	}
	return d.Model(ctx, canonical(name))
}

func canonical(name string) string {
	if path, ok := strings.CutPrefix(name, "rehearsal:"); ok {
		return "rehearsal/" + path
	}
	return name
}

// lookup finds what is known of a model, by what the settings said when they could be read last.
func (m *models) lookup(name string) (llm.Known, error) {
	d, _ := m.directory(context.Background())
	return d.Lookup(name)
}

// vendors are the providers that identities know by name.
var vendors = map[string]identity.Provider{catalog.Anthropic: identity.Anthropic, catalog.OpenAI: identity.OpenAI, catalog.Gemini: identity.Gemini}

// Request implements runtime.Models. A model of the catalogue goes by its own name, any other by the one that finds it.
func (m *models) Request(name string) identity.Request {
	known, err := m.lookup(canonical(name))
	switch {
	case err != nil && m.every != nil:
		return identity.Request{Model: name, Provider: identity.Other}
	case err != nil:
		return identity.Request{Model: name}
	}
	vendor, ok := vendors[known.Provider]
	switch {
	case !ok:
		return identity.Request{Model: known.Name, Provider: identity.Other}
	case known.Context > 0:
		return identity.Request{Model: strings.TrimPrefix(known.Name, known.Provider+"/"), Provider: vendor}
	}
	return identity.Request{Model: known.Name, Provider: vendor}
}

// Lookups implements runtime.Models. Whoever runs a model server of his own knows best what it can do; relied on is text.
func (m *models) Lookups() identity.Lookups {
	return identity.Lookups{
		Owner: func(model string) identity.Provider { return m.Request(model).Provider },
		Surface: func(id identity.Identity) (identity.Surface, bool) {
			known, err := m.lookup(llm.NameOf(id))
			return known.Surface, m.every != nil || err == nil && (known.Context > 0 || m.plain[known.Provider])
		},
	}
}

// Prepare implements runtime.Models: the adapter is made, which touches no network.
func (m *models) Prepare(ctx context.Context, t identity.Target) error {
	_, _, err := m.Model(ctx, llm.NameOf(t.Identity))
	return err
}

// listed implements control.Plane.Catalog.
func (m *models) listed(ctx context.Context) ([]control.Model, error) {
	d, err := m.directory(ctx)
	if err != nil {
		return nil, err
	}
	var out []control.Model
	for _, k := range d.Catalog {
		surface := k.Surface
		first, _ := catalog.Default(k.Provider)
		one := control.Model{ID: strings.TrimPrefix(k.Name, k.Provider+"/"), Provider: k.Provider, Tier: "supported", Default: k.Name == first.Name,
			Configured: d.Providers[k.Provider].Open != nil, Context: k.Context, MaxOutput: k.MaxOutput, Surface: &surface}
		if one.Default {
			one.Tier = "recommended"
		}
		if k.Provider == selfHosted {
			m.own(&one)
		}
		out = append(out, one)
	}
	return out, nil
}

// own adds what only the settings know of a model.
func (m *models) own(one *control.Model) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.view.Models {
		if s.Alias == one.ID {
			one.Display, one.Server = s.Display, s.Server
		}
	}
}

// scripts are the rehearsals of a realm by their files, read once: they count what they have failed on purpose.
type scripts struct {
	within string // folder they must be in; empty: any

	mu     sync.Mutex
	opened map[string]llm.Model
}

func (s *scripts) open(path string) (llm.Model, error) {
	if s.within != "" {
		if inside, err := within(s.within, path); err != nil || !inside {
			return nil, &llm.Error{Kind: llm.UnknownModel, Provider: "rehearsal", Message: "scripts of sessions here are in " + s.within + ", and this is none of them"}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.opened[path]; ok {
		return m, nil
	}
	m, err := rehearsal.Open(path)
	if err == nil {
		s.opened[path] = m
	}
	return m, err
}
