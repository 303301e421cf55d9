package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
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
	tools    string // the largest preset of tools that a session may have; empty: workspace where keys are needed, else full
	folder   bool   // somebody named the folder to work in, and with it allowed it to all who have keys

	keyed bool // keys were needed when it began: others than its owner come in

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
	keys := access.Of(h.config.StateRoot)
	if !h.alone {
		var err error
		if h.keyed, err = keys.Required(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.bound(&c); err != nil {
		return nil, err
	}
	h.measures = serve.NewMeasures(version, commit(), func() int { return h.realms.Len() })
	c.Watch = h.measures.Event
	h.realms = meerkat.OpenRealms(h.config.StateRoot, c)
	h.realms.Apart = h.keyed && !h.folder
	h.owners = serve.NewOwners(h.config.StateRoot, h.name)
	h.door = &control.Door{Realm: h.config.Realm, Open: h.open}
	h.initial = []string{h.config.Realm}
	if h.alone {
		return &h, nil
	}
	h.realms.Admit = h.owners.Admit
	h.door.Keys = watched{keys, h.log}
	if h.config.Named || !h.keyed {
		return &h, nil
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

func (h *house) serving() serve.Config {
	return serve.Config{Name: h.name, Realms: h.realms, Door: h.door, Owners: h.owners, Initial: h.initial, Log: h.log, Measures: h.measures,
		Handler: h.handler, Speak: h.speak()}
}
