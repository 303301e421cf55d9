package meerkat

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/internal/process"
	"github.com/meerkat-go/meerkat/llm"
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
	// Model and Workspace are what a session has that is made without; the realm's settings go before Model. Both may be empty.
	Model, Workspace string
	// Most is the largest preset of tools that a session may have, and Within the folder that its workspace must be in, for those who open the realm to
	// others. Empty: full, and anywhere. What is asked for beyond them is refused with code forbidden. With Within the realm's settings name no variables of
	// this process's environment either.
	Most, Within string
	// Watch is told of every event of every session, deltas included. It must be quick: what it watches waits for it.
	Watch func(event.Event)
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
	var settings *config.Document
	if c.StateDir != "" {
		settings = &config.Document{Dir: c.StateDir, NoEnv: c.Within != ""}
	}
	r := &Runtime{hub: &feed.Hub{Watch: c.Watch}, store: st, models: newModels(c, settings)}
	boxes := newToolboxes(c.Tools)
	ex := c.Executor
	if ex == nil {
		ex = &agent.Executor{Models: r.models, Tools: c.confined(boxes.of), Edition: boxes.clients.Revision}
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
			if err := c.confine(p); err != nil {
				return err
			}
			if err := boxes.check(p); err != nil {
				return err
			}
			return limits(p)
		}
		r.plane.Catalog = r.models.listed
		r.plane.Callbacks, r.plane.Named = &boxes.clients, r.models.Request
	}
	if settings != nil {
		r.plane.Settings, r.plane.Defaults = settings, defaults(settings, c)
	}
	if c.Daemon {
		r.carry = carryOn(r)
	}
	return r, nil
}

// defaults is what sessions are made with where nobody says.
func defaults(settings *config.Document, c Config) func(context.Context) (control.Defaults, error) {
	return func(ctx context.Context) (control.Defaults, error) {
		v, err := settings.View(ctx)
		if err != nil {
			return control.Defaults{}, err
		}
		return control.Defaults{Model: cmp.Or(v.Model, c.Model), System: v.System, MaxOutput: v.MaxOutput, MaxRounds: v.MaxRounds, SchemaRetries: v.SchemaRetries,
			Budget: v.Budget, Limit: v.Limit, Retry: v.Retry, Params: v.Params, Builtins: v.Builtins, Shell: v.Shell, MaxSessions: v.MaxSessions, Workspace: c.Workspace}, nil
	}
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
