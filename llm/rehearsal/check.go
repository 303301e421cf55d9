package rehearsal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// Validate returns a *ScriptError if the script cannot be played as it is written.
func (s Script) Validate() error {
	if problems := s.check(); len(problems) > 0 {
		return &ScriptError{Problems: problems}
	}
	return nil
}

// checker collects problems.
type checker struct{ problems []Problem }

func (c *checker) bad(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) notNegative(field string, n int) {
	if n < 0 {
		c.bad(field, "must not be below 0")
	}
}

func (c *checker) expression(field, text string) {
	if _, err := regexp.Compile(text); err != nil {
		c.bad(field, "%v", err)
	}
}

func (c *checker) template(field, text string) {
	if err := checkTemplate(text); err != nil {
		c.bad(field, "%v", err)
	}
}

func (s Script) check() []Problem {
	var c checker
	if len(s.Steps) == 0 {
		c.bad("steps", "a script needs at least one step")
	}
	shadow := -1
	for i, step := range s.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		if shadow >= 0 {
			c.bad(field, "is never played: steps[%d] fits every conversation and is never used up", shadow)
		}
		if shadow < 0 && step.Always && step.When.any() {
			shadow = i
		}
		c.step(field, step)
	}
	return c.problems
}

// any reports whether every conversation fits.
func (w When) any() bool {
	return w.Turn == nil && w.Round == nil && w.Reply == nil && w.User == "" && w.UserMatches == "" && w.Result == nil && len(w.Tools) == 0
}

func (c *checker) step(field string, s Step) {
	c.notNegative(field+".times", s.Times)
	if s.Always && s.Times != 0 {
		c.bad(field+".times", "says how often, and always says without end: use one of the two")
	}
	if s.Reply == nil && len(s.Failures) == 0 {
		c.bad(field, "needs a reply, or failures")
	}
	c.when(field+".when", s.When)
	for i, f := range s.Failures {
		c.failure(fmt.Sprintf("%s.failures[%d]", field, i), f, s.Reply != nil)
	}
	if s.Reply != nil {
		c.reply(field+".reply", *s.Reply)
	}
}

func (c *checker) when(field string, w When) {
	for _, count := range []struct {
		name string
		n    *int
	}{{".turn", w.Turn}, {".round", w.Round}, {".reply", w.Reply}} {
		if count.n != nil {
			c.notNegative(field+count.name, *count.n)
		}
	}
	if w.Round != nil && w.Reply != nil && *w.Round > *w.Reply {
		c.bad(field+".round", "cannot be above reply: it counts a part of the same replies")
	}
	c.expression(field+".user_matches", w.UserMatches)
	for i, t := range w.Tools {
		if t == "" {
			c.bad(fmt.Sprintf("%s.tools[%d]", field, i), "must not be empty")
		}
	}
	r := w.Result
	if r == nil {
		return
	}
	c.expression(field+".result.matches", r.Matches)
	switch r.Since {
	case "", SinceReply, SinceUser, SinceStart:
	default:
		c.bad(field+".result.since", "must be reply, user or start, not %q", r.Since)
	}
	if w.Reply != nil && *w.Reply == 0 {
		c.bad(field+".result", "there is no tool result before the first reply (reply is 0)")
	}
	if w.Round != nil && *w.Round == 0 && r.Since == SinceUser {
		c.bad(field+".result.since", "there is no tool result between the user's message and the first reply to it (round is 0)")
	}
}

func (c *checker) failure(field string, f Failure, hasReply bool) {
	c.notNegative(field+".after", f.After)
	c.notNegative(field+".times", f.Times)
	c.notNegative(field+".status", f.Status)
	c.notNegativeTime(field+".wait", f.Wait)
	c.notNegativeTime(field+".retry_after", f.RetryAfter)
	switch {
	case f.Kind == "" && f.Status == 0:
		c.bad(field, "needs a kind or a status")
	case f.Kind == Cut || f.Kind == Hang:
		if f.Status != 0 || f.RetryAfter != 0 || f.Message != "" {
			c.bad(field, "a %s says nothing: it has no status, retry_after or message", f.Kind)
		}
	case f.Kind != "" && !slices.Contains(kinds(), llm.Kind(f.Kind)):
		c.bad(field+".kind", "%q is not known; known: %s, %s, %s", f.Kind, Cut, Hang, joinKinds())
	}
	if f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		c.bad(field+".status", "%d is no HTTP status", f.Status)
	}
	if f.After > 0 && !hasReply {
		c.bad(field+".after", "there is no reply of which parts could arrive first")
	}
}

func (c *checker) notNegativeTime(field string, d time.Duration) {
	if d < 0 {
		c.bad(field, "must not be below 0")
	}
}

func (c *checker) reply(field string, r Reply) {
	c.notNegativeTime(field+".wait", r.Wait)
	c.notNegativeTime(field+".delay", r.Delay)
	if r.Text != "" && len(r.Pieces) > 0 {
		c.bad(field+".pieces", "is another way to write text: use one of the two")
	}
	if r.Text == "" && strings.Join(r.Pieces, "") == "" && len(r.Calls) == 0 && r.Reasoning == "" {
		c.bad(field, "says nothing and asks for nothing; for an empty reply use a failure of kind %s", llm.Empty)
	}
	c.template(field+".text", r.Text)
	c.template(field+".reasoning", r.Reasoning)
	for i, p := range r.Pieces {
		c.template(fmt.Sprintf("%s.pieces[%d]", field, i), p)
	}
	seen := map[id.Call]bool{}
	for i, call := range r.Calls {
		f := fmt.Sprintf("%s.calls[%d]", field, i)
		c.call(f, call)
		if call.ID != "" && seen[call.ID] {
			c.bad(f+".id", "%q is another call's id", call.ID)
		}
		seen[call.ID] = true
	}
	switch r.Stop {
	case transcript.StopToolUse:
		if len(r.Calls) == 0 {
			c.bad(field+".stop", "tool_use needs calls")
		}
	case "", transcript.StopEndTurn, transcript.StopMaxTokens, transcript.StopSequence, transcript.StopFiltered, transcript.StopCancelled:
	default:
		c.bad(field+".stop", "%q is not known; known: end_turn, tool_use, max_tokens, stop_sequence, content_filter, cancelled", r.Stop)
	}
	if u := r.Usage; u != nil {
		c.notNegative(field+".usage.input_tokens", u.Input)
		c.notNegative(field+".usage.output_tokens", u.Output)
		c.notNegative(field+".usage.cache_read_tokens", u.CacheRead)
		c.notNegative(field+".usage.cache_creation_tokens", u.CacheWrite)
	}
}

func (c *checker) call(field string, call Call) {
	if call.Tool == "" {
		c.bad(field+".tool", "must name a tool")
	}
	if call.Args == nil {
		return
	}
	if call.ArgsText != "" {
		c.bad(field+".args_text", "is another way to write args: use one of the two")
	}
	var args map[string]any
	if err := json.Unmarshal(call.Args, &args); err != nil || args == nil {
		c.bad(field+".args", "must be a JSON object")
		return
	}
	eachString(args, func(s string) string {
		c.template(field+".args", s)
		return s
	})
}

// kinds returns the failure kinds of package llm.
func kinds() []llm.Kind {
	return []llm.Kind{llm.Unauthenticated, llm.Forbidden, llm.UnknownModel, llm.NotConfigured, llm.InvalidRequest, llm.ContextExceeded,
		llm.TooLarge, llm.ContentFiltered, llm.RateLimited, llm.Overloaded, llm.ServerError, llm.NetworkTimeout, llm.ConnectionReset,
		llm.CallTimeout, llm.StreamStalled, llm.Truncated, llm.Garbled, llm.InvalidArguments, llm.Empty, llm.Unclassified}
}

func joinKinds() string {
	var s []string
	for _, k := range kinds() {
		s = append(s, string(k))
	}
	return strings.Join(s, ", ")
}
