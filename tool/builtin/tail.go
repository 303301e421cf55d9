package builtin

import (
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/tool"
)

// tail keeps the end of a stream in bounded memory. Safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	limit int
	buf   []byte // a ring once it is full
	at    int    // where the next byte goes, once full
	total int64
}

// Write takes all of p, always.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	t.total += int64(n)
	if len(p) > t.limit {
		p = p[len(p)-t.limit:]
	}
	if room := t.limit - len(t.buf); room > 0 {
		k := min(room, len(p))
		t.buf = append(t.buf, p[:k]...)
		p = p[k:]
	}
	for len(p) > 0 {
		k := copy(t.buf[t.at:], p)
		t.at = (t.at + k) % t.limit
		p = p[k:]
	}
	return n, nil
}

// bytes returns what was kept and how many bytes came before it.
func (t *tail) bytes() (kept []byte, cut int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept = make([]byte, 0, len(t.buf))
	kept = append(append(kept, t.buf[t.at:]...), t.buf[:t.at]...)
	return kept, t.total - int64(len(kept))
}

// streamText is a stream made readable.
type streamText struct {
	text  string
	cut   int64 // bytes before text
	bad   int   // bytes of text that are not UTF-8
	total int64
}

// read returns the last chars characters of the stream, or a description if it is not text.
func (t *tail) read(chars int) streamText {
	data, cut := t.bytes()
	out := streamText{cut: cut, total: cut + int64(len(data))}
	if tool.Binary(data) {
		out.text, out.cut = fmt.Sprintf("[binary output, %s bytes, not shown]\n", thousands(out.total)), 0
		return out
	}
	for i := 0; cut > 0 && i < utf8.UTFMax-1 && len(data) > 0 && !utf8.RuneStart(data[0]); i++ {
		data = data[1:] // the rest of a character that was cut in two
		out.cut++
	}
	start := len(data)
	for n := 0; n < chars && start > 0; n++ {
		_, size := utf8.DecodeLastRune(data[:start])
		start -= size
	}
	out.cut += int64(start)
	out.text, out.bad = tool.Lossy(data[start:])
	return out
}

// fit cuts the text further, to at most limit bytes of it.
func (s streamText) fit(limit int) streamText {
	if n := len(s.text) - limit; n > 0 {
		for n < len(s.text) && !utf8.RuneStart(s.text[n]) {
			n++
		}
		s.text = s.text[n:]
		s.cut += int64(n)
	}
	return s
}

// String returns the text with what was done to it.
func (s streamText) String() string {
	out := s.text
	if s.cut > 0 {
		out = fmt.Sprintf("[… the first %s of %s bytes are cut …]\n", thousands(s.cut), thousands(s.total)) + out
	}
	if s.bad > 0 {
		out = fmt.Sprintf("[not valid UTF-8: %s bytes are shown as \uFFFD]\n", thousands(s.bad)) + out
	}
	return out
}
