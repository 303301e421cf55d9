package control

import (
	"context"
	"encoding/json"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
)

// Settings is the document that configures a realm: JSON to its users, kept as TOML.
type Settings interface {
	// Get returns the document and its generation, which every write raises by one.
	Get(ctx context.Context) (doc json.RawMessage, generation uint64, err error)
	// Set replaces the document. expected nil: whatever generation it has. A document that does not hold is refused with code invalid, and
	// nothing is written; so is another generation than expected, with *GenerationError's text.
	Set(ctx context.Context, doc json.RawMessage, expected *uint64) (json.RawMessage, uint64, error)
	// Patch merges into it (RFC 7396), and is otherwise like Set.
	Patch(ctx context.Context, patch json.RawMessage, expected *uint64) (json.RawMessage, uint64, error)
}

// Defaults is what a session is made with where its maker does not say.
type Defaults struct {
	Model         string
	System        string
	MaxOutput     int
	MaxRounds     int
	SchemaRetries int
	Budget        run.Budget
	Limit         run.Budget // no session has more; what asks for more is refused
	Retry         run.RetryPolicy
	Params        json.RawMessage
	Builtins      bool // sessions have tools for files
	Shell         bool // and a shell
	MaxSessions   int  // how many sessions may be neither archived nor destroyed; 0: 100,000
	Workspace     string
}

// Config is the settings document as clients see it.
type Config struct {
	Config     json.RawMessage `json:"config"`
	Generation uint64          `json:"generation"`
	Realm      string          `json:"realm_id,omitempty"`
	Instance   string          `json:"instance_id,omitempty"`
	Backend    string          `json:"backend,omitempty"`
	Paths      *Paths          `json:"resolved_paths,omitempty"`
}

// Paths are where a realm keeps what it has.
type Paths struct {
	Root     string `json:"root"`
	Manifest string `json:"manifest_path"`
	Config   string `json:"config_path"`
	Sessions string `json:"sessions_sqlite_path"`
	JSONL    string `json:"sessions_jsonl_dir"`
}

// Config reads the settings.
func (p *Plane) Config(ctx context.Context) (Config, error) {
	if err := p.may(Reader); err != nil {
		return Config{}, err
	}
	if p.Settings == nil {
		return Config{}, errNoSettings
	}
	doc, generation, err := p.Settings.Get(ctx)
	return p.envelope(doc, generation), err
}

// SetConfig replaces the settings. They count for sessions that are made afterwards.
func (p *Plane) SetConfig(ctx context.Context, doc json.RawMessage, expected *uint64) (Config, error) {
	if err := p.may(Admin); err != nil {
		return Config{}, err
	}
	if p.Settings == nil {
		return Config{}, errNoSettings
	}
	doc, generation, err := p.Settings.Set(ctx, doc, expected)
	return p.envelope(doc, generation), err
}

// PatchConfig merges into the settings (RFC 7396).
func (p *Plane) PatchConfig(ctx context.Context, patch json.RawMessage, expected *uint64) (Config, error) {
	if err := p.may(Admin); err != nil {
		return Config{}, err
	}
	if p.Settings == nil {
		return Config{}, errNoSettings
	}
	doc, generation, err := p.Settings.Patch(ctx, patch, expected)
	return p.envelope(doc, generation), err
}

var errNoSettings = &Error{Code: fault.Unavailable, Message: "this realm keeps no settings"}

func (p *Plane) envelope(doc json.RawMessage, generation uint64) Config {
	return Config{Config: doc, Generation: generation, Realm: p.Realm, Instance: p.Instance, Backend: p.Backend, Paths: p.Paths}
}

// Model is what is known of a model by name.
type Model struct {
	ID         string // without its provider
	Provider   string // anthropic, openai, gemini, self_hosted, or one that is built in
	Display    string
	Tier       string // recommended, supported
	Default    bool   // of its provider
	Configured bool   // can be used now
	Context    int    // tokens; 0: not known
	MaxOutput  int    // tokens; 0: not known
	Server     string // self_hosted: which
	Surface    *identity.Surface
}

// Models lists the models that are known by name, those of one provider together, its default first.
func (p *Plane) Models(ctx context.Context) ([]Model, error) {
	if err := p.may(Reader); err != nil {
		return nil, err
	}
	if p.Catalog == nil {
		return nil, nil
	}
	return p.Catalog(ctx)
}

// Skill is a skill that sessions may use.
type Skill struct{ Name string }

// Skills lists the skills. There are none yet: code unavailable.
func (p *Plane) Skills(context.Context) ([]Skill, error) {
	return nil, &Error{Code: fault.Unavailable, Message: "skills not enabled"}
}
