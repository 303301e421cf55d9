package builtin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
)

// outside makes a secret beside the workspace, and returns its folder.
func (d *desk) outside() string {
	d.t.Helper()
	dir := filepath.Join(filepath.Dir(d.dir), "outside")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret.txt"), []byte("the secret"), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

// untouched fails if anything outside was changed.
func (d *desk) untouched(dir string) {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "secret.txt"))
	if err != nil || string(data) != "the secret" {
		d.t.Errorf("the file outside is now %q, %v", data, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		d.t.Errorf("the folder outside now holds %v, %v", entries, err)
	}
}

// everyTool calls each confined tool on a path and returns what they said.
func (d *desk) everyTool(path string) map[string]string {
	d.t.Helper()
	out := make(map[string]string)
	for name, a := range map[string]args{
		"read_file":  {"path": path},
		"list_dir":   {"path": path},
		"glob":       {"path": path, "pattern": "**"},
		"search":     {"path": path, "pattern": "secret"},
		"write_file": {"path": path, "content": "overwritten"},
		"edit_file":  {"path": path, "old_string": "the", "new_string": "a"},
	} {
		r := d.call(name, a)
		out[name] = r.Content.Plain()
		if !r.IsError {
			d.t.Errorf("%s of %q succeeded: %s", name, path, out[name])
		}
	}
	return out
}

func Test_no_tool_leaves_the_workspace(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	out := d.outside()
	d.put("sub/file.txt", "inside")
	d.link(filepath.Join(out, "secret.txt"), "file-abs")
	d.link("../outside/secret.txt", "file-rel")
	d.link(out, "dir-abs")
	d.link("../outside", "dir-rel")
	d.link("dir-rel", "chain-1")
	d.link("chain-1", "chain-2")
	d.link("../outside/not-yet.txt", "dangling")
	d.link(filepath.Join(out, "not-yet.txt"), "dangling-abs")
	d.link("..", "up")
	d.link("sub/../../outside", "winding")
	d.link(d.dir+"/../outside", "abs-winding")
	for _, path := range []string{"..", "../outside/secret.txt", "sub/../../outside/secret.txt", out, filepath.Join(out, "secret.txt"), "/etc/passwd",
		d.dir + "-sibling", d.dir + "/../outside/secret.txt", "file-abs", "file-rel", "dir-abs", "dir-abs/secret.txt", "dir-rel/secret.txt", "dir-rel/sub/new.txt",
		"chain-2/secret.txt", "dangling", "dangling-abs", "up/outside/secret.txt", "winding/secret.txt", "abs-winding/secret.txt", "up"} {
		for name, text := range d.everyTool(path) {
			if strings.Contains(text, "the secret") {
				t.Errorf("%s of %q shows what is outside: %s", name, path, text)
			}
			if !strings.Contains(text, "outside the workspace") {
				t.Errorf("%s of %q does not say why it was refused: %s", name, path, text)
			}
		}
	}
	d.untouched(out)
}

func Test_walks_do_not_follow_links(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	d.link(d.outside(), "away")
	d.link(".", "loop")
	d.put("a.txt", "no secret")
	if text := d.ok("search", args{"pattern": "secret"}); text != "a.txt:1:no secret\n" {
		t.Errorf("search: %s", text)
	}
	if text := d.ok("glob", args{"pattern": "**/*"}); strings.Contains(text, "secret.txt") || strings.Contains(text, "loop/") {
		t.Errorf("glob: %s", text)
	}
	text := d.ok("list_dir", args{"depth": 3})
	contains(t, text, "away -> "+filepath.Join(filepath.Dir(d.dir), "outside")+" (leads to nothing, or out of the workspace)", "loop -> .\n")
	if strings.Contains(text, "secret.txt") {
		t.Errorf("list_dir: %s", text)
	}
}

func Test_links_inside_the_workspace_work(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	d.put("real/file.txt", "one\n")
	d.link("real", "rel")
	d.link(d.path("real"), "abs")
	d.link("file.txt", "real/alias")
	d.link(d.path("real/file.txt"), "abs-file")
	d.link("real/made-by-link.txt", "dangling")
	d.link(d.path("real/made-by-abs.txt"), "dangling-abs")
	for _, path := range []string{"rel/file.txt", "abs/file.txt", "abs/alias", "rel/alias", "abs-file", d.path("abs/alias")} {
		if text := d.ok("read_file", args{"path": path}); text != "one\n" {
			t.Errorf("%s: %q", path, text)
		}
	}
	d.ok("write_file", args{"path": "dangling", "content": "x"})
	d.ok("write_file", args{"path": "dangling-abs", "content": "y"})
	d.ok("write_file", args{"path": "abs/new/deep.txt", "content": "z"})
	d.ok("edit_file", args{"path": "abs-file", "old_string": "one", "new_string": "two"})
	if d.read("real/made-by-link.txt") != "x" || d.read("real/made-by-abs.txt") != "y" || d.read("real/new/deep.txt") != "z" || d.read("real/file.txt") != "two\n" {
		t.Error("a write through a link went elsewhere")
	}
	for _, name := range []string{"dangling", "abs-file", "abs"} {
		if info, err := os.Lstat(d.path(name)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more (%v)", name, err)
		}
	}
}

func Test_a_workspace_that_is_reached_by_a_link_takes_both_names(t *testing.T) {
	t.Parallel()
	real := t.TempDir()
	if err := os.WriteFile(filepath.Join(real, "a.txt"), []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(t.TempDir(), "named")
	if err := os.Symlink(real, named); err != nil {
		t.Fatal(err)
	}
	d := deskAt(t, "workspace", named)
	for _, path := range []string{"a.txt", filepath.Join(named, "a.txt"), filepath.Join(real, "a.txt"), "./x/../a.txt"} {
		if text := d.ok("read_file", args{"path": path}); text != "a\n" {
			t.Errorf("%s: %q", path, text)
		}
	}
}

func Test_full_goes_anywhere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	out := d.outside()
	d.link(filepath.Join(out, "secret.txt"), "away")
	for _, path := range []string{"../outside/secret.txt", filepath.Join(out, "secret.txt"), "away"} {
		if text := d.ok("read_file", args{"path": path}); text != "the secret\n" {
			t.Errorf("%s: %q", path, text)
		}
	}
	d.ok("write_file", args{"path": filepath.Join(out, "sub", "new.txt"), "content": "new"})
	if data, err := os.ReadFile(filepath.Join(out, "sub", "new.txt")); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
	if text := d.ok("glob", args{"path": out, "pattern": "*.txt"}); text != filepath.Join(out, "secret.txt")+"\n" {
		t.Errorf("glob shows %q", text)
	}
	if text := d.ok("read_file", args{"path": "/proc/version"}); !strings.Contains(text, "Linux") {
		t.Skipf("no /proc here: %s", text)
	}
}

func Test_a_link_put_in_place_during_a_call_does_not_lead_out(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	out := d.outside()
	d.put("dir/secret.txt", "inside")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			// The folder and a link to the one outside change places all the time.
			_ = os.Rename(d.path("dir"), d.path("kept"))
			_ = os.Symlink(out, d.path("dir"))
			_ = os.Remove(d.path("dir"))
			_ = os.Rename(d.path("kept"), d.path("dir"))
		}
	}()
	for range 200 {
		if text := d.call("read_file", args{"path": "dir/secret.txt"}).Content.Plain(); strings.Contains(text, "the secret") {
			t.Fatal("read a file outside")
		}
		d.call("write_file", args{"path": "dir/secret.txt", "content": "inside"})
		d.call("write_file", args{"path": "dir/new.txt", "content": "inside"})
	}
	close(stop)
	<-done
	d.untouched(out)
}

func Test_strange_paths_are_refused_in_words(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	for _, path := range []string{"a\x00b", strings.Repeat("x", 5000), strings.Repeat("x/", 3000) + "x", "a/" + strings.Repeat("x", 300)} {
		for name, text := range d.everyTool(path) {
			if text == "" {
				t.Errorf("%s: no words for a path of %d bytes", name, len(path))
			}
		}
	}
}

func Test_errors_of_options_carry_their_code(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Preset: "x"})
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("%v: %v", err, fault.CodeOf(err))
	}
	_, err = New(Options{Preset: "safe", Workspace: "/does/not/exist"})
	if fault.CodeOf(err) != fault.Invalid {
		t.Errorf("%v: %v", err, fault.CodeOf(err))
	}
}

func FuzzLocate_a_path_is_inside_or_refused(f *testing.F) {
	for _, p := range []string{"", ".", "..", "a/../..", "/", "//", "/ws", "/ws/../x", "ws/./..//a", "..\\a", "a\x00", "…/é", "~", "./.../..."} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		dir := t.TempDir()
		in, err := openFolder(dir, true)
		if err != nil {
			t.Fatal(err)
		}
		s, err := in.locate(path)
		if err != nil {
			return
		}
		defer s.Close()
		if !filepath.IsLocal(s.rel) {
			t.Errorf("%q became %q, which is not inside", path, s.rel)
		}
		if s.root.Name() != in.real {
			t.Errorf("%q is looked up in %q", path, s.root.Name())
		}
	})
}
