package offline

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/builtin"
	"github.com/meerkat-go/meerkat/transcript"
)

const maxRounds = 6 // replies to one message; no rule needs more

// workspace makes a folder with files and returns its path.
func workspace(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// registry returns the real tools of a preset.
func registry(t *testing.T, dir, preset string) *tool.Registry {
	t.Helper()
	tools, err := builtin.New(builtin.Options{Preset: preset, Workspace: dir, Shell: "/bin/sh"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func offered(r *tool.Registry) []llm.Tool {
	var out []llm.Tool
	for _, s := range r.Specs() {
		out = append(out, llm.Tool{Name: s.Name, Description: s.Description, Schema: s.Schema})
	}
	return out
}

// talkOf is a conversation as a session commits it.
type talkOf struct {
	rows []transcript.Row
	n    int
}

func (k *talkOf) add(e transcript.Entry) {
	k.n++
	k.rows = append(k.rows, transcript.Row{At: transcript.Position{Message: k.n}, Entry: e})
}

// answer carries a message through the loop: model, tools, model, until there is an answer.
func (k *talkOf) answer(t *testing.T, m llm.Model, tools []llm.Tool, prompt string, call func(transcript.ToolUse) transcript.ToolResult) string {
	t.Helper()
	k.add(transcript.User{Content: transcript.TextBlocks(prompt)})
	seen := map[string]bool{}
	for range maxRounds {
		a, err := llm.Collect(m.Stream(t.Context(), llm.Request{Rows: k.rows, Tools: tools}), nil)
		if err != nil {
			t.Fatalf("%q: %v", prompt, err)
		}
		again, err := llm.Collect(m.Stream(t.Context(), llm.Request{Rows: k.rows, Tools: tools}), nil)
		if diff := cmp.Diff(a, again); err != nil || diff != "" {
			t.Fatalf("%q: two replies to one request differ: %v %s", prompt, err, diff)
		}
		k.add(a)
		uses := a.Blocks.ToolUses()
		if len(uses) == 0 {
			return a.Blocks.Plain()
		}
		for _, u := range uses {
			key := u.Name + string(u.Args)
			if seen[key] {
				t.Fatalf("%q: asked twice for %s", prompt, key)
			}
			seen[key] = true
			r := call(u)
			r.Call, r.Name = u.ID, u.Name
			k.add(r)
		}
	}
	t.Fatalf("%q: no answer after %d rounds", prompt, maxRounds)
	return ""
}

// with runs calls with real tools.
func with(ctx context.Context, t *testing.T, r *tool.Registry) func(transcript.ToolUse) transcript.ToolResult {
	return func(u transcript.ToolUse) transcript.ToolResult {
		t.Helper()
		if _, refusal := r.Check(u.Name, u.Args); refusal != nil {
			t.Fatalf("the call %s %s is refused: %+v", u.Name, u.Args, refusal)
		}
		res, err := r.Run(ctx, tool.Call{ID: u.ID, Name: u.Name, Args: u.Args, Attempt: 1})
		if err != nil {
			t.Fatal(err)
		}
		return transcript.ToolResult{Content: res.Content, IsError: res.IsError, Code: res.Code}
	}
}
