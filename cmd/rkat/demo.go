package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/internal/demo"
)

// showDemo tells the demo on out; args are for the processes that it starts of this binary.
func showDemo(ctx context.Context, out io.Writer, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	return demo.Run(ctx, openDemo, out, self, args)
}

func openDemo(ctx context.Context, p demo.Parts) (demo.Plane, func() error, error) {
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: p.StateDir, Tools: p.Tools, Models: p.Models})
	if err != nil {
		return nil, nil, err
	}
	return rt.Plane(), rt.Close, nil
}
