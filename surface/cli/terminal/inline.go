package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHeld is how much of a line is held back for the end of what it opens; beyond, the mark is taken for itself.
const maxHeld = 400

// inline shows the text of a line, as far as it can be shown right, and returns how many bytes of s it used up. Whole says that
// s is all there is of the line.
func (w *Writer) inline(s string, whole bool, as style) int {
	i := 0
	for i < len(s) {
		n, ok := w.token(s[i:], whole, as)
		if !ok {
			return i
		}
		w.prev, _ = utf8.DecodeLastRuneInString(s[:i+n])
		i += n
	}
	return i
}

// token takes one thing from the beginning of s and returns its length; false: more text must come first.
func (w *Writer) token(s string, whole bool, as style) (int, bool) {
	switch c := s[0]; c {
	case ' ', '\t', '\r':
		w.endWord()
		w.space = w.col > 0
		return 1, true
	case '\\':
		if len(s) == 1 {
			return w.literal(s, 1, whole, as)
		}
		if strings.IndexByte("\\`*_{}[]()#+-.!|>~<", s[1]) >= 0 {
			w.add(s[1:2], as)
			return 2, true
		}
	case '`', '*', '_', '~':
		return w.marked(s, whole, as)
	case '[':
		return w.link(s, whole, as)
	}
	r, n := utf8.DecodeRuneInString(s)
	if Cells(r) == 2 { // wide scripts have no spaces to break at
		w.endWord()
	}
	w.add(Clean(s[:n]), as)
	return n, true
}

// literal takes the first n bytes of s for themselves, unless more text could make them something else.
func (w *Writer) literal(s string, n int, whole bool, as style) (int, bool) {
	if !whole && len(s) < maxHeld {
		return 0, false
	}
	w.add(s[:n], as)
	return n, true
}

// marked shows a span between two equal marks: code, strong, emphasis, struck out.
func (w *Writer) marked(s string, whole bool, as style) (int, bool) {
	c := s[:1]
	n := len(s) - len(strings.TrimLeft(s, c))
	if n == len(s) {
		return w.literal(s, n, whole, as)
	}
	mark := s[:n]
	if c == "`" {
		end := closing(s, mark)
		if end < 0 {
			return w.literal(s, n, whole, as)
		}
		if !whole && end+n == len(s) {
			return 0, false
		}
		w.words(s[n:end], as|code)
		return end + n, true
	}
	styles := map[string]style{"*": italic, "_": italic, "**": bold, "__": bold, "***": bold | italic, "~~": strike}[mark]
	next, _ := utf8.DecodeRuneInString(s[n:])
	if styles == 0 || unicode.IsSpace(next) || c == "_" && wordy(w.prev) {
		w.add(mark, as)
		return n, true
	}
	end := closing(s, mark)
	for end >= 0 && (s[end-1] == ' ' || c == "_" && wordy(after(s, end+n))) {
		more := closing(s[end:], mark)
		if more < 0 {
			end = -1
			break
		}
		end += more
	}
	if end < 0 {
		return w.literal(s, n, whole, as)
	}
	if !whole && end+n == len(s) { // what follows decides whether this closes
		return 0, false
	}
	w.prev = 0
	w.inline(s[n:end], true, as|styles)
	return end + n, true
}

// closing finds where mark stands alone after the mark that s begins with; -1: nowhere.
func closing(s, mark string) int {
	c := mark[:1]
	for i := len(mark); i < len(s); {
		j := strings.Index(s[i:], c)
		if j < 0 {
			return -1
		}
		i += j
		n := len(s[i:]) - len(strings.TrimLeft(s[i:], c))
		if n == len(mark) {
			return i
		}
		i += n
	}
	return -1
}

func wordy(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func after(s string, i int) rune {
	if i >= len(s) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	return r
}

// words shows text in one style, breaking lines at its spaces.
func (w *Writer) words(s string, as style) {
	for i, word := range strings.Split(s, " ") {
		if i > 0 {
			w.endWord()
			w.space = true
		}
		w.add(Clean(word), as)
	}
}

// link shows the text of a link, and its address so that nobody is led elsewhere than it says.
func (w *Writer) link(s string, whole bool, as style) (int, bool) {
	mid := strings.IndexByte(s, ']')
	switch {
	case mid < 0 || mid == len(s)-1:
		return w.literal(s, 1, whole, as)
	case s[mid+1] != '(':
		w.add("[", as)
		return 1, true
	}
	end := strings.IndexByte(s[mid:], ')')
	if end < 0 {
		return w.literal(s, 1, whole, as)
	}
	text, url := s[1:mid], s[mid+2:mid+end]
	w.words(text, as|underline)
	if url != text && url != "" {
		w.endWord()
		w.space = true
		w.words("("+url+")", as|dim)
	}
	return mid + end + 1, true
}
