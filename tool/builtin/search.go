package builtin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

const (
	maxSearchLine = 1 << 20 // bytes of one line that are searched
	maxShownLine  = 400     // bytes of one line that are shown
)

type searchArgs struct {
	Pattern    string
	Literal    bool
	IgnoreCase bool `json:"ignore_case"`
	Path       string
	Include    string
	Context    count
	Limit      count
}

func search(f *folder) tool.Tool {
	return builtin[searchArgs]{
		spec("search", `Searches the text of files of the workspace, line by line. The pattern is a regular expression (RE2: no back-references, no look-around) unless literal is true. Shows matches as path:line:text and context lines as path-line-text. Binary files, .git and links are left out; long lines are cut around the match. Stops after limit matches and says so.`,
			run.ReadOnly, `{"type":"object","properties":{
			"pattern":{"type":"string","minLength":1,"description":"what to look for in a line"},
			"literal":{"type":"boolean","description":"take the pattern as plain text; default false"},
			"ignore_case":{"type":"boolean","description":"default false"},
			"path":{"type":"string","description":"file or folder to search, relative to the workspace; default: the whole workspace"},
			"include":{"type":"string","description":"only files that fit this glob: a name such as *.go, or a path such as src/**/*.{ts,tsx}"},
			"context":{"type":"integer","minimum":0,"maximum":10,"description":"lines to show before and after each match; default 0"},
			"limit":{"type":"integer","minimum":1,"maximum":1000,"description":"matching lines to show; default 100"}
			},"required":["pattern"],"additionalProperties":false}`),
		func(ctx context.Context, _ tool.Call, a searchArgs) (tool.Result, error) { return doSearch(ctx, f, a) },
	}
}

// finder is one search.
type finder struct {
	ctx     context.Context
	re      *regexp.Regexp
	include pattern
	byName  bool // include has no slash: it is matched with the name alone
	context int
	limit   int
	s       *spot

	out                                    strings.Builder
	matches, files, matched, binary, long_ int
	unread                                 int
	full                                   bool // a bound was reached
}

func doSearch(ctx context.Context, f *folder, a searchArgs) (tool.Result, error) {
	expr := a.Pattern
	if a.Literal {
		expr = regexp.QuoteMeta(expr)
	}
	if a.IgnoreCase {
		expr = "(?i)" + expr
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return tool.Result{}, fmt.Errorf("the pattern is not a regular expression: %w; set literal to search for plain text", err)
	}
	q := &finder{ctx: ctx, re: re, context: int(a.Context), limit: a.Limit.or(100)}
	if a.Include != "" {
		if q.include, err = parsePattern(a.Include); err != nil {
			return tool.Result{}, fmt.Errorf("include: %w", err)
		}
		q.byName = !strings.Contains(a.Include, "/")
	}
	if q.s, err = f.locate(a.Path); err != nil {
		return tool.Result{}, err
	}
	defer q.s.Close()
	var w *walk
	err = q.s.try(func(rel string) error {
		info, err := q.s.root.Stat(rel)
		if err != nil {
			return err
		}
		w = &walk{ctx: ctx, root: q.s.root, visit: q.visit}
		if info.IsDir() {
			return w.from(rel)
		}
		if err := onlyRegular(info); err != nil {
			return fmt.Errorf("%s: %w", q.s.name, err)
		}
		return q.file(filepath.ToSlash(q.s.name), rel)
	})
	if err != nil {
		return tool.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return tool.Result{}, err
	}
	return tool.Text(q.text(a, w)), nil
}

func (q *finder) visit(name, rel string, d fs.DirEntry) bool {
	if !d.Type().IsRegular() {
		return true
	}
	if q.include != nil {
		subject := name
		if q.byName {
			subject = d.Name()
		}
		if !q.include.match(subject) {
			return true
		}
	}
	if err := q.file(path.Join(filepath.ToSlash(q.s.name), name), rel); err != nil {
		if q.ctx.Err() != nil {
			return false
		}
		q.unread++
	}
	return !q.full
}

func (q *finder) file(shown, rel string) error {
	file, err := q.s.root.OpenFile(rel, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fs.ErrInvalid)
	}
	in := bufio.NewReaderSize(file, 64<<10)
	head, err := in.Peek(8192)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if tool.Binary(head) {
		q.binary++
		return nil
	}
	q.files++
	return q.lines(shown, in)
}

// lines searches one file as a stream.
func (q *finder) lines(shown string, in *bufio.Reader) error {
	var before [][]byte // the last lines that were not shown
	after, lastShown := 0, 0
	hits := 0
	var buf []byte
	for n := 1; ; n++ {
		if n%4096 == 0 {
			if err := q.ctx.Err(); err != nil {
				return err
			}
		}
		line, size, err := readLine(in, buf, maxSearchLine)
		buf = line
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if size == 0 {
			return nil
		}
		if size > maxSearchLine {
			q.long_++
		}
		line = bytes.TrimRight(line, "\r\n")
		at := q.re.FindIndex(line)
		switch {
		case at != nil && (q.matches >= q.limit || q.out.Len() > maxText):
			q.full = true
			return nil
		case at != nil:
			if hits++; hits == 1 {
				q.matched++
			}
			q.matches++
			if q.context > 0 && q.out.Len() > 0 && lastShown < n-len(before)-1 {
				q.out.WriteString("--\n")
			}
			for i, b := range before {
				q.show(shown, '-', n-len(before)+i, b, 0)
			}
			before = before[:0]
			q.show(shown, ':', n, line, at[0])
			after, lastShown = q.context, n
		case after > 0:
			q.show(shown, '-', n, line, 0)
			after, lastShown = after-1, n
		case q.context > 0:
			if len(before) == q.context {
				before = append(before[:0], before[1:]...)
			}
			before = append(before, bytes.Clone(line[:min(len(line), maxShownLine+4)]))
		}
	}
}

// show writes one line, cut to the part around the match.
func (q *finder) show(file string, mark byte, n int, line []byte, at int) {
	start, end := 0, len(line)
	if len(line) > maxShownLine {
		start = max(0, min(at-maxShownLine/4, len(line)-maxShownLine))
		end = start + maxShownLine
	}
	text, _ := tool.Lossy(line[start:end])
	if start > 0 {
		text = "…" + text
	}
	if end < len(line) {
		text += "…"
	}
	fmt.Fprintf(&q.out, "%s%c%d%c%s\n", file, mark, n, mark, text)
}

func (q *finder) text(a searchArgs, w *walk) string {
	var notes []string
	if q.full {
		notes = append(notes, fmt.Sprintf("stopped after %d matches in %d files: there are more; narrow the pattern, the path or include, or raise limit", q.matches, q.matched))
	}
	if q.matches == 0 {
		notes = append(notes, fmt.Sprintf("no match for %q in %s files", a.Pattern, thousands(q.files)))
	}
	if q.binary > 0 {
		notes = append(notes, fmt.Sprintf("%s binary files were left out", thousands(q.binary)))
	}
	if q.long_ > 0 {
		notes = append(notes, fmt.Sprintf("of %s very long lines only the first MiB was searched", thousands(q.long_)))
	}
	if n := q.unread + w.unread; n > 0 {
		notes = append(notes, fmt.Sprintf("%s files or folders could not be read", thousands(n)))
	}
	if w.capped {
		notes = append(notes, fmt.Sprintf("only the first %s entries were looked at", thousands(maxScan)))
	}
	if len(notes) > 0 {
		fmt.Fprintf(&q.out, "[%s]\n", strings.Join(notes, "; "))
	}
	return q.out.String()
}
