package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// act is what one process plays.
type act struct {
	dir    string
	class  run.Class
	resume bool
}

var classes = map[string]run.Class{run.Idempotent.String(): run.Idempotent, run.Once.String(): run.Once}

const modelName = "demo"

// parts is what an act runs on.
func (a act) parts(out io.Writer) Parts {
	return Parts{StateDir: filepath.Join(a.dir, "state"), Tools: []tool.Tool{newStep(a.dir, a.class, out)},
		Models: map[string]llm.Model{modelName: counted{filepath.Join(a.dir, "models.log")}}}
}

// play begins the run, or goes on with it, and says what happens until it is over.
func play(ctx context.Context, open Opener, out io.Writer, a act) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := &lockedWriter{w: out}
	p, closePlane, err := open(ctx, a.parts(said))
	if err != nil {
		return fmt.Errorf("open the store of the demo: %w", err)
	}
	defer func() { err = errors.Join(err, closePlane()) }()
	session, input, err := a.take(ctx, p)
	if err != nil {
		return err
	}
	told := make(chan error, 1)
	go func() { told <- narrate(ctx, p, session, said) }()
	out1, err := p.Wait(ctx, session.ID, input)
	if err != nil {
		return err
	}
	if err := <-told; err != nil {
		return err
	}
	if out1.Status != control.Completed {
		return fmt.Errorf("the run ended as %s: %s", out1.Status, out1.Error)
	}
	return nil
}

// take makes the session and submits, or takes over what was left unfinished.
func (a act) take(ctx context.Context, p Plane) (control.Session, id.Input, error) {
	if !a.resume {
		s, err := p.CreateSession(ctx, control.CreateSession{System: "You make three steps.", Profile: run.Profile{Model: modelName, Tools: "none"}})
		if err != nil {
			return s, "", fmt.Errorf("begin a session: %w", err)
		}
		r, err := p.Submit(ctx, control.Submit{Session: s.ID, Content: transcript.TextBlocks("Fetch, build and publish.")})
		return s, r.Input, err
	}
	last, err := p.Session(ctx, "last")
	if err != nil {
		return last, "", fmt.Errorf("find the session: %w", err)
	}
	s, err := p.Resume(ctx, last.ID)
	if err != nil {
		return s, "", fmt.Errorf("go on: %w", err)
	}
	s.Cursor = last.Cursor
	if s.Run == nil || len(s.Run.Inputs) == 0 {
		return s, "", errors.New("there is no unfinished run to go on with")
	}
	return s, s.Run.Inputs[0], nil
}

// narrate says what the events tell, until the run is over.
func narrate(ctx context.Context, p Plane, s control.Session, out io.Writer) error {
	after := s.Cursor
	if s.Run == nil || s.Run.Round == 0 && s.Run.Phase == "calling_llm" {
		after = 0
	}
	for e, err := range p.Events(ctx, s.ID, after) {
		if err != nil {
			return err
		}
		line := ""
		switch p := e.Payload.(type) {
		case event.TextComplete:
			line = "the model: " + firstLine(p.Content)
		case event.ToolExecutionCompleted:
			if p.Code != "" {
				line = "the model is told: " + p.Code
			}
		case event.Resumed:
			line = fmt.Sprintf("the run goes on: %d to ask for again, %d of unknown outcome", p.Reissued, p.Unknown)
		case event.RunCompleted, event.RunFailed:
			return nil
		}
		if line != "" {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// firstLine is the beginning of what a model says, which is a sentence, broken to the width of a terminal.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	s = strings.TrimSuffix(s, ":")
	var b strings.Builder
	col := 0
	for _, word := range strings.Fields(s) {
		switch {
		case col > 0 && col+len(word) > 54:
			b.WriteString("\n           ")
			col = 0
		case col > 0:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += len(word)
	}
	return b.String()
}
