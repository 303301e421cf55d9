package rehearsal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

func Test_what_is_wrong_with_a_script_is_told_with_line_and_field(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ script, want string }{
		{"", "line 1: not valid JSON: the file ends in the middle"},
		{"{\n\"steps\": [\n", "line 3: steps: not valid JSON"},
		{"{\n\"steps\": [x]}", "line 2: steps[0]: not valid JSON"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a\"}}]}\n{}", "line 2: more text after the end"},
		{"{\n\"name\": \"\xff\"}", "line 2: not valid UTF-8"},
		{"[]", "line 1: must be of type object, not array"},
		{"{}", "line 1: steps: a script needs at least one step"},
		{"{\n\"steps\": [], \"name\": 3}", "line 2: name: must be of type string, not number"},
		{"{\n\"steps\": [\n{\"reply\": {\"txt\": \"a\"}}]}", "line 3: steps[0].reply.txt: unknown field; known here: wait, delay"},
		{"{\"name\": \"a\",\n\"name\": \"b\"}", "line 2: name: is there twice"},
		{"{\"steps\": [\n{}]}", "line 2: steps[0]: needs a reply, or failures"},
		{"{\"steps\": [{\"always\": true, \"reply\": {\"text\": \"a\"}},\n{\"reply\": {\"text\": \"b\"}}]}", "line 2: steps[1]: is never played: steps[0]"},
		{"{\"steps\": [{\"always\": true,\n\"times\": 2, \"reply\": {\"text\": \"a\"}}]}", "line 2: steps[0].times: says how often"},
		{"{\"steps\": [{\"times\": 0, \"reply\": {\"text\": \"a\"}}]}", "steps[0].times: must be above 0"},
		{"{\"steps\": [{\"times\": 1.5, \"reply\": {\"text\": \"a\"}}]}", "steps[0].times: must be a whole number, not 1.5"},
		{"{\"steps\": [{\"reply\": {\n\"text\": \"a\",\n\"delay\": \"soon\"}}]}", "line 3: steps[0].reply.delay: must be a duration such as"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a\", \"wait\": \"-1s\"}}]}", "steps[0].reply.wait: must not be below 0"},
		{"{\"steps\": [{\"reply\": {}}]}", "steps[0].reply: says nothing"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a\", \"pieces\": [\"b\"]}}]}", "steps[0].reply.pieces: is another way"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a\", \"stop\": \"tool_use\"}}]}", "steps[0].reply.stop: tool_use needs calls"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a\", \"stop\": \"bored\"}}]}", "steps[0].reply.stop: \"bored\" is not known"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a {{usr}}\"}}]}", "steps[0].reply.text: unknown placeholder {{usr}}"},
		{"{\"steps\": [{\"reply\": {\"text\": \"a {{user\"}}]}", "steps[0].reply.text: {{ without }}"},
		{"{\"steps\": [{\"reply\": {\"calls\": [{\"tool\": \"\"}]}}]}", "steps[0].reply.calls[0].tool: must name a tool"},
		{"{\"steps\": [{\"reply\": {\"calls\": [{\"tool\": \"a\", \"args\": [1]}]}}]}", "steps[0].reply.calls[0].args: must be of type object, not array"},
		{"{\"steps\": [{\"reply\": {\"calls\": [{\"tool\": \"a\", \"args\": {\"x\": \"{{}}\"}}]}}]}", "steps[0].reply.calls[0].args: unknown placeholder {{}}"},
		{"{\"steps\": [{\"reply\": {\"calls\": [{\"tool\": \"a\", \"id\": \"1\"},\n{\"tool\": \"a\", \"id\": \"1\"}]}}]}", "line 2: steps[0].reply.calls[1].id: \"1\" is another call's id"},
		{"{\"steps\": [{\"failures\": [{}]}]}", "steps[0].failures[0]: needs a kind or a status"},
		{"{\"steps\": [{\"failures\": [{\"kind\": \"tired\"}]}]}", "steps[0].failures[0].kind: \"tired\" is not known; known: cut, hang, authentication_failed"},
		{"{\"steps\": [{\"failures\": [{\"kind\": \"cut\", \"after\": 1}]}]}", "steps[0].failures[0].after: there is no reply"},
		{"{\"steps\": [{\"failures\": [{\"kind\": \"hang\", \"message\": \"x\"}]}]}", "steps[0].failures[0]: a hang says nothing"},
		{"{\"steps\": [{\"failures\": [{\"status\": 42}]}]}", "steps[0].failures[0].status: 42 is no HTTP status"},
		{"{\"steps\": [{\"when\": {\"user_matches\": \"(\"}, \"reply\": {\"text\": \"a\"}}]}", "steps[0].when.user_matches: error parsing regexp"},
		{"{\"steps\": [{\"when\": {\"round\": 2, \"reply\": 1}, \"reply\": {\"text\": \"a\"}}]}", "steps[0].when.round: cannot be above reply"},
		{"{\"steps\": [{\"when\": {\"reply\": 0, \"result\": {}}, \"reply\": {\"text\": \"a\"}}]}", "steps[0].when.result: there is no tool result before"},
		{"{\"steps\": [{\"when\": {\"result\": {\"since\": \"ever\"}}, \"reply\": {\"text\": \"a\"}}]}", "steps[0].when.result.since: must be reply, user or start"},
		{"{\"steps\": [{\"when\": {\"turn\": -1}, \"reply\": {\"text\": \"a\"}}]}", "steps[0].when.turn: must not be below 0"},
		{strings.Repeat("[", 1000), "nested too deeply"},
	} {
		_, err := Parse([]byte(c.script))
		var e *ScriptError
		if !errors.As(err, &e) || fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want a *ScriptError", c.script, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.script, err, c.want)
		}
	}
}

func Test_all_problems_are_told_at_once(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`{"steps": [{"when": {"turn": -1}, "reply": {"text": "{{x}}", "stop": "no"}}]}`))
	var e *ScriptError
	if !errors.As(err, &e) || len(e.Problems) != 3 {
		t.Errorf("got %v, want three problems", err)
	}
	_, err = Open(filepath.Join(t.TempDir(), "none.json"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the file is not there", err)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Open(bad); err == nil || !strings.Contains(err.Error(), bad+": line 1: steps:") {
		t.Errorf("got %v, want it to name the file", err)
	}
	if _, err = New(Script{Steps: []Step{{Times: -1, Reply: &Reply{Text: "a"}}}}); err == nil || !strings.Contains(err.Error(), "steps[0].times: must not be below 0") {
		t.Errorf("got %v", err)
	}
}

func Test_every_field_of_a_file_arrives_in_the_script(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(`{"name": "n", "steps": [{
		"name": "s", "times": 2,
		"when": {"turn": 1, "round": 2, "reply": 3, "user": "u", "user_matches": "m", "tools": ["t"],
			"result": {"tool": "a", "contains": "b", "matches": "c", "error": false, "code": "d", "since": "start"}},
		"failures": [{"kind": "overloaded", "status": 529, "retry_after": "1s", "message": "f", "after": 4, "wait": "2s", "times": 5}],
		"reply": {"wait": "3s", "delay": "4s", "reasoning": "r", "pieces": ["p"], "stop": "max_tokens",
			"calls": [{"tool": "x", "args": {"y": [1]}, "id": "i"}, {"tool": "z", "args_text": "{"}],
			"usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_creation_tokens": 4}}
	}, {"always": true, "reply": {"text": "t"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Script{Name: "n", Steps: []Step{{
		Name: "s", Times: 2,
		When: When{Turn: new(1), Round: new(2), Reply: new(3), User: "u", UserMatches: "m", Tools: []string{"t"},
			Result: &ResultMatch{Tool: "a", Contains: "b", Matches: "c", Error: new(false), Code: "d", Since: SinceStart}},
		Failures: []Failure{{Kind: "overloaded", Status: 529, RetryAfter: time.Second, Message: "f", After: 4, Wait: 2 * time.Second, Times: 5}},
		Reply: &Reply{Wait: 3 * time.Second, Delay: 4 * time.Second, Reasoning: "r", Pieces: []string{"p"}, Stop: transcript.StopMaxTokens,
			Calls: []Call{{Tool: "x", Args: []byte(`{"y": [1]}`), ID: "i"}, {Tool: "z", ArgsText: "{"}},
			Usage: &transcript.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}},
	}, {Always: true, Reply: &Reply{Text: "t"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func Test_the_example_of_the_document_plays_as_it_says(t *testing.T) {
	t.Parallel()
	m := model(t, documented(t)[0])
	tools := []llm.Tool{{Name: "list_dir"}}
	for _, c := range []struct {
		result transcript.ToolResult
		fails  bool
		want   string
	}{
		{transcript.ToolResult{Content: transcript.TextBlocks("a.txt")}, true, "Here is what I found:\n\na.txt"},
		{transcript.ToolResult{Content: transcript.TextBlocks("denied"), IsError: true}, false, "That did not work: denied"},
	} {
		k := new(talk).user("What is in this Folder?")
		first := hear(t.Context(), m, llm.Request{Rows: k.rows, Tools: tools})
		if first.text() != "I look into it." || len(first.reply.Blocks.ToolUses()) != 1 {
			t.Fatalf("got %+v", first)
		}
		k.settle(first.reply, func(transcript.ToolUse) transcript.ToolResult { return c.result })
		o := hear(t.Context(), m, llm.Request{Rows: k.rows, Tools: tools})
		if c.fails {
			if e := llm.AsError(o.err); e.Kind != llm.Overloaded || e.RetryAfter != time.Second {
				t.Fatalf("got %v", o.err)
			}
			o = hear(t.Context(), m, llm.Request{Rows: k.rows, Tools: tools})
		}
		if o.text() != c.want {
			t.Errorf("got %q, want %q", o.text(), c.want)
		}
	}
	if got := hear(t.Context(), m, llm.Request{Rows: new(talk).user("hi").rows}).text(); got != "Ask me what is in the folder." {
		t.Errorf("got %q", got)
	}
}

// documented returns the JSON examples of the document.
func documented(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```json\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatal("the document has no example")
	}
	return out
}

func Test_the_document_names_every_field_and_kind(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("parse.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`d\.object\(\w+, (.*)\)`).FindAllStringSubmatch(string(code), -1) {
		for f := range strings.SplitSeq(m[1], ", ") {
			want = append(want, strings.Trim(f, `"`))
		}
	}
	if len(want) < 40 {
		t.Fatalf("only %d fields were found in the code", len(want))
	}
	for _, k := range kinds() {
		want = append(want, string(k))
	}
	for _, f := range append(want, Cut, Hang) {
		if !strings.Contains(string(text), "`"+f+"`") {
			t.Errorf("docs/rehearsal.md does not name `%s`", f)
		}
	}
}

func Test_kinds_are_all_kinds_of_the_contract(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("../error.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []llm.Kind
	for _, m := range regexp.MustCompile(`(?m)^\t\w+\s+Kind = "(\w+)"`).FindAllStringSubmatch(string(code), -1) {
		want = append(want, llm.Kind(m[1]))
	}
	got := kinds()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func Test_the_examples_in_testdata_can_be_opened(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) < 2 {
		t.Fatalf("got %v, %v", paths, err)
	}
	for _, p := range paths {
		m, err := Open(p)
		if err != nil {
			t.Error(err)
			continue
		}
		if o := hear(t.Context(), m, llm.Request{Rows: new(talk).user("hello").rows}); o.err != nil || !o.done || o.text() == "" {
			t.Errorf("%s: got %+v", p, o)
		}
	}
}

func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range append(paths, "demo.json") {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range documented(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			var e *ScriptError
			if !errors.As(err, &e) || len(e.Problems) == 0 || e.Problems[0].Line == 0 {
				t.Fatalf("got %v, want a problem with a line", err)
			}
			return
		}
		m, err := New(s)
		if err != nil {
			t.Fatalf("what Parse accepts, New refuses: %v", err)
		}
		k := new(talk).user("weather folder go")
		for range 4 { // whatever it says, it says the same of the same conversation
			var c, d conversation
			req := llm.Request{Rows: k.rows, Tools: []llm.Tool{{Name: "forecast"}, {Name: "list_dir"}}}
			i, err := m.choose(&c, req)
			if j, _ := m.choose(&d, req); i != j {
				t.Fatalf("chose step %d, then %d", i, j)
			}
			if err != nil || m.steps[i].Reply == nil {
				return
			}
			parts, err := c.render(*m.steps[i].Reply)
			if err != nil || len(parts) == 0 {
				return
			}
			k.add(transcript.Assistant{Blocks: transcript.TextBlocks("said")})
		}
	})
}
