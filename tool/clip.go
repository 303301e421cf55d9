package tool

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/transcript"
)

// clip makes a result fit for a transcript: valid text, bounded, never empty, and saying what was done to it.
func clip(r Result, l Limits) Result {
	out := make(transcript.Blocks, 0, len(r.Content))
	total, media := 0, 0
	for _, b := range r.Content {
		switch b := b.(type) {
		case transcript.Text:
			b.Text = readable(b.Text)
			total += len(b.Text)
			out = append(out, b)
		case transcript.Media:
			media += len(b.Data)
			if media > l.MaxMedia {
				note := fmt.Sprintf("[%s of %d bytes left out: the media of one result may have %d bytes together]", b.MediaType, len(b.Data), l.MaxMedia)
				out = append(out, transcript.Text{Text: note})
				continue
			}
			out = append(out, b)
		case transcript.Reasoning, transcript.ToolUse:
			out = append(out, transcript.Text{Text: fmt.Sprintf("[a block of type %T left out: it has no place in a tool result]", b)})
		}
	}
	if total > l.MaxResult {
		limit := share(out, l.MaxResult)
		for i, b := range out {
			if t, ok := b.(transcript.Text); ok {
				t.Text = Middle(t.Text, limit)
				out[i] = t
			}
		}
	}
	if total == 0 && media == 0 && len(out) == 0 || len(out) == 1 && out[0] == (transcript.Text{}) {
		out = transcript.TextBlocks("(no output)")
	}
	r.Content = out
	return r
}

// share returns how much each text block may keep so that all of them fit into room: the long ones are cut to the same length, and
// the short ones are left whole.
func share(blocks transcript.Blocks, room int) int {
	var sizes []int
	for _, b := range blocks {
		if t, ok := b.(transcript.Text); ok {
			sizes = append(sizes, len(t.Text))
		}
	}
	slices.Sort(sizes)
	for i, size := range sizes {
		if each := room / (len(sizes) - i); size > each {
			return each
		}
		room -= size
	}
	return room
}

// readable returns s as valid text, with a note in front if it was not.
func readable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	text, bad := Lossy([]byte(s))
	if Binary(s) {
		return fmt.Sprintf("[binary data, %d bytes, not shown]", len(s))
	}
	return fmt.Sprintf("[not valid UTF-8: %d bytes are shown as \uFFFD]\n%s", bad, text)
}

// Binary reports whether data is better described than shown: it has a NUL byte near its start, or more than a tenth of it is not
// valid UTF-8.
func Binary[T string | []byte](data T) bool {
	head := []byte(data[:min(len(data), 8192)])
	if bytes.IndexByte(head, 0) >= 0 {
		return true
	}
	_, bad := Lossy(head)
	return bad > 3 && bad*10 > len(head)
}

// Lossy returns data as valid text and the number of bytes that were replaced: what is not valid UTF-8, and NUL, which no
// transcript can carry.
func Lossy(data []byte) (text string, bad int) {
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		return string(data), 0
	}
	var b strings.Builder
	b.Grow(len(data))
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 || r == 0 {
			bad++
			r = utf8.RuneError
		}
		b.WriteRune(r)
		data = data[n:]
	}
	return b.String(), bad
}

// Middle cuts s to about limit bytes by taking out its middle, at line ends where they are near, and says in place how much is
// gone and from where.
func Middle(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	room := max(limit-100, 0) // for the marker
	head, tail := room*2/3, len(s)-room/3
	if i := strings.LastIndexByte(s[:head], '\n'); i > head*3/4 {
		head = i + 1
	}
	if i := strings.IndexByte(s[tail:], '\n'); i >= 0 && i < (len(s)-tail)/4 {
		tail += i + 1
	}
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	marker := fmt.Sprintf("[… %d of %d bytes cut here: byte %d to %d …]", tail-head, len(s), head, tail)
	before, after := s[:head], s[tail:]
	if before != "" && !strings.HasSuffix(before, "\n") {
		marker = "\n" + marker
	}
	if after != "" {
		marker += "\n"
	}
	return before + marker + after
}
