package offline

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/meerkat-go/meerkat/transcript"
)

// entry is a line of a listing.
type entry struct {
	name   string
	folder bool
	note   string // what it is beside a file or folder
}

// listing is the result of list_dir or glob: what it named, and what it said besides.
type listing struct {
	entries []entry
	notes   []string // such as how many were left out
	total   int      // entries there are: more than are named, if the list was cut
}

var (
	leftOut  = regexp.MustCompile(`of ([\d,]+) (?:entries|matches) left out`)
	fileSize = regexp.MustCompile(`^(.*\S)\s\s+[\d,]+$`)
	remark   = regexp.MustCompile(`^(.*\S) \(([^()]+)\)$`)
	noteLine = regexp.MustCompile(`^\[.*\]$`)
)

// readListing reads one entry a line: folders end in "/", a size may follow a file, a link shows where it leads.
func readListing(text string) listing {
	var l listing
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r ")
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case noteLine.MatchString(line):
			l.notes = append(l.notes, strings.Trim(line, "[]"))
			if m := leftOut.FindStringSubmatch(line); m != nil {
				l.total, _ = strconv.Atoi(strings.ReplaceAll(m[1], ",", "")) // the expression admits digits only; too many are no total
			}
			continue
		case strings.HasSuffix(line, ": the folder is empty"), strings.HasPrefix(line, "no match for "):
			continue
		}
		l.entries = append(l.entries, readEntry(line))
	}
	l.total = max(l.total, len(l.entries))
	return l
}

func readEntry(line string) entry {
	if name, target, ok := strings.Cut(line, " -> "); ok {
		return entry{name: name, note: "link to " + target}
	}
	if m := fileSize.FindStringSubmatch(line); m != nil {
		return entry{name: m[1]}
	}
	if name, ok := strings.CutSuffix(line, "/"); ok && name != "" {
		return entry{name: name, folder: true}
	}
	if m := remark.FindStringSubmatch(line); m != nil {
		return entry{name: m[1], note: m[2]}
	}
	return entry{name: line}
}

// document is the result of read_file.
type document struct {
	text string
	note string // what the tool said besides: that the file is longer, binary, empty
	cut  bool   // text is not all of the file
}

// readDocument parts what a file holds from the tool's note, which is the last line and has no end of its own.
func readDocument(text string) document {
	at := strings.LastIndexByte(text, '\n') + 1
	last := text[at:]
	if !noteLine.MatchString(last) {
		return document{text: text, cut: strings.Contains(text, "\n[… ")}
	}
	note := strings.Trim(last, "[]")
	cut := strings.Contains(note, "read on") || strings.Contains(note, "are shown") || strings.Contains(note, "left out") || strings.Contains(note, "not shown")
	return document{text: text[:at], note: note, cut: cut}
}

// lines returns the lines of the document.
func (d document) lines() []string { return lines(d.text) }

func lines(text string) []string {
	text = strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// match is a line that search found.
type match struct {
	path string
	line string // number
	text string
}

var matchLine = regexp.MustCompile(`^(.+?):(\d+):(.*)$`)

// readMatches reads path:line:text, and what the tool said besides.
func readMatches(text string) (found []match, notes []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if m := matchLine.FindStringSubmatch(line); m != nil && !noteLine.MatchString(line) {
			found = append(found, match{m[1], m[2], m[3]})
		} else if line = strings.TrimSpace(line); noteLine.MatchString(line) {
			notes = append(notes, strings.Trim(line, "[]"))
		}
	}
	return found, notes
}

// lacking says that a tool is needed which is not offered, and what offers it.
func (t *talk) lacking(tool string) string {
	preset := "safe"
	switch tool {
	case writeFile, editFile:
		preset = "workspace"
	case shell:
		preset = "full"
	}
	return fmt.Sprintf("I would need the tool `%s` for that, and this session does not offer it. `--tools %s` offers it.", tool, preset)
}

// failure says how a call went wrong. What begins with "I could not", and continues as doing does.
func failure(doing string, r result) string {
	text := strings.TrimSpace(r.text)
	if text == "" {
		text = "the tool gave no reason"
	}
	switch r.code {
	case transcript.ResultOutcomeUnknown:
		return fmt.Sprintf("It is not known whether I could %s: %s\n\nI have not tried again. Look at the result before you ask for it again.", doing, text)
	case transcript.ResultCancelled:
		return fmt.Sprintf("I was stopped when I was about to %s: %s", doing, text)
	}
	return fmt.Sprintf("I could not %s: %s", doing, text)
}

// fence puts text into a Markdown code block that nothing in the text can end.
func fence(language, text string) string {
	ticks := "```"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	return ticks + language + "\n" + strings.TrimSuffix(text, "\n") + "\n" + ticks
}

// code puts a name into Markdown code.
func code(s string) string {
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// language is what a code block of this file is marked with.
func language(name string) string {
	ext := strings.TrimPrefix(path.Ext(name), ".")
	switch ext {
	case "go", "md", "json", "yaml", "toml", "py", "js", "ts", "rs", "java", "c", "sh", "html", "css", "sql", "xml", "diff":
		return ext
	case "yml":
		return "yaml"
	case "mod", "sum", "txt", "":
		return ""
	}
	return ""
}

// number writes a count and what it counts.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands writes n with separators.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// remarks appends what tools said besides their result.
func remarks(text string, notes []string) string {
	for _, n := range notes {
		if n != "" {
			text += "\n\n(" + n + ")"
		}
	}
	return text
}
