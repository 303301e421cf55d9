package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat/tool"
)

func Test_reading_shows_text_with_a_note_how_to_read_on(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	d.put("small.txt", "one\ntwo\nthree")
	if text := d.ok("read_file", args{"path": "small.txt"}); text != "one\ntwo\nthree\n" {
		t.Errorf("%q", text)
	}
	if text := d.ok("read_file", args{"path": "small.txt", "offset": 2, "limit": 1, "line_numbers": true}); text != "     2\ttwo\n[lines 2 to 2 of 3, 13 bytes in all; read on with offset 3]" {
		t.Errorf("%q", text)
	}
	contains(t, d.ok("read_file", args{"path": "small.txt", "offset": 9}), "has 3 lines: there is no line 9")
	d.put("empty", "")
	contains(t, d.ok("read_file", args{"path": "empty"}), "[the file is empty]")
}

func Test_a_big_file_is_read_page_by_page_without_loss(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	var b strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&b, "line %d of a rather big file\n", i+1)
	}
	d.put("big.txt", b.String())
	var got strings.Builder
	offset := 1
	for range 100 {
		text := d.ok("read_file", args{"path": "big.txt", "offset": offset, "limit": 100_000})
		if strings.Contains(text, "cut here") {
			t.Fatal("the registry had to cut a page")
		}
		page, note, _ := strings.Cut(text, "\n[lines ")
		got.WriteString(page + "\n")
		_, next, more := strings.Cut(note, "read on with offset ")
		if !more {
			break
		}
		if _, err := fmt.Sscanf(next, "%d", &offset); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != b.String() {
		t.Errorf("%d bytes came of %d", got.Len(), b.Len())
	}
}

func Test_odd_files_are_described(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	d.put("p.png", "\x89PNG\r\n\x1a\n\x00\x00")
	d.put("x.bin", "ab\x00cd")
	d.put("latin.txt", "caf\xe9 and the rest of the line\n")
	d.put("dos.txt", "\uFEFFa\r\nb\r\n")
	d.put("long.txt", strings.Repeat("x", 1_000_000)+"\nend\n")
	d.put("grüße 世界.txt", "inside\n")
	contains(t, d.ok("read_file", args{"path": "p.png"}), "a PNG image, 10 bytes: not shown")
	contains(t, d.ok("read_file", args{"path": "x.bin"}), "a binary file, 5 bytes")
	contains(t, d.ok("read_file", args{"path": "latin.txt"}), "caf\uFFFD and", "1 bytes are shown as \uFFFD")
	contains(t, d.ok("read_file", args{"path": "dos.txt"}), "a\nb\n[", "lines end in CRLF", "byte order mark")
	contains(t, d.ok("read_file", args{"path": "long.txt"}), "line 1 has 1,000,001 bytes, only the first 16,000 are shown", "\nend\n")
	contains(t, d.ok("read_file", args{"path": "grüße 世界.txt"}), "inside\n")
	contains(t, d.ok("list_dir", nil), "grüße 世界.txt  7\n")
}

func Test_what_is_missing_is_told_with_near_names(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	d.put("docs/readme.md", "x")
	d.refused("read_file", args{"path": "docs/reedme.md"}, "not found", "near names in docs: readme.md")
	d.refused("read_file", args{"path": "doc/readme.md"}, "not found", `no folder "doc"`, "near names in the workspace: docs")
	d.refused("read_file", args{"path": "docs/readme.md/x"}, "docs/readme.md")
	d.refused("read_file", args{"path": "docs"}, "list_dir")
	d.refused("list_dir", args{"path": "docs/readme.md"}, "read_file")
	d.refused("edit_file", args{"path": "docs/x", "old_string": "a", "new_string": "b"}, "not found")
	d.refused("write_file", args{"path": "docs", "content": ""}, "a folder")
	d.refused("write_file", args{"path": "new/", "content": ""}, "a folder")
	d.refused("write_file", args{"path": "docs/readme.md/x", "content": ""}, "docs/readme.md")
}

func Test_permissions_are_told_and_kept(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	d.put("script.sh", "#!/bin/sh\necho a\n")
	if err := os.Chmod(d.path("script.sh"), 0o751); err != nil {
		t.Fatal(err)
	}
	d.ok("edit_file", args{"path": "script.sh", "old_string": "echo a", "new_string": "echo b"})
	d.ok("write_file", args{"path": "script.sh", "content": "#!/bin/sh\n"})
	if info, err := os.Stat(d.path("script.sh")); err != nil || info.Mode().Perm() != 0o751 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	d.put("fixed.txt", "x")
	if err := os.Chmod(d.path("fixed.txt"), 0o444); err != nil {
		t.Fatal(err)
	}
	d.refused("write_file", args{"path": "fixed.txt", "content": "y"}, "read-only")
	d.refused("edit_file", args{"path": "fixed.txt", "old_string": "x", "new_string": "y"}, "read-only")
	if os.Geteuid() == 0 {
		return // nothing is forbidden to root
	}
	d.put("closed/x", "x")
	if err := os.Chmod(d.path("closed"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(d.path("closed"), 0o755)
	d.refused("read_file", args{"path": "closed/x"}, "permission denied")
	contains(t, d.ok("search", args{"pattern": "zzz"}), "1 files or folders could not be read")
}

func Test_listing_is_sorted_bounded_and_leaves_git_closed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	contains(t, d.ok("list_dir", nil), "the folder is empty")
	d.put("b.txt", "12345")
	d.put("a/x.txt", "")
	d.put("a/y/z.txt", "")
	d.put(".git/config", "")
	d.link("b.txt", "c")
	if text := d.ok("list_dir", nil); text != ".git/\na/\nb.txt  5\nc -> b.txt\n" {
		t.Errorf("%s", text)
	}
	if text := d.ok("list_dir", args{"depth": 2}); text != ".git/\na/\na/x.txt  0\na/y/\nb.txt  5\nc -> b.txt\n" {
		t.Errorf("%s", text)
	}
	for i := range 600 {
		d.put(fmt.Sprintf("many/%03d", i), "")
	}
	contains(t, d.ok("list_dir", args{"path": "many"}), "499  0\n[100 of 600 entries left out]")
	contains(t, d.ok("list_dir", args{"path": "many", "limit": 2}), "[598 of 600 entries left out]")
}

func Test_glob_finds_by_name(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	for _, name := range []string{"main.go", "a/a.go", "a/b/b.go", "a/b/c.md", "a/b/[x].txt", ".git/x.go", "d.ts"} {
		d.put(name, "")
	}
	for pattern, want := range map[string]string{
		"*.go": "main.go", "**/*.go": "a/a.go a/b/b.go main.go", "a/**": "a/a.go a/b/[x].txt a/b/b.go a/b/c.md", "**/b/*.{go,md}": "a/b/b.go a/b/c.md",
		"{main,d}.{go,ts}": "d.ts main.go", "**/": "a a/b", "./a/?.go": "a/a.go", "a/b/[[]x].txt": "a/b/[x].txt", "**/**/b.go": "a/b/b.go", "[a-c]/*.go": "a/a.go"} {
		got := strings.Join(strings.Fields(strings.ReplaceAll(d.ok("glob", args{"pattern": pattern}), "/\n", "\n")), " ")
		if pattern == "**/" {
			got = strings.TrimPrefix(got, ".git ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	if text := d.ok("glob", args{"path": "a", "pattern": "*.go"}); text != "a/a.go\n" {
		t.Errorf("from a folder: %q", text)
	}
	contains(t, d.ok("glob", args{"pattern": "*.none"}), "no match for *.none")
	contains(t, d.ok("glob", args{"pattern": "**", "limit": 2}), "[4 of 6 matches left out")
	d.refused("glob", args{"pattern": "[a"}, "malformed")
	d.refused("glob", args{"pattern": "{a"}, "without }")
	d.refused("glob", args{"pattern": "/etc/*"}, "relative")
	d.refused("glob", args{"pattern": "../*"}, `".."`)
	d.refused("glob", args{"pattern": strings.Repeat("{a,b}", 12)}, "more than")
}

func Test_search_finds_lines_and_says_what_it_left_out(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	d.put("a.txt", "one\ntwo\nthree\nfour\nfive\nthree\r\n")
	d.put("b/c.go", "func three() {}\nTHREE (3+)\n")
	d.put("x.bin", "three\x00")
	d.put(".git/x", "three")
	contains(t, d.ok("search", args{"pattern": "^three$"}), "a.txt:3:three\na.txt:6:three\n[1 binary files were left out]")
	contains(t, d.ok("search", args{"pattern": "THREE", "ignore_case": true, "include": "*.go"}), "b/c.go:1:func three() {}\nb/c.go:2:THREE (3+)\n")
	contains(t, d.ok("search", args{"pattern": "(3+)", "literal": true}), "b/c.go:2:THREE (3+)")
	contains(t, d.ok("search", args{"pattern": "t", "path": "b/c.go"}), "b/c.go:1:func three() {}")
	if text := d.ok("search", args{"pattern": "two|five", "context": 1, "path": "a.txt"}); text != "a.txt-1-one\na.txt:2:two\na.txt-3-three\na.txt-4-four\na.txt:5:five\na.txt-6-three\n" {
		t.Errorf("%s", text)
	}
	contains(t, d.ok("search", args{"pattern": "one|four", "context": 1, "path": "a.txt", "limit": 1}), "a.txt:1:one\na.txt-2-two\n[stopped after 1 matches in 1 files: there are more")
	contains(t, d.ok("search", args{"pattern": "nowhere"}), `no match for "nowhere" in 2 files`)
	contains(t, d.ok("search", args{"pattern": "three", "include": "b/**/*.{go,ts}"}), "b/c.go:1")
	d.refused("search", args{"pattern": "(?=x)"}, "not a regular expression", "literal")
	d.put("long", strings.Repeat("a", 3000)+"needle"+strings.Repeat("b", 3<<20)+"needle\n")
	text := d.ok("search", args{"pattern": "needle", "path": "long"})
	contains(t, text, "…aaa", "needlebbb", "b…", "only the first MiB")
	if len(text) > 1000 {
		t.Errorf("a long line is shown with %d bytes", len(text))
	}
}

func Test_writing_is_atomic_and_may_be_repeated(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	contains(t, d.ok("write_file", args{"path": "a/b/c.txt", "content": "one\ntwo"}), "a/b/c.txt: made, 7 bytes in 2 lines")
	contains(t, d.ok("write_file", args{"path": "a/b/c.txt", "content": ""}), "replaced (it had 7 bytes), 0 bytes in 0 lines")
	// A crash left the file beside; the repeat takes it away, a first attempt leaves what is not its own.
	a, err := json.Marshal(args{"path": "a/b/c.txt", "content": "again"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(d.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.locate("a/b/c.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left, name, err := s.beside(tool.Call{ID: "c9", Attempt: 1}, "a/b", "a/b/c.txt")
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	for attempt := 1; attempt <= 2; attempt++ {
		if _, err := d.registry.Run(t.Context(), tool.Call{ID: "c9", Name: "write_file", Args: a, Attempt: attempt}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(d.path(name)); errors.Is(err, os.ErrNotExist) != (attempt == 2) {
			t.Errorf("after attempt %d what the crash left: %v", attempt, err)
		}
	}
	if d.read("a/b/c.txt") != "again" {
		t.Error("the repeat did not write")
	}
	if entries, err := os.ReadDir(d.path("a/b")); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func Test_editing_replaces_exactly_one_place(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	d.put("a.txt", "alpha\n  beta gamma\nalpha\n")
	d.refused("edit_file", args{"path": "a.txt", "old_string": "alpha", "new_string": "x"}, "2 times, at lines 1, 3", "replace_all")
	d.refused("edit_file", args{"path": "a.txt", "old_string": "beta  gamma", "new_string": "x"}, "not in the file", "white space", "2:   beta gamma")
	d.refused("edit_file", args{"path": "a.txt", "old_string": "zeta", "new_string": "x"}, "No line resembles")
	d.refused("edit_file", args{"path": "a.txt", "old_string": "alpha", "new_string": "alpha"}, "the same")
	if d.read("a.txt") != "alpha\n  beta gamma\nalpha\n" {
		t.Error("a refused edit changed the file")
	}
	contains(t, d.ok("edit_file", args{"path": "a.txt", "old_string": "beta", "new_string": "BETA"}), "replaced 1 occurrence\n", "     2\t  BETA gamma\n")
	contains(t, d.ok("edit_file", args{"path": "a.txt", "old_string": "alpha", "new_string": "$1", "replace_all": true}), "replaced 2 occurrences, at lines 1, 3")
	if d.read("a.txt") != "$1\n  BETA gamma\n$1\n" {
		t.Errorf("%q", d.read("a.txt"))
	}
	d.put("bin", "a\x00b")
	d.refused("edit_file", args{"path": "bin", "old_string": "a", "new_string": "b"}, "cannot be edited as text")
}

func Test_editing_keeps_line_ends_and_odd_bytes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	d.put("dos.txt", "one\r\ntwo\r\nthree\r\n")
	d.ok("edit_file", args{"path": "dos.txt", "old_string": "one\ntwo", "new_string": "1\n2\n2b"})
	if got := d.read("dos.txt"); got != "1\r\n2\r\n2b\r\nthree\r\n" {
		t.Errorf("CRLF: %q", got)
	}
	d.put("latin.txt", "caf\xe9 with more text around it, enough to be text\nx")
	d.ok("edit_file", args{"path": "latin.txt", "old_string": "more", "new_string": "some"})
	if got := d.read("latin.txt"); got != "caf\xe9 with some text around it, enough to be text\nx" {
		t.Errorf("Latin-1: %q", got)
	}
}

func Test_edits_of_one_file_at_the_same_time_are_all_kept(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "workspace")
	var content bytes.Buffer
	for i := range 20 {
		fmt.Fprintf(&content, "place %02d.\n", i)
	}
	d.put("a.txt", content.String())
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			d.ok("edit_file", args{"path": "a.txt", "old_string": fmt.Sprintf("place %02d.", i), "new_string": fmt.Sprintf("done %02d", i)})
		})
	}
	all.Wait()
	if got := d.read("a.txt"); strings.Count(got, "done") != 20 {
		t.Errorf("edits were lost:\n%s", got)
	}
	if entries, err := filepath.Glob(d.path(".rkat-*")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func FuzzEdit_changes_nothing_but_what_was_asked_for(f *testing.F) {
	f.Add("a\r\nb\r\n", "a\nb", "c", false)
	f.Add("aaa", "a", "aa", true)
	f.Add("x\ny\r\nz", "y", "\n", false)
	f.Add("", "", "", true)
	f.Fuzz(func(t *testing.T, text, old, new string, all bool) {
		after, done, err := edit(text, old, new, all)
		if err != nil {
			if after != "" || err.Error() == "" {
				t.Errorf("an error with a result: %q, %v", after, err)
			}
			return
		}
		if done == "" || after == text {
			t.Errorf("nothing was done: %q, %q", done, after)
		}
		o, n := lineEnds(text, old, new)
		if count := strings.Count(text, o); count == 0 || !all && count != 1 {
			t.Errorf("%d places were changed", count)
		}
		if after != strings.ReplaceAll(text, o, n) {
			t.Errorf("%q became %q", text, after)
		}
		if !strings.Contains(text, "\r") && (o != old || n != new) {
			t.Error("line ends were converted where there are no CRLF")
		}
	})
}
