package scenarios

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"
)

// citing finds who shows which scenario.
type citing struct {
	fset  *token.FileSet
	known func(number) bool
	by    map[number][]string // in words, for the document
	wrong []string            // what is wrong with a citation, each with its place
}

// cite reads the tests, suites and golden scripts of a tree.
func cite(fsys fs.FS, known func(number) bool) (*citing, error) {
	c := &citing{fset: token.NewFileSet(), known: known, by: map[number][]string{}}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walked
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if hidden := p != "." && strings.ContainsAny(d.Name()[:1], "._"); hidden || d.Name() == "bin" || d.Name() == "node_modules" ||
				d.Name() == "testdata" && p != scripts {
				return fs.SkipDir
			}
			return nil
		}
		isScript := strings.HasPrefix(p, scripts+"/") && path.Ext(p) == ".txt"
		if !isScript && !mayCite(p) {
			return nil
		}
		text, err := fs.ReadFile(fsys, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case isScript:
			c.script(p, string(text))
			return nil
		}
		return c.file(p, text)
	})
	for _, by := range c.by {
		slices.Sort(by)
	}
	return c, err
}

// scripts is where the golden scripts of the machine are.
const scripts = "machine/testdata"

// mayCite reports whether the tests of a Go file count: test files, and the files of conformance suites.
func mayCite(p string) bool { return strings.HasSuffix(p, "_test.go") || isSuite(p) }

// isSuite reports whether a Go file is part of a suite, as internal/layers names them: store/storetest.
func isSuite(p string) bool {
	dir := path.Dir(p)
	return path.Ext(p) == ".go" && strings.HasSuffix(dir, "test") && strings.Contains(dir, "/")
}

var (
	// attempt is a line that means to cite; form is how it must look.
	attempt = regexp.MustCompile(`(?i)^scenarios?\s*:`)
	form    = regexp.MustCompile(`^Scenario: ((?:[A-Z]\d+(?:-[A-Z]\d+)?)(?:, [A-Z]\d+(?:-[A-Z]\d+)?)*)$`)
	suspect = regexp.MustCompile(`(?i)scenarios?\s*:`)
)

// script takes the citations of a golden script: lines of their own that begin with #.
func (c *citing) script(p, text string) {
	for i, line := range strings.Split(text, "\n") {
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			c.line(fmt.Sprintf("%s:%d", p, i+1), strings.TrimSpace(comment), "script "+p)
		}
	}
}

// file takes the citations of a Go file.
func (c *citing) file(p string, text []byte) error {
	if !suspect.Match(text) {
		return nil
	}
	f, err := parser.ParseFile(c.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, g := range f.Comments {
		for _, comment := range g.List {
			at := c.fset.Position(comment.Pos())
			for i, line := range strings.Split(comment.Text, "\n") {
				line = strings.TrimSpace(strings.TrimLeft(strings.TrimSuffix(line, "*/"), "/* \t"))
				if attempt.MatchString(line) {
					c.line(fmt.Sprintf("%s:%d", p, at.Line+i), line, c.shower(f, p, comment.Pos()))
				}
			}
		}
	}
	return nil
}

// shower names the test that a comment belongs to; empty: none.
func (c *citing) shower(f *ast.File, p string, at token.Pos) string {
	line := func(p token.Pos) int { return c.fset.Position(p).Line }
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from := fn.Pos()
		if fn.Doc != nil {
			from = fn.Doc.Pos()
		}
		switch {
		case at < from || line(at) > line(fn.End()):
		case strings.HasSuffix(p, "_test.go") && isTest(fn):
			return fmt.Sprintf("`%s` in %s", fn.Name.Name, folder(p))
		case !strings.HasSuffix(p, "_test.go") && takes(fn, "T"):
			return fmt.Sprintf("suite %s, `%s`", folder(p), fn.Name.Name)
		}
	}
	return ""
}

func folder(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return "the root"
}

// isTest reports whether go test runs a function: TestX, or FuzzX with its seeds.
func isTest(fn *ast.FuncDecl) bool {
	for prefix, param := range map[string]string{"Test": "T", "Fuzz": "F"} {
		if rest, ok := strings.CutPrefix(fn.Name.Name, prefix); ok && fn.Recv == nil && takes(fn, param) {
			first, _ := utf8.DecodeRuneInString(rest)
			return rest == "" || !unicode.IsLower(first)
		}
	}
	return false
}

// takes reports whether the first parameter of a function is a *testing.T, or what else is asked for.
func takes(fn *ast.FuncDecl, name string) bool {
	params := fn.Type.Params.List
	if len(params) == 0 {
		return false
	}
	star, ok := params[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == name
}

// line takes one line of a comment. by is who shows what it cites; empty: nobody.
func (c *citing) line(at, text, by string) {
	if !attempt.MatchString(text) {
		return
	}
	wrong := func(format string, args ...any) { c.wrong = append(c.wrong, at+": "+fmt.Sprintf(format, args...)) }
	m := form.FindStringSubmatch(text)
	switch {
	case m == nil:
		wrong("%q is no citation; it is written Scenario: S34, S90-S92", text)
		return
	case by == "":
		wrong("%q stands outside of a test: put it into the comment of a test function, or inside one", text)
		return
	}
	for part := range strings.SplitSeq(m[1], ", ") {
		numbers, why := expand(part)
		if why != "" {
			wrong("%s", why)
		}
		for _, n := range numbers {
			if !c.known(n) {
				wrong("there is no scenario %s in internal/scenarios/list.txt", n)
			} else if !slices.Contains(c.by[n], by) {
				c.by[n] = append(c.by[n], by)
			}
		}
	}
}

// expand reads S34 or S34-S36. why says what is wrong with it.
func expand(part string) (out []number, why string) {
	parse := func(s string) number {
		n, err := strconv.Atoi(s[1:])
		if err != nil {
			n = 0 // no number has that many digits, so nobody knows it
		}
		return number{s[:1], n}
	}
	from, to, isRange := strings.Cut(part, "-")
	first, last := parse(from), parse(from)
	if isRange {
		last = parse(to)
	}
	switch {
	case isRange && (first.series != last.series || first.n >= last.n):
		return nil, fmt.Sprintf("%s is no range: it goes from a number up to a later one of its series", part)
	case last.n-first.n > 1000:
		return nil, fmt.Sprintf("%s is no range: no series is that long", part)
	}
	for n := first.n; n <= last.n; n++ {
		out = append(out, number{first.series, n})
	}
	return out, ""
}

// told writes down who shows what, and what is wrong.
func (c *citing) told() string {
	var b strings.Builder
	for _, n := range slices.SortedFunc(maps.Keys(c.by), number.compare) {
		fmt.Fprintf(&b, "%s: %s\n", n, strings.Join(c.by[n], ", "))
	}
	for _, w := range c.wrong {
		fmt.Fprintln(&b, "wrong:", w)
	}
	return b.String()
}

func TestA_citation_counts_for_the_test_it_stands_with(t *testing.T) {
	t.Parallel()
	const head = "package x\n\nimport \"testing\"\n\n"
	for _, c := range []struct{ name, file, src, want string }{
		{"above a test", "run/a_test.go", head + "// It does.\n// Scenario: S1\nfunc TestX(t *testing.T) {}\n", "S1: `TestX` in run\n"},
		{"in the root", "a_test.go", head + "// Scenario: S1\nfunc Test_x(t *testing.T) {}\n", "S1: `Test_x` in the root\n"},
		{"in a nested module", "examples/a/b_test.go", head + "// Scenario: S1\nfunc TestX(t *testing.T) {}\n", "S1: `TestX` in examples/a\n"},
		{"above a fuzz test", "run/a_test.go", head + "// Scenario: S1\nfunc FuzzX(f *testing.F) {}\n", "S1: `FuzzX` in run\n"},
		{"above a subtest", "run/a_test.go", head + "func TestX(t *testing.T) {\n\t// Scenario: S1\n\tt.Run(\"a\", nil)\n}\n", "S1: `TestX` in run\n"},
		{"at a row of a table", "run/a_test.go", head + "func TestX(t *testing.T) {\n\tx := []int{\n\t\t1, // Scenario: S1\n\t}\n}\n", "S1: `TestX` in run\n"},
		{"behind a function of one line", "run/a_test.go", head + "func TestX(t *testing.T) {} // Scenario: S1\n", "S1: `TestX` in run\n"},
		{"several, a range, and one twice", "run/a_test.go", head + "// Scenario: S1, S3-S5, V2\nfunc TestX(t *testing.T) {\n\t// Scenario: S1\n}\n",
			"S1: `TestX` in run\nS3: `TestX` in run\nS4: `TestX` in run\nS5: `TestX` in run\nV2: `TestX` in run\n"},
		{"above a function of a suite", "store/storetest/a.go", head + "// Scenario: S1\nfunc rows(t *testing.T, n int) {}\n", "S1: suite store/storetest, `rows`\n"},
		{"in a script", "machine/testdata/a.txt", "# One.\n# Scenario: S1\n\nsession\n    # Scenario: S2\n", "S1: script machine/testdata/a.txt\n"},
		{"in a script further down", "machine/testdata/model/a.txt", "# Scenario: S1, S2\n", "S1: script machine/testdata/model/a.txt\nS2: script machine/testdata/model/a.txt\n"},

		{"in a text", "run/a_test.go", head + "var x = `\n// Scenario: S1\n`\n", ""},
		{"in the middle of a sentence", "run/a_test.go", head + "// This is one scenario: it works.\nfunc f() {}\n", ""},
		{"in code that is no test", "run/a.go", head + "// Scenario: S1\nfunc TestX(t *testing.T) {}\n", ""},
		{"in other test data", "run/testdata/a_test.go", head + "// Scenario: S1\nfunc TestX(t *testing.T) {}\n", ""},
		{"in other texts", "run/testdata/a.txt", "# Scenario: S1\n", ""},

		{"an unknown number", "run/a_test.go", head + "// Scenario: S1, S7\nfunc TestX(t *testing.T) {}\n", "S1: `TestX` in run\nwrong: run/a_test.go:5: there is no scenario S7 in"},
		{"an unknown series", "run/a_test.go", head + "// Scenario: X1\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: there is no scenario X1 in"},
		{"a number beyond counting", "run/a_test.go", head + "// Scenario: S99999999999999999999\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: there is no scenario S0 in"},
		{"a range into another series", "run/a_test.go", head + "// Scenario: S1-V2\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: S1-V2 is no range"},
		{"a range that goes back", "run/a_test.go", head + "// Scenario: S5-S3\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: S5-S3 is no range"},
		{"a range without end", "run/a_test.go", head + "// Scenario: S1-S999999999\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: S1-S999999999 is no range"},
		{"a list without commas", "run/a_test.go", head + "// Scenario: S1 S2\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1 S2\" is no citation"},
		{"words behind a number", "run/a_test.go", head + "// Scenario: S1 (half)\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1 (half)\" is no citation"},
		{"a wrong word", "run/a_test.go", head + "// scenarios: S1\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"scenarios: S1\" is no citation"},
		{"no number at all", "run/a_test.go", head + "// Scenario:\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario:\" is no citation"},
		{"between tests", "run/a_test.go", head + "// Scenario: S1\n\nfunc TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1\" stands outside"},
		{"above what is no test", "run/a_test.go", head + "// Scenario: S1\nfunc prepare(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1\" stands outside"},
		{"above what only looks like a test", "run/a_test.go", head + "// Scenario: S1\nfunc Testing(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1\" stands outside"},
		{"above the main of the tests", "run/a_test.go", head + "// Scenario: S1\nfunc TestMain(m *testing.M) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1\" stands outside"},
		{"above a method", "run/a_test.go", head + "// Scenario: S1\nfunc (x) TestX(t *testing.T) {}\n", "wrong: run/a_test.go:5: \"Scenario: S1\" stands outside"},
		{"in a block comment", "run/a_test.go", head + "/*\nScenario: S1\n*/\nfunc prepare() {}\n", "wrong: run/a_test.go:6: \"Scenario: S1\" stands outside"},
		{"above a suite's own function", "store/storetest/a.go", head + "// Scenario: S1\nfunc full() {}\n", "wrong: store/storetest/a.go:5: \"Scenario: S1\" stands outside"},
		{"a wrong one in a script", "machine/testdata/a.txt", "# Scenario: S7\n# scenario : S1\n",
			"wrong: machine/testdata/a.txt:1: there is no scenario S7 in internal/scenarios/list.txt\nwrong: machine/testdata/a.txt:2: \"scenario : S1\" is no citation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			known := func(n number) bool { return strings.Contains("SV", n.series) && 1 <= n.n && n.n <= 6 }
			got, err := cite(fstest.MapFS{c.file: {Data: []byte(c.src)}}, known)
			if err != nil {
				t.Fatal(err)
			}
			if told := got.told(); !strings.HasPrefix(told, c.want) || c.want == "" && told != "" || strings.Contains(told, "wrong") != strings.Contains(c.want, "wrong") {
				t.Errorf("got\n%swant\n%s", told, c.want)
			}
		})
	}
}

func TestA_test_file_that_is_no_Go_is_told(t *testing.T) {
	t.Parallel()
	_, err := cite(fstest.MapFS{"run/a_test.go": {Data: []byte("package run\n// Scenario: S1\nfunc {")}}, func(number) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "run/a_test.go:3") {
		t.Errorf("got %v", err)
	}
}
