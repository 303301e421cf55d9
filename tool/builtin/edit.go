package builtin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

const maxEdit = 10 << 20 // bytes of a file that can be edited

type editArgs struct {
	Path string
	Old  string `json:"old_string"`
	New  string `json:"new_string"`
	All  bool   `json:"replace_all"`
}

// editFile is Once: a second run would find its own work, and where the new text contains the old it would change the file again.
func editFile(f *folder) tool.Tool {
	return builtin[editArgs]{
		spec("edit_file", `Replaces text in a file of the workspace. old_string must be in the file exactly once, white space included, unless replace_all is true; take enough lines around the place to make it unique. Line ends (LF or CRLF) and the mode of the file are kept, and the file is replaced in one step. Files up to 10 MiB.`,
			run.Once, `{"type":"object","properties":{
			"path":{"type":"string","minLength":1,"description":"file to change, relative to the workspace"},
			"old_string":{"type":"string","minLength":1,"description":"text to replace, exactly as it is in the file"},
			"new_string":{"type":"string","description":"text to put in its place; may be empty"},
			"replace_all":{"type":"boolean","description":"replace every occurrence; default false"}
			},"required":["path","old_string","new_string"],"additionalProperties":false}`),
		func(ctx context.Context, c tool.Call, a editArgs) (tool.Result, error) { return doEdit(ctx, f, c, a) },
	}
}

func doEdit(ctx context.Context, f *folder, c tool.Call, a editArgs) (tool.Result, error) {
	s, err := f.locate(a.Path)
	if err != nil {
		return tool.Result{}, err
	}
	defer s.Close()
	f.changes.Lock()
	defer f.changes.Unlock()
	if err := ctx.Err(); err != nil {
		return tool.Result{}, err
	}
	var text string
	err = s.try(func(rel string) error {
		// Through Stat first, so that what is missing or no file is told in the usual words.
		info, err := s.root.Stat(rel)
		if err != nil {
			return err
		}
		if err := onlyRegular(info); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if info.Size() > maxEdit {
			return fmt.Errorf("%s: the file has %s bytes; at most %s can be edited", s.name, thousands(info.Size()), thousands(maxEdit))
		}
		real, info, err := s.target(rel)
		if err != nil {
			return err
		}
		before, err := s.content(real)
		if err != nil {
			return err
		}
		after, done, err := edit(before, a.Old, a.New, a.All)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		text = done
		return s.replace(c, real, info, []byte(after))
	})
	if err != nil {
		return tool.Result{}, err
	}
	return tool.Text(s.name + ": " + text), nil
}

// content reads a file that is to be edited.
func (s *spot) content(rel string) (string, error) {
	at := *s
	at.rel = rel
	file, _, err := at.openRegular()
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxEdit+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxEdit {
		return "", fmt.Errorf("%s: the file is too big to be edited", s.name)
	}
	if tool.Binary(data) {
		return "", fmt.Errorf("%s: this is %s and cannot be edited as text", s.name, binaryKind(data))
	}
	return string(data), nil
}

// edit replaces old by new in text and says what it did.
func edit(text, old, new string, all bool) (after, done string, err error) {
	if old == "" {
		return "", "", errors.New("old_string is empty; write_file writes a whole file")
	}
	old, new = lineEnds(text, old, new)
	if old == new {
		return "", "", errors.New("old_string and new_string are the same: nothing to do")
	}
	n := strings.Count(text, old)
	switch {
	case n == 0:
		return "", "", errors.New("old_string is not in the file. " + nearLines(text, old))
	case n > 1 && !all:
		return "", "", fmt.Errorf("old_string is in the file %d times, at lines %s: give more of the text around the place, or set replace_all", n, places(text, old))
	case n == 1:
		at := strings.Index(text, old)
		after = text[:at] + new + text[at+len(old):]
		return after, "replaced 1 occurrence\n" + excerpt(after, at, len(new)), nil
	}
	where := places(text, old)
	return strings.ReplaceAll(text, old, new), fmt.Sprintf("replaced %d occurrences, at lines %s", n, where), nil
}

// lineEnds brings old and new to the line ends of text, where text has only one kind. In a mixed text they are taken as they are.
func lineEnds(text, old, new string) (string, string) {
	crlf := strings.Count(text, "\r\n")
	lf := strings.Count(text, "\n") - crlf
	if crlf == 0 || lf > 0 && strings.Contains(text, old) {
		return old, new
	}
	convert := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n") }
	if lf > 0 && !strings.Contains(text, convert(old)) {
		return old, new
	}
	return convert(old), convert(new)
}

// places tells the lines at which old begins.
func places(text, old string) string {
	var at []string
	line, from := 1, 0
	for {
		i := strings.Index(text[from:], old)
		if i < 0 {
			break
		}
		if len(at) == 10 {
			at = append(at, "…")
			break
		}
		line += strings.Count(text[from:from+i], "\n")
		at = append(at, fmt.Sprint(line))
		line += strings.Count(old, "\n")
		from += i + len(old)
	}
	return strings.Join(at, ", ")
}

// nearLines shows lines that resemble the first line of old that says anything, to let a model see what it got wrong.
func nearLines(text, old string) string {
	key := ""
	for l := range strings.Lines(old) {
		if key = squeeze(l); key != "" {
			break
		}
	}
	if key == "" {
		return "It has no text but white space."
	}
	var near []string
	n, exact := 0, false
	for l := range strings.Lines(text) {
		n++
		have := squeeze(l)
		same := have == key
		if !same && (len(have) < 4 || !strings.Contains(have, key) && !strings.Contains(key, have)) {
			continue
		}
		if same && !exact {
			exact, near = true, nil // lines that differ in white space only beat the others
		}
		if same == exact && len(near) < 3 {
			near = append(near, fmt.Sprintf("%d: %s", n, shown(strings.TrimRight(l, "\r\n"))))
		}
	}
	switch {
	case len(near) == 0:
		return "No line resembles its first line; read the file again."
	case exact:
		return "Lines that fit its first line but for white space, or where the lines after it differ:\n" + strings.Join(near, "\n")
	}
	return "Lines that resemble its first line:\n" + strings.Join(near, "\n")
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func shown(line string) string {
	text, _ := tool.Lossy([]byte(line[:min(len(line), maxShownLine)]))
	if len(line) > maxShownLine {
		text += "…"
	}
	return text
}

// excerpt shows the changed lines with two around them.
func excerpt(text string, at, size int) string {
	start := at
	for range 3 {
		start = strings.LastIndexByte(text[:max(start, 0)], '\n')
		if start < 0 {
			break
		}
	}
	start++
	n := 1 + strings.Count(text[:start], "\n")
	last := n + strings.Count(text[start:at+size], "\n") + 2
	var b strings.Builder
	count := 0
	for l := range strings.Lines(text[start:]) {
		if n > last {
			break
		}
		if count++; count > 40 {
			b.WriteString("…\n")
			break
		}
		fmt.Fprintf(&b, "%6d\t%s\n", n, shown(strings.TrimRight(l, "\r\n")))
		n++
	}
	return b.String()
}
