package tool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Form is what an output has to look like: a JSON Schema of an object, and perhaps a name for it. It does not change. Safe for concurrent use.
type Form struct {
	name   string
	raw    json.RawMessage
	schema *schema
}

// NewForm reads a schema as it is given by whoever wants an output: the schema itself, or a wrapper {schema, name, strict, compat, format} of
// one. It is a wrapper if it has "schema" and nothing but those keys, or the format meerkat_v1. Strict and compat are about lowering a schema to what
// one provider takes, which is not done here: the schema is told to the model as it is, and every output is checked against all of it.
func NewForm(raw json.RawMessage) (*Form, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil || keys == nil {
		return nil, errors.New("the schema is no JSON object")
	}
	f := &Form{raw: raw}
	if isWrapper(keys) {
		f.raw = keys["schema"]
		if name, ok := keys["name"]; ok { // null: none
			if err := json.Unmarshal(name, &f.name); err != nil {
				return nil, fmt.Errorf("the name of the schema is no text: %w", err)
			}
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.raw); err != nil || !bytes.HasPrefix(compact.Bytes(), []byte("{")) {
		return nil, errors.New("what the wrapper holds is no schema of an object")
	}
	f.raw = compact.Bytes()
	var err error
	if f.schema, err = compile(f.raw); err != nil {
		return nil, err
	}
	return f, nil
}

var wrapperKeys = []string{"schema", "name", "strict", "compat", "format"}

func isWrapper(keys map[string]json.RawMessage) bool {
	if _, ok := keys["schema"]; !ok {
		return false
	}
	if string(keys["format"]) == `"meerkat_v1"` {
		return true
	}
	for k := range keys {
		if !slices.Contains(wrapperKeys, k) {
			return false
		}
	}
	return true
}

// Schema is what a model is told: the schema itself, without white space.
func (f *Form) Schema() json.RawMessage { return f.raw }

// Read takes an output from what a model said. A code fence around it is not part of it, nor is an object whose only member has the form's name and
// holds what fits better. It returns the output, or everything that is wrong with it.
func (f *Form) Read(text string) (json.RawMessage, []string) {
	raw := json.RawMessage(unfenced(text))
	v, findings := f.judge(raw)
	if inner := f.unwrapped(v, raw); inner != nil {
		if m, better := f.judge(inner); m != nil && len(better) < len(findings) {
			raw, findings = inner, better
		}
	}
	if len(findings) > 0 {
		return nil, findings
	}
	return raw, nil
}

// judge says what is wrong with one JSON text.
func (f *Form) judge(raw json.RawMessage) (map[string]any, []string) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, []string{"it is not valid JSON: " + err.Error()}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, []string{"it must be a JSON object, got " + kind(v)}
	}
	return m, f.schema.check(m)
}

// unwrapped returns what stands in an object whose only member has the form's name; nil: it is none, or the schema wants such a member.
func (f *Form) unwrapped(v map[string]any, raw json.RawMessage) json.RawMessage {
	if _, ok := v[f.name]; !ok || f.name == "" || len(v) != 1 || declares(f.schema.root, f.name) {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil
	}
	return members[f.name]
}

func declares(s *jsonschema.Schema, name string) bool {
	_, ok := s.Properties[name]
	return ok || slices.Contains(s.Required, name)
}

// unfenced returns the text between the lines of a code fence, if all of it stands in one.
func unfenced(text string) string {
	text = strings.TrimSpace(text)
	inner, ok := strings.CutPrefix(text, "```")
	if !ok {
		return text
	}
	inner, ok = strings.CutSuffix(inner, "```")
	if !ok {
		return text
	}
	lang, rest, ok := strings.Cut(inner, "\n")
	if !ok || strings.ContainsAny(lang, "{[\"") {
		return strings.TrimSpace(inner)
	}
	return strings.TrimSpace(rest)
}
