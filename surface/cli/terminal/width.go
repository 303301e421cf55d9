package terminal

import (
	"strings"
	"unicode"
)

// Cells returns how many columns a terminal gives to r: 0 for a mark on the character before it, 2 for wide ones.
func Cells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r == 0x200b, r == 0x200d, r >= 0xfe00 && r <= 0xfe0f, unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case wide(r):
		return 2
	}
	return 1
}

// wide covers the East Asian wide and fullwidth blocks and the pictographs that terminals draw over two columns.
func wide(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0x33ff, r >= 0x3400 && r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff,
		r >= 0xa000 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f680 && r <= 0x1f6ff,
		r >= 0x1f900 && r <= 0x1f9ff, r >= 0x20000 && r <= 0x3fffd:
		return true
	}
	return r == 0x2705 || r == 0x274c || r == 0x2728 || r == 0x26a1
}

// Width returns how many columns s takes. It must be clean and of one line.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += Cells(r)
	}
	return n
}

// Clip returns s if it fits into width columns, and otherwise as much as fits with an ellipsis.
func Clip(s string, width int) string {
	if len(s) <= width || Width(s) <= width {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n += Cells(r); n > width-1 {
			break
		}
		b.WriteRune(r)
	}
	if width > 0 {
		b.WriteRune('…')
	}
	return b.String()
}
