package rehearsal

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Problem is one thing wrong with a script.
type Problem struct {
	Line    int    // of the file, counting from 1; 0: the script is no file
	Field   string // such as steps[2].when.round; empty: the script as a whole
	Message string
}

// String returns line, field and message.
func (p Problem) String() string {
	s := p.Message
	if p.Field != "" {
		s = p.Field + ": " + s
	}
	if p.Line > 0 {
		s = "line " + strconv.Itoa(p.Line) + ": " + s
	}
	return s
}

// ScriptError says everything that is wrong with a script.
type ScriptError struct {
	File     string // empty: the script is no file
	Problems []Problem
}

// Error lists the problems, one to a line.
func (e *ScriptError) Error() string {
	name := "rehearsal script"
	if e.File != "" {
		name += " " + e.File
	}
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = name + ": " + p.String()
	}
	return strings.Join(lines, "\n")
}

// FaultCode returns fault.Invalid.
func (e *ScriptError) FaultCode() fault.Code { return fault.Invalid }

// Load reads a script from a file. What is wrong with its content is a *ScriptError.
func Load(path string) (Script, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Script{}, fmt.Errorf("read rehearsal script: %w", err)
	}
	s, problems := parse(data)
	if len(problems) > 0 {
		return Script{}, &ScriptError{File: path, Problems: problems}
	}
	return s, nil
}

// Parse reads a script. It is strict: an unknown field, a wrong type and a script that cannot be played are problems of the
// *ScriptError it returns, each with its line and field.
func Parse(data []byte) (Script, error) {
	s, problems := parse(data)
	if len(problems) > 0 {
		return Script{}, &ScriptError{Problems: problems}
	}
	return s, nil
}

func parse(data []byte) (Script, []Problem) {
	root, p := parseNodes(data)
	if p != nil {
		return Script{}, []Problem{*p}
	}
	var d decoder
	s := d.script(root)
	if len(d.problems) > 0 {
		return Script{}, d.problems
	}
	index := map[string]int{}
	root.lines(index)
	problems := s.check()
	for i := range problems {
		problems[i].Line = lineOf(index, problems[i].Field)
	}
	return s, problems
}

// lineOf returns the line of the field, or of the nearest value around it that was written.
func lineOf(index map[string]int, field string) int {
	for {
		if line, ok := index[field]; ok {
			return line
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
}

// decoder turns nodes into a Script and collects what does not fit.
type decoder struct{ problems []Problem }

func (d *decoder) bad(n *node, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: n.line, Field: n.path, Message: fmt.Sprintf(format, args...)})
}

// is reports whether n is there and of a kind; being there with another kind is a problem.
func (d *decoder) is(n *node, kind string) bool {
	if n == nil {
		return false
	}
	if n.kind != kind {
		d.bad(n, "must be of type %s, not %s", kind, n.kind)
		return false
	}
	return true
}

// object returns the members of n, all of which must be known.
func (d *decoder) object(n *node, known ...string) map[string]*node {
	if !d.is(n, "object") {
		return nil
	}
	for _, k := range n.keys {
		if !slices.Contains(known, k) {
			d.bad(n.members[k], "unknown field; known here: %s", strings.Join(known, ", "))
		}
	}
	return n.members
}

func (d *decoder) str(n *node) string {
	if !d.is(n, "string") {
		return ""
	}
	return n.text
}

func (d *decoder) strs(n *node) []string {
	if !d.is(n, "array") {
		return nil
	}
	out := make([]string, len(n.items))
	for i, item := range n.items {
		out[i] = d.str(item)
	}
	return out
}

func (d *decoder) number(n *node) int {
	if !d.is(n, "number") {
		return 0
	}
	i, err := strconv.Atoi(n.text)
	if err != nil {
		d.bad(n, "must be a whole number, not %s", n.text)
	}
	return i
}

func (d *decoder) numberIfThere(n *node) *int {
	if n == nil {
		return nil
	}
	return new(d.number(n))
}

func (d *decoder) flag(n *node) bool { return d.is(n, "boolean") && n.yes }

func (d *decoder) duration(n *node) time.Duration {
	if !d.is(n, "string") {
		return 0
	}
	t, err := time.ParseDuration(n.text)
	if err != nil {
		d.bad(n, "must be a duration such as \"250ms\" or \"2s\", not %q", n.text)
	}
	return t
}

func (d *decoder) script(n *node) Script {
	m := d.object(n, "name", "steps")
	s := Script{Name: d.str(m["name"])}
	if steps := m["steps"]; d.is(steps, "array") {
		for _, item := range steps.items {
			s.Steps = append(s.Steps, d.step(item))
		}
	}
	return s
}

func (d *decoder) step(n *node) Step {
	m := d.object(n, "name", "when", "times", "always", "failures", "reply")
	s := Step{Name: d.str(m["name"]), Times: d.number(m["times"]), Always: d.flag(m["always"])}
	if t := m["times"]; t != nil && t.kind == "number" && s.Times == 0 {
		d.bad(t, "must be above 0")
	}
	if w := m["when"]; w != nil {
		s.When = d.when(w)
	}
	if f := m["failures"]; d.is(f, "array") {
		for _, item := range f.items {
			s.Failures = append(s.Failures, d.failure(item))
		}
	}
	if r := m["reply"]; r != nil {
		s.Reply = new(d.reply(r))
	}
	return s
}

func (d *decoder) when(n *node) When {
	m := d.object(n, "turn", "round", "reply", "user", "user_matches", "result", "tools")
	w := When{
		Turn: d.numberIfThere(m["turn"]), Round: d.numberIfThere(m["round"]), Reply: d.numberIfThere(m["reply"]),
		User: d.str(m["user"]), UserMatches: d.str(m["user_matches"]), Tools: d.strs(m["tools"]),
	}
	if r := m["result"]; r != nil {
		f := d.object(r, "tool", "contains", "matches", "error", "code", "since")
		w.Result = &ResultMatch{Tool: d.str(f["tool"]), Contains: d.str(f["contains"]), Matches: d.str(f["matches"]),
			Code: d.str(f["code"]), Since: Since(d.str(f["since"]))}
		if f["error"] != nil {
			w.Result.Error = new(d.flag(f["error"]))
		}
	}
	return w
}

func (d *decoder) failure(n *node) Failure {
	m := d.object(n, "kind", "status", "retry_after", "message", "after", "wait", "times")
	f := Failure{Kind: d.str(m["kind"]), Status: d.number(m["status"]), RetryAfter: d.duration(m["retry_after"]),
		Message: d.str(m["message"]), After: d.number(m["after"]), Wait: d.duration(m["wait"]), Times: d.number(m["times"])}
	if t := m["times"]; t != nil && t.kind == "number" && f.Times == 0 {
		d.bad(t, "must be above 0")
	}
	return f
}

func (d *decoder) reply(n *node) Reply {
	m := d.object(n, "wait", "delay", "reasoning", "text", "pieces", "calls", "stop", "usage")
	r := Reply{Wait: d.duration(m["wait"]), Delay: d.duration(m["delay"]), Reasoning: d.str(m["reasoning"]), Text: d.str(m["text"]),
		Pieces: d.strs(m["pieces"]), Stop: transcript.StopReason(d.str(m["stop"]))}
	if c := m["calls"]; d.is(c, "array") {
		for _, item := range c.items {
			r.Calls = append(r.Calls, d.call(item))
		}
	}
	if u := m["usage"]; u != nil {
		f := d.object(u, "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
		r.Usage = &transcript.Usage{Input: d.number(f["input_tokens"]), Output: d.number(f["output_tokens"]),
			CacheRead: d.number(f["cache_read_tokens"]), CacheWrite: d.number(f["cache_creation_tokens"])}
	}
	return r
}

func (d *decoder) call(n *node) Call {
	m := d.object(n, "tool", "args", "args_text", "id")
	c := Call{Tool: d.str(m["tool"]), ArgsText: d.str(m["args_text"]), ID: id.Call(d.str(m["id"]))}
	if a := m["args"]; d.is(a, "object") {
		c.Args = a.raw
	}
	return c
}
