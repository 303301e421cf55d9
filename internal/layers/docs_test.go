package layers

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	ruleHeading = regexp.MustCompile(`(?m)^\*\*(R\d{2,3})\*\* `)
	ruleMention = regexp.MustCompile(`R\d{2,3}`)
)

// cited lists the rules a text cites: by a number that stands alone, or in the name of a test.
func cited(text string) []string {
	var out []string
	for _, m := range ruleMention.FindAllStringIndex(text, -1) {
		before, after := text[:m[0]], text[m[1]:]
		inWord := before != "" && isLetterOrDigit(before[len(before)-1]) && !strings.HasSuffix(before, "Test")
		if !inWord && (after == "" || !isLetterOrDigit(after[0])) {
			out = append(out, text[m[0]:m[1]])
		}
	}
	return out
}

func isLetterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// provesRules reports whether what a file cites, it holds: tests, suites, the simulation's oracle and golden scripts.
func provesRules(p string) bool {
	return strings.HasSuffix(p, "_test.go") || isSuite(path.Dir(p)) || strings.HasPrefix(p, "sim/") || strings.Contains(p, "/testdata/") && !strings.HasPrefix(p, "internal/layers/")
}

// rules holds docs/rules.md and the tests together: every rule has a test that cites it, every citation has a rule.
func rules(t *tree) []string {
	text, ok := t.texts["docs/rules.md"]
	if !ok {
		return []string{"docs/rules.md is missing"}
	}
	var out, defined []string
	for _, m := range ruleHeading.FindAllStringSubmatch(text, -1) {
		if n := len(defined); n > 0 && (len(defined[n-1]) > len(m[1]) || len(defined[n-1]) == len(m[1]) && defined[n-1] >= m[1]) {
			out = append(out, fmt.Sprintf("docs/rules.md: %s stands after %s: numbers are given once, in order, and a rule that is gone keeps its number", m[1], defined[n-1]))
		}
		defined = append(defined, m[1])
	}
	by := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if !provesRules(p) {
			continue
		}
		for _, r := range cited(t.texts[p]) {
			by[r] = true
			if !slices.Contains(defined, r) {
				out = append(out, fmt.Sprintf("%s cites %s, which docs/rules.md does not have", p, r))
			}
		}
	}
	var open []string
	for _, r := range defined {
		if !by[r] {
			open = append(open, r)
		}
	}
	if len(open) > 0 {
		out = append(out, "no test cites "+strings.Join(open, ", ")+": a rule that nothing holds is a wish; cite it in the name or the comment of the test that holds it")
	}
	return out
}

var (
	mdLink  = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	mdFence = regexp.MustCompile("(?ms)^```.*?^```[ \t]*$")
	mdCode  = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	slugOut = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	docPath = regexp.MustCompile(`\bdocs/[\w./-]*\w`)
)

// links demands that what a document points to inside the tree is there, headings included.
func links(t *tree) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(p) != ".md" || strings.Contains(p, "testdata/") {
			continue
		}
		prose := mdCode.ReplaceAllString(mdFence.ReplaceAllString(t.texts[p], ""), "")
		for _, m := range mdLink.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := p
			if file != "" {
				target = path.Join(path.Dir(p), file)
			}
			switch {
			case !t.exists(target):
				out = append(out, fmt.Sprintf("%s: the link %s leads nowhere", p, m[1]))
			case anchor != "" && !slices.Contains(anchors(t.texts[target]), anchor):
				out = append(out, fmt.Sprintf("%s: %s has no heading #%s", p, target, anchor))
			}
		}
	}
	return out
}

// comments demands that a document named in a Go comment is there; a design note may be named by its number.
func comments(t *tree) []string {
	var out []string
	for _, f := range t.code {
		for _, g := range f.ast.Comments {
			for _, d := range docPath.FindAllString(g.Text(), -1) {
				numbered := strings.HasPrefix(d, "docs/design/")
				known := slices.ContainsFunc(slices.Collect(maps.Keys(t.texts)), func(p string) bool { return numbered && strings.HasPrefix(p, d+"-") })
				if !known && !t.exists(d) {
					out = append(out, fmt.Sprintf("%s: the comment names %s, which is not there", t.at(g.Pos()), d))
				}
			}
		}
	}
	return out
}

// exists reports whether a path is a text file of the tree or a folder that holds one.
func (t *tree) exists(p string) bool {
	if _, ok := t.texts[p]; ok || p == "." {
		return true
	}
	for q := range t.texts {
		if strings.HasPrefix(q, p+"/") {
			return true
		}
	}
	return false
}

// anchors lists the names under which the headings of a document can be linked to.
func anchors(md string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(mdFence.ReplaceAllString(md, ""), -1) {
		s := slugOut.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		out = append(out, strings.ReplaceAll(s, " ", "-"))
	}
	return out
}

// architecture demands that every top folder with Go files is described in ARCHITECTURE.md.
func architecture(t *tree) []string {
	text := t.texts["ARCHITECTURE.md"]
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(t.packages())) {
		if dir != "." && !strings.Contains(dir, "/") && !strings.Contains(text, dir+"/") {
			out = append(out, fmt.Sprintf("ARCHITECTURE.md does not say what %s/ is for", dir))
		}
	}
	return out
}

// foreign are traces of one machine or of one way of working, which have no place in the tree.
var foreign = []struct {
	re  *regexp.Regexp
	why string
}{
	{regexp.MustCompile(`(?:^|[\s"'=(:` + "`" + `])/(?:home|Users|root|work|workspace|workspaces|builds)/[\w.]+`), "a path of one machine"},
	{regexp.MustCompile(`\bshared/(?:spec|design|style|measure|schemas|hooks)\b`), "a path outside the repository"},
	{regexp.MustCompile(`(?i)\b(?:ai|llm)[- ](?:written|generated|authored)\b|co-authored-by:|generated (?:with|by) \[`), "how it was written is not part of the product"},
}

// nobodys are the homes of made-up people, in examples.
var nobodys = regexp.MustCompile(`/home/(?:you|somebody)$`)

// ownTraces finds such traces, this package aside.
func ownTraces(t *tree) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if strings.HasPrefix(p, "internal/layers/") {
			continue
		}
		for i, line := range strings.Split(t.texts[p], "\n") {
			for _, f := range foreign {
				if m := f.re.FindString(line); m != "" && !nobodys.MatchString(m) {
					out = append(out, fmt.Sprintf("%s:%d: %q is %s", p, i+1, strings.TrimSpace(m), f.why))
				}
			}
		}
	}
	return out
}

var (
	commandRow = regexp.MustCompile(`(?m)^\| .*\|([^|]*)\|([^|]*)\|$`)
	testName   = regexp.MustCompile("`(Test\\w+)`")
)

// commandTable demands that docs/commands.md claims nothing without naming the test that holds it, and names no test that is none.
func commandTable(t *tree) []string {
	var out []string
	text := t.texts["docs/commands.md"]
	for i, m := range commandRow.FindAllStringSubmatch(text, -1) {
		status := strings.TrimSpace(m[1])
		row, _, _ := strings.Cut(strings.TrimPrefix(m[0], "| "), " |")
		switch {
		case i == 0: // the heading
		case status != "done" && status != "partly" && status != "later":
			out = append(out, fmt.Sprintf("docs/commands.md: %s: the status is done, partly or later, not %q", row, status))
		case status != "later" && !testName.MatchString(m[2]):
			out = append(out, fmt.Sprintf("docs/commands.md: %s is %s, and no test is named", row, status))
		}
	}
	for _, held := range testName.FindAllStringSubmatch(text, -1) {
		if !t.hasTest(held[1]) {
			out = append(out, fmt.Sprintf("docs/commands.md names %s, which is no test", held[1]))
		}
	}
	return out
}

// hasTest reports whether a test of that name exists.
func (t *tree) hasTest(name string) bool {
	return slices.ContainsFunc(t.code, func(f *goFile) bool { return f.test && strings.Contains(f.src, "func "+name+"(") })
}

var shFence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// readme demands that the commands the README shows are run by scripts/smoke.sh. What a line says after # is for the reader; a
// command that cannot run without a model is marked "# needs".
func readme(t *tree) []string {
	smoke := t.texts["scripts/smoke.sh"]
	var out []string
	shown := 0
	for _, fence := range shFence.FindAllStringSubmatch(t.texts["README.md"], -1) {
		for line := range strings.Lines(fence[1]) {
			command, remark, _ := strings.Cut(strings.TrimSpace(line), "  #")
			command = strings.TrimSpace(command)
			if command == "" || strings.HasPrefix(command, "#") || strings.HasPrefix(strings.TrimSpace(remark), "needs") {
				continue
			}
			shown++
			if !strings.Contains(smoke, command) {
				out = append(out, fmt.Sprintf("README.md shows %q, which scripts/smoke.sh does not run", command))
			}
		}
	}
	if shown == 0 {
		out = append(out, "README.md shows no command in a fence marked sh")
	}
	return out
}

func TestEvery_rule_has_a_test_that_cites_it(t *testing.T)            { t.Parallel(); hold(t, rules) }
func TestLinks_in_documents_lead_somewhere(t *testing.T)              { t.Parallel(); hold(t, links) }
func TestDocuments_named_in_comments_exist(t *testing.T)              { t.Parallel(); hold(t, comments) }
func TestThe_architecture_describes_every_folder(t *testing.T)        { t.Parallel(); hold(t, architecture) }
func TestThe_tree_speaks_of_the_project_alone(t *testing.T)           { t.Parallel(); hold(t, ownTraces) }
func TestThe_command_table_names_its_tests(t *testing.T)              { t.Parallel(); hold(t, commandTable) }
func TestWhat_the_README_shows_is_run_by_the_smoke_test(t *testing.T) { t.Parallel(); hold(t, readme) }

func TestEach_rule_about_documents_notices_its_breach(t *testing.T) {
	t.Parallel()
	r := func(n string) string { return "R" + n } // so that this file cites nothing
	two := "**" + r("01") + "** One.\n\n**" + r("02") + "** Two.\n"
	for _, c := range []struct {
		name, want string
		rule       func(*tree) []string
		files      map[string]string
	}{
		{"a rule without a test", "no test cites " + r("02"), rules, map[string]string{"docs/rules.md": two, "run/a_test.go": "package run // " + r("01")}},
		{"rules with tests", "", rules, map[string]string{"docs/rules.md": two, "run/a_test.go": "package run\nfunc Test" + r("01") + "_x_" + r("02") + "_y() {}"}},
		{"a rule cited by a golden script", "", rules, map[string]string{"docs/rules.md": two, "machine/testdata/a.txt": "# " + r("01") + ", " + r("02")}},
		{"a rule cited only by the code it is about", "no test cites", rules, map[string]string{"docs/rules.md": two, "run/a.go": "package run // " + r("01") + " " + r("02")}},
		{"a citation without a rule", "does not have", rules, map[string]string{"docs/rules.md": two, "run/a_test.go": "package run // " + r("01") + r("02") + " " + r("77")}},
		{"a number given twice", "stands after", rules, map[string]string{"docs/rules.md": two + "\n**" + r("02") + "** Two again.\n"}},
		{"a number out of order", "stands after", rules, map[string]string{"docs/rules.md": "**" + r("100") + "** Many.\n\n**" + r("99") + "** Fewer.\n"}},
		{"a dead link", "leads nowhere", links, map[string]string{"a.md": "[x](docs/b.md)"}},
		{"a link to a folder", "", links, map[string]string{"docs/a.md": "[x](../run)", "run/a.go": "package run"}},
		{"a dead anchor", "no heading", links, map[string]string{"a.md": "[x](#there)\n# Here\n"}},
		{"an anchor", "", links, map[string]string{"a.md": "[x](#what-is-in-it)\n# What is *in* it?\n"}},
		{"a link in an example", "", links, map[string]string{"a.md": "```\n[x](nowhere)\n```\nand `[x](nowhere)`"}},
		{"a comment about nothing", "not there", comments, map[string]string{"run/a.go": "// Package run: see docs/other.md.\npackage run"}},
		{"a comment naming a note by number", "", comments, map[string]string{"run/a.go": "// Package run (docs/design/0001).\npackage run", "docs/design/0001-a.md": "x"}},
		{"a folder nobody describes", "what run/ is for", architecture, map[string]string{"run/a.go": "package run", "ARCHITECTURE.md": "nothing"}},
		{"a machine's path", "one machine", ownTraces, map[string]string{"a.md": "see /" + "root/x"}},
		{"the home of nobody in particular", "", ownTraces, map[string]string{"a.md": "as in /home/you/x"}},
		{"a path that only looks like one", "", ownTraces, map[string]string{"a.md": "see docs/work/x and https://x.org/home/x"}},
		{"a path outside", "outside the repository", ownTraces, map[string]string{"a.md": "see ../" + "shared/spec/01"}},
		{"a claim without a test", "no test is named", commandTable, map[string]string{"docs/commands.md": "| c | status | held by |\n|---|---|---|\n| A | done | |\n"}},
		{"a claim with a test that is none", "is no test", commandTable, map[string]string{"docs/commands.md": "| c | status | held by |\n|---|---|---|\n| A | done | `TestA` |\n"}},
		{"a remark with a test that is none", "is no test", commandTable, map[string]string{"docs/commands.md": "**Held by**: `TestA`.\n"}},
		{"a claim with its test", "", commandTable, map[string]string{"docs/commands.md": "| c | status | held by |\n|---|---|---|\n| A | done | `TestA` |\n", "run/a_test.go": "package run\nfunc TestA(t T) {}\n"}},
		{"a status that is none", "not \"soon\"", commandTable, map[string]string{"docs/commands.md": "| c | status | held by |\n|---|---|---|\n| A | soon | |\n"}},
		{"a command that is not tried", "does not run", readme, map[string]string{"README.md": "```sh\nrkat run x\n```\n", "scripts/smoke.sh": "rkat run y"}},
		{"a command that is tried", "", readme, map[string]string{"README.md": "```sh\nrkat run x  # so\n# note\nrkat z  # needs a model\n```\n", "scripts/smoke.sh": "try 'rkat run x'"}},
		{"a README without commands", "shows no command", readme, map[string]string{"README.md": "words"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			breaks(t, c.rule, c.want, c.files)
		})
	}
}
