package layers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The bands of the tree, from the bottom up: each rests on those before it.
const (
	words = iota
	decide
	promise
	carry
	serve
	prove
)

// layer says what a package may import directly, beside the standard library.
type layer struct {
	pkg     string // folder; "x/*" is everything below x. The first match counts
	band    int
	may     []string // folders, with the same wildcard
	vendors []string // module paths of others
	why     string   // the reason a refusal gives
}

func join(lists ...[]string) []string { return slices.Concat(lists...) }

// Names used in the table.
var (
	vocabulary = []string{"id", "fault", "transcript", "event", "run", "identity", "scope", "input"}
	core       = []string{"machine", "machine/*"}
	pure       = []string{"machine/fsm", "machine/pmap"}
)

// Reasons that several rows share.
const (
	whyWord     = "words rest on nothing but each other, so that everything may use them"
	whyRegion   = "a region knows nothing of its siblings: only machine joins them, and cross-region guards have one file there"
	whyPure     = "the kernel serves every region and knows none"
	whyContract = "a contract speaks in words, so that both its sides can be built and tested without the other"
	whyAdapter  = "an adapter knows its own contract, the words and one vendor library; it is wired in by the root"
	whySuite    = "a suite tests any implementation of its contract, so it knows the contract alone"
	whySurface  = "a surface translates: it goes through control, and owns no default, no policy and no executor"
	whyOutside  = "what runs the real programs sees them from outside, as a user does"
	whyInternal = "what everybody may use rests on words at most"
)

// layers is the import rule of ARCHITECTURE.md. A package that has no row has no place yet.
var layers = []layer{
	{pkg: "id", band: words, vendors: []string{"github.com/google/uuid"}, why: whyWord},
	{pkg: "fault", band: words, why: whyWord},
	{pkg: "identity", band: words, may: []string{"id", "fault"}, why: whyWord},
	{pkg: "scope", band: words, may: []string{"id", "fault"}, why: whyWord},
	{pkg: "transcript", band: words, may: []string{"id", "fault"}, why: whyWord},
	{pkg: "run", band: words, may: []string{"id", "fault", "transcript", "identity", "scope"}, why: whyWord},
	{pkg: "input", band: words, may: []string{"id", "fault", "transcript", "identity", "scope"}, why: whyWord},
	{pkg: "event", band: words, may: []string{"id", "fault", "transcript", "run", "identity"}, why: whyWord},

	{pkg: "machine/fsm", band: decide, why: whyPure},
	{pkg: "machine/pmap", band: decide, why: whyPure},
	{pkg: "machine/fsm/fsmtest", band: decide, may: []string{"machine/fsm"}, why: whySuite},
	{pkg: "machine", band: decide, may: join(vocabulary, []string{"machine/*"}),
		why: "the authority decides from its state and the event alone: it knows words, and no store, executor or reader"},
	{pkg: "machine/*", band: decide, may: join(pure, []string{"id", "transcript", "run", "identity", "scope", "input"}), why: whyRegion},

	{pkg: "store", band: promise, may: vocabulary, why: whyContract},
	{pkg: "store/storetest", band: promise, may: join(vocabulary, []string{"store"}), why: whySuite},
	{pkg: "store/sqlite", band: promise, may: join(vocabulary, []string{"store"}),
		vendors: []string{"modernc.org/sqlite", "github.com/pressly/goose/v3"}, why: whyAdapter},
	{pkg: "store/postgres", band: promise, may: join(vocabulary, []string{"store"}),
		vendors: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}, why: whyAdapter},
	{pkg: "store/*", band: promise, may: join(vocabulary, []string{"store"}), why: whyAdapter},
	{pkg: "llm", band: promise, may: join(vocabulary, []string{"internal/near", "internal/sse"}), why: whyContract},
	{pkg: "llm/llmtest", band: promise, may: join(vocabulary, []string{"llm", "llm/llmtest/*"}), why: whySuite},
	{pkg: "llm/llmtest/*", band: promise, may: join(vocabulary, []string{"llm/llmtest/*"}), why: "a scripted model speaks the wire formats and knows no contract"},
	{pkg: "llm/catalog", band: promise, may: join(vocabulary, []string{"llm"}), why: "the catalogue is data about models; who answers for them is wired in by the root"},
	{pkg: "llm/*", band: promise, may: join(vocabulary, []string{"llm", "llm/catalog", "internal/sse"}), why: whyAdapter},
	{pkg: "tool", band: promise, may: join(vocabulary, []string{"internal/near"}), vendors: []string{"github.com/google/jsonschema-go"}, why: whyContract},
	{pkg: "tool/tooltest", band: promise, may: join(vocabulary, []string{"tool"}), why: whySuite},
	{pkg: "tool/mcp", band: promise, may: join(vocabulary, []string{"tool"}), vendors: []string{"github.com/modelcontextprotocol/go-sdk"}, why: whyAdapter},
	{pkg: "tool/*", band: promise, may: join(vocabulary, []string{"tool"}), vendors: []string{"golang.org/x/sys"}, why: whyAdapter},
	{pkg: "executor", band: promise, may: vocabulary, why: whyContract},
	{pkg: "executor/executortest", band: promise, may: join(vocabulary, []string{"executor"}), why: whySuite},
	{pkg: "credential", band: promise, may: vocabulary, why: whyContract},
	{pkg: "credential/lease", band: promise, may: join(vocabulary, []string{"credential", "machine/fsm"}), why: "the lease machine is a table of its own on the same kernel"},

	{pkg: "driver", band: carry, may: join(vocabulary, core, []string{"store"}),
		why: "the driver turns decisions into rows and back: it knows the machine and the store's contract"},
	{pkg: "feed", band: carry, may: vocabulary, why: "the feed hands committed events out and does not know where they come from"},
	{pkg: "runtime", band: carry, may: join(vocabulary, core, []string{"driver", "feed", "executor", "store"}),
		why: "the runtime hands directives to an executor and does not know how they are carried out: no model, no tool, no adapter"},
	{pkg: "agent", band: carry, may: join(vocabulary, []string{"executor", "llm", "tool", "credential"}),
		why: "the agent is one executor among others: it sees its bindings and never the runtime or the machine"},

	{pkg: "control", band: serve, may: join(vocabulary, []string{"runtime", "feed", "store"}),
		why: "control is the one door: it asks the runtime, reads the store, and decides nothing about a session"},
	{pkg: "wire", band: serve, may: vocabulary, why: "wire is shapes: clients use it without linking a runtime"},
	{pkg: "wire/wiretest", band: serve, may: join(vocabulary, []string{"wire"}), why: whySuite},
	{pkg: "client", band: serve, may: join(vocabulary, []string{"wire", "internal/sse", "internal/jsonrpc2"}), why: "a client links no runtime"},
	{pkg: "config", band: serve, may: join(vocabulary, []string{"internal/files"}), vendors: []string{"github.com/pelletier/go-toml/v2"}, why: "configuration is data; what it means is decided where it is used"},
	{pkg: "surface/cli", band: serve, may: join(vocabulary, []string{"control", "wire", "client", "config", "surface/cli/*", "internal/near"}),
		vendors: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term", "golang.org/x/sys"}, why: whySurface},
	{pkg: "surface/cli/*", band: serve, may: join(vocabulary, []string{"control"}), vendors: []string{"golang.org/x/term"}, why: whySurface},
	{pkg: "surface/present", band: serve, may: join(vocabulary, []string{"control", "wire"}), why: "it puts what control answers into the shapes of wire, for every surface"},
	{pkg: "surface/rest", band: serve, may: join(vocabulary, []string{"control", "wire", "surface/present", "internal/sse"}), vendors: []string{"golang.org/x/time"}, why: whySurface},
	{pkg: "surface/*", band: serve, may: join(vocabulary, []string{"control", "wire", "surface/present", "internal/sse", "internal/jsonrpc2", "internal/metrics"}), why: whySurface},
	{pkg: "access", band: serve, may: join(vocabulary, []string{"control", "internal/files"}), why: "keys are data; what a key is good for is said in control's words"},
	{pkg: "serve", band: serve, may: join(vocabulary, []string{"control", "surface/*", "internal/files", "internal/metrics"}),
		why: "it opens listeners and closes them again; what is said on them is the surfaces' affair"},
	{pkg: "feature/*", band: serve, may: join(vocabulary, []string{"control", "tool"}), why: "a feature is a leaf over control and tool; nothing below may need it"},
	{pkg: ".", band: serve, may: join(vocabulary, []string{"store", "store/memory", "store/sqlite", "store/postgres", "llm", "llm/*", "tool", "tool/*", "executor",
		"credential", "credential/*", "driver", "feed", "runtime", "agent", "control", "config", "access", "feature/*", "internal/files", "internal/process"}),
		why: "the root wires parts together; it decides nothing, so it does not know the machine, and it serves no surface"},
	{pkg: "cmd/rkat-sim", band: prove, may: []string{"sim/hunt"}, why: "it reads flags; the hunt is a package"},
	{pkg: "cmd/*", band: serve, may: join(vocabulary, []string{".", "control", "config", "access", "serve", "client", "surface/*", "llm", "llm/offline", "internal/demo"}), why: "a command reads flags, opens the product and serves a surface"},
	{pkg: "examples/*", band: serve, may: join(vocabulary, []string{".", "control", "llm", "llm/*", "tool", "tool/*", "executor", "store", "store/*"}),
		why: "an example shows what a user may import"},

	{pkg: "sim", band: prove, may: join(vocabulary, core, []string{"driver", "feed", "runtime", "agent", "executor", "llm", "tool", "store", "store/memory", "sim/*"}),
		why: "the simulation runs the real parts over the memory store, and no adapter that leaves the process"},
	{pkg: "sim/hunt", band: prove, why: "it runs the simulation as other processes and knows of a history what they say of it"},
	{pkg: "sim/*", band: prove, may: join(vocabulary, []string{"store", "executor", "llm", "tool"}), why: "a part of the simulated world stands behind a contract"},
	{pkg: "bench", band: prove, may: join(vocabulary, []string{".", "control", "store", "store/*", "llm", "llm/*", "tool", "tool/*", "executor", "agent", "runtime", "feed", "driver"}),
		why: "a benchmark measures what a user gets; a benchmark of the machine stands beside the machine"},
	{pkg: "bench/commands", band: prove, may: join(vocabulary, []string{"executor", "feed", "runtime", "store", "store/memory", "store/sqlite"}),
		why: "it measures the runtime itself, which no plane stands before: below it there is what a host is made of, and no agent"},
	{pkg: "bench/*", band: prove, may: join(vocabulary, []string{".", "control", "llm", "llm/*", "tool", "tool/*"}), vendors: []string{"golang.org/x/sys"}, why: "a benchmark measures what a user gets"},
	{pkg: "internal/near", band: prove, why: "it compares letters and knows nothing of what they name"},
	{pkg: "internal/process", band: prove, may: join(vocabulary, []string{"store"}), why: "it says who owns leases, in the store's words, and nothing else"},
	{pkg: "internal/demo", band: prove, may: join(vocabulary, []string{"control", "llm", "llm/rehearsal", "tool"}),
		why: "the demo brings a tool and a script of its own and is otherwise a user of the plane"},
	{pkg: "internal/files", band: prove, vendors: []string{"github.com/gofrs/flock"}, why: "it writes files and knows nothing of what is in them"},
	{pkg: "internal/crash", band: prove, may: []string{"internal/programs"}, why: whyOutside},
	{pkg: "internal/daemons", band: prove, may: []string{"internal/programs"}, why: whyOutside},
	{pkg: "internal/sdk", band: prove, may: []string{"internal/programs"}, why: whyOutside},
	{pkg: "internal/siege", band: prove, may: []string{"internal/programs"}, why: whyOutside},
	{pkg: "internal/faults", band: prove, may: []string{"internal/programs"}, vendors: []string{"modernc.org/sqlite"}, why: whyOutside},
	{pkg: "internal/*", band: prove, may: vocabulary, why: whyInternal},
}

// keepers lists packages that few may import, tests included.
var keepers = []struct {
	pkg string
	by  []string
	why string
}{
	{"machine", []string{"machine", "machine/*", "driver", "runtime", "sim"}, "one authority: driver makes its decisions durable, runtime acts on them, sim explores them, and nobody else sees it"},
	{"machine/fsm", []string{"machine", "machine/*", "driver", "runtime", "sim", "credential/lease"}, "tables belong to the machines that run them"},
	{"machine/*", []string{"machine", "machine/*", "driver", "runtime", "sim"}, "regions are parts of the authority"},
	{".", []string{".", "cmd/*", "examples/*", "bench", "bench/*"}, "the root is the front door for users; inside the house the parts are used directly"},
}

// testVendors are for tests, suites and the simulation alone.
var testVendors = []string{"github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal", "github.com/anishathalye/porcupine",
	"github.com/santhosh-tekuri/jsonschema/v6", "github.com/getkin/kin-openapi", "github.com/chromedp/chromedp", "github.com/chromedp/cdproto"}

// matches reports whether a folder is meant by a pattern of the tables.
func matches(pattern, dir string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(dir, below+"/")
	}
	return pattern == dir
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, dir) })
}

// layerOf finds the row of a folder.
func layerOf(dir string) (layer, bool) {
	i := slices.IndexFunc(layers, func(l layer) bool { return matches(l.pkg, dir) })
	if i < 0 {
		return layer{}, false
	}
	return layers[i], true
}

// isSuite reports whether a folder is a conformance suite or another package made for tests: storetest, llmtest.
func isSuite(dir string) bool { return strings.HasSuffix(dir, "test") && strings.Contains(dir, "/") }

// vendored reports whether an import path belongs to one of the modules.
func vendored(modules []string, importPath string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return importPath == m || strings.HasPrefix(importPath, m+"/") })
}

// mayImport says why a file may not import a folder of this module; empty: it may.
func mayImport(f *goFile, from layer, to string) string {
	for _, k := range keepers {
		if matches(k.pkg, to) {
			if !matchesAny(k.by, f.dir) {
				return k.why
			}
			break
		}
	}
	if matchesAny(from.may, to) {
		return ""
	}
	if !f.test {
		return from.why
	}
	target, ok := layerOf(to)
	switch {
	case to == f.dir, isSuite(to), strings.HasPrefix(to, "internal/"), ok && target.band <= from.band:
		return ""
	}
	return "a test may use its own band and what lies below it, not what is built on it"
}

// importRule holds the table of layers.
func importRule(t *tree) []string {
	var out []string
	for _, f := range t.code {
		from, ok := layerOf(f.dir)
		if !ok {
			out = append(out, fmt.Sprintf("%s: the folder %s has no row in the table of layers; ARCHITECTURE.md says what belongs where", f.path, f.dir))
			continue
		}
		for _, p := range f.imports() {
			if to, ours := strings.CutPrefix(p, module); ours && (to == "" || to[0] == '/') {
				to = strings.TrimPrefix(to, "/")
				if to == "" {
					to = "."
				}
				if why := mayImport(f, from, to); why != "" {
					out = append(out, fmt.Sprintf("%s: %s may not import %s: %s", f.path, f.dir, to, why))
				}
				continue
			}
			if why := mayLink(f, from, p); why != "" {
				out = append(out, fmt.Sprintf("%s: may not import %s: %s", f.path, p, why))
			}
		}
	}
	return out
}

// mayLink says why a file may not import a package that is not ours; empty: it may.
func mayLink(f *goFile, from layer, p string) string {
	forTests := f.test || isSuite(f.dir) || from.band == prove
	host, _, _ := strings.Cut(p, "/")
	switch {
	case p == "C":
		return "the binary is pure Go"
	case p == "testing" || strings.HasPrefix(p, "testing/"):
		if !forTests {
			return "the binary links no test code"
		}
	case !strings.Contains(host, "."):
		// the standard library
	case vendored(from.vendors, p), forTests && vendored(testVendors, p), f.test && vendored([]string{"golang.org/x/sys"}, p):
	default:
		return "each library has one place where it is used, named in the table of layers with its package"
	}
	return ""
}

func TestImports_point_down(t *testing.T) {
	t.Parallel()
	hold(t, importRule)
}

func TestEvery_row_of_the_import_table_refuses_what_it_must(t *testing.T) {
	t.Parallel()
	goSrc := func(imports ...string) string {
		s := "package x\n"
		for _, p := range imports {
			s += fmt.Sprintf("import %q\n", p)
		}
		return s
	}
	ours := func(dir string) string { return module + "/" + dir }
	for _, c := range []struct{ name, file, imports, want string }{
		{"a word may not know a contract", "transcript/a.go", ours("store"), "words rest on nothing"},
		{"a region may not know its sibling", "machine/turn/a.go", ours("machine/inbox"), "knows nothing of its siblings"},
		{"the kernel may not know a word", "machine/fsm/a.go", ours("id"), "knows none"},
		{"a region may use the persistent map", "machine/inbox/a.go", ours("machine/pmap"), ""},
		{"the machine may not know the store", "machine/a.go", ours("store"), "decides from its state"},
		{"a contract may not know the machine", "store/a.go", ours("machine"), "one authority"},
		{"an adapter may not know another contract", "llm/openai/a.go", ours("tool"), "an adapter knows its own contract"},
		{"only sqlite links sqlite", "store/memory/a.go", "modernc.org/sqlite", "one place"},
		{"sqlite links sqlite", "store/sqlite/a.go", "modernc.org/sqlite", ""},
		{"a library is not matched by half its name", "store/sqlite/a.go", "modernc.org/sqliteful", "one place"},
		{"only the command line links cobra", "cmd/rkat/a.go", "github.com/spf13/cobra", "one place"},
		{"the runtime may not know a model", "runtime/a.go", ours("llm"), "no model"},
		{"the agent may not know the runtime", "agent/a.go", ours("runtime"), "never the runtime"},
		{"control may not know the machine", "control/a.go", ours("machine"), "one authority"},
		{"a surface may not know the runtime", "surface/cli/a.go", ours("runtime"), "a surface translates"},
		{"a surface may not know the machine in its tests either", "surface/cli/a_test.go", ours("machine"), "one authority"},
		{"a client links no runtime", "client/a.go", ours("runtime"), "no runtime"},
		{"a command may not know the machine", "cmd/rkat/a.go", ours("machine"), "one authority"},
		{"nobody imports the front door from inside", "control/a.go", module, "front door"},
		{"a command opens the front door", "cmd/rkat/a.go", module, ""},
		{"a test may use a suite", "store/memory/a_test.go", ours("store/storetest"), ""},
		{"a test may use an adapter below it", "runtime/a_test.go", ours("store/memory"), ""},
		{"a test may not use what is built on it", "store/a_test.go", ours("runtime"), "a test may use its own band"},
		{"the binary links no test code", "runtime/a.go", "testing", "no test code"},
		{"the binary links no suite", "runtime/a.go", ours("store/storetest"), "no model"},
		{"the binary links no cgo", "store/sqlite/a.go", "C", "pure Go"},
		{"a package without a row has no place", "helper/a.go", "fmt", "no row"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			breaks(t, importRule, c.want, map[string]string{c.file: goSrc(c.imports)})
		})
	}
}

func mapFS(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for p, src := range files {
		fsys[p] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}
