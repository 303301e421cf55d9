package terminal

import (
	"strings"
)

// advance shows as much of w.in as can be shown. With final there is no more to come.
func (w *Writer) advance(final bool) {
	if !w.opt.Markdown {
		s := Clean(w.in)
		w.in = ""
		w.out.WriteString(s)
		if i := strings.LastIndexByte(s, '\n'); i >= 0 {
			w.col = 0
			s = s[i+1:]
		}
		w.col += Width(s)
		return
	}
	for w.step(final) {
	}
}

// step shows one more thing and reports whether there may be another.
func (w *Writer) step(final bool) bool {
	if w.in == "" {
		return false
	}
	line, rest, whole := strings.Cut(w.in, "\n")
	switch w.block {
	case inline:
		used := w.inline(line, whole || final, w.base)
		w.in = w.in[used:]
		if used < len(line) || !whole {
			return false
		}
		w.endInline()
		w.newline()
		w.in = rest
		return true
	case fenced:
		return w.fencedLine(line, rest, whole || final)
	case rows:
		return w.tableLine(line, rest, whole || final)
	}
	if !whole && !final && undecided(line) {
		return false
	}
	if strings.TrimSpace(line) == "" && (whole || final) {
		if whole {
			w.newline()
		}
		w.in = rest
		return true
	}
	w.open(line)
	return true
}

// undecided reports whether more of the line may change what block it begins.
func undecided(line string) bool {
	t := strings.TrimLeft(line, " \t")
	if t == "" {
		return true
	}
	switch c := t[0]; {
	case c == '|', strings.HasPrefix(t, "```"), strings.HasPrefix(t, "~~~"):
		return true
	case strings.Trim(t, string(c)) == "" && strings.ContainsRune("#`~-*_+>=", rune(c)):
		return len(t) < maxHeld
	case c == '-' || c == '*' || c == '_':
		return strings.Trim(t, "-*_ ") == "" && len(t) < maxHeld
	case c >= '0' && c <= '9':
		n := digits(t)
		return n <= 3 && n+1 >= len(t)
	}
	return false
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// open begins the block of line, which stands at the beginning of w.in, and takes away what only marks it.
func (w *Writer) open(line string) {
	t := strings.TrimLeft(line, " \t")
	lead := min(Width(strings.ReplaceAll(line[:len(line)-len(t)], "\t", "    ")), 24)
	marker := func(n int) { w.in = w.in[len(line)-len(t)+n:] }
	w.base, w.hang, w.dimmed, w.prev, w.block = 0, "", false, 0, inline
	switch {
	case strings.HasPrefix(t, "```") || strings.HasPrefix(t, "~~~"):
		w.block, w.fence = fenced, t[:len(t)-len(strings.TrimLeft(t, t[:1]))]
		w.put(Clean(strings.TrimRight(line, " \r")), dim)
		w.newline()
		_, w.in, _ = strings.Cut(w.in, "\n")
	case strings.HasPrefix(t, "|"):
		w.block = rows
	case heading(t) > 0:
		n := heading(t)
		w.base = bold
		if n <= 2 {
			w.base |= underline
		}
		marker(n + 1)
	case rule(t):
		w.put(strings.Repeat("─", min(40, max(3, w.opt.Width))), dim)
		w.in = w.in[len(line):]
	case strings.HasPrefix(t, "> ") || t == ">" || strings.HasPrefix(t, ">>"):
		w.hang, w.dimmed = strings.Repeat(" ", lead)+"│ ", true
		w.indent()
		marker(min(len(t), 2))
	case len(t) >= 2 && strings.ContainsRune("-*+", rune(t[0])) && t[1] == ' ':
		w.hang = strings.Repeat(" ", lead+2)
		w.put(strings.Repeat(" ", lead)+"•", 0)
		w.space = true
		marker(2)
	case numbered(t) > 0:
		n := numbered(t)
		w.hang = strings.Repeat(" ", lead+n)
		w.put(strings.Repeat(" ", lead)+t[:n-1], 0)
		w.space = true
		marker(n)
	default:
		w.hang = strings.Repeat(" ", lead)
		w.indent()
		marker(0)
	}
}

// heading returns the level of a heading line, 0 if it is none.
func heading(t string) int {
	n := len(t) - len(strings.TrimLeft(t, "#"))
	if n >= 1 && n <= 6 && len(t) > n && t[n] == ' ' {
		return n
	}
	return 0
}

// rule reports whether t is a horizontal rule.
func rule(t string) bool {
	t = strings.ReplaceAll(strings.TrimRight(t, "\r"), " ", "")
	return len(t) >= 3 && strings.ContainsRune("-*_", rune(t[0])) && strings.Trim(t, t[:1]) == ""
}

// numbered returns the length of a list number with the space after it, 0 if there is none.
func numbered(t string) int {
	n := digits(t)
	if n >= 1 && n <= 3 && len(t) > n+1 && (t[n] == '.' || t[n] == ')') && t[n+1] == ' ' {
		return n + 2
	}
	return 0
}

func (w *Writer) endInline() {
	w.endWord()
	w.space = false
	w.block = start
}

// fencedLine shows a line of a code block as it is.
func (w *Writer) fencedLine(line, rest string, whole bool) bool {
	if !whole {
		return false
	}
	t := strings.TrimSpace(line)
	closing := len(t) >= len(w.fence) && strings.Trim(t, w.fence[:1]) == ""
	as := code
	if closing {
		as = dim
		w.block = start
	}
	w.put(Clean(strings.TrimRight(line, "\r")), as)
	w.newline()
	w.in = rest
	return true
}

// tableLine collects the rows of a table: the widths of its columns are known only at its end.
func (w *Writer) tableLine(line, rest string, whole bool) bool {
	if !strings.HasPrefix(strings.TrimLeft(line, " \t"), "|") {
		if line == "" && !whole {
			return false
		}
		w.endTable()
		return true
	}
	if !whole {
		return false
	}
	w.table = append(w.table, strings.TrimSpace(line))
	w.in = rest
	return true
}

// endTable shows the table with its columns aligned, or its rows as they are if they would not fit.
func (w *Writer) endTable() {
	lines := w.table
	w.table, w.block, w.hang = nil, start, ""
	var cells [][]string
	var widths []int
	for _, l := range lines {
		row := strings.Split(strings.Trim(l, "|"), "|")
		for i := range row {
			row[i] = plain(Line(row[i]))
			if i == len(widths) {
				widths = append(widths, 1)
			}
			if !delimiter(l) {
				widths[i] = max(widths[i], Width(row[i]))
			}
		}
		cells = append(cells, row)
	}
	total := 2 * len(widths)
	for _, n := range widths {
		total += n
	}
	for i, row := range cells {
		switch {
		case w.opt.Width > 0 && total > w.opt.Width:
			w.put(Line(lines[i]), 0)
		case delimiter(lines[i]):
			w.put(strings.Repeat("─", total-2), dim)
		default:
			w.tableRow(row, widths, i == 0 && len(lines) > 1 && delimiter(lines[1]))
		}
		w.newline()
	}
}

func (w *Writer) tableRow(row []string, widths []int, head bool) {
	as := style(0)
	if head {
		as = bold
	}
	for i, c := range row {
		w.put(c, as)
		if i < len(row)-1 {
			w.put(strings.Repeat(" ", max(0, widths[i]-Width(c)+2)), 0)
		}
	}
}

// delimiter reports whether a table line only separates the head from the rows.
func delimiter(line string) bool {
	return strings.Contains(line, "-") && strings.Trim(line, "|-: \t") == ""
}

// plain takes the marks of style out of a table cell, whose width they would spoil.
func plain(s string) string {
	return strings.NewReplacer("**", "", "`", "").Replace(s)
}
