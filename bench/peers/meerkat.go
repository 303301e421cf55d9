//go:build !without_meerkat

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

type meerkatSubject struct{ rt *meerkat.Runtime }

func openMeerkat(ctx context.Context, url, dir string) (subject, error) {
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: dir, Tools: []tool.Tool{nothing{}},
		Providers: []config.Provider{{Name: "peers", Kind: config.Compat, BaseURL: url + "/v1"}}})
	if err != nil {
		return nil, err
	}
	return meerkatSubject{rt}, nil
}

func openMeerkatMemory(ctx context.Context, url, _ string) (subject, error) {
	return openMeerkat(ctx, url, "")
}

func (m meerkatSubject) session(ctx context.Context) (session, error) {
	s, err := m.rt.Plane().CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "peers/instant", Tools: "none"}, System: system})
	if err != nil {
		return nil, err
	}
	return meerkatSession{m.rt.Plane(), s.ID}, nil
}

func (m meerkatSubject) close() error { return m.rt.Close() }

type meerkatSession struct {
	plane *control.Plane
	id    id.Session
}

func (s meerkatSession) turn(ctx context.Context, prompt string) error {
	r, err := s.plane.Submit(ctx, control.Submit{Session: s.id, Content: transcript.TextBlocks(prompt)})
	if err != nil {
		return err
	}
	out, err := s.plane.Wait(ctx, s.id, r.Input)
	if err != nil {
		return err
	}
	if out.Status != control.Completed {
		return fmt.Errorf("the turn %s: %s", out.Status, out.Error)
	}
	return answered(out.Text)
}

// nothing is the tool, as Meerkat wants it.
type nothing struct{}

// Spec implements tool.Tool.
func (nothing) Spec() tool.Spec {
	return tool.Spec{Name: toolName, Description: toolDoes, Schema: json.RawMessage(`{"type":"object"}`), Source: "bench"}
}

// Run implements tool.Tool.
func (nothing) Run(context.Context, tool.Call) (tool.Result, error) {
	out, err := callTool()
	return tool.Text(out), err
}
