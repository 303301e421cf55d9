package layers

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The sizes a file and a function may have, in lines. From softFunction on, a function is listed by go test -v.
const (
	maxFile         = 700
	maxTestFile     = 1000
	maxCommandFile  = 100
	softFunction    = 60
	maxFunction     = 90
	maxTestFunction = 120
)

// sizes holds files and functions to what fits a sitting.
func sizes(t *tree) []string {
	var out []string
	for _, f := range t.code {
		limit, fn := maxFile, maxFunction
		switch {
		case f.test || isSuite(f.dir):
			limit, fn = maxTestFile, maxTestFunction
		case strings.HasPrefix(f.dir, "cmd/"):
			limit = maxCommandFile
		}
		if n := f.lines(); n > limit {
			out = append(out, fmt.Sprintf("%s has %d lines and may have %d: split it by subject", f.path, n, limit))
		}
		for _, d := range functions(f) {
			if n := t.length(d); n > fn {
				out = append(out, fmt.Sprintf("%s: %s has %d lines and may have %d", t.at(d.Pos()), d.Name.Name, n, fn))
			}
		}
	}
	return out
}

// functions lists the functions and methods of a file.
func functions(f *goFile) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			out = append(out, fn)
		}
	}
	return out
}

// length counts the lines of a node.
func (t *tree) length(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

// packageDocs demands a comment on every package, saying in its first words what it is the comment of.
func packageDocs(t *tree) []string {
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(t.packages())) {
		want, found, any := "", false, false
		for _, f := range t.packages()[dir] {
			if f.test {
				continue
			}
			any = true
			want = "Package " + f.ast.Name.Name + " "
			if f.main() {
				want = "Command "
			}
			found = found || f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), want)
		}
		if any && !found {
			out = append(out, fmt.Sprintf("%s: no package comment that begins with %q", dir, strings.TrimSpace(want)))
		}
	}
	return out
}

// usual lists methods whose contract is that of a well-known interface.
var usual = []string{"Error", "Unwrap", "Is", "As", "String", "FaultCode", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Len", "Less", "Swap"}

// exportedDocs demands a docstring on every exported name that a user of the package sees.
func exportedDocs(t *tree) []string {
	var out []string
	for _, f := range t.code {
		if f.test || f.main() {
			continue
		}
		previous := ""
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				// A run of one-line methods of one name shares the comment of the first.
				shared := d.Recv != nil && d.Name.Name == previous && t.length(d) == 1
				if visible(d) && d.Doc == nil && !shared && !(d.Recv != nil && slices.Contains(usual, d.Name.Name)) {
					out = append(out, fmt.Sprintf("%s: %s is exported and has no comment that states its contract", t.at(d.Pos()), d.Name.Name))
				}
				if previous = ""; d.Recv != nil && (d.Doc != nil || shared) {
					previous = d.Name.Name
				}
			case *ast.GenDecl:
				out = append(out, t.undocumented(d)...)
			}
		}
	}
	return out
}

// visible reports whether a function, or a method on an exported type, is exported.
func visible(d *ast.FuncDecl) bool {
	if !d.Name.IsExported() {
		return false
	}
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented lists the exported names of a declaration without a comment of their own, beside them, or of their group.
func (t *tree) undocumented(d *ast.GenDecl) []string {
	var out []string
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				out = append(out, fmt.Sprintf("%s: %s is exported and has no comment", t.at(s.Pos()), s.Name.Name))
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					out = append(out, fmt.Sprintf("%s: %s is exported and has no comment", t.at(n.Pos()), n.Name))
				}
			}
		}
	}
	return out
}

// vague are names that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "base", "misc", "shared", "lib"}

// names refuses packages and files whose name is a heap, not a subject.
func names(t *tree) []string {
	var out []string
	for _, f := range t.code {
		file := strings.TrimSuffix(strings.TrimSuffix(f.path[strings.LastIndex(f.path, "/")+1:], ".go"), "_test")
		if slices.Contains(vague, f.ast.Name.Name) || slices.Contains(vague, file) {
			out = append(out, fmt.Sprintf("%s: name it for what is inside", f.path))
		}
	}
	return out
}

// noInit refuses init functions: nothing happens because a package was imported.
func noInit(t *tree) []string {
	var out []string
	for _, f := range t.code {
		for _, d := range functions(f) {
			if d.Recv == nil && d.Name.Name == "init" {
				out = append(out, fmt.Sprintf("%s: no init functions: what is wired is wired where it can be read", t.at(d.Pos())))
			}
		}
	}
	return out
}

// calls finds uses of pkg.name in a file, for each of the names.
func (t *tree) calls(f *goFile, root ast.Node, importPath string, banned ...string) []string {
	local := f.localName(importPath)
	if local == "" {
		return nil
	}
	var out []string
	ast.Inspect(root, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(banned, sel.Sel.Name) {
				out = append(out, t.at(sel.Pos())+": "+x.Name+"."+sel.Sel.Name)
			}
		}
		return true
	})
	return out
}

// onlyDriverSteps holds R16: nobody but the driver and the simulation asks the machine to decide.
func onlyDriverSteps(t *tree) []string {
	var out []string
	for _, f := range t.code {
		if matchesAny([]string{"machine", "machine/*", "driver", "sim"}, f.dir) {
			continue
		}
		for _, c := range t.calls(f, f.ast, module+"/machine", "Step") {
			out = append(out, c+": only driver and sim may step the machine; post an event to the session instead")
		}
	}
	return out
}

// still is what the pure core may import of the standard library: nothing that waits, reads, writes or differs from run to run.
var still = []string{"bytes", "cmp", "crypto/sha256", "encoding", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash", "hash/fnv",
	"iter", "maps", "math", "math/bits", "slices", "sort", "strconv", "strings", "time", "unicode", "unicode/utf8"}

// clocks are the functions of package time that look at the clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// pureCore holds R15: nothing ambient under machine/.
func pureCore(t *tree) []string {
	var out []string
	for _, f := range t.code {
		if f.test || !matchesAny(core, f.dir) || f.dir == "machine/fsm/fsmtest" { // a suite, linked by tests alone
			continue
		}
		for _, p := range f.imports() {
			if host, _, _ := strings.Cut(p, "/"); !strings.Contains(host, ".") && !slices.Contains(still, p) {
				out = append(out, fmt.Sprintf("%s: the core may not import %s: a replay of the same events gives the same bytes", f.path, p))
			}
		}
		bad := t.calls(f, f.ast, "time", clocks...)
		bad = append(bad, t.calls(f, f.ast, module+"/id", "New")...)
		bad = append(bad, t.calls(f, f.ast, "fmt", "Print", "Printf", "Println", "Scan", "Scanf", "Scanln")...)
		for _, b := range bad {
			out = append(out, b+": the core takes time and identifiers from its events and touches nothing")
		}
		out = append(out, t.concurrent(f)...)
	}
	return out
}

// concurrent lists goroutines and channels of a file.
func (t *tree) concurrent(f *goFile) []string {
	var out []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			out = append(out, t.at(n.Pos())+": no goroutine and no channel in the core")
		}
		return true
	})
	return out
}

// noSleep refuses tests that wait by the clock. Inside synctest.Test the clock is the test's own, and sleeping is how it is moved.
func noSleep(t *tree) []string {
	var out []string
	for _, f := range t.code {
		if !f.test {
			continue
		}
		virtual := t.bubbles(f)
		for _, d := range functions(f) {
			ast.Inspect(d, func(n ast.Node) bool {
				if n != nil && slices.Contains(virtual, n) {
					return false
				}
				if sel, ok := n.(*ast.SelectorExpr); ok {
					for _, c := range t.calls(f, sel, "time", "Sleep") {
						out = append(out, c+": a test waits for what it needs (a channel, a context, synctest), not for time to pass")
					}
				}
				return true
			})
		}
	}
	return out
}

// bubbles finds the calls of synctest.Test in a file.
func (t *tree) bubbles(f *goFile) []ast.Node {
	local := f.localName("testing/synctest")
	var out []ast.Node
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Test" {
				if x, ok := sel.X.(*ast.Ident); ok && local != "" && x.Name == local {
					out = append(out, n)
				}
			}
		}
		return true
	})
	return out
}

// skipReasons are what a test may ask before it skips itself. RKAT_CI says that a missing service is a failure, so a test that
// needs one skips only where it is not set.
var skipReasons = []string{"RKAT_CI", "testing.Short()", "runtime.GOOS", `"/proc/`, "os.Geteuid()", "os.Getuid()"}

// noSilentSkip refuses tests that can always skip themselves, so that a green run means they ran. Suites may: they ask what an
// implementation declares.
func noSilentSkip(t *tree) []string {
	var out []string
	for _, f := range t.code {
		if !f.test {
			continue
		}
		for _, d := range functions(f) {
			body := f.src[t.fset.Position(d.Pos()).Offset:t.fset.Position(d.End()).Offset]
			if slices.ContainsFunc(skipReasons, func(r string) bool { return strings.Contains(body, r) }) {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					out = append(out, fmt.Sprintf("%s: skips without asking one of %s", t.at(sel.Pos()), strings.Join(skipReasons, ", ")))
				}
				return true
			})
		}
	}
	return out
}

func TestFiles_and_functions_fit_a_sitting(t *testing.T) {
	t.Parallel()
	hold(t, sizes)
	tr, err := here()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tr.code {
		for _, d := range functions(f) {
			if n := tr.length(d); n > softFunction && !f.test && !isSuite(f.dir) {
				t.Logf("%s: %s has %d lines", tr.at(d.Pos()), d.Name.Name, n)
			}
		}
	}
}

func TestEvery_package_says_what_it_is(t *testing.T)              { t.Parallel(); hold(t, packageDocs) }
func TestEvery_exported_name_states_its_contract(t *testing.T)    { t.Parallel(); hold(t, exportedDocs) }
func TestPackages_and_files_are_named_for_a_subject(t *testing.T) { t.Parallel(); hold(t, names) }
func TestNothing_happens_on_import(t *testing.T)                  { t.Parallel(); hold(t, noInit) }
func TestR15_the_core_is_pure(t *testing.T)                       { t.Parallel(); hold(t, pureCore) }
func TestR16_only_driver_and_sim_step_the_machine(t *testing.T) {
	t.Parallel()
	hold(t, onlyDriverSteps)
}
func TestTests_do_not_sleep(t *testing.T)         { t.Parallel(); hold(t, noSleep) }
func TestTests_do_not_skip_silently(t *testing.T) { t.Parallel(); hold(t, noSilentSkip) }

func TestEach_rule_about_code_notices_its_breach(t *testing.T) {
	t.Parallel()
	long := func(lines int) string {
		return "package x\n\nfunc f() {\n" + strings.Repeat("\tg()\n", lines-2) + "}\n"
	}
	for _, c := range []struct {
		name, want, file, src string
		rule                  func(*tree) []string
	}{
		{"a long file", "may have 700", "run/a.go", strings.Repeat("//\n", 700) + "package run\n", sizes},
		{"a test file may be longer", "", "run/a_test.go", strings.Repeat("//\n", 900) + "package run\n", sizes},
		{"a long command", "may have 100", "cmd/rkat/main.go", strings.Repeat("//\n", 100) + "package main\n", sizes},
		{"a long function", "f has 91 lines", "run/a.go", long(91), sizes},
		{"a function at the limit", "", "run/a.go", long(90), sizes},
		{"a package without a comment", "no package comment", "run/a.go", "package run\n", packageDocs},
		{"a package comment about something else", "no package comment", "run/a.go", "// Here be words.\npackage run\n", packageDocs},
		{"a package with its comment", "", "run/a.go", "// Package run is words.\npackage run\n", packageDocs},
		{"a command with its comment", "", "cmd/rkat/a.go", "// Command rkat runs agents.\npackage main\n", packageDocs},
		{"an undocumented type", "T is exported", "run/a.go", "package run\ntype T int\n", exportedDocs},
		{"an undocumented type in a commented group", "T is exported", "run/a.go", "package run\n// G.\ntype (\n\tT int\n)\n", exportedDocs},
		{"an undocumented function", "F is exported", "run/a.go", "package run\nfunc F() {}\n", exportedDocs},
		{"an undocumented method", "M is exported", "run/a.go", "package run\n// T is.\ntype T int\nfunc (*T) M() {}\n", exportedDocs},
		{"a method of a hidden type", "", "run/a.go", "package run\ntype t int\nfunc (*t) M() {}\n", exportedDocs},
		{"an undocumented constant", "C is exported", "run/a.go", "package run\nconst C = 1\n", exportedDocs},
		{"constants under one comment", "", "run/a.go", "package run\n// The Cs.\nconst (\n\tC = 1\n\tD = 2\n)\n", exportedDocs},
		{"one-line methods share a comment", "", "run/a.go", "package run\n// M.\nfunc (T) M() {}\nfunc (U) M() {}\n", exportedDocs},
		{"a sharing method of another name", "N is exported", "run/a.go", "package run\n// M.\nfunc (T) M() {}\nfunc (U) N() {}\n", exportedDocs},
		{"a package named for nothing", "name it", "util/a.go", "package util\n", names},
		{"a file named for nothing", "name it", "run/helpers.go", "package run\n", names},
		{"an init function", "no init", "run/a.go", "package run\nfunc init() {}\n", noInit},
		{"a method called init", "", "run/a.go", "package run\nfunc (T) init() {}\n", noInit},
		{"the clock in the core", "time.Now", "machine/turn/a.go", "package turn\nimport \"time\"\nvar x = time.Now\n", pureCore},
		{"the clock under another name", "c.Now", "machine/a.go", "package machine\nimport c \"time\"\nvar x = c.Now()\n", pureCore},
		{"a time value in the core", "", "machine/a.go", "package machine\nimport \"time\"\nvar x time.Time\n", pureCore},
		{"chance in the core", "math/rand", "machine/a.go", "package machine\nimport \"math/rand/v2\"\n", pureCore},
		{"a context in the core", "context", "machine/a.go", "package machine\nimport \"context\"\n", pureCore},
		{"a goroutine in the core", "no goroutine", "machine/a.go", "package machine\nfunc f() { go f() }\n", pureCore},
		{"a channel in the core", "no channel", "machine/a.go", "package machine\nvar c chan int\n", pureCore},
		{"a minted identifier in the core", "id.New", "machine/a.go", "package machine\nimport \"" + module + "/id\"\nvar x = id.New()\n", pureCore},
		{"the clock in a test of the core", "", "machine/a_test.go", "package machine\nimport \"time\"\nvar x = time.Now\n", pureCore},
		{"a step outside the driver", "only driver", "runtime/a.go", "package runtime\nimport \"" + module + "/machine\"\nvar x = machine.Step\n", onlyDriverSteps},
		{"a step in the driver", "", "driver/a.go", "package driver\nimport \"" + module + "/machine\"\nvar x = machine.Step\n", onlyDriverSteps},
		{"a sleeping test", "time.Sleep", "run/a_test.go", "package run\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", noSleep},
		{"a test asleep in its own time", "", "run/a_test.go", "package run\nimport (\n\"time\"\n\"testing/synctest\"\n)\nfunc f() { synctest.Test(nil, func() { time.Sleep(1) }) }\n", noSleep},
		{"a test that always skips", "skips without asking", "run/a_test.go", "package run\nfunc f(t T) { t.Skip() }\n", noSilentSkip},
		{"a test that skips where CI may not", "", "run/a_test.go", "package run\nfunc f(t T) { if os.Getenv(\"RKAT_CI\") == \"\" { t.Skip() } }\n", noSilentSkip},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			breaks(t, c.rule, c.want, map[string]string{c.file: c.src})
		})
	}
}

func TestSizes_count_from_the_first_line_to_the_last(t *testing.T) {
	t.Parallel()
	tr := fixture(t, map[string]string{"run/a.go": "package run\n\nfunc f() {\n\tg()\n}\n"})
	if got := tr.length(functions(tr.code[0])[0]); got != 3 {
		t.Errorf("a function of three lines counts %d", got)
	}
}
