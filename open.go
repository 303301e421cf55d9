package meerkat

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/internal/process"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/anthropic"
	"github.com/meerkat-go/meerkat/llm/catalog"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/offline"
	"github.com/meerkat-go/meerkat/llm/rehearsal"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/sqlite"
	"github.com/meerkat-go/meerkat/tool"
)

// Config says what to open. The zero value keeps its sessions in memory, knows the built-in models and no others.
type Config struct {
	StateDir  string               // folder of the realm, created if it is missing; empty: sessions are lost with the process
	Store     store.Store          // instead of StateDir; Close closes it
	Providers []config.Provider    // who answers for models
	Models    map[string]llm.Model // further models, by a name without a slash
	Tools     []tool.Tool          // offered to every session, besides those of its preset
	Executor  executor.Executor    // who carries runs out; nil: our agent
	Every     llm.Model            // answers for every name of a model, whatever else is set; nil: none does
	// Daemon is a process that stays: it goes on with runs that nobody is at, at once and while it is open, and tells sessions at rest the time.
	Daemon bool
}

// Runtime is an open realm. It must be closed.
type Runtime struct {
	plane  *control.Plane
	host   *runtime.Host
	hub    *feed.Hub
	store  store.Store
	models *models
	carry  *carrier // nil: it goes on with nothing by itself
}

// Open opens a realm. Nothing is started that costs anything while nobody asks for anything.
func Open(ctx context.Context, c Config) (*Runtime, error) {
	st, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	r := &Runtime{hub: &feed.Hub{}, store: st, models: newModels(c)}
	boxes := newToolboxes(c.Tools)
	ex := c.Executor
	if ex == nil {
		ex = &agent.Executor{Models: r.models, Tools: boxes.of, Edition: boxes.clients.Revision}
	}
	host := runtime.Config{Store: st, Feed: r.hub, Owner: process.Self(), Gone: process.Gone, Executor: ex, Tend: c.Daemon}
	if c.Executor == nil {
		host.Models = r.models // somebody else's executor has models of its own
	}
	r.host = runtime.New(host)
	r.plane = &control.Plane{Host: r.host, Feed: r.hub, Store: st, System: systemPrompt}
	if c.Executor == nil {
		r.plane.Validate = func(ctx context.Context, p run.Profile) error {
			if err := r.CheckModel(ctx, p.Model); err != nil {
				return err
			}
			if err := boxes.check(p); err != nil {
				return err
			}
			return limits(p)
		}
		r.plane.Callbacks, r.plane.Named = &boxes.clients, r.models.Request
	}
	if c.Daemon {
		r.carry = carryOn(r)
	}
	return r, nil
}

// limits refuses a profile that bounds runs by what is no bound, or wants an output that no model could give.
func limits(p run.Profile) error {
	if b := p.Budget; b.Tokens < 0 || b.Calls < 0 || b.Duration < 0 {
		return &control.Error{Code: fault.Invalid, Message: "a budget cannot be negative: leave it out, and there is none"}
	}
	if p.Schema == nil {
		return nil
	}
	if _, err := tool.NewForm(p.Schema); err != nil {
		return &control.Error{Code: fault.Invalid, Message: "the output schema cannot be used: " + err.Error()}
	}
	return nil
}

func openStore(ctx context.Context, c Config) (store.Store, error) {
	switch {
	case c.Store != nil:
		return c.Store, nil
	case c.StateDir == "":
		return memory.New(), nil
	}
	return sqlite.Open(ctx, sqlite.Options{Path: storePath(c.StateDir)})
}

func storePath(stateDir string) string { return filepath.Join(stateDir, "sessions.sqlite3") }

// CheckStore reads all of what is kept in a state folder and reports what is damaged, changing nothing; others may use it meanwhile. A
// folder without sessions is whole. It takes as long as it takes to read the file.
func CheckStore(ctx context.Context, stateDir string) error {
	err := sqlite.Check(ctx, storePath(stateDir))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Plane is the door to everything.
func (r *Runtime) Plane() *control.Plane { return r.plane }

// Host is the runtime below the plane, for those who bring an executor of their own.
func (r *Runtime) Host() *runtime.Host { return r.host }

// CheckModel finds out whether a model can be used, without a network. Its error says what to do.
func (r *Runtime) CheckModel(ctx context.Context, name string) error {
	_, _, err := r.models.Model(ctx, name)
	return err
}

// Close lets go of the realm: executors are stopped, what is in the mailboxes is committed, leases are given up. Runs that are not
// over stay unfinished and durable; whoever opens the session next goes on with them. It waits for at most 10 seconds.
func (r *Runtime) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.carry.end()
	err := r.host.Close(ctx)
	r.hub.Close()
	return errors.Join(err, r.store.Close())
}

// models is the source of all models of a realm. A provider has one adapter, whatever the model, so that its models share connections
// and names that somebody makes up cost no memory.
type models struct {
	directory llm.Directory
	every     llm.Model
	plain     map[string]bool // providers whose models are not of the catalogue: what can be relied on is text
}

func newModels(c Config) *models {
	m := &models{every: c.Every, plain: map[string]bool{"offline": true, "rehearsal": true}}
	played := &scripts{opened: map[string]llm.Model{}}
	m.directory.Catalog = catalog.Models()
	m.directory.Providers = map[string]llm.Provider{
		"anthropic": {Missing: "ANTHROPIC_API_KEY"},
		"openai":    {Missing: "OPENAI_API_KEY, or OPENAI_BASE_URL for another server that speaks its protocol"},
		"gemini":    {Missing: "nothing yet: this version has no adapter for Gemini"},
		"offline":   {Open: func(string) (llm.Model, error) { return offline.Model{}, nil }},
		"rehearsal": {Open: played.open},
	}
	for _, p := range c.Providers {
		adapter := sync.OnceValues(func() (llm.Model, error) { return open(p) })
		m.directory.Providers[p.Name] = llm.Provider{Open: func(string) (llm.Model, error) { return adapter() }}
		m.plain[p.Name] = !p.Hosted()
	}
	for name, model := range c.Models {
		m.directory.Providers[name] = llm.Provider{Open: func(string) (llm.Model, error) { return model, nil }}
		m.plain[name] = true
	}
	return m
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
	return m.directory.Model(ctx, canonical(name))
}

func canonical(name string) string {
	if path, ok := strings.CutPrefix(name, "rehearsal:"); ok {
		return "rehearsal/" + path
	}
	return name
}

// vendors are the providers that identities know by name.
var vendors = map[string]identity.Provider{catalog.Anthropic: identity.Anthropic, catalog.OpenAI: identity.OpenAI, catalog.Gemini: identity.Gemini}

// Request implements runtime.Models. A model of the catalogue goes by its own name, any other by the one that finds it.
func (m *models) Request(name string) identity.Request {
	known, err := m.directory.Lookup(canonical(name))
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
			known, err := m.directory.Lookup(llm.NameOf(id))
			return known.Surface, m.every != nil || err == nil && (known.Context > 0 || m.plain[known.Provider])
		},
	}
}

// Prepare implements runtime.Models: the adapter is made, which touches no network.
func (m *models) Prepare(ctx context.Context, t identity.Target) error {
	_, _, err := m.Model(ctx, llm.NameOf(t.Identity))
	return err
}

// scripts are the rehearsals of a realm by their files, read once: they count what they have failed on purpose.
type scripts struct {
	mu     sync.Mutex
	opened map[string]llm.Model
}

func (s *scripts) open(path string) (llm.Model, error) {
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
