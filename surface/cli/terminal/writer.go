package terminal

import (
	"io"
	"strings"
	"unicode/utf8"
)

// style is a set of ways in which text is shown.
type style uint8

const (
	bold style = 1 << iota
	italic
	underline
	strike
	code
	dim
)

var sgr = []struct {
	of   style
	code string
}{{bold, "1"}, {dim, "2"}, {italic, "3"}, {underline, "4"}, {strike, "9"}, {code, "36"}}

func (s style) on() string {
	if s == 0 {
		return ""
	}
	var codes []string
	for _, x := range sgr {
		if s&x.of != 0 {
			codes = append(codes, x.code)
		}
	}
	return "\x1b[" + strings.Join(codes, ";") + "m"
}

const off = "\x1b[0m"

// Options says how a Writer shows text. The zero value shows it as it is, made harmless.
type Options struct {
	Markdown bool // read Markdown and style it with escape sequences
	Width    int  // columns to wrap at; 0: no wrapping. Only with Markdown
}

// Writer shows text that arrives in pieces of any size, as early as it can be shown right. Text goes out word by word; what
// opens a style is held until it is known to be closed, and a table until its last row is there. Not safe for concurrent use.
type Writer struct {
	to      io.Writer
	opt     Options
	err     error // the first failed write
	partial string
	in      string // what has come and is not shown
	out     strings.Builder

	block  block
	fence  string // what closes the code block we are in
	table  []string
	base   style  // of the block
	hang   string // begins each further line of the block
	dimmed bool   // hang is shown dim
	word   []span
	wide   int // columns of word
	space  bool
	col    int
	prev   rune // the character before in
}

type span struct {
	text string
	as   style
}

// block is where the Writer stands.
type block uint8

const (
	start  block = iota // at the beginning of a line, kind not known
	inline              // within the text of a line
	fenced              // within a code block
	rows                // within a table
)

// NewWriter returns a Writer that shows text on to.
func NewWriter(to io.Writer, opt Options) *Writer { return &Writer{to: to, opt: opt} }

// WriteString takes more text. It returns the first error of the underlying writer.
func (w *Writer) WriteString(s string) error {
	s = w.partial + s
	w.partial = ""
	if cut := incomplete(s); cut < len(s) {
		s, w.partial = s[:cut], s[cut:]
	}
	w.in += s
	w.advance(false)
	return w.flush()
}

// incomplete returns where a rune or a line end begins that more text may complete.
func incomplete(s string) int {
	if strings.HasSuffix(s, "\r") {
		return len(s) - 1
	}
	for i := len(s) - 1; i >= 0 && i >= len(s)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				return i
			}
			break
		}
	}
	return len(s)
}

// End shows all that is held back and ends the line, so that other text may follow.
func (w *Writer) End() error {
	w.in += w.partial
	w.partial = ""
	w.advance(true)
	if w.block == rows {
		w.endTable()
	}
	if w.block == inline {
		w.endInline()
	}
	if w.col > 0 {
		w.newline()
	}
	w.block, w.fence, w.prev = start, "", 0
	return w.flush()
}

// Fresh reports whether the terminal is at the beginning of a line.
func (w *Writer) Fresh() bool { return w.col == 0 }

func (w *Writer) flush() error {
	if w.out.Len() == 0 || w.err != nil {
		return w.err
	}
	_, w.err = io.WriteString(w.to, w.out.String())
	w.out.Reset()
	return w.err
}

func (w *Writer) newline() {
	w.out.WriteByte('\n')
	w.col, w.space = 0, false
}

// put shows s as it is, on the current line.
func (w *Writer) put(s string, as style) {
	if s == "" {
		return
	}
	if as != 0 {
		w.out.WriteString(as.on() + s + off)
	} else {
		w.out.WriteString(s)
	}
	w.col += Width(s)
}

// add puts text into the word that is being put together. It holds no space.
func (w *Writer) add(s string, as style) {
	if s == "" {
		return
	}
	if n := len(w.word); n > 0 && w.word[n-1].as == as {
		w.word[n-1].text += s
	} else {
		w.word = append(w.word, span{s, as})
	}
	w.wide += Width(s)
}

// endWord shows the word, on the next line if it does not fit into this one.
func (w *Writer) endWord() {
	if len(w.word) == 0 {
		return
	}
	gap := 0
	if w.space {
		gap = 1
	}
	if w.opt.Width > 0 && w.col+gap+w.wide > w.opt.Width && w.col > Width(w.hang) {
		w.newline()
		w.indent()
		gap = 0
	}
	if gap == 1 {
		w.out.WriteByte(' ')
		w.col++
	}
	for _, s := range w.word {
		w.put(s.text, s.as)
	}
	w.word, w.wide, w.space = w.word[:0], 0, false
}

func (w *Writer) indent() {
	if w.dimmed {
		w.put(w.hang, dim)
	} else {
		w.put(w.hang, 0)
	}
}
