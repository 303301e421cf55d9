package main

import (
	"context"

	"github.com/meerkat-go/meerkat/serve"
	"github.com/meerkat-go/meerkat/surface/cli"
)

// serveCommand is rkat serve.
func serveCommand(ctx context.Context, o cli.ServeOptions) error {
	log, err := serve.Logger(o.Stderr, o.LogLevel, o.LogFormat)
	if err != nil {
		return err
	}
	h, err := newHouse(ctx, house{name: "rkat serve", config: o.Config, env: o.Env, log: log, tools: o.Tools, folder: o.Folder})
	if err != nil {
		return err
	}
	addr := o.HTTP
	switch addr {
	case "":
		if addr, err = h.address(ctx); err != nil {
			return err
		}
	case "off":
		addr = ""
	}
	c := h.serving()
	c.HTTP, c.RPC, c.AllowRemote = addr, o.RPC, o.AllowRemote
	c.Patience, c.Stop, c.Err = o.Patience, o.Stop, o.Stderr
	return serve.Run(ctx, c)
}
