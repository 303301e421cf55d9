package jsonrpc

import (
	"context"
	"encoding/json"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func getConfig(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	got, err := r.plane.Config(r.ctx)
	if err != nil {
		return nil, err
	}
	return present.Config(got), nil
}

func setConfig(r *request) (any, error) { return r.write("config", r.plane.SetConfig) }

func patchConfig(r *request) (any, error) { return r.write("patch", r.plane.PatchConfig) }

// write changes the settings. The document stands under a name, beside the generation that is expected, or is the params themselves.
func (r *request) write(name string, change func(context.Context, json.RawMessage, *uint64) (control.Config, error)) (any, error) {
	var members map[string]json.RawMessage
	if err := wire.Decode(r.params, &members); err != nil {
		return nil, err
	}
	doc, expected := r.params, (*uint64)(nil)
	if inner, ok := members[name]; ok {
		doc = inner
		if g, ok := members["expected_generation"]; ok {
			if err := json.Unmarshal(g, &expected); err != nil {
				return nil, invalid("expected_generation is a number that is not negative")
			}
		}
	}
	got, err := change(r.ctx, doc, expected)
	if err != nil {
		return nil, err
	}
	return present.Config(got), nil
}
