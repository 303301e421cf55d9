package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/internal/files"
	"github.com/meerkat-go/meerkat/run"
)

// View is what the settings of a realm mean: the sections that are known. It is shared and not to be changed.
type View struct {
	Model         string // agent.model; empty: none
	System        string // agent.system_prompt; empty: none
	MaxOutput     int    // tokens of a reply: agent.max_tokens_per_turn, else max_tokens, else DefaultMaxTokens
	MaxRounds     int    // agent.max_turns; 0: not set
	SchemaRetries int    // agent.structured_output_retries; 0: not set, negative: never
	Params        json.RawMessage
	Budget        run.Budget
	Limit         run.Budget // limits.budget, limits.max_duration: no session has more
	Retry         run.RetryPolicy
	Builtins      bool // tools.builtins_enabled
	Shell         bool // tools.shell_enabled
	MaxSessions   int  // limits.max_sessions; 0: not set
	RESTHost      string
	RESTPort      int // 0: not set

	Servers map[string]Provider // self_hosted.servers, by name
	Models  []SelfHosted        // self_hosted.models, by alias
}

// SelfHosted is a model of a server of one's own.
type SelfHosted struct {
	Alias     string // what it is called here
	Server    string
	Remote    string // what the server calls it
	Display   string
	Context   int           // tokens; 0: not known
	MaxOutput int           // tokens; 0: not known
	Timeout   time.Duration // of one call; 0: the default
	Vision    bool
	Reasoning bool
}

// View returns what the settings mean now. It looks at the file, and reads it only if it has changed.
func (d *Document) View(context.Context) (*View, error) {
	at, err := files.StampOf(filepath.Join(d.Dir, documentFile))
	if err != nil {
		return nil, fmt.Errorf("look at the settings: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parsed != nil && d.seen.Same(at) && d.seen.Settled() {
		return d.parsed, nil
	}
	c, err := d.read()
	if err != nil {
		return nil, err
	}
	if d.parsed != nil && d.sum == c.sum {
		d.seen = at
		return d.parsed, nil
	}
	v, err := d.parse(c.doc)
	if err != nil {
		return nil, err
	}
	v.resolve(c.doc, d.Env)
	d.seen, d.sum, d.parsed = at, c.sum, v
	return v, nil
}

// parse reads the known sections as they may stand in this document.
func (d *Document) parse(doc map[string]any) (*View, error) {
	v, err := parse(doc)
	if err != nil || !d.NoEnv {
		return v, err
	}
	servers := section{r: &reader{}, doc: doc}.section("self_hosted").section("servers")
	for name := range v.Servers {
		if one := servers.section(name); one.text("bearer_token_env") != "" {
			return nil, wrong(one.at("bearer_token_env"), "left out in this realm: give bearer_token", "given")
		}
	}
	return v, nil
}

// parse reads the known sections, and refuses what is wrong in them by its path. What is unknown is left alone.
func parse(doc map[string]any) (*View, error) {
	r := &reader{}
	root := section{r, "", doc}
	agent, budget, limits := root.section("agent"), root.section("budget"), root.section("limits")
	retry, tools, rest := root.section("retry"), root.section("tools"), root.section("rest")
	v := &View{
		Model: agent.text("model"), System: agent.text("system_prompt"), MaxRounds: agent.positive("max_turns"),
		Budget:   run.Budget{Tokens: budget.positive("max_tokens"), Calls: budget.positive("max_tool_calls"), Duration: budget.duration("max_duration")},
		Retry:    run.RetryPolicy{Initial: retry.duration("initial_delay"), Cap: retry.duration("max_delay")},
		Builtins: tools.flag("builtins_enabled"), Shell: tools.flag("shell_enabled"),
		MaxSessions: limits.positive("max_sessions"), RESTHost: rest.text("host"), RESTPort: rest.positive("port"),
	}
	perTurn, perReply := agent.positive("max_tokens_per_turn"), root.positive("max_tokens")
	switch {
	case perTurn > 0:
		v.MaxOutput = perTurn
	case perReply > 0:
		v.MaxOutput = perReply
	default:
		v.MaxOutput = DefaultMaxTokens
	}
	if n, set := agent.count("structured_output_retries"); set {
		if v.SchemaRetries = n; n == 0 {
			v.SchemaRetries = -1
		}
	}
	if n, set := retry.count("max_retries"); set {
		if v.Retry.Max = n; n == 0 {
			v.Retry.Max = -1
		}
	}
	v.Limit = run.Budget{Tokens: limits.positive("budget"), Duration: limits.duration("max_duration")}
	if p := agent.section("provider_params"); p.doc != nil {
		v.Params, r.err = marshal(p.doc, r.err)
	}
	if v.RESTPort > math.MaxUint16 {
		r.wrong("rest.port", "a port", fmt.Sprint(v.RESTPort))
	}
	own := root.section("self_hosted")
	v.servers(own.section("servers"))
	v.models(own.section("models"))
	return v, r.err
}

func marshal(doc map[string]any, before error) (json.RawMessage, error) {
	data, err := json.Marshal(doc)
	return data, errors.Join(before, err)
}

func (v *View) servers(s section) {
	v.Servers = map[string]Provider{}
	for _, name := range slices.Sorted(maps.Keys(s.doc)) {
		one := s.section(name)
		if kind := one.text("transport"); kind != "" && kind != "openai_compatible" {
			one.r.wrong(one.at("transport"), "openai_compatible", kind)
		}
		if style := one.text("api_style"); style != "" && style != "chat_completions" {
			one.r.wrong(one.at("api_style"), "chat_completions", style)
		}
		base := strings.TrimRight(one.text("base_url"), "/")
		if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			one.r.wrong(one.at("base_url"), "a full address, such as http://127.0.0.1:8000/v1", "something else")
		}
		if !strings.HasSuffix(base, "/v1") {
			base += "/v1"
		}
		if one.text("bearer_token") != "" && one.text("bearer_token_env") != "" {
			one.r.wrong(one.at("bearer_token"), "left out beside bearer_token_env", "given")
		}
		v.Servers[name] = Provider{Name: name, Kind: Compat, BaseURL: base, Origin: "settings"}
	}
}

func (v *View) models(s section) {
	for _, alias := range slices.Sorted(maps.Keys(s.doc)) {
		one := s.section(alias)
		m := SelfHosted{Alias: alias, Server: one.text("server"), Remote: one.text("remote_model"), Display: one.text("display_name"),
			Context: one.positive("context_window"), MaxOutput: one.positive("max_output_tokens"),
			Timeout: time.Duration(one.positive("call_timeout_secs")) * time.Second,
			Vision:  one.flag("vision") || one.flag("supports_vision"), Reasoning: one.flag("supports_reasoning") || one.flag("reasoning")}
		if m.Remote == "" {
			m.Remote = alias
		}
		if _, ok := v.Servers[m.Server]; !ok && one.doc != nil {
			one.r.wrong(one.at("server"), "the name of a server in self_hosted.servers", m.Server)
		}
		if strings.Contains(alias, "/") {
			one.r.wrong(s.at(alias), "a name without a slash", alias)
		}
		v.Models = append(v.Models, m)
	}
}

// resolve finds the keys of servers. They are not looked up where the settings are only checked.
func (v *View) resolve(doc map[string]any, env func(string) string) {
	if env == nil {
		env = os.Getenv
	}
	own, _ := doc["self_hosted"].(map[string]any)
	servers, _ := own["servers"].(map[string]any)
	for name, p := range v.Servers {
		one, _ := servers[name].(map[string]any)
		p.Key, _ = one["bearer_token"].(string)
		if from, ok := one["bearer_token_env"].(string); ok && from != "" {
			p.Key, p.Origin = env(from), from
		}
		v.Servers[name] = p
	}
}

// reader keeps the first thing that is wrong.
type reader struct{ err error }

func (r *reader) wrong(path, want, got string) {
	if r.err == nil {
		r.err = wrong(path, want, got)
	}
}

func wrong(path, want, got string) error {
	if len(got) > 60 {
		got = got[:60] + "…"
	}
	return &Error{What: fmt.Sprintf("%s is to be %s, and is %s", path, want, got), Advice: "Nothing was changed"}
}

// section is one table of the document; doc nil: it is not there.
type section struct {
	r    *reader
	path string
	doc  map[string]any
}

func (s section) at(key string) string { return join(s.path, key) }

func (s section) section(key string) section {
	v, ok := s.doc[key]
	m, is := v.(map[string]any)
	if ok && !is {
		s.r.wrong(s.at(key), "a table", kindOf(v))
	}
	return section{s.r, s.at(key), m}
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "text"
	case bool:
		return "a yes or no"
	case int64, float64:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("a %T", v)
}

func (s section) text(key string) string {
	v, ok := s.doc[key]
	text, is := v.(string)
	if ok && !is {
		s.r.wrong(s.at(key), "text", kindOf(v))
	}
	return text
}

func (s section) flag(key string) bool {
	v, ok := s.doc[key]
	yes, is := v.(bool)
	if ok && !is {
		s.r.wrong(s.at(key), "true or false", kindOf(v))
	}
	return yes
}

// count reads a whole number that is not negative.
func (s section) count(key string) (int, bool) {
	v, ok := s.doc[key]
	if !ok {
		return 0, false
	}
	n, is := v.(int64)
	if f, float := v.(float64); float && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		n, is = int64(f), true
	}
	if !is || n < 0 || n > math.MaxInt32 {
		s.r.wrong(s.at(key), "a whole number from 0", kindOf(v))
		return 0, false
	}
	return int(n), true
}

// positive reads a whole number above 0; 0: it is not there.
func (s section) positive(key string) int {
	n, set := s.count(key)
	if set && n == 0 {
		s.r.wrong(s.at(key), "above 0", "0")
	}
	return n
}

// duration reads text such as "1.5s", or milliseconds.
func (s section) duration(key string) time.Duration {
	if text, is := s.doc[key].(string); is {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			s.r.wrong(s.at(key), `a duration such as "30s"`, text)
		}
		return d
	}
	n, _ := s.count(key)
	return time.Duration(n) * time.Millisecond
}
