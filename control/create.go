package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// MaxSessions is how many sessions a realm may have that are no records, where its settings do not say.
const MaxSessions = 100_000

// Bounds on what a session may be labelled with, in bytes.
const (
	maxLabels     = 64
	maxLabelKey   = 128
	maxLabelValue = 1 << 10
	maxApp        = 256 << 10
)

// CreateSession makes a session. Nothing is written if what is asked for is refused.
func (p *Plane) CreateSession(ctx context.Context, req CreateSession) (Session, error) {
	if err := p.may(Writer); err != nil {
		return Session{}, err
	}
	named := false
	if req.ID == "" {
		if req.ID, named = req.mint(p.Realm); named {
			if s, err := p.get(ctx, req.ID); !errors.Is(err, runtime.ErrNotFound) {
				return s, err
			}
		}
	} else if _, err := id.ParseSession(string(req.ID)); err != nil {
		return Session{}, &Error{Code: fault.Invalid, Message: err.Error()}
	}
	if err := req.check(); err != nil {
		return Session{}, err
	}
	limit, err := p.fill(ctx, &req)
	if err != nil {
		return Session{}, err
	}
	if p.Validate != nil {
		if err := p.Validate(ctx, req.Profile); err != nil {
			return Session{}, err
		}
	}
	if err := p.system(&req); err != nil {
		return Session{}, err
	}
	if err := p.room(ctx, limit); err != nil {
		return Session{}, err
	}
	reg := runtime.Registration{Profile: &req.Profile, System: req.System}
	if req.Deferred {
		req.Profile.System, reg.System = req.System, ""
	}
	err = p.Host.RegisterSession(ctx, req.ID, reg)
	if named && errors.Is(err, runtime.ErrExists) { // the same request, twice at once
		return p.get(ctx, req.ID)
	}
	if err != nil {
		return Session{}, err
	}
	if err := p.furnish(ctx, req); err != nil {
		return Session{}, fmt.Errorf("make session %s ready, which is there now: %w", req.ID, err)
	}
	return p.get(ctx, req.ID)
}

// mint makes the id of a session that comes without one. named: it is that of its key.
func (r *CreateSession) mint(realm string) (s id.Session, named bool) {
	if r.Key == "" {
		return id.Session(id.New()), false
	}
	return id.Session(id.Named("session of realm "+realm, r.Key)), true
}

// check refuses what no realm would take.
func (r *CreateSession) check() error {
	if len(r.System) > MaxContent {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("the system prompt has %d bytes, and %d are the most", len(r.System), MaxContent)}
	}
	if err := labels(r.Profile.Labels); err != nil {
		return err
	}
	switch {
	case len(r.Key) > maxName:
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("a session's key has at most %d bytes", maxName)}
	case len(r.Profile.App) > maxApp:
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("app_context has %d bytes, and %d are the most", len(r.Profile.App), maxApp)}
	case len(r.Prompt) > 0 && !r.Deferred:
		return &Error{Code: fault.Invalid, Message: "a prompt is kept for later only in a session that is to run later"}
	case r.Provider != "" && r.Profile.Model == "":
		return &Error{Code: fault.Invalid, Message: "provider without model: say which of its models"}
	}
	return content(r.Prompt)
}

func labels(l map[string]string) error {
	if len(l) > maxLabels {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("there are %d labels, and %d are the most", len(l), maxLabels)}
	}
	for k, v := range l {
		if k == "" || len(k) > maxLabelKey || len(v) > maxLabelValue {
			return &Error{Code: fault.Invalid, Message: fmt.Sprintf("the label %q does not fit: a key has 1 to %d bytes, a value at most %d", short(k), maxLabelKey, maxLabelValue)}
		}
	}
	return nil
}

// short is enough of a text that came from outside to recognise it.
func short(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// fill takes what is not said from the realm's defaults, and returns how many sessions there may be.
func (p *Plane) fill(ctx context.Context, req *CreateSession) (limit int, err error) {
	var d Defaults
	if p.Defaults != nil {
		if d, err = p.Defaults(ctx); err != nil {
			return 0, fmt.Errorf("read the realm's settings: %w", err)
		}
	}
	f := &req.Profile
	f.Model = named(req.Provider, cmp.Or(f.Model, d.Model))
	f.Workspace = cmp.Or(f.Workspace, d.Workspace)
	f.MaxOutput = cmp.Or(f.MaxOutput, d.MaxOutput)
	f.MaxRounds = cmp.Or(f.MaxRounds, d.MaxRounds)
	f.SchemaRetries = cmp.Or(f.SchemaRetries, d.SchemaRetries)
	if f.Budget, err = budget(f.Budget, d.Budget, d.Limit); err != nil {
		return 0, err
	}
	f.Retry = cmp.Or(f.Retry, d.Retry)
	if f.Params == nil {
		f.Params = d.Params
	}
	req.System = cmp.Or(req.System, d.System)
	if f.Tools == "" && (p.Defaults != nil || req.Builtins != nil || req.Shell != nil) {
		f.Tools = preset(said(req.Builtins, d.Builtins), said(req.Shell, d.Shell))
	}
	if f.Model == "" && p.Defaults != nil {
		return 0, &Error{Code: fault.Invalid, Message: "no model is named: say which, or set agent.model in the realm's settings"}
	}
	return cmp.Or(d.MaxSessions, MaxSessions), nil
}

// budget is what a session may use: what was asked for, else the realm's default, and never more than its limit.
func budget(asked, usual, most run.Budget) (run.Budget, error) {
	out := run.Budget{Tokens: cmp.Or(asked.Tokens, usual.Tokens), Calls: cmp.Or(asked.Calls, usual.Calls), Duration: cmp.Or(asked.Duration, usual.Duration)}
	switch {
	case most.Tokens > 0 && asked.Tokens > most.Tokens:
		return out, &Error{Code: fault.Invalid, Message: fmt.Sprintf("budget_limits.max_tokens is at most %d in this realm", most.Tokens)}
	case most.Duration > 0 && asked.Duration > most.Duration:
		return out, &Error{Code: fault.Invalid, Message: fmt.Sprintf("budget_limits.max_duration is at most %s in this realm", most.Duration)}
	case most.Calls > 0 && asked.Calls > most.Calls:
		return out, &Error{Code: fault.Invalid, Message: fmt.Sprintf("budget_limits.max_tool_calls is at most %d in this realm", most.Calls)}
	}
	out.Tokens, out.Calls, out.Duration = atMost(out.Tokens, most.Tokens), atMost(out.Calls, most.Calls), atMost(out.Duration, most.Duration)
	return out, nil
}

// atMost bounds a number where 0 is no bound.
func atMost[N int | time.Duration](n, most N) N {
	if most > 0 && (n == 0 || n > most) {
		return most
	}
	return n
}

// named joins a provider and a model to the name that finds it.
func named(provider, model string) string {
	if provider == "" || model == "" || strings.HasPrefix(model, provider+"/") {
		return model
	}
	return provider + "/" + model
}

func said(what *bool, otherwise bool) bool {
	if what != nil {
		return *what
	}
	return otherwise
}

// preset is the set of our tools that goes with two switches.
func preset(files, shell bool) string {
	switch {
	case shell:
		return "full"
	case files:
		return "workspace"
	}
	return "none"
}

// system completes the system prompt.
func (p *Plane) system(req *CreateSession) error {
	if req.System == "" && p.System != nil {
		text, err := p.System(req.Profile)
		if err != nil {
			return err
		}
		req.System = text
	}
	for _, more := range req.Extra {
		if more = strings.TrimSpace(more); more != "" {
			req.System = strings.TrimLeft(req.System+"\n\n"+more, "\n")
		}
	}
	if len(req.System) > MaxContent {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("the system prompt has %d bytes, and %d are the most", len(req.System), MaxContent)}
	}
	return nil
}

// furnish gives a new session what is not part of its registration.
func (p *Plane) furnish(ctx context.Context, req CreateSession) error {
	if strings.TrimSpace(req.Prompt.Plain()) == "" {
		return nil
	}
	_, err := p.Host.AcceptWithoutWake(ctx, req.ID, runtime.Input{Content: req.Prompt})
	return err
}

// content refuses what an input may not hold.
func content(blocks transcript.Blocks) error {
	size := 0
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			size += len(b.Text)
		case transcript.Media:
			size += len(b.Data)
		case transcript.Reasoning, transcript.ToolUse:
			return &Error{Code: fault.Invalid, Message: "an input holds text and media only"}
		}
	}
	if size > MaxContent {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("the input has %d bytes, and %d are the most", size, MaxContent)}
	}
	return nil
}

// room refuses another session where there are as many as may be. Two that come at once may both find the last place.
func (p *Plane) room(ctx context.Context, limit int) error {
	n, err := p.Store.Count(ctx, store.Query{Active: true})
	if err != nil {
		return fmt.Errorf("count the sessions: %w", err)
	}
	if n >= limit {
		return &Error{Code: fault.Overloaded, Message: fmt.Sprintf("Max sessions reached (%d/%d): archive some, or raise limits.max_sessions", n, limit)}
	}
	return nil
}

// amended is the profile with what a session that has said nothing may still be given.
func (a Asks) amended(f run.Profile) run.Profile {
	if a.System != nil {
		f.System = *a.System
	}
	if a.MaxOutput != nil {
		f.MaxOutput = *a.MaxOutput
	}
	if a.Schema != nil {
		f.Schema = a.Schema
	}
	if a.SchemaRetries != nil {
		f.SchemaRetries = *a.SchemaRetries
	}
	return f
}

// fixed names what is asked for that only a session which has said nothing may be given.
func (a Asks) fixed() []string {
	var out []string
	for _, x := range []struct {
		name string
		set  bool
	}{{"max_tokens", a.MaxOutput != nil}, {"system_prompt", a.System != nil}, {"output_schema", a.Schema != nil},
		{"structured_output_retries", a.SchemaRetries != nil}} {
		if x.set {
			out = append(out, x.name)
		}
	}
	return out
}
