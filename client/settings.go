package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/meerkat-go/meerkat/wire"
)

// Host says what process serves which realm.
func (c *Client) Host(ctx context.Context) (wire.HostInfo, error) {
	var out wire.HostInfo
	err := c.do(ctx, call{op: "ask the server who it is", method: http.MethodGet, path: []string{"runtime", "host_info"}, again: true}, &out)
	return out, err
}

// Health says whether the server can work, and what of it cannot.
func (c *Client) Health(ctx context.Context) (wire.HostHealth, error) {
	var out wire.HostHealth
	err := c.do(ctx, call{op: "ask the server how it is", method: http.MethodGet, path: []string{"runtime", "health"}, again: true}, &out)
	return out, err
}

// Models lists the models that the server knows by name.
func (c *Client) Models(ctx context.Context) (wire.ModelsCatalog, error) {
	var out wire.ModelsCatalog
	err := c.do(ctx, call{op: "list models", method: http.MethodGet, path: []string{"models", "catalog"}, again: true}, &out)
	return out, err
}

// Config reads the settings of the realm.
func (c *Client) Config(ctx context.Context) (wire.ConfigEnvelope, error) {
	var out wire.ConfigEnvelope
	err := c.do(ctx, call{op: "read the settings", method: http.MethodGet, path: []string{"config"}, again: true}, &out)
	return out, err
}

type setConfig struct {
	Config   json.RawMessage `json:"config,omitempty"`
	Patch    json.RawMessage `json:"patch,omitempty"`
	Expected *uint64         `json:"expected_generation,omitempty"`
}

// SetConfig replaces the settings. With expected it is refused unless they have that generation. It is sent once: code outcome_unknown says that no
// answer came.
func (c *Client) SetConfig(ctx context.Context, doc json.RawMessage, expected *uint64) (wire.ConfigEnvelope, error) {
	var out wire.ConfigEnvelope
	err := c.do(ctx, call{op: "write the settings", method: http.MethodPut, path: []string{"config"}, body: setConfig{Config: doc, Expected: expected}}, &out)
	return out, err
}

// PatchConfig merges into the settings (RFC 7396), and is otherwise like SetConfig.
func (c *Client) PatchConfig(ctx context.Context, patch json.RawMessage, expected *uint64) (wire.ConfigEnvelope, error) {
	var out wire.ConfigEnvelope
	err := c.do(ctx, call{op: "change the settings", method: http.MethodPatch, path: []string{"config"}, body: setConfig{Patch: patch, Expected: expected}}, &out)
	return out, err
}
