// Package wire holds the shapes of the protocols, and says how an internal event is told in them.
//
// The shapes are those of contract version 0.6.29. Required numbers and texts are always there; what is optional and missing has no key, and is never
// null. What our own clients need beside them is additive: it stands in types and fields of its own, which an older reader passes over. docs/wire.md
// lists both. The package knows words alone, so a client that uses it links no runtime.
package wire

import (
	"bytes"
	"encoding/json"

	"github.com/meerkat-go/meerkat/id"
)

// Contract is the version of the contract that is spoken.
const Contract = "0.6.29"

// ContractVersion is a version in its parts.
type ContractVersion struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	Patch int `json:"patch"`
}

// Version returns Contract in its parts.
func Version() ContractVersion { return ContractVersion{0, 6, 29} }

// Ref returns how a session is named together with its realm; empty without a realm.
func Ref(realm string, s id.Session) string {
	if realm == "" {
		return ""
	}
	return realm + ":" + string(s)
}

// Marshal encodes v as one line. <, > and & stay as they are. U+2028 and U+2029 are escaped, also inside raw JSON: some readers of lines end a line there.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return oneLine(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

var lineEnds = []byte{0xe2, 0x80}

// oneLine escapes the two line ends that JSON allows in a string. They can stand nowhere else in it.
func oneLine(data []byte) []byte {
	if !bytes.Contains(data, lineEnds) {
		return data
	}
	data = bytes.ReplaceAll(data, []byte("\u2028"), []byte(`\u2028`))
	return bytes.ReplaceAll(data, []byte("\u2029"), []byte(`\u2029`))
}

// absent reports whether an optional value was not given. null is not given.
func absent(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}
