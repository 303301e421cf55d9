// Package terminal makes text fit to be shown on a terminal: harmless, wrapped, with Markdown made readable.
//
// Text of a model, a tool or a file is never written to a terminal as it came: a control sequence in it could move the cursor,
// change what was shown or put words into the user's mouth. Clean makes such characters visible instead.
package terminal

import (
	"strings"
	"unicode/utf8"
)

// Clean returns s with every character that a terminal would obey replaced by a visible one, but for line feeds and tabs. A
// carriage return before a line feed is dropped. Direction overrides, which make text read otherwise than it is, are replaced too.
func Clean(s string) string {
	if !dirty(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r' && i+1 < len(s) && s[i+1] == '\n':
		case !obeyed(r):
			b.WriteString(s[i : i+n])
		case r < 0x20:
			b.WriteRune(0x2400 + r) // its picture
		case r == 0x7f:
			b.WriteRune('␡')
		default:
			b.WriteRune(utf8.RuneError)
		}
		i += n
	}
	return b.String()
}

// Line is Clean for text that must stay on one line.
func Line(s string) string {
	s = Clean(s)
	return strings.Join(strings.Fields(s), " ")
}

func dirty(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || obeyed(r) {
			return true
		}
	}
	return false
}

// obeyed reports whether a terminal, or the layout of text, does what r says instead of showing it.
func obeyed(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029:
		return true
	}
	return false
}
