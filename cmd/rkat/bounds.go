package main

import (
	"cmp"
	"context"
	"os"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// bound says how far sessions may go. Those who come in with a key are not whoever runs this process: without a word of his they have no shell, and work in
// their realm's folder.
func (h *house) bound(c *meerkat.Config) error {
	switch h.tools {
	case "":
		if h.keyed {
			c.Most = "workspace"
		}
	case "none", "safe", "workspace":
		c.Most = h.tools
	case "full":
	default:
		return usageError("there is no preset of tools %q: use none, safe, workspace or full", h.tools)
	}
	if h.keyed && h.folder {
		c.Within = c.Workspace
	}
	return nil
}

// open lets whoever has a key into its realm, unless the server is for another one alone.
func (h *house) open(ctx context.Context, realm string) (*control.Plane, error) {
	if h.config.Named && realm != h.config.Realm {
		return nil, &control.Error{Code: fault.Forbidden, Message: "the key is for a realm that is not served here"}
	}
	if !h.keyed && realm != h.config.Realm {
		return nil, &control.Error{Code: fault.Forbidden, Message: "the server began when nobody needed a key, and serves one realm: start it anew to serve others"}
	}
	opened, err := h.realms.Plane(ctx, realm)
	if err != nil {
		return nil, err
	}
	p := *opened
	p.Instance = h.instance
	p.About = control.Info{Version: version, Process: cmp.Or(h.about, h.name), PID: os.Getpid(), Started: h.started}
	if !h.paths {
		p.Paths = nil
	}
	return &p, nil
}
