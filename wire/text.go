package wire

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// appendString appends a JSON string. What is ordinary text is copied; anything that needs more than a short escape is left to the library.
func appendString(to []byte, s string) []byte {
	start := len(to)
	to = append(to, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
				return appendSlow(to[:start], s)
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		to = append(to, s[from:i]...)
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		default:
			return appendSlow(to[:start], s)
		}
		i++
		from = i
	}
	to = append(to, s[from:]...)
	return append(to, '"')
}

func appendSlow(to []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		return append(to, '"', '"')
	}
	return append(to, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
