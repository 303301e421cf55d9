package offline

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	maxShown   = 80 // lines of a file in an answer
	maxHeads   = 3  // files read to tell what a folder is
	maxSection = 5  // files read for one request
)

// folder asks what is in a folder.
type folder struct{ path string }

func (r folder) answer(t *talk) string {
	if !t.offers(listDir) {
		return t.lacking(listDir)
	}
	res, ok := t.call(listDir, map[string]any{"path": r.path})
	if !ok {
		return ""
	}
	if res.failed {
		if t.offers(readFile) && strings.Contains(res.text, "not a folder") {
			return read{paths: []string{r.path}}.answer(t)
		}
		return failure("look into "+code(r.path), res)
	}
	l := readListing(res.text)
	if len(l.entries) == 0 {
		return remarks(r.title()+" is empty: there is no file and no folder in it.", l.notes)
	}
	heads := telling(l.entries)
	docs := map[string]document{}
	var unread []string
	if t.offers(readFile) {
		for _, name := range heads {
			d, ok := t.call(readFile, map[string]any{"path": path.Join(r.path, name)})
			switch {
			case !ok:
			case d.failed:
				unread = append(unread, failure("read "+code(name), d))
			default:
				docs[name] = readDocument(d.text)
			}
		}
	}
	return remarks(r.describe(l, heads, docs), append(l.notes, unread...))
}

func (r folder) title() string {
	if r.path == "." {
		return "This folder"
	}
	return "The folder " + code(r.path)
}

func (r folder) describe(l listing, heads []string, docs map[string]document) string {
	var folders, files, others []string
	for _, e := range l.entries {
		switch {
		case e.folder:
			folders = append(folders, code(e.name+"/"))
		case e.note != "":
			others = append(others, fmt.Sprintf("%s (%s)", code(e.name), e.note))
		default:
			files = append(files, e.name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has **%s**: %s and %s", r.title(), number(l.total, "entry", "entries"), number(len(folders), "folder", "folders"), number(len(files), "file", "files"))
	if len(others) > 0 {
		fmt.Fprintf(&b, ", and %s", number(len(others), "entry of another kind", "entries of other kinds"))
	}
	if l.total > len(l.entries) {
		fmt.Fprintf(&b, " among the %s that were listed", thousands(len(l.entries)))
	}
	b.WriteString(".\n")
	var known []string
	for _, name := range heads {
		if d, ok := docs[name]; ok {
			if s := about(name, d); s != "" {
				known = append(known, "- "+code(name)+": "+s)
			}
		}
	}
	if len(known) > 0 {
		b.WriteString("\n## What it is\n\n" + strings.Join(known, "\n") + "\n")
	}
	if len(folders) > 0 {
		b.WriteString("\n## Folders\n\n" + several(folders, 40) + "\n")
	}
	if len(files) > 0 {
		b.WriteString("\n## Files\n\n" + byKind(files))
	}
	if len(others) > 0 {
		b.WriteString("\n## Others\n\n" + several(others, 20) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// several joins names and says how many are not shown.
func several(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %s more", thousands(len(names)-most))
}

// byKind lists files by what they are, most frequent kind first.
func byKind(files []string) string {
	kinds := map[string][]string{}
	var order []string
	for _, f := range files {
		k := kindOf(f)
		if kinds[k] == nil {
			order = append(order, k)
		}
		kinds[k] = append(kinds[k], code(f))
	}
	slices.SortStableFunc(order, func(a, b string) int { return len(kinds[b]) - len(kinds[a]) })
	var b strings.Builder
	for _, k := range order {
		fmt.Fprintf(&b, "- %s (%d): %s\n", k, len(kinds[k]), several(kinds[k], 12))
	}
	return b.String()
}

var kindNames = map[string]string{
	".go": "Go", ".mod": "Go module", ".sum": "Go module", ".work": "Go module", ".md": "Markdown", ".markdown": "Markdown", ".txt": "Text", ".json": "JSON", ".yaml": "YAML", ".yml": "YAML",
	".toml": "TOML", ".py": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".ts": "TypeScript", ".tsx": "TypeScript", ".rs": "Rust", ".java": "Java",
	".c": "C", ".h": "C", ".sh": "Shell", ".html": "HTML", ".css": "CSS", ".sql": "SQL", ".csv": "CSV", ".log": "Logs", ".png": "Images", ".jpg": "Images",
	".jpeg": "Images", ".gif": "Images", ".svg": "Images", ".pdf": "PDF", ".rb": "Ruby", ".php": "PHP", ".xml": "XML", ".lock": "Lock files",
}

func kindOf(name string) string {
	if strings.HasPrefix(name, ".") {
		return "Hidden"
	}
	if k, ok := kindNames[strings.ToLower(path.Ext(name))]; ok {
		return k
	}
	if ext := path.Ext(name); ext != "" {
		return ext
	}
	return "Without an ending"
}

// telling returns the files that tell most of what a folder is, best first.
func telling(entries []entry) []string {
	best := []string{"readme", "go.mod", "package.json", "cargo.toml", "pyproject.toml", "pom.xml", "build.gradle", "composer.json", "gemfile", "setup.py",
		"requirements.txt", "makefile", "dockerfile"}
	var out []string
	for _, b := range best {
		for _, e := range entries {
			low := strings.ToLower(e.name)
			if e.folder || e.note != "" || len(out) == maxHeads {
				continue
			}
			if low == b || b == "readme" && strings.TrimSuffix(low, path.Ext(low)) == b {
				out = append(out, e.name)
				if b == "readme" {
					break
				}
			}
		}
	}
	return out
}

// read asks to see files.
type read struct {
	paths []string
	stdin bool
}

func (r read) answer(t *talk) string {
	if r.stdin {
		return shown("", document{text: t.stdin})
	}
	var out []string
	for i, p := range r.paths {
		if i == maxSection {
			out = append(out, fmt.Sprintf("I read %d files at a time; ask me next for: %s.", maxSection, strings.Join(r.paths[i:], ", ")))
			break
		}
		name, d, problem := t.open(p)
		switch {
		case problem != "":
			out = append(out, problem)
		case name != p && path.Base(name) == path.Base(p):
			out = append(out, fmt.Sprintf("%s, which is the only file of the name %s:\n\n%s", code(name), code(p), shown(name, d)))
		default:
			out = append(out, code(name)+":\n\n"+shown(name, d))
		}
	}
	return strings.Join(out, "\n\n")
}

// shown is a document for a person: all of it, or its beginning and how much more there is.
func shown(name string, d document) string {
	all := d.lines()
	if len(all) == 0 {
		if d.note == "" {
			d.note = "it is empty"
		}
		return "(" + d.note + ")"
	}
	text := fence(language(name), strings.Join(all[:min(len(all), maxShown)], "\n"))
	if len(all) > maxShown {
		text += fmt.Sprintf("\n\nThese are the first %d of %s lines that I have read.", maxShown, thousands(len(all)))
	}
	return remarks(text, []string{d.note})
}

// open reads a file for a rule. A bare word is looked up in the folder first, and a name that is not there is looked for
// elsewhere. With calls pending, nothing it returns counts.
func (t *talk) open(p string) (name string, d document, problem string) {
	if !t.offers(readFile) {
		return p, d, t.lacking(readFile)
	}
	name = p
	if !strings.ContainsAny(p, "./") && t.offers(listDir) {
		res, ok := t.call(listDir, map[string]any{"path": "."})
		if !ok {
			return p, d, ""
		}
		if !res.failed {
			name = closest(p, readListing(res.text).entries)
		}
	}
	res, ok := t.call(readFile, map[string]any{"path": name})
	if !ok {
		return name, d, ""
	}
	if !res.failed {
		return name, readDocument(res.text), ""
	}
	if strings.Contains(res.text, "a folder") || strings.Contains(res.text, "is a directory") {
		return name, d, folder{path: name}.answer(t)
	}
	problem = failure("read "+code(name), res)
	if !t.offers(glob) || res.code == "outcome_unknown" || path.IsAbs(name) {
		return name, d, problem
	}
	found, ok := t.call(glob, map[string]any{"pattern": "**/" + globQuote(path.Base(path.Clean(name)))})
	if !ok || found.failed {
		return name, d, problem
	}
	l := readListing(found.text)
	switch {
	case len(l.entries) == 0:
		return name, d, problem + "\n\nThere is no file of that name anywhere below either."
	case l.total > 1:
		return name, d, problem + "\n\nFiles of that name: " + several(names(l.entries), 20) + ". Tell me which."
	}
	other := l.entries[0].name
	if res, ok = t.call(readFile, map[string]any{"path": other}); !ok {
		return other, d, ""
	}
	if res.failed {
		return other, d, problem + "\n\n" + failure("read "+code(other), res)
	}
	return other, readDocument(res.text), ""
}

// closest returns the entry a bare word means: the same name, whatever its case, or the same name without its ending.
func closest(word string, entries []entry) string {
	low := strings.ToLower(word)
	for _, same := range []func(string) bool{
		func(n string) bool { return n == word },
		func(n string) bool { return strings.ToLower(n) == low },
		func(n string) bool { return strings.ToLower(strings.TrimSuffix(n, path.Ext(n))) == low },
	} {
		for _, e := range entries {
			if same(e.name) {
				return e.name
			}
		}
	}
	return word
}

func names(entries []entry) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = code(e.name)
	}
	return out
}

// globQuote takes the meaning off what is special in a pattern.
func globQuote(s string) string {
	return strings.NewReplacer("*", "?", "[", "?", "]", "?", "{", "?", "}", "?").Replace(s)
}

// summarise asks what a text says. Without a path it is standard input.
type summarise struct{ path string }

func (r summarise) answer(t *talk) string {
	if r.path == "" {
		if !t.piped {
			return "There is nothing to summarise: name a file (`summarise notes.md`), or give me text on standard input (`cat notes.md | rkat run \"summarise\"`)."
		}
		return summary("The text", "", t.stdin)
	}
	name, d, problem := t.open(r.path)
	if problem != "" {
		return problem
	}
	if d.text == "" {
		return code(name) + ": " + shown(name, d)
	}
	return remarks(summary(code(name), name, d.text), []string{d.note})
}
