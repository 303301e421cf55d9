package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/rehearsal"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// steps are those of the script, in their order.
var steps = []string{"fetch", "build", "publish"}

// step is the tool of the demo. It keeps its promise the way any idempotent service does: by a record under the call's id.
type step struct {
	dir  string
	spec tool.Spec
	out  io.Writer
}

func newStep(dir string, class run.Class, out io.Writer) *step {
	return &step{dir: dir, out: out, spec: tool.Spec{Name: "step", Description: "Makes one step.", Class: class, Source: "demo",
		Schema: json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`)}}
}

// Spec declares the tool.
func (s *step) Spec() tool.Spec { return s.spec }

// beginFor and finishFor are how long the slow step works: when it is begun it waits to be killed, when it is found begun it has
// little left to do.
const (
	beginFor  = 30 * time.Second
	finishFor = 500 * time.Millisecond
)

func begunLine(name string) string { return name + ": begun" }

// Run makes a step: it notes that it began, works, and appends a line to the file of finished steps.
func (s *step) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	var args struct{ Name string }
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return tool.Result{}, err
	}
	mark := filepath.Join(s.dir, "begun", filepath.Base(string(c.ID)))
	work, line := time.Duration(0), begunLine(args.Name)
	if args.Name == "build" {
		work = beginFor
	}
	f, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		work, line = finishFor, args.Name+": was begun before under this id: finished, not begun again"
	case err != nil:
		return tool.Errorf("", "the step cannot be noted: %v", err), nil
	default:
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return tool.Errorf("", "the step cannot be noted: %v", err), nil
		}
	}
	if _, err := fmt.Fprintln(s.out, line); err != nil {
		return tool.Result{}, err
	}
	select {
	case <-time.After(work):
	case <-ctx.Done():
		return tool.Result{}, ctx.Err()
	}
	if err := appendLine(filepath.Join(s.dir, "steps.log"), args.Name); err != nil {
		return tool.Errorf("", "the step cannot be recorded: %v", err), nil
	}
	if _, err := fmt.Fprintln(s.out, args.Name+": done"); err != nil {
		return tool.Result{}, err
	}
	return tool.Text(args.Name + " is done"), nil
}

// counted plays the script and writes down each call that is made of it.
type counted struct{ log string }

// Stream plays the next reply.
func (m counted) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		model, err := rehearsal.New(rehearsal.Demo())
		if err == nil {
			err = appendLine(m.log, "call")
		}
		if err != nil {
			yield(nil, &llm.Error{Kind: llm.Unclassified, Provider: "demo", Message: err.Error(), Err: err})
			return
		}
		for part, err := range model.Stream(ctx, req) {
			if !yield(part, err) {
				return
			}
		}
	}
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func readLog(dir string) ([]string, error) { return readLines(filepath.Join(dir, "steps.log")) }

func readLines(path string) (out []string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		out = append(out, strings.TrimSpace(lines.Text()))
	}
	return out, lines.Err()
}

// lockedWriter lets the tool and the narrator speak one line at a time.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes one line.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
