package offline

import (
	"strings"
)

// endings are the kinds of files people ask for by name.
var endings = map[string][]string{
	"go": {"go"}, "golang": {"go"}, "markdown": {"md", "markdown"}, "md": {"md"}, "json": {"json"}, "yaml": {"yaml", "yml"}, "yml": {"yml", "yaml"},
	"toml": {"toml"}, "python": {"py"}, "py": {"py"}, "javascript": {"js", "mjs", "cjs"}, "js": {"js"}, "typescript": {"ts", "tsx"}, "ts": {"ts"},
	"rust": {"rs"}, "rs": {"rs"}, "java": {"java"}, "c": {"c", "h"}, "shell": {"sh"}, "sh": {"sh"}, "text": {"txt"}, "txt": {"txt"}, "html": {"html", "htm"},
	"css": {"css"}, "sql": {"sql"}, "csv": {"csv"}, "log": {"log"}, "image": {"png", "jpg", "jpeg", "gif", "svg"}, "pdf": {"pdf"}, "xml": {"xml"},
	"ruby": {"rb"}, "php": {"php"}, "proto": {"proto"},
}

// kind returns the endings a word stands for: "go", ".go", "*.go".
func (w word) kind() []string {
	s := strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(w.text), "*"), ".")
	if e, ok := endings[s]; ok {
		return e
	}
	if strings.HasPrefix(w.text, ".") && len(s) > 0 && len(s) < 8 && !strings.ContainsAny(s, "./*") || strings.HasPrefix(w.text, "*.") && !strings.ContainsAny(s, "./*") {
		return []string{s}
	}
	return nil
}

// place takes "in this folder" or "in X" off the end of ws and returns where that is; ".": everywhere.
func place(ws []word) ([]word, string) {
	i := lastIndex(ws, "in", "inside", "under", "within", "from")
	if i < 0 {
		if i = lastIndex(ws, "here", "there"); i >= 0 && i == len(ws)-1 {
			return ws[:i], "."
		}
		return ws, "."
	}
	tail := without(ws[i+1:], "the", "folder", "directory", "file", "files", "all", "of", "my", "our")
	switch {
	case isHere(ws[i+1:]) || len(tail) == 0:
		return ws[:i], "."
	case len(tail) == 1 && (tail[0].isPath() || len(ws[i+1:]) > 1):
		return ws[:i], tail[0].text
	case len(tail) == 1 && tail[0].kind() != nil:
		return ws, "."
	case len(tail) == 1:
		return ws[:i], tail[0].text
	}
	return ws, "."
}

func parseFind(ws []word, piped bool) rule {
	rest, ok := oneOf(ws, "where is", "where's", "where are", "where do we use", "where do you use", "where does", "where can i find", "which file defines",
		"which files use", "which files contain", "which file contains", "which files mention", "what files contain", "what uses", "who uses", "who calls", "where do i find")
	if ok {
		rest, in := place(rest)
		rest = without(rest, "the", "a", "an", "defined", "used", "called", "declared", "implemented", "function", "type", "word", "text", "mentioned", "file", "method", "variable", "happen", "come")
		if len(rest) == 0 {
			return nil
		}
		return find{what: what(rest), in: in, names: len(rest) == 1 && !rest[0].quoted && has(ws[:1], "where", "where's")}
	}
	rest, ok = oneOf(ws, "find", "search for", "search", "look for", "grep for", "grep", "locate", "list all", "list", "show all", "show me all", "show me", "show", "are there any", "which", "what")
	if !ok || has(rest[:min(1, len(rest))], "out") {
		return nil
	}
	files := has(rest, "file", "files")
	listing := has(ws[:1], "list", "show", "are", "which", "what")
	rest, in := place(rest)
	if i := index(rest, "for"); i >= 0 && has(ws[:1], "search") { // "search docs for X"
		if i == 1 && in == "." && !isHere(rest[:1]) && !has(rest[:1], "files", "everything", "everywhere") {
			in = rest[0].text
		}
		rest = rest[i+1:]
	}
	if n := len(rest); n == 2 && in == "." && has(ws[:1], "grep") && rest[1].isPath() && !rest[1].quoted {
		rest, in = rest[:1], rest[1].text
	}
	named := has(rest, "named", "called")
	rest = without(rest, "the", "all", "any", "every", "files", "file", "named", "called", "me", "a", "an", "for", "word", "text", "string", "phrase", "with", "are", "there", "occurrences", "of", "uses", "usages", "references", "is", "that", "name", "containing", "contain", "mentions", "lines", "matching")
	if len(rest) == 0 {
		if files && listing {
			return find{glob: "*", in: in}
		}
		return nil
	}
	w := rest[0]
	if len(rest) == 1 && !w.quoted {
		if k := w.kind(); k != nil && (files || strings.HasPrefix(w.text, "*.") || strings.HasPrefix(w.text, ".")) {
			return find{glob: pattern(k), in: in}
		}
		if strings.ContainsAny(w.text, "*?[") || named {
			return find{glob: w.text, in: in}
		}
		if !listing && (w.isBareName() || strings.Contains(strings.Trim(w.text, "."), ".") && w.isPath() && files) {
			return find{glob: w.text + "*", in: in}
		}
	}
	if named && len(rest) == 1 {
		return find{glob: w.text, in: in}
	}
	if listing && !has(ws, "containing", "contain", "with", "mentions") {
		return nil
	}
	return find{what: what(rest), in: in, names: !files && len(rest) == 1 && !w.quoted, stdin: piped}
}

// what is the text to look for.
func what(ws []word) string {
	if _, q := firstQuoted(ws); q != nil {
		return q.text
	}
	return joined(ws)
}

// pattern is what files with one of these endings fit.
func pattern(endings []string) string {
	if len(endings) == 1 {
		return "*." + endings[0]
	}
	return "*.{" + strings.Join(endings, ",") + "}"
}

func parseCount(ws []word, piped bool) rule {
	rest, ok := oneOf(ws, "count", "how many", "number of", "what is the number of", "tell me how many", "how long is", "how big is", "wc", "how large is")
	if !ok {
		return nil
	}
	rest, in := place(trimLeft(rest, "the", "all", "number", "of", "times", "how", "many"))
	rest = without(rest, "are", "is", "there", "does", "do", "have", "has", "contain", "the", "we", "you", "see", "all", "exist", "got", "it", "this", "i")
	unit := "lines"
	if i := index(rest, "files", "folders", "directories", "entries", "lines", "words", "characters", "letters", "bytes", "occurrences", "occurrence", "matches"); i >= 0 {
		unit = rest[i].low
		rest = append(append([]word{}, rest[:i]...), rest[i+1:]...)
	} else if has(ws, "occur", "appear", "times") {
		unit = "occurrences"
	} else if len(rest) == 1 && (rest[0].quoted || !rest[0].isPath()) {
		unit = "occurrences"
	} else if len(rest) > 0 && !rest[0].isPath() {
		return nil
	}
	rest = without(rest, "occur", "occurs", "appear", "appears", "times", "of", "code", "in", "for", "word", "text", "and", "a")
	switch unit {
	case "files", "folders", "directories", "entries":
		c := countFiles{in: in, folders: unit == "folders" || unit == "directories"}
		for _, w := range rest {
			k := w.kind()
			if k == nil {
				return nil
			}
			c.endings = append(c.endings, k...)
		}
		return c
	case "occurrences", "occurrence", "matches":
		if len(rest) == 0 {
			return nil
		}
		return find{what: what(rest), in: in, count: true, stdin: piped}
	}
	if len(rest) == 1 && in == "." {
		return countText{path: rest[0].text, unit: unit}
	}
	if len(rest) > 0 {
		return nil
	}
	if in != "." {
		return countText{path: in, unit: unit}
	}
	if piped {
		return countText{stdin: true, unit: unit}
	}
	return nil
}
