// Package jsonrpc2 speaks JSON-RPC 2.0, one value a line, with whoever is at the other end of a connection.
//
// What matters to a server is said here once: lines are bounded, what cannot be read is answered and reading goes on, everything that is sent goes
// through one ordered queue that one goroutine writes, and a reader at the other end who does not read costs a bounded amount of memory.
package jsonrpc2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Codes of the protocol itself.
const (
	CodeParse   = -32700
	CodeRequest = -32600 // it is JSON and no request
	CodeMethod  = -32601
	CodeParams  = -32602
)

// ID is the JSON of a message's id, as it was sent: 7 and "7" are two ids. Empty: there is none.
type ID string

// MaxID bounds an id, in bytes: it is kept for as long as its request is open.
const MaxID = 256

// Error is the error member of an answer.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Message is one line: a request if it has a method and an id, a notification if it has a method alone, else an answer.
type Message struct {
	ID     ID
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Err    *Error // of an answer
	Size   int    // bytes of the line
	held   int    // of its budget
	budget *Budget
}

// Release gives back what the line holds of a Budget. Whoever is given a request does it once, when nothing of it is in memory any more.
func (m *Message) Release() { m.budget.give(m.held) }

// Request reports whether the other end wants an answer.
func (m *Message) Request() bool { return m.Method != "" && m.ID != "" }

// Answer reports whether it answers a request of ours.
func (m *Message) Answer() bool { return m.Method == "" }

// LineError is a line that is no message. It is to be answered with Err, under ID if that could be read; what follows can be read.
type LineError struct {
	ID  ID // empty: null
	Err *Error
}

// Error says what is wrong with the line.
func (e *LineError) Error() string { return e.Err.Message }

func refuse(id ID, code int, format string, args ...any) *LineError {
	return &LineError{id, &Error{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// Parse reads a line. Its error is a *LineError. Names of members are taken as they stand; unknown ones are passed over.
func Parse(line []byte) (Message, error) {
	if !utf8.Valid(line) {
		return Message{}, refuse("", CodeParse, "Parse error: the line is not UTF-8")
	}
	// A value that is no object is told from broken JSON here, since both are answered alike and say different things.
	if first := bytes.TrimLeft(line, " \t\r\n"); len(first) > 0 && first[0] == '[' {
		return Message{}, refuse("", CodeParse, "Parse error: an array is no message; batches are not supported")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil || members == nil {
		return Message{}, refuse("", CodeParse, "Parse error: %s", why(err))
	}
	m := Message{Params: members["params"], Result: members["result"], Size: len(line)}
	id, err := parseID(members["id"])
	if err != nil {
		return Message{}, err
	}
	m.ID = id
	if v, ok := members["jsonrpc"]; ok && string(v) != `"2.0"` {
		return Message{}, refuse(id, CodeRequest, `Invalid request: jsonrpc is "2.0"`)
	}
	if v, ok := members["method"]; ok {
		if json.Unmarshal(v, &m.Method) != nil || m.Method == "" {
			return Message{}, refuse(id, CodeRequest, "Invalid request: method is a name")
		}
		return m, nil
	}
	if v, ok := members["error"]; ok {
		m.Err = &Error{}
		if json.Unmarshal(v, m.Err) != nil { // an answer all the same: whoever waits for it must hear of it
			m.Err = &Error{Message: "an error that cannot be read"}
		}
	}
	return m, nil
}

func why(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d", syntax, syntax.Offset)
	}
	return "a message is a JSON object"
}

func parseID(v json.RawMessage) (ID, error) {
	switch {
	case len(v) == 0:
		return "", nil
	case len(v) > MaxID:
		return "", refuse("", CodeRequest, "Invalid request: an id has at most %d bytes", MaxID)
	case v[0] == '"' || v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return ID(v), nil
	}
	return "", refuse("", CodeRequest, "Invalid request: an id is a number or a string")
}

// encode gives the JSON of v on one line.
func encode(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok && len(raw) > 0 && bytes.IndexByte(raw, '\n') < 0 {
		return oneLine(raw), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return oneLine(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// oneLine escapes the two further line ends that JSON allows in a string: some readers end a line there. Outside a string they cannot stand.
func oneLine(b []byte) []byte {
	if !bytes.Contains(b, []byte{0xe2, 0x80}) {
		return b
	}
	b = bytes.ReplaceAll(b, []byte("\u2028"), []byte(`\u2028`))
	return bytes.ReplaceAll(b, []byte("\u2029"), []byte(`\u2029`))
}

// line puts a message together. Either method or id may be empty; member is params, result or error.
func line(id ID, method, member string, value []byte) []byte {
	b := make([]byte, 0, len(value)+len(id)+len(method)+64)
	b = append(b, `{"jsonrpc":"2.0"`...)
	if id != "" {
		b = append(append(b, `,"id":`...), id...)
	}
	if method != "" {
		name, _ := json.Marshal(method) // a string always encodes
		b = append(append(b, `,"method":`...), name...)
	}
	if member != "" {
		b = append(append(b, ',', '"'), member...)
		b = append(append(b, '"', ':'), value...)
	}
	return append(b, '}', '\n')
}
