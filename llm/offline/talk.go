package offline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// The tools the rules know, and the preset that offers each.
const (
	readFile  = "read_file"
	listDir   = "list_dir"
	glob      = "glob"
	search    = "search"
	writeFile = "write_file"
	editFile  = "edit_file"
	shell     = "shell"
)

// talk is a conversation as the rules see it, and what they want next.
type talk struct {
	prompt  string // the last message of the user, without what it holds of standard input
	stdin   string
	piped   bool // whether there was standard input
	earlier int  // messages of the user just before the last one, to which nobody has replied

	tools   map[string]map[string]bool // what is offered: the tool's arguments by name
	made    map[string]*made           // calls since the last message of the user, by name and arguments
	pending []pending                  // what has been asked for and not been called yet

	root    transcript.Row
	replies int
	size    int // bytes of the conversation
}

// made is a call that was made.
type made struct {
	args   map[string]any
	result *transcript.ToolResult // nil: none came
}

// pending is a call to make.
type pending struct{ name, args string }

// listen reads a request.
func listen(req llm.Request) *talk {
	t := &talk{tools: map[string]map[string]bool{}, made: map[string]*made{}}
	for _, tool := range req.Tools {
		var schema struct {
			Properties map[string]json.RawMessage `json:"properties"`
		}
		t.tools[tool.Name] = map[string]bool{}
		if json.Unmarshal(tool.Schema, &schema) == nil {
			for name := range schema.Properties {
				t.tools[tool.Name][name] = true
			}
		}
	}
	calls := map[id.Call]*made{}
	replied := true
	for _, row := range req.Rows {
		switch e := row.Entry.(type) {
		case transcript.System:
			t.size += len(e.Text)
		case transcript.Notice:
			t.size += len(e.Text)
		case transcript.User:
			if t.root.Entry == nil {
				t.root = row
			}
			if t.earlier++; replied {
				t.earlier = 0
			}
			replied = false
			t.prompt, t.stdin, t.piped = splitStdin(e.Content.Plain())
			t.size += len(t.prompt) + len(t.stdin)
			clear(t.made)
			clear(calls)
		case transcript.Assistant:
			t.size += len(e.Blocks.Plain())
			t.replies++
			replied = true
			for _, u := range e.Blocks.ToolUses() {
				t.size += len(u.Args)
				m := &made{}
				_ = json.Unmarshal(u.Args, &m.args) // arguments that are no object are no call of these rules
				calls[u.ID] = m
				t.made[callKey(u.Name, canonical(m.args))] = m
			}
		case transcript.ToolResult:
			t.size += len(e.Content.Plain())
			if m := calls[e.Call]; m != nil {
				m.result = &e
			}
		}
	}
	return t
}

// splitStdin takes the part of a message that came from standard input out of it.
func splitStdin(text string) (prompt, stdin string, piped bool) {
	const opening, closing = "<stdin>", "</stdin>"
	start := strings.Index(text, opening)
	end := strings.LastIndex(text, closing)
	if start < 0 || end < start {
		return text, "", false
	}
	stdin = strings.Trim(text[start+len(opening):end], "\r\n")
	return strings.TrimSpace(text[:start] + "\n" + text[end+len(closing):]), stdin, true
}

// result is what came of a call, for a rule.
type result struct {
	text   string
	failed bool
	code   string
}

// call returns the result of a call, if it has been made since the user's message, and asks for it otherwise. So a rule is
// written as if every call returned at once, never makes the same call twice, and comes to its end.
func (t *talk) call(name string, args map[string]any) (result, bool) {
	text := canonical(args)
	m, ok := t.made[callKey(name, text)]
	if !ok {
		p := pending{name, text}
		for _, q := range t.pending {
			if p == q {
				return result{}, false
			}
		}
		t.pending = append(t.pending, p)
		return result{}, false
	}
	if m.result == nil {
		return result{text: "no result came", failed: true}, true
	}
	r := result{text: m.result.Content.Plain(), failed: m.result.IsError, code: m.result.Code}
	if r.failed {
		r.text = strings.TrimPrefix(r.text, name+": ") // the answer says in its own words what was tried
	}
	return r, true
}

// offers reports whether a tool may be called.
func (t *talk) offers(name string) bool {
	_, ok := t.tools[name]
	return ok
}

// argument returns the first of names that is an argument of the tool, or the first if none is known to be.
func (t *talk) argument(tool string, names ...string) string {
	for _, n := range names {
		if t.tools[tool][n] {
			return n
		}
	}
	return names[0]
}

// callID derives the id of the n-th call of this reply from the conversation: equal in a process that comes back, and different
// for every other call.
func (t *talk) callID(n int) id.Call {
	h := sha256.New()
	var at int64
	if !t.root.Time.IsZero() {
		at = t.root.Time.UnixNano()
	}
	fmt.Fprintf(h, "%d %d %q %d %d ", at, t.root.At.Message, t.root.Run, t.replies, n)
	fmt.Fprintf(h, "%q %q", t.pending[n].name, t.pending[n].args)
	return id.Call("call_" + hex.EncodeToString(h.Sum(nil)[:10]))
}

func callKey(name, args string) string { return name + " " + args }

// canonical returns the JSON of arguments with sorted keys.
func canonical(args map[string]any) string {
	if args == nil {
		args = map[string]any{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(args); err != nil {
		return "{}" // cannot be: what was decoded from JSON, and strings, can be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
