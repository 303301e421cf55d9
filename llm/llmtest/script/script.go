// Package script says what a fake model answers: a list of rules, each with a condition on the conversation and a reply.
//
// The first rule whose condition holds and whose count is not used up answers. Since conditions look at the conversation and not at
// how often somebody has asked, a process that was killed and comes back gets the right reply. The JSON form, with every field:
//
//	{"rules": [
//	  {"when": {
//	     "user_contains": "folder",        part of the last thing the user said
//	     "system_contains": "careful",     part of the system text
//	     "last_result_contains": "ok",     part of the last tool result
//	     "tool_results": 0,                how many tool results the conversation holds
//	     "results_since_user": 1,          how many it holds since the user spoke last
//	     "model": "fake-1"},               the model asked for
//	   "times": 1,                         answers so often, then the rule is passed over; 0: always
//	   "reply": {
//	     "reasoning": "let me see",
//	     "text": "hello",
//	     "tool_calls": [{"id": "c1", "name": "read", "args": {"path": "a.txt"}}],
//	     "stop": "end_turn",               one of package transcript's; empty: tool_use with calls, else end_turn
//	     "usage": {"input_tokens": 10, "output_tokens": 2},   absent: 10 and 5; null is absent too; see no_usage
//	     "no_usage": true,
//	     "chunks": 4,                      text, reasoning and arguments come in so many pieces each; 0: 3
//	     "delay_ms": 100,                  before the answer begins
//	     "chunk_delay_ms": 10,             before each event of the stream
//	     "status": 429,                    an HTTP failure instead of a stream
//	     "retry_after": "1.5",             its header
//	     "error": {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "slow down"},   its body, or the error event
//	     "body": "<html>",                 its body as it is
//	     "fault": "cut"}}                  see the constants
//	]}
//
// An id that is left out is made up, different for each call. A string as args is sent as it is, valid or not.
package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/transcript"
)

// Script is a list of rules.
type Script struct {
	Rules []Rule `json:"rules"`
}

// Rule answers where its condition holds.
type Rule struct {
	When  When  `json:"when,omitzero"`
	Times int   `json:"times,omitempty"`
	Reply Reply `json:"reply"`
}

// When is a condition: all that is set must hold, and nothing set holds always.
type When struct {
	UserContains       string `json:"user_contains,omitempty"`
	SystemContains     string `json:"system_contains,omitempty"`
	LastResultContains string `json:"last_result_contains,omitempty"`
	ToolResults        *int   `json:"tool_results,omitempty"`
	ResultsSinceUser   *int   `json:"results_since_user,omitempty"`
	Model              string `json:"model,omitempty"`
}

// Reply is what a fake model answers.
type Reply struct {
	Reasoning    string                `json:"reasoning,omitempty"`
	Text         string                `json:"text,omitempty"`
	ToolCalls    []Call                `json:"tool_calls,omitempty"`
	Stop         transcript.StopReason `json:"stop,omitempty"`
	Usage        *transcript.Usage     `json:"usage,omitempty"`
	NoUsage      bool                  `json:"no_usage,omitempty"`
	Chunks       int                   `json:"chunks,omitempty"`
	DelayMS      int                   `json:"delay_ms,omitempty"`
	ChunkDelayMS int                   `json:"chunk_delay_ms,omitempty"`
	Status       int                   `json:"status,omitempty"`
	RetryAfter   string                `json:"retry_after,omitempty"`
	Error        *Error                `json:"error,omitempty"`
	Body         string                `json:"body,omitempty"`
	Fault        Fault                 `json:"fault,omitempty"`
}

// Call is a tool call of a reply.
type Call struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Error is a failure in the provider's words.
type Error struct {
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

// Fault is what goes wrong on the way. In those marked *, half of the reply's events arrive first.
type Fault string

// The faults.
const (
	Drop    Fault = "drop"    // the connection is closed without an answer
	Hang    Fault = "hang"    // no answer, and the connection stays open
	Stall   Fault = "stall"   // * then silence
	Cut     Fault = "cut"     // * then the stream ends in good order
	Reset   Fault = "reset"   // * then the connection breaks
	Garbage Fault = "garbage" // * then an event that is not JSON
	Fail    Fault = "error"   // * then the error event of Reply.Error
	NoEnd   Fault = "no_end"  // all of it but the terminal event, then the stream ends in good order
	Long    Fault = "long"    // * then an event that is longer than anybody may send
)

var faults = []Fault{"", Drop, Hang, Stall, Cut, Reset, Garbage, Fail, NoEnd, Long}

// N returns a pointer to n, for the counts of a When.
func N(n int) *int { return &n }

// Parse reads the JSON form. A field it does not know is an error.
func Parse(data []byte) (Script, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var s Script
	if err := dec.Decode(&s); err != nil {
		return Script{}, fmt.Errorf("read script: %w", err)
	}
	for i, r := range s.Rules {
		if !slices.Contains(faults, r.Reply.Fault) {
			return Script{}, fmt.Errorf("read script: rule %d has the unknown fault %q", i, r.Reply.Fault)
		}
		if r.Reply.Fault == Fail && r.Reply.Error == nil {
			return Script{}, fmt.Errorf("read script: rule %d fails without an error", i)
		}
	}
	return s, nil
}

// ArgsText is what is sent as a call's arguments.
func (c Call) ArgsText() string {
	var s string
	if len(c.Args) > 0 && c.Args[0] == '"' && json.Unmarshal(c.Args, &s) == nil {
		return s
	}
	return string(c.Args)
}

// StopReason is why the reply ends.
func (r Reply) StopReason() transcript.StopReason {
	switch {
	case r.Stop != "":
		return r.Stop
	case len(r.ToolCalls) > 0:
		return transcript.StopToolUse
	}
	return transcript.StopEndTurn
}

// Tokens is the usage that is reported; false: none is.
func (r Reply) Tokens() (transcript.Usage, bool) {
	switch {
	case r.NoUsage:
		return transcript.Usage{}, false
	case r.Usage != nil:
		return *r.Usage, true
	}
	return transcript.Usage{Input: 10, Output: 5}, true
}

// Pieces cuts text into as many pieces as the reply says, at most one for each character.
func (r Reply) Pieces(text string) []string {
	if text == "" {
		return nil
	}
	n := r.Chunks
	if n <= 0 {
		n = 3
	}
	runes := []rune(text)
	n = min(n, len(runes))
	out := make([]string, n)
	for i := range out {
		out[i] = string(runes[i*len(runes)/n : (i+1)*len(runes)/n])
	}
	return out
}

// Conversation is what a condition can see of a request.
type Conversation struct {
	Model            string   `json:"model"`
	System           string   `json:"system,omitempty"`
	User             string   `json:"user"` // the last thing the user's side said in words
	Results          []string `json:"-"`    // tool results, in order
	ToolResults      int      `json:"tool_results"`
	ResultsSinceUser int      `json:"results_since_user"`
}

// Said adds words of the user's side.
func (c *Conversation) Said(text string) { c.User, c.ResultsSinceUser = text, 0 }

// Returned adds a tool result.
func (c *Conversation) Returned(text string) {
	c.Results = append(c.Results, text)
	c.ToolResults++
	c.ResultsSinceUser++
}

// holds reports whether the condition holds.
func (w When) holds(c Conversation) bool {
	last := ""
	if n := len(c.Results); n > 0 {
		last = c.Results[n-1]
	}
	return strings.Contains(c.User, w.UserContains) && strings.Contains(c.System, w.SystemContains) &&
		strings.Contains(last, w.LastResultContains) && (w.Model == "" || w.Model == c.Model) &&
		(w.ToolResults == nil || *w.ToolResults == c.ToolResults) &&
		(w.ResultsSinceUser == nil || *w.ResultsSinceUser == c.ResultsSinceUser)
}

// Player hands out the replies of a script and counts. It is safe for concurrent use.
type Player struct {
	mu    sync.Mutex
	rules []Rule
	used  []int
}

// NewPlayer plays rules.
func NewPlayer(rules ...Rule) *Player {
	return &Player{rules: slices.Clone(rules), used: make([]int, len(rules))}
}

// Next returns the reply to a conversation and the index of its rule; -1: no rule answers.
func (p *Player) Next(c Conversation) (Reply, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range p.rules {
		if r.When.holds(c) && (r.Times == 0 || p.used[i] < r.Times) {
			p.used[i]++
			return r.Reply, i
		}
	}
	return Reply{}, -1
}
