package builtin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/tooltest"
)

// desk is a workspace with the tools of a preset.
type desk struct {
	t        *testing.T
	dir      string
	registry *tool.Registry
}

func newDesk(t *testing.T, preset string) *desk {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "workspace")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return deskAt(t, preset, dir)
}

func deskAt(t *testing.T, preset, dir string) *desk {
	t.Helper()
	tools, err := New(Options{Preset: preset, Workspace: dir, Shell: "sh"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	return &desk{t, dir, r}
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) put(name, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) link(to, name string) {
	d.t.Helper()
	if err := os.Symlink(to, d.path(name)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) read(name string) string {
	d.t.Helper()
	data, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(data)
}

type args map[string]any

// call runs a tool as an executor would.
func (d *desk) call(name string, a args) tool.Result {
	d.t.Helper()
	if a == nil {
		a = args{}
	}
	data, err := json.Marshal(a)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := d.registry.Run(d.t.Context(), tool.Call{ID: id.Call("call-" + name), Name: name, Args: data, Attempt: 1})
	if err != nil {
		d.t.Fatalf("%s: %v", name, err)
	}
	return r
}

func (d *desk) ok(name string, a args) string {
	d.t.Helper()
	r := d.call(name, a)
	if r.IsError {
		d.t.Fatalf("%s %v: %s: %s", name, a, r.Code, r.Content.Plain())
	}
	return r.Content.Plain()
}

func (d *desk) refused(name string, a args, want ...string) {
	d.t.Helper()
	r := d.call(name, a)
	if !r.IsError {
		d.t.Fatalf("%s %v: succeeded: %s", name, a, r.Content.Plain())
	}
	contains(d.t, r.Content.Plain(), want...)
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func Test_each_tool_keeps_the_contract(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"datetime":   `{}`,
		"edit_file":  `{"path":"grows.txt","old_string":"x","new_string":"xx","replace_all":true}`,
		"glob":       `{"pattern":"**/*.txt"}`,
		"list_dir":   `{}`,
		"read_file":  `{"path":"a.txt","limit":30.0}`,
		"search":     `{"pattern":"hello"}`,
		"shell":      `{"command":"echo hello"}`,
		"write_file": `{"path":"new/file.txt","content":"hello\n"}`,
	}
	d := newDesk(t, "full")
	tools, err := New(Options{Preset: "full", Workspace: d.dir, Shell: "sh"})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tools {
		t.Run(x.Spec().Name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "full")
			d.put("a.txt", "hello\n")
			d.put("grows.txt", "x\n")
			tools, err := New(Options{Preset: "full", Workspace: d.dir, Shell: "sh"})
			if err != nil {
				t.Fatal(err)
			}
			for _, mine := range tools {
				if mine.Spec().Name == x.Spec().Name {
					tooltest.Run(t, mine, json.RawMessage(good[x.Spec().Name]))
				}
			}
		})
	}
}

func Test_each_preset_gives_exactly_its_tools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, p := range Presets() {
		tools, err := New(Options{Preset: p.Name, Workspace: dir})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, x := range tools {
			names = append(names, x.Spec().Name)
		}
		if got, want := strings.Join(names, " "), strings.Join(p.Tools, " "); got != want {
			t.Errorf("%s: %s, want %s", p.Name, got, want)
		}
		if p.Summary == "" {
			t.Errorf("%s has no sentence", p.Name)
		}
		withheld, err := Withheld(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(withheld)+len(p.Tools) != 8 {
			t.Errorf("%s withholds %v", p.Name, withheld)
		}
	}
}

func Test_an_unknown_preset_or_a_bad_workspace_is_told_with_what_to_do(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Preset: "everything"})
	if err == nil {
		t.Fatal("no error")
	}
	contains(t, err.Error(), `"everything"`, "safe, workspace, full")
	for _, dir := range []string{"", "relative", filepath.Join(t.TempDir(), "missing"), "/dev/null"} {
		if _, err := New(Options{Preset: "safe", Workspace: dir}); err == nil {
			t.Errorf("workspace %q was taken", dir)
		}
	}
	if tools, err := New(Options{}); err != nil || tools != nil {
		t.Errorf("the zero options give %v, %v; want no tools", tools, err)
	}
}

func Benchmark_construction_of_all_tools_and_their_registry(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		tools, err := New(Options{Preset: "full", Workspace: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tool.NewRegistry(tool.Limits{}, tools...); err != nil {
			b.Fatal(err)
		}
	}
}

func Benchmark_first_check_of_a_tool(b *testing.B) {
	dir := b.TempDir()
	tools, err := New(Options{Preset: "full", Workspace: dir})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := tool.NewRegistry(tool.Limits{}, tools...)
		if err != nil {
			b.Fatal(err)
		}
		if _, refusal := r.Check("search", json.RawMessage(`{"pattern":"x"}`)); refusal != nil {
			b.Fatal(refusal.Message)
		}
	}
}
