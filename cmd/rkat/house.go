package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/offline"
	"github.com/meerkat-go/meerkat/serve"
)

// house is what the servers have in common: the realms, who may come in, and what is counted.
type house struct {
	name   string
	config config.Config
	env    func(string) string
	log    *slog.Logger
	alone  bool // one realm, whoever asks, and no keys: for a process that one client has to itself

	realms   *meerkat.Realms
	owners   *serve.Owners
	door     *control.Door
	measures *serve.Measures
	initial  []string
}

func newHouse(ctx context.Context, h house) (*house, error) {
	c := meerkat.Config{Providers: h.config.Providers, Daemon: true, Every: testModel(h.env)}
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
	p, err := h.realms.Plane(ctx, realm)
	return p, err
}

func (h *house) serving() serve.Config {
	return serve.Config{Name: h.name, Realms: h.realms, Door: h.door, Owners: h.owners, Initial: h.initial, Log: h.log, Measures: h.measures}
}

// testModel is the model that says ok to everything, if RKAT_TEST_CLIENT asks for it.
func testModel(env func(string) string) llm.Model {
	if env("RKAT_TEST_CLIENT") == "1" {
		return offline.Steady{}
	}
	return nil
}
