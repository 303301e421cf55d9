// Package wiretest holds what is sent against the data contract.
package wiretest

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed testdata/schema/*.json
var files embed.FS

const folder = "testdata/schema"

// Event is the shape of a bare event; all others are named like their file.
const Event = "event"

var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	out := map[string]*jsonschema.Schema{}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := files.ReadFile(path.Join(folder, e.Name()))
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		name := strings.TrimSuffix(e.Name(), ".json")
		if err := c.AddResource(name+".json", doc); err != nil {
			return nil, err
		}
		if out[name], err = c.Compile(name + ".json"); err != nil {
			return nil, err
		}
	}
	out[Event], err = c.Compile("envelope.json#/$defs/AgentEvent")
	return out, err
})

// Shapes lists the names of all shapes.
func Shapes() ([]string, error) {
	all, err := compiled()
	if err != nil {
		return nil, err
	}
	var out []string
	for name := range all {
		out = append(out, name)
	}
	return out, nil
}

// Fits reports how data breaks a shape; nil: it does not.
func Fits(shape string, data []byte) error {
	all, err := compiled()
	if err != nil {
		return fmt.Errorf("read the contract: %w", err)
	}
	s, ok := all[shape]
	if !ok {
		return fmt.Errorf("there is no shape %q", shape)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", shape, err)
	}
	return s.Validate(v)
}

// Check fails the test unless v, encoded, has the shape, and returns it encoded. Raw JSON is taken as it is.
func Check(t testing.TB, shape string, v any) []byte {
	t.Helper()
	data, ok := v.([]byte)
	if raw, isRaw := v.(json.RawMessage); isRaw {
		data, ok = raw, true
	}
	if !ok {
		var err error
		if data, err = json.Marshal(v); err != nil {
			t.Fatalf("encode %T: %v", v, err)
		}
	}
	if err := Fits(shape, data); err != nil {
		t.Errorf("it breaks the contract's %s:\n%s\n%v", shape, data, err)
	}
	return data
}

// Nulls returns the paths of everything in data that is null. What is optional and missing has no key, so there should be none.
func Nulls(data []byte) ([]string, error) {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	return nulls(v, "$"), nil
}

func nulls(v any, at string) []string {
	var out []string
	switch v := v.(type) {
	case nil:
		return []string{at}
	case []any:
		for n, x := range v {
			out = append(out, nulls(x, fmt.Sprintf("%s[%d]", at, n))...)
		}
	case map[string]any:
		for key, x := range v {
			out = append(out, nulls(x, at+"."+key)...)
		}
	}
	return out
}
