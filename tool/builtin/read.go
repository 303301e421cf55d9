package builtin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

const (
	maxRead      = 90_000   // bytes of a file shown at once
	maxReadLine  = 16_000   // bytes shown of one line
	maxCount     = 64 << 20 // bytes read on to tell how many lines there are
	defaultLines = 2000
)

type readArgs struct {
	Path   string
	Offset count
	Limit  count
	Number bool `json:"line_numbers"`
}

func readFile(f *folder) tool.Tool {
	return builtin[readArgs]{
		spec("read_file", fmt.Sprintf(`Reads a text file of the workspace. Shows up to %d lines or %d bytes; a note at the end, in brackets, says how to read on with offset. Lines above %d bytes are cut. Of a binary file only size and kind are told.`, defaultLines, maxRead, maxReadLine),
			run.ReadOnly, `{"type":"object","properties":{
			"path":{"type":"string","minLength":1,"description":"file to read, relative to the workspace"},
			"offset":{"type":"integer","minimum":1,"description":"first line to show, counting from 1; default 1"},
			"limit":{"type":"integer","minimum":1,"description":"lines to show; default 2000"},
			"line_numbers":{"type":"boolean","description":"put the number in front of each line; default false"}
			},"required":["path"],"additionalProperties":false}`),
		func(ctx context.Context, _ tool.Call, a readArgs) (tool.Result, error) {
			s, err := f.locate(a.Path)
			if err != nil {
				return tool.Result{}, err
			}
			defer s.Close()
			file, info, err := s.openRegular()
			if err != nil {
				return tool.Result{}, err
			}
			defer file.Close()
			in := bufio.NewReaderSize(file, 64<<10)
			head, err := in.Peek(8192)
			if err != nil && !errors.Is(err, io.EOF) {
				return tool.Result{}, s.explain(err)
			}
			if tool.Binary(head) {
				return tool.Text(fmt.Sprintf("[%s is %s, %s bytes: not shown]", s.name, binaryKind(head), thousands(info.Size()))), nil
			}
			if len(head) == 0 {
				return tool.Text("[the file is empty]"), nil
			}
			p := page{first: a.Offset.or(1), limit: a.Limit.or(defaultLines), numbers: a.Number}
			if err := p.read(ctx, in); err != nil {
				return tool.Result{}, s.explain(err)
			}
			return tool.Text(p.text(s.name, info.Size())), nil
		},
	}
}

// page is a piece of a text file.
type page struct {
	first, limit int
	numbers      bool

	out     strings.Builder
	line    int // number of the line being read, or of the last one
	last    int // last line shown
	bad     int // bytes that are not UTF-8
	crlf    bool
	bom     bool
	cut     []string // lines that were shortened
	more    bool     // there are lines after the last one shown
	unknown bool     // the lines were not all counted
}

// read goes through the whole file, so as to tell how long it is, but keeps only the page; it stops counting after maxCount.
func (p *page) read(ctx context.Context, in *bufio.Reader) error {
	after := 0
	var buf []byte
	for {
		if p.line%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		line, size, err := readLine(in, buf, maxReadLine)
		buf = line
		if size == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		p.line++
		switch {
		case p.line < p.first:
		case p.more || p.line >= p.first+p.limit || p.out.Len() > 0 && p.out.Len()+len(line) > maxRead:
			p.more = true
			if after += size; after > maxCount {
				p.unknown = true
				return nil
			}
		default:
			p.add(line, size)
		}
	}
}

func (p *page) add(line []byte, size int) {
	p.last = p.line
	if p.line == 1 {
		if rest, ok := bytes.CutPrefix(line, []byte("\uFEFF")); ok {
			line, p.bom = rest, true
		}
	}
	ended := bytes.HasSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\n"))
	if rest, ok := bytes.CutSuffix(line, []byte("\r")); ok && ended {
		line, p.crlf = rest, true
	}
	text, bad := tool.Lossy(line)
	p.bad += bad
	if p.numbers {
		fmt.Fprintf(&p.out, "%6d\t", p.line)
	}
	p.out.WriteString(text)
	if size > maxReadLine {
		p.cut = append(p.cut, fmt.Sprintf("line %d has %s bytes, only the first %s are shown", p.line, thousands(size), thousands(maxReadLine)))
	}
	p.out.WriteByte('\n')
}

func (p *page) text(name string, size int64) string {
	if p.last == 0 {
		return fmt.Sprintf("[%s has %s lines: there is no line %s]", name, thousands(p.line), thousands(p.first))
	}
	var notes []string
	if p.more || p.first > 1 {
		total := thousands(p.line)
		if p.unknown {
			total = "more than " + total
		}
		note := fmt.Sprintf("lines %d to %d of %s, %s bytes in all", p.first, p.last, total, thousands(size))
		if p.more {
			note += fmt.Sprintf("; read on with offset %d", p.last+1)
		}
		notes = append(notes, note)
	}
	if n := len(p.cut); n > 3 {
		p.cut = append(p.cut[:3], fmt.Sprintf("and %d more lines are cut", n-3))
	}
	notes = append(notes, p.cut...)
	if p.bad > 0 {
		notes = append(notes, fmt.Sprintf("not valid UTF-8: %s bytes are shown as \uFFFD", thousands(p.bad)))
	}
	if p.crlf {
		notes = append(notes, "lines end in CRLF")
	}
	if p.bom {
		notes = append(notes, "begins with a UTF-8 byte order mark")
	}
	if len(notes) == 0 {
		return p.out.String()
	}
	return p.out.String() + "[" + strings.Join(notes, "; ") + "]"
}

// readLine reads a line with its end into buf, keeping at most limit bytes of it; size is its whole length. The memory it takes is
// bounded however long the line is.
func readLine(in *bufio.Reader, buf []byte, limit int) (line []byte, size int, err error) {
	line = buf[:0]
	for {
		part, err := in.ReadSlice('\n')
		size += len(part)
		if room := limit - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
	}
}

var magics = []struct{ prefix, name string }{
	{"\x89PNG\r\n", "a PNG image"}, {"\xff\xd8\xff", "a JPEG image"}, {"GIF8", "a GIF image"}, {"%PDF-", "a PDF document"},
	{"PK\x03\x04", "a ZIP archive (or an office document, or a JAR)"}, {"\x1f\x8b", "gzip data"}, {"\x7fELF", "an ELF program"},
	{"SQLite format 3\x00", "an SQLite database"}, {"\xff\xfe", "UTF-16 text"}, {"\xfe\xff", "UTF-16 text"}, {"BZh", "bzip2 data"},
	{"\x28\xb5\x2f\xfd", "zstd data"}, {"\xfd7zXZ", "xz data"}, {"\xcf\xfa\xed\xfe", "a Mach-O program"}, {"MZ", "a Windows program"},
	{"OggS", "Ogg media"}, {"ID3", "an MP3 file"}, {"\x00asm", "a WebAssembly module"},
}

func binaryKind(head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.prefix)) {
			return m.name
		}
	}
	if len(head) > 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP" {
		return "a WebP image"
	}
	return "a binary file"
}
