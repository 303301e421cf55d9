package offline

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxMatches = 30 // lines in an answer
	askEntries = 2000
	askMatches = 1000
	maxCounted = 40 // files read to count their lines
)

// find asks where a text or a file is.
type find struct {
	what  string // text to look for
	names bool   // also in file names
	glob  string // instead of text: names of files
	in    string // folder or file; ".": everywhere
	count bool   // only how many there are
	stdin bool   // in standard input
}

func (r find) answer(t *talk) string {
	switch {
	case r.stdin:
		return r.inStdin(t)
	case r.glob != "":
		return r.files(t)
	}
	if !t.offers(search) {
		return t.lacking(search)
	}
	args := map[string]any{"pattern": r.what}
	if t.argument(search, "literal") == "literal" && t.tools[search]["literal"] {
		args["literal"] = true
	} else {
		args["pattern"] = regexp.QuoteMeta(r.what)
	}
	if t.tools[search]["ignore_case"] && r.what == strings.ToLower(r.what) {
		args["ignore_case"] = true
	}
	if r.in != "." {
		args["path"] = r.in
	}
	if t.tools[search]["limit"] && r.count {
		args["limit"] = askMatches
	}
	res, ok := t.call(search, args)
	var named []string
	var notes []string
	if r.names && r.in == "." && t.offers(glob) && utf8.RuneCountInString(r.what) > 2 && !strings.ContainsAny(r.what, " /") {
		g, done := t.call(glob, t.globArgs("**/*"+globQuote(r.what)+"*", r.in))
		switch {
		case done && g.failed:
			notes = append(notes, failure("look for files of that name", g))
		case done:
			named = names(readListing(g.text).entries)
		}
	}
	if !ok || len(t.pending) > 0 {
		return ""
	}
	if res.failed {
		return remarks(failure("search for "+code(r.what), res), notes)
	}
	found, more := readMatches(res.text)
	text := r.tell(found)
	if len(named) > 0 {
		text += "\n\nFiles of that name: " + several(named, 20) + "."
	}
	return remarks(text, append(more, notes...))
}

func (r find) where() string {
	if r.in == "." {
		return "in this folder"
	}
	return "in " + code(r.in)
}

// tell lists matches by file.
func (r find) tell(found []match) string {
	if len(found) == 0 {
		return fmt.Sprintf("%s does not occur in any text file %s.", code(r.what), r.where())
	}
	var order []string
	files := map[string][]match{}
	for _, m := range found {
		if files[m.path] == nil {
			order = append(order, m.path)
		}
		files[m.path] = append(files[m.path], m)
	}
	head := fmt.Sprintf("%s occurs on **%s** in %s %s", code(r.what), number(len(found), "line", "lines"), number(len(order), "file", "files"), r.where())
	if r.count && len(order) == 1 && order[0] == r.in {
		return fmt.Sprintf("%s occurs on **%s** of %s. I count lines, not each occurrence on them.", code(r.what), number(len(found), "line", "lines"), code(r.in))
	}
	if r.count {
		var counts []string
		for _, f := range order {
			counts = append(counts, fmt.Sprintf("%s (%d)", code(f), len(files[f])))
		}
		return head + ": " + several(counts, 20) + ". I count lines, not each occurrence on them."
	}
	var b strings.Builder
	b.WriteString(head + ":\n")
	shown := 0
	for _, f := range order {
		if shown == maxMatches {
			break
		}
		b.WriteString("\n" + code(f) + "\n")
		for _, m := range files[f][:min(len(files[f]), maxMatches-shown)] {
			fmt.Fprintf(&b, "- line %s: %s\n", m.line, code(strings.TrimSpace(m.text)))
			shown++
		}
	}
	if shown < len(found) {
		fmt.Fprintf(&b, "\nThese are the first %d.", shown)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (r find) inStdin(t *talk) string {
	low := strings.ToLower(r.what)
	var out []string
	total := 0
	for i, line := range lines(t.stdin) {
		n := strings.Count(strings.ToLower(line), low)
		if total += n; n > 0 {
			out = append(out, fmt.Sprintf("- line %d: %s", i+1, code(clipped(strings.TrimSpace(line)))))
		}
	}
	if len(out) == 0 {
		return fmt.Sprintf("%s does not occur in the text.", code(r.what))
	}
	text := fmt.Sprintf("%s occurs **%s** in the text, on %s", code(r.what), number(total, "time", "times"), number(len(out), "line", "lines"))
	if r.count {
		return text + "."
	}
	text += ":\n\n" + strings.Join(out[:min(len(out), maxMatches)], "\n")
	if len(out) > maxMatches {
		text += fmt.Sprintf("\n\nThese are the first %d.", maxMatches)
	}
	return text
}

// files answers where files of a name are.
func (r find) files(t *talk) string {
	if !t.offers(glob) {
		return t.lacking(glob)
	}
	pattern := r.glob
	if !strings.Contains(pattern, "/") {
		pattern = "**/" + pattern
	}
	res, ok := t.call(glob, t.globArgs(pattern, r.in))
	if !ok {
		return ""
	}
	if res.failed {
		return failure("look for "+code(pattern), res)
	}
	l := readListing(res.text)
	if len(l.entries) == 0 {
		return remarks(fmt.Sprintf("There is no file that fits %s %s.", code(pattern), r.where()), l.notes)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s fit %s:\n", number(l.total, "file", "files"), r.where(), code(pattern))
	for _, n := range names(l.entries[:min(len(l.entries), maxMatches)]) {
		b.WriteString("\n- " + n)
	}
	if l.total > maxMatches {
		fmt.Fprintf(&b, "\n\nThese are the first %d.", maxMatches)
	}
	return remarks(b.String(), l.notes)
}

// globArgs are the arguments that look for a pattern in a folder, for as many entries as the tool gives.
func (t *talk) globArgs(pattern, in string) map[string]any {
	args := map[string]any{"pattern": pattern}
	if in != "." && in != "./" {
		if t.tools[glob]["path"] {
			args["path"] = in
		} else {
			args["pattern"] = path.Join(in, pattern)
		}
	}
	if t.tools[glob]["limit"] {
		args["limit"] = askEntries
	}
	return args
}

// countFiles asks how many files, or folders, there are.
type countFiles struct {
	endings []string // empty: all files
	folders bool
	in      string
}

func (r countFiles) answer(t *talk) string {
	if !t.offers(glob) {
		return t.lacking(glob)
	}
	fits := "**/*"
	switch {
	case r.folders:
		fits = "**/*/"
	case len(r.endings) > 0:
		fits = "**/" + pattern(r.endings)
	}
	res, ok := t.call(glob, t.globArgs(fits, r.in))
	if !ok {
		return ""
	}
	where := find{in: r.in}.where()
	if res.failed {
		return failure("count the files "+where, res)
	}
	l := readListing(res.text)
	if r.folders {
		return remarks(fmt.Sprintf("There are **%s** %s, at any depth.", number(l.total, "folder", "folders"), where), l.notes)
	}
	what := ""
	if len(r.endings) > 0 {
		what = " that fit " + code(fits)
	}
	text := fmt.Sprintf("There are **%s**%s %s, at any depth.", number(l.total, "file", "files"), what, where)
	if l.total == 1 {
		text = strings.Replace(text, "There are", "There is", 1)
	}
	if len(r.endings) == 0 && l.total == len(l.entries) {
		text += "\n\n" + kindCounts(l.entries)
	}
	return remarks(text, l.notes)
}

// kindCounts says how many files there are of each kind, the most frequent first.
func kindCounts(entries []entry) string {
	var files []string
	for _, e := range entries {
		files = append(files, path.Base(e.name))
	}
	var b strings.Builder
	for line := range strings.Lines(byKind(files)) {
		kind, _, _ := strings.Cut(line, ": ")
		b.WriteString(kind + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// countText asks how long a text is, or all files of a kind together.
type countText struct {
	path  string
	unit  string // lines, words, characters, letters or bytes
	stdin bool
}

func (r countText) answer(t *talk) string {
	if r.stdin {
		return r.tell("The text", document{text: t.stdin})
	}
	if k := (word{text: r.path, low: strings.ToLower(r.path)}).kind(); k != nil && !strings.Contains(strings.TrimLeft(r.path, "*."), ".") {
		return r.all(t, k)
	}
	name, d, problem := t.open(r.path)
	if problem != "" {
		return problem
	}
	if d.text == "" {
		return code(name) + ": " + shown(name, d)
	}
	return r.tell(code(name), d)
}

func (r countText) tell(name string, d document) string {
	n := r.of(d.text)
	text := fmt.Sprintf("%s has **%s**.", name, number(n, strings.TrimSuffix(r.unit, "s"), r.unit))
	if d.cut {
		text = fmt.Sprintf("The part of %s that I was given has **%s**; the file is longer.", name, number(n, strings.TrimSuffix(r.unit, "s"), r.unit))
	}
	return remarks(text, []string{d.note})
}

func (r countText) of(text string) int {
	switch r.unit {
	case "words":
		return len(strings.Fields(text))
	case "characters", "letters":
		return utf8.RuneCountInString(text)
	case "bytes":
		return len(text)
	}
	return len(lines(text))
}

// all counts in all files with these endings.
func (r countText) all(t *talk, endings []string) string {
	if !t.offers(glob) {
		return t.lacking(glob)
	}
	if !t.offers(readFile) {
		return t.lacking(readFile)
	}
	fits := "**/" + pattern(endings)
	res, ok := t.call(glob, t.globArgs(fits, "."))
	if !ok {
		return ""
	}
	if res.failed {
		return failure("look for "+code(fits), res)
	}
	l := readListing(res.text)
	if l.total > maxCounted {
		return fmt.Sprintf("There are %s that fit %s. I count by reading, and read at most %d: name a folder or a file, or ask me to run `wc` if the shell is offered.",
			number(l.total, "file", "files"), code(fits), maxCounted)
	}
	total := 0
	var notes []string
	for _, e := range l.entries {
		d, ok := t.call(readFile, map[string]any{"path": e.name})
		switch {
		case !ok:
		case d.failed:
			notes = append(notes, failure("read "+code(e.name), d))
		default:
			doc := readDocument(d.text)
			total += r.of(doc.text)
			if doc.cut {
				notes = append(notes, code(e.name)+" is longer than what I was given: "+doc.note)
			}
		}
	}
	text := fmt.Sprintf("The %s that fit %s have **%s** together.", number(len(l.entries), "file", "files"), code(fits),
		number(total, strings.TrimSuffix(r.unit, "s"), r.unit))
	return remarks(text, notes)
}
