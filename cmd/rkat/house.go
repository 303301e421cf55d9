package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/serve"
)

// house is what the servers have in common: the realms, who may come in, and what is counted.
type house struct {
	name   string
	config config.Config
	env    func(string) string
	log    *slog.Logger
	about  string // what it tells clients of itself; empty: name

	instance string // name among the processes of the realm
	paths    bool   // clients are told where files are
	alone    bool   // one realm, whoever asks, and no keys: for a process that one client has to itself

	realms   *meerkat.Realms
	owners   *serve.Owners
	door     *control.Door
	measures *serve.Measures
	initial  []string
	started  time.Time
}

func newHouse(ctx context.Context, h house) (*house, error) {
	h.started = time.Now()
	every := testModel(h.env)
	c := meerkat.Config{Providers: h.config.Providers, Daemon: true, Model: modelFor(h.config, every), Workspace: h.config.Workspace, Every: every}
	h.measures = serve.NewMeasures(version, commit(), func() int { return h.realms.Len() })
	c.Watch = h.measures.Event
	h.realms = meerkat.OpenRealms(h.config.StateRoot, c)
	h.owners = serve.NewOwners(h.config.StateRoot, h.name)
	h.door = &control.Door{Realm: h.config.Realm, Open: h.open}
	h.initial = []string{h.config.Realm}
	if h.alone {
		return &h, nil
	}
	h.realms.Admit = h.owners.Admit
	keys := access.Of(h.config.StateRoot)
	h.door.Keys = keys
	if h.config.Named {
		return &h, nil
	}
	need, err := keys.Required(ctx)
	if err != nil || !need {
		return &h, err
	}
	list, err := keys.List(ctx)
	realms := map[string]bool{}
	for _, k := range list {
		if k.Revoked == nil {
			realms[k.Realm] = true
		}
	}
	h.initial = slices.Sorted(maps.Keys(realms))
	return &h, err
}

// open lets whoever has a key into its realm, unless the server is for another one alone.
func (h *house) open(ctx context.Context, realm string) (*control.Plane, error) {
	if h.config.Named && realm != h.config.Realm {
		return nil, &control.Error{Code: fault.Forbidden, Message: "the key is for a realm that is not served here"}
	}
	opened, err := h.realms.Plane(ctx, realm)
	if err != nil {
		return nil, err
	}
	p := *opened
	p.Instance = h.instance
	p.About = control.Info{Version: version, Process: cmp.Or(h.about, h.name), PID: os.Getpid(), Started: h.started}
	if !h.paths {
		p.Paths = nil
	}
	return &p, nil
}

func (h *house) serving() serve.Config {
	return serve.Config{Name: h.name, Realms: h.realms, Door: h.door, Owners: h.owners, Initial: h.initial, Log: h.log, Measures: h.measures,
		Handler: h.handler, Speak: h.speak()}
}
