package layers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/meerkat-go/meerkat"

// tree is everything the rules look at, read once.
type tree struct {
	fset  *token.FileSet
	code  []*goFile         // Go files of the main module, testdata excluded
	texts map[string]string // every text file by its path, nested modules and testdata included
}

// goFile is one parsed file.
type goFile struct {
	path string // relative to the module's root, with slashes
	dir  string // "." for the root
	test bool   // *_test.go
	src  string
	ast  *ast.File
}

// lines counts the lines of the file.
func (f *goFile) lines() int { return strings.Count(f.src, "\n") }

// main reports whether the file belongs to a command.
func (f *goFile) main() bool { return f.ast.Name.Name == "main" }

// imports lists the import paths of the file.
func (f *goFile) imports() []string {
	var out []string
	for _, s := range f.ast.Imports {
		out = append(out, strings.Trim(s.Path.Value, `"`))
	}
	return out
}

// localName returns the name under which the file uses an import, or "" if it does not import it.
func (f *goFile) localName(importPath string) string {
	for _, s := range f.ast.Imports {
		if strings.Trim(s.Path.Value, `"`) != importPath {
			continue
		}
		if s.Name != nil {
			return s.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// at names a place in the code for a message.
func (t *tree) at(p token.Pos) string {
	pos := t.fset.Position(p)
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}

// maxText bounds what is read as text; what is larger is data.
const maxText = 4 << 20

// load walks fsys once and parses what it finds.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), texts: map[string]string{}}
	nested := map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walked
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "bin", "node_modules", ".rkat":
				return fs.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" { // of a worktree: where the repository is
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxText) {
			return nil
		}
		src, err := fs.ReadFile(fsys, p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.IndexByte(src[:min(len(src), 8000)], 0) >= 0 {
			return nil
		}
		t.texts[p] = string(src)
		if path.Base(p) == "go.mod" && p != "go.mod" {
			nested[path.Dir(p)] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, t.parse(nested)
}

// parse reads the Go files of the main module, on all cores.
func (t *tree) parse(nested map[string]bool) error {
	for p, src := range t.texts {
		if strings.HasSuffix(p, ".go") && inModule(p, nested) {
			t.code = append(t.code, &goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), src: src})
		}
	}
	slices.SortFunc(t.code, func(a, b *goFile) int { return cmp.Compare(a.path, b.path) })
	errs := make([]error, len(t.code))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, f := range t.code {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f.ast, errs[i] = parser.ParseFile(t.fset, f.path, f.src, parser.ParseComments|parser.SkipObjectResolution)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// inModule reports whether the go tool counts the file to the main module.
func inModule(p string, nested map[string]bool) bool {
	for d := path.Dir(p); d != "."; d = path.Dir(d) {
		if nested[d] || path.Base(d) == "testdata" || strings.HasPrefix(path.Base(d), ".") || strings.HasPrefix(path.Base(d), "_") {
			return false
		}
	}
	return true
}

// packages groups the Go files by folder.
func (t *tree) packages() map[string][]*goFile {
	out := map[string][]*goFile{}
	for _, f := range t.code {
		out[f.dir] = append(out[f.dir], f)
	}
	return out
}

// fixture is a tree made of the files in a test's table.
func fixture(t *testing.T, files map[string]string) *tree {
	t.Helper()
	fsys := mapFS(files)
	tr, err := load(fsys)
	if err != nil {
		t.Fatalf("the test's own files: %v", err)
	}
	return tr
}

// here is the tree this test stands in.
var here = sync.OnceValues(func() (*tree, error) { return load(os.DirFS("../..")) })

// hold runs one rule over the tree and reports each breach.
func hold(t *testing.T, rule func(*tree) []string) {
	t.Helper()
	tr, err := here()
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	for _, breach := range rule(tr) {
		t.Error(breach)
	}
}

// breaks runs one rule over files that break it and demands that the rule notices; over those that keep it, that it does not.
func breaks(t *testing.T, rule func(*tree) []string, want string, files map[string]string) {
	t.Helper()
	got := rule(fixture(t, files))
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("refused without cause: %s", strings.Join(got, "; "))
	case want != "" && !strings.Contains(strings.Join(got, "\n"), want):
		t.Errorf("got %q, want a refusal that says %q", got, want)
	}
}
