// Command interrupt measures a hard interrupt: from the call to its durable end, to the terminal event at a subscriber, and to the end
// of the process group that was running.
//
//	go run ./bench/interrupt
//	go run ./bench/interrupt -runs 500
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func main() {
	runs := flag.Int("runs", 200, "interrupts of each kind")
	flag.Parse()
	if err := measure(context.Background(), *runs); err != nil {
		fmt.Fprintln(os.Stderr, "interrupt:", err)
		os.Exit(1)
	}
}

// A stubborn command: a shell and its child that ignore SIGTERM.
const stubborn = `trap "" TERM; (trap "" TERM; sleep 1000.25) & wait; sleep 1000.25`

func measure(ctx context.Context, runs int) error {
	dir, err := os.MkdirTemp("", "meerkat-interrupt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: filepath.Join(dir, "state"),
		Models: map[string]llm.Model{"streaming": streaming{}, "shell": shell{}}})
	if err != nil {
		return err
	}
	defer rt.Close()
	fmt.Println("durability: SQLite WAL, synchronous=FULL")
	fmt.Printf("%-46s %10s %10s %10s\n", "", "p50", "p99", "max")
	for _, kind := range []string{"streaming", "shell"} {
		var calls, events, groups []time.Duration
		for range runs {
			m, err := once(ctx, rt.Plane(), kind, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			calls, events, groups = append(calls, m.call), append(events, m.event), append(groups, m.group)
		}
		row(kind+": call to durable end", calls)
		row(kind+": call to terminal event at a subscriber", events)
		if kind == "shell" {
			row(kind+": call to the end of its process group", groups)
		}
	}
	return nil
}

type measured struct{ call, event, group time.Duration }

func once(ctx context.Context, p *control.Plane, model, dir string) (m measured, err error) {
	s, err := p.CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: model, Workspace: dir, Tools: "full"}, System: "x"})
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := p.Submit(ctx, control.Submit{Session: s.ID, Content: transcript.TextBlocks("go")})
	if err != nil {
		return m, err
	}
	var began time.Time
	returned := make(chan error, 1)
	for e, err := range p.Events(ctx, s.ID, 0) {
		if err != nil {
			return m, err
		}
		if began.IsZero() && ready(e, model) {
			began = time.Now()
			go func() {
				err := p.Interrupt(ctx, s.ID, r.Run)
				m.call = time.Since(began)
				returned <- err
			}()
		}
		if _, over := e.Payload.(event.RunFailed); over {
			m.event = time.Since(began)
			break
		}
	}
	if err := <-returned; err != nil {
		return m, err
	}
	for model == "shell" && processes() > 0 {
		if ctx.Err() != nil {
			return m, fmt.Errorf("processes are left: %w", ctx.Err())
		}
	}
	m.group = time.Since(began)
	return m, ctx.Err()
}

// ready says when there is something to interrupt.
func ready(e event.Event, model string) bool {
	switch e.Payload.(type) {
	case event.TextDelta:
		return model == "streaming"
	case event.ToolExecutionStarted:
		for processes() < 2 { // the shell and its child are there
		}
		return true
	}
	return false
}

// processes counts those of the stubborn command.
func processes() int {
	out, err := exec.Command("pgrep", "-f", "sleep 1000.25").Output()
	if err != nil {
		return 0 // none, says pgrep with its exit code
	}
	return strings.Count(string(out), "\n")
}

func row(name string, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(10 * time.Microsecond)
	}
	fmt.Printf("%-46s %10s %10s %10s\n", name, at(0.5), at(0.99), took[len(took)-1].Round(10*time.Microsecond))
}

// streaming never ends.
type streaming struct{}

// Stream implements llm.Model.
func (streaming) Stream(ctx context.Context, _ llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		for {
			select {
			case <-time.After(2 * time.Millisecond):
				if !yield(llm.TextPart{Text: "word "}, nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// shell asks for the stubborn command.
type shell struct{}

// Stream implements llm.Model.
func (shell) Stream(context.Context, llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		args, _ := json.Marshal(map[string]any{"command": stubborn, "timeout_secs": 600})
		_ = yield(llm.CallPart{ID: id.Call("c"), Name: "shell", Args: string(args)}, nil) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
	}
}
