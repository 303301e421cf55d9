package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

const maxDepth = 64 // of nested JSON; no script needs more, and a hostile one must not exhaust the stack

// node is a JSON value that knows where it stands.
type node struct {
	path    string // such as steps[2].when.round
	line    int    // counts from 1
	kind    string // object, array, string, number, boolean or null
	raw     []byte // as written
	text    string // of a string or number
	yes     bool   // of a boolean
	keys    []string
	members map[string]*node
	items   []*node
}

// nodeReader turns a file into nodes.
type nodeReader struct {
	data []byte
	dec  *json.Decoder
	at   int // an offset, and how many lines end before it: counting goes on from there
	ends int
}

// parseNodes reads exactly one JSON value. A key that comes twice is an error: one of the two would be ignored.
func parseNodes(data []byte) (*node, *Problem) {
	r := &nodeReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	if at := invalidUTF8(data); at >= 0 {
		return nil, &Problem{Line: r.lineAt(at), Message: "not valid UTF-8"}
	}
	r.dec.UseNumber()
	n, p := r.value("", 0)
	if p != nil {
		return nil, p
	}
	end := int(r.dec.InputOffset())
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Problem{Line: r.lineAt(r.skip(end)), Message: "more text after the end of the script"}
	}
	return n, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func (r *nodeReader) lineAt(offset int) int {
	offset = min(max(offset, 0), len(r.data))
	if offset < r.at {
		r.at, r.ends = 0, 0
	}
	r.ends += bytes.Count(r.data[r.at:offset], []byte("\n"))
	r.at = offset
	return 1 + r.ends
}

// skip returns the offset of the next token's first byte.
func (r *nodeReader) skip(at int) int {
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *nodeReader) value(path string, depth int) (*node, *Problem) {
	start := r.skip(int(r.dec.InputOffset()))
	n := &node{path: path, line: r.lineAt(start)}
	if depth > maxDepth {
		return nil, &Problem{Line: n.line, Field: path, Message: "nested too deeply"}
	}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, r.syntax(path, err)
	}
	var p *Problem
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			p = r.object(n, depth)
		} else {
			p = r.array(n, depth)
		}
	case string:
		n.kind, n.text = "string", t
	case json.Number:
		n.kind, n.text = "number", t.String()
	case bool:
		n.kind, n.yes = "boolean", t
	default:
		n.kind = "null"
	}
	if p != nil {
		return nil, p
	}
	n.raw = r.data[start:r.dec.InputOffset()]
	return n, nil
}

func (r *nodeReader) object(n *node, depth int) *Problem {
	n.kind, n.members = "object", map[string]*node{}
	for r.dec.More() {
		line := r.lineAt(r.skip(int(r.dec.InputOffset())))
		tok, err := r.dec.Token()
		if err != nil {
			return r.syntax(n.path, err)
		}
		key, _ := tok.(string)
		path := join(n.path, key)
		if _, twice := n.members[key]; twice {
			return &Problem{Line: line, Field: path, Message: "is there twice"}
		}
		member, p := r.value(path, depth+1)
		if p != nil {
			return p
		}
		member.line = line
		n.keys = append(n.keys, key)
		n.members[key] = member
	}
	return r.closing(n.path)
}

func (r *nodeReader) array(n *node, depth int) *Problem {
	n.kind = "array"
	for r.dec.More() {
		item, p := r.value(n.path+"["+strconv.Itoa(len(n.items))+"]", depth+1)
		if p != nil {
			return p
		}
		n.items = append(n.items, item)
	}
	return r.closing(n.path)
}

func (r *nodeReader) closing(path string) *Problem {
	if _, err := r.dec.Token(); err != nil {
		return r.syntax(path, err)
	}
	return nil
}

func (r *nodeReader) syntax(path string, err error) *Problem {
	line := r.lineAt(len(r.data))
	var s *json.SyntaxError
	if errors.As(err, &s) {
		line = r.lineAt(int(s.Offset) - 1)
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends in the middle")
	}
	return &Problem{Line: line, Field: path, Message: fmt.Sprintf("not valid JSON: %v", err)}
}

// lines adds the line of every value under n to index, by path.
func (n *node) lines(index map[string]int) {
	index[n.path] = n.line
	for _, m := range n.members {
		m.lines(index)
	}
	for _, m := range n.items {
		m.lines(index)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
