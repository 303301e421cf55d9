package offline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
	"pgregory.net/rapid"
)

var quick = Model{Delay: -1}

var files = map[string]string{
	"README.md":      "# Tea Pot\n\nIt makes tea. It also makes coffee.\n\n## Use\n\nPress the button.\n",
	"go.mod":         "module example.org/tea\n\ngo 1.26\n",
	"main.go":        "// Package main makes tea.\npackage main\n\nfunc main() { boil() }\n",
	"pot/boil.go":    "package main\n\nfunc boil() {}\n",
	"a.txt":          "one\ntwo\nthree\n",
	"my notes.txt":   "one\n2\nthree\n",
	"empty.txt":      "",
	"pot/picture":    "\x00\x01\x02",
	"docs/guide.md":  "# Guide\n",
	"docs/more.md":   "TODO: more\n",
	"same/a copy.md": "# Guide\n",
}

func Test_answers_come_from_the_workspace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		say  string
		want []string
	}{
		{"what is in this folder?", []string{"**9 entries**: 3 folders and 6 files", "**Tea Pot** — It makes tea.", "named `example.org/tea`", "`pot/`", "Go (1): `main.go`"}},
		{"what is in docs/?", []string{"`docs/` has **2 entries**", "`guide.md`"}},
		{"what is in a.txt?", []string{"```\none\ntwo\nthree\n```"}},
		{"read pot", []string{"The folder `pot` has **2 entries**"}},
		{"read the readme", []string{"`README.md`:", "It makes tea."}},
		{"read boil.go", []string{"`pot/boil.go`, which is the only file of the name `boil.go`", "func boil"}},
		{"read nothing.txt", []string{"I could not read `nothing.txt`", "no file of that name anywhere"}},
		{"read empty.txt and pot/picture", []string{"the file is empty", "not shown"}},
		{"summarise README.md", []string{"7 lines", "title is **Tea Pot**", "It makes tea.", "by rules"}},
		{"summarise main.go", []string{"makes tea", "`func main() { boil() }`"}},
		{"find *.go", []string{"**2 files**", "`main.go`", "`pot/boil.go`"}},
		{"find boil", []string{"`boil` occurs on **2 lines** in 2 files", "Files of that name: `pot/boil.go`"}},
		{"search for '(' in main.go", []string{"`(` occurs on **1 line**"}},
		{"search for zebra", []string{"does not occur"}},
		{"how many files are there?", []string{"**11 files**"}},
		{"how many go files are there?", []string{"**2 files**"}},
		{"how many folders are there?", []string{"**3 folders**"}},
		{"count the lines of a.txt", []string{"`a.txt` has **3 lines**"}},
		{"how many lines of go are there?", []string{"have **7 lines** together"}},
		{"how many times does one occur in a.txt?", []string{"**1 line**"}},
		{"compare a.txt and 'my notes.txt'", []string{"-two\n+2"}},
		{"are docs/guide.md and 'same/a copy.md' the same?", []string{"are the same: 1 line"}},
		{"compare a.txt and nothing.txt", []string{"I could not read `nothing.txt`"}},
		{"what time is it?", []string{"It is 20"}},
		{"sing a song", []string{"I do not understand", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "local server"}},
		{"<stdin>\nIt rains. It pours.\n</stdin>\n\nsummarise", []string{"1 line, 4 words", "- It rains."}},
		{"<stdin>\na b\na\n</stdin>\n\nfind 'a'", []string{"**2 times** in the text, on 2 lines"}},
		{"run `echo out; echo err >&2; exit 3`", []string{"exit_code: 3", "out", "err"}},
	} {
		t.Run(c.say, func(t *testing.T) {
			t.Parallel()
			r := registry(t, workspace(t, files), "full")
			got := new(talkOf).answer(t, quick, offered(r), c.say, with(t.Context(), t, r))
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("said %q, want it to contain %q", got, want)
				}
			}
		})
	}
}

func Test_what_is_written_is_on_the_disk(t *testing.T) {
	t.Parallel()
	dir := workspace(t, nil)
	r := registry(t, dir, "workspace")
	k := new(talkOf)
	for _, say := range []string{"write 'hello you' to out/hello.txt", "replace 'you' with 'all' in out/hello.txt", "create an empty file e.txt", "<stdin>\nx\ny\n</stdin>\n\nsave it to in.txt"} {
		if got := k.answer(t, quick, offered(r), say, with(t.Context(), t, r)); !strings.HasPrefix(got, "I have ") {
			t.Errorf("%q: said %q", say, got)
		}
	}
	for name, want := range map[string]string{"out/hello.txt": "hello all\n", "e.txt": "", "in.txt": "x\ny\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, want %q (%v)", name, got, want, err)
		}
	}
}

func Test_a_tool_that_is_not_offered_is_named_with_the_preset_that_offers_it(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]string{
		"what is in this folder?": "`list_dir`.*--tools safe", "read a.txt": "`read_file`.*--tools safe", "find *.go": "`glob`.*--tools safe",
		"search for x": "`search`.*--tools safe", "write 'x' to y": "`write_file`.*--tools workspace", "replace 'a' with 'b' in c": "`edit_file`.*--tools workspace",
		"run `ls`": "`shell`.*--tools full", "compare a.txt and b.txt": "`read_file`.*--tools safe",
	} {
		got := new(talkOf).answer(t, quick, nil, say, nil)
		tool, preset, _ := strings.Cut(want, ".*")
		if !strings.Contains(got, tool) || !strings.Contains(got, preset) {
			t.Errorf("%q: said %q", say, got)
		}
	}
}

func Test_a_result_that_is_no_answer_is_told_as_it_is(t *testing.T) {
	t.Parallel()
	tools := []llm.Tool{{Name: writeFile}, {Name: listDir}}
	unknown := func(transcript.ToolUse) transcript.ToolResult {
		return transcript.ToolResult{IsError: true, Code: transcript.ResultOutcomeUnknown, Content: transcript.TextBlocks("the process ended")}
	}
	if got := new(talkOf).answer(t, quick, tools, "write 'x' to y.txt", unknown); !strings.Contains(got, "not known whether I could write `y.txt`") || strings.Contains(got, "I have written") {
		t.Errorf("said %q", got)
	}
	denied := func(transcript.ToolUse) transcript.ToolResult {
		return transcript.ToolResult{IsError: true, Code: transcript.ResultDenied}
	}
	if got := new(talkOf).answer(t, quick, tools, "what is in this folder?", denied); !strings.Contains(got, "I could not look into `.`: the tool gave no reason") {
		t.Errorf("said %q", got)
	}
}

func Test_messages_that_came_together_are_owned_up_to(t *testing.T) {
	t.Parallel()
	k := new(talkOf)
	k.add(transcript.User{Content: transcript.TextBlocks("sing")})
	if got := k.answer(t, quick, nil, "help", nil); !strings.Contains(got, "the last one only") {
		t.Errorf("said %q", got)
	}
	if got := k.answer(t, quick, nil, "help", nil); strings.Contains(got, "the last one only") {
		t.Errorf("said %q of a single message", got)
	}
}

func Test_call_ids_are_unique_in_a_session_and_differ_between_sessions(t *testing.T) {
	t.Parallel()
	seen := map[id.Call]bool{}
	n := 0
	for session := range 2 {
		k := new(talkOf)
		k.add(transcript.User{Content: transcript.TextBlocks("help")})
		k.rows[0].Time = time.Unix(int64(session), 0)
		tools := []llm.Tool{{Name: readFile}}
		for range 3 {
			k.answer(t, quick, tools, "read a.txt, b.txt and a.txt", func(u transcript.ToolUse) transcript.ToolResult {
				seen[u.ID], n = true, n+1
				return transcript.ToolResult{Content: transcript.TextBlocks("x\n")}
			})
		}
	}
	if len(seen) != 12 || n != 12 {
		t.Errorf("%d calls have %d ids, want 12 of each", n, len(seen))
	}
}

func Test_whatever_tools_say_there_is_an_answer(t *testing.T) {
	t.Parallel()
	var say []string
	for _, p := range phrases {
		s, piped := strings.CutPrefix(p.say, "| ")
		if piped {
			s = "<stdin>\nsome text. more text.\n</stdin>\n\n" + s
		}
		say = append(say, s)
	}
	names := []string{readFile, listDir, glob, search, writeFile, editFile, shell, "datetime"}
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a.txt  3\nREADME.md  1,000\ndocs/\nx -> y\n[3 of 9 entries left out]\n", "x.go:1:a\nx.go:2:b\n",
		"not found", "this is a folder; list_dir shows what is in it", "not a folder", "pot/a.txt\n", "one\ntwo\n[lines 1 to 2 of 9; read on with offset 3]", "[]", "::", "\n\n"}))
	codes := rapid.SampledFrom([]string{"", transcript.ResultOutcomeUnknown, transcript.ResultFailed, transcript.ResultTimeout, transcript.ResultCancelled})
	rapid.Check(t, func(rt *rapid.T) {
		var tools []llm.Tool
		for _, n := range names {
			if rapid.Float64().Draw(rt, n) > 0.1 {
				tools = append(tools, llm.Tool{Name: n, Schema: []byte(`{"properties":{"limit":{},"path":{},"literal":{}}}`)})
			}
		}
		prompt := rapid.SampledFrom(say).Draw(rt, "prompt")
		got := new(talkOf).answer(t, quick, tools, prompt, func(transcript.ToolUse) transcript.ToolResult {
			code := codes.Draw(rt, "code")
			return transcript.ToolResult{Content: transcript.TextBlocks(texts.Draw(rt, "result")), IsError: code != "", Code: code}
		})
		if got == "" {
			rt.Fatalf("%q: the answer is empty", prompt)
		}
	})
}

func Test_a_call_without_a_result_is_not_made_again(t *testing.T) {
	t.Parallel()
	k := new(talkOf)
	k.add(transcript.User{Content: transcript.TextBlocks("read a.txt")})
	k.add(transcript.Assistant{Blocks: transcript.Blocks{transcript.ToolUse{ID: "1", Name: readFile, Args: []byte(`{ "path" : "a.txt" }`)}}})
	a, err := llm.Collect(quick.Stream(t.Context(), llm.Request{Rows: k.rows, Tools: []llm.Tool{{Name: readFile}}}), nil)
	if err != nil || !strings.Contains(a.Blocks.Plain(), "no result came") {
		t.Errorf("said %q (%v)", a.Blocks.Plain(), err)
	}
}

func Test_an_answer_streams_in_small_parts_at_its_pace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := new(talkOf)
		k.add(transcript.User{Content: transcript.TextBlocks("help")})
		start := time.Now()
		var text []string
		n := 0
		for p, err := range (Model{}).Stream(t.Context(), llm.Request{Rows: k.rows}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if p, ok := p.(llm.TextPart); ok {
				text = append(text, p.Text)
			}
		}
		if len(text) < 20 || slices.ContainsFunc(text, func(s string) bool { return len(s) > 80 }) {
			t.Errorf("%d parts: %q", len(text), text)
		}
		if took := time.Since(start); took != time.Duration(n-1)*DefaultDelay {
			t.Errorf("%d parts took %v", n, took)
		}
	})
}

func Test_a_stream_ends_with_its_context(t *testing.T) {
	t.Parallel()
	k := new(talkOf)
	k.add(transcript.User{Content: transcript.TextBlocks("help")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parts := 0
	for _, err := range (Model{Delay: time.Hour}).Stream(ctx, llm.Request{Rows: k.rows}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) || parts != 1 {
				t.Errorf("after %d parts got %v", parts, err)
			}
			return
		}
		parts++
		cancel()
	}
	t.Error("the stream ended without an error")
}

func Test_a_huge_prompt_is_summarised(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "Line %d says that tea is hot.\n", i)
	}
	got := new(talkOf).answer(t, quick, nil, "<stdin>\n"+b.String()+"</stdin>\n\nsummarise", nil)
	if !strings.Contains(got, "20,000 lines, 140,000 words") {
		t.Errorf("said %q", got)
	}
}
