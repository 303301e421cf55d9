package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/fault"
)

// listWait is how long a configured server may take to say which models it has.
const listWait = 5 * time.Second

// choose settles which model a new session uses and says so if nobody named one. Order: the flag and RKAT_MODEL, the default of
// the first configured provider, the first model of a server that runs on this machine.
func (c *command) choose(ctx context.Context, cfg config.Config) (config.Config, error) {
	if cfg.Model != "" {
		if needsServer(cfg) && !cfg.NoProbe {
			for _, s := range c.app.FindServers(ctx) {
				cfg.Providers = append(cfg.Providers, s.Provider)
			}
		}
		return cfg, nil
	}
	if c.app.Model != "" {
		cfg.Model = c.app.Model
		return cfg, nil
	}
	for _, p := range cfg.Providers {
		if p.Hosted() || p.Kind == config.Anthropic {
			for _, m := range c.app.Models(cfg) {
				if m.Provider == p.Name && m.Default {
					cfg.Model = m.Name
					return cfg, nil
				}
			}
			continue
		}
		return c.firstOf(ctx, cfg, p)
	}
	if !cfg.NoProbe {
		for _, s := range c.app.FindServers(ctx) {
			cfg.Providers = append(cfg.Providers, s.Provider)
			if cfg.Model == "" {
				cfg.Model = s.Provider.Name + "/" + s.Models[0]
			}
		}
	}
	if cfg.Model == "" {
		return cfg, nothingConfigured()
	}
	return cfg, nil
}

// needsServer reports whether the model is one of a server on this machine, by its name.
func needsServer(cfg config.Config) bool {
	name, _, ok := strings.Cut(cfg.Model, "/")
	if !ok {
		return false
	}
	for _, p := range config.UsualPlaces() {
		if p.Name == name {
			_, known := cfg.Provider(name)
			return !known
		}
	}
	return false
}

// firstOf asks a server which nobody knows the models of.
func (c *command) firstOf(ctx context.Context, cfg config.Config, p config.Provider) (config.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	models, err := c.app.ListModels(ctx, p)
	if err != nil {
		return cfg, &failure{code: fault.Provider, what: fmt.Sprintf("no model is named, and the server at %s (%s) does not say which it has: %v", p.Address(), p.Origin, err),
			advice: "Start it or correct the address, or name a model: --model " + p.Name + "/NAME", exit: ExitFailed, err: err}
	}
	if len(models) == 0 {
		return cfg, &failure{code: fault.Provider, what: fmt.Sprintf("the server at %s (%s) has no models", p.Address(), p.Origin),
			advice: "Load one there, or name a model of another provider with --model", exit: ExitFailed}
	}
	cfg.Model = p.Name + "/" + models[0]
	return cfg, nil
}

const nothingText = `No model is configured, and no model server runs on this machine.

Set one of these, then try again:
  export ANTHROPIC_API_KEY=…                    Anthropic
  export OPENAI_API_KEY=…                       OpenAI
  export OPENAI_BASE_URL=http://host:port/v1    whoever speaks its protocol
or start a local server, which is found by itself: Ollama (port 11434),
LM Studio (1234), llama.cpp (8080).

To try rkat with nothing at all:
  rkat run --model offline "what is in this folder?"
  rkat demo

'rkat doctor' says what is set up and what is not.
`

// nothingConfigured is the one screen for somebody who has just installed the product.
func nothingConfigured() error {
	return &failure{code: fault.Invalid, what: "no model is configured, and no model server runs on this machine",
		advice: "Set ANTHROPIC_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL, or try --model offline", exit: ExitUsage, screen: nothingText}
}
