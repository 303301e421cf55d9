package tooltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// AnyObject is a schema that takes any arguments.
var AnyObject = json.RawMessage(`{"type":"object"}`)

// Func is a tool made of a function. The zero fields of Is are filled in: name "func", some description, AnyObject.
type Func struct {
	Is tool.Spec
	Do func(ctx context.Context, c tool.Call) (tool.Result, error)
}

// Spec returns the declaration.
func (f Func) Spec() tool.Spec {
	s := f.Is
	if s.Name == "" {
		s.Name = "func"
	}
	if s.Description == "" {
		s.Description = "A tool for tests."
	}
	if s.Schema == nil {
		s.Schema = AnyObject
	}
	return s
}

// Run calls the function.
func (f Func) Run(ctx context.Context, c tool.Call) (tool.Result, error) { return f.Do(ctx, c) }

// Gate is a tool whose calls wait until they are let go.
type Gate struct {
	name    string
	class   run.Class
	deaf    bool
	began   chan id.Call
	release chan struct{}
	once    sync.Once
}

// NewGate makes a gate that is shut.
func NewGate(name string, class run.Class) *Gate {
	return &Gate{name: name, class: class, began: make(chan id.Call, 1024), release: make(chan struct{})}
}

// NewDeafGate makes a gate whose calls do not stop when their context ends: a tool that breaks its contract.
func NewDeafGate(name string, class run.Class) *Gate {
	g := NewGate(name, class)
	g.deaf = true
	return g
}

// Began yields the id of each call when it begins. It has room for 1024.
func (g *Gate) Began() <-chan id.Call { return g.began }

// Release lets every call go, those that wait and those to come.
func (g *Gate) Release() { g.once.Do(func() { close(g.release) }) }

// Spec returns the declaration.
func (g *Gate) Spec() tool.Spec {
	return tool.Spec{Name: g.name, Description: "Waits until it is let go.", Schema: AnyObject, Class: g.class, Source: "tooltest"}
}

// Run waits for Release or the end of ctx.
func (g *Gate) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	select {
	case g.began <- c.ID:
	default:
		return tool.Result{}, errors.New("tooltest: more than 1024 calls of a gate that nobody watches")
	}
	ended := ctx.Done()
	if g.deaf {
		ended = nil
	}
	select {
	case <-g.release:
		return tool.Text("let go"), nil
	case <-ended:
		return tool.Result{}, ctx.Err()
	}
}

// Counter is a tool that counts its calls by their id.
type Counter struct {
	name  string
	class run.Class
	mu    sync.Mutex
	calls map[id.Call]int
}

// NewCounter makes a counter.
func NewCounter(name string, class run.Class) *Counter {
	return &Counter{name: name, class: class, calls: make(map[id.Call]int)}
}

// Count returns how often the call ran.
func (k *Counter) Count(call id.Call) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls[call]
}

// Total returns how many calls ran.
func (k *Counter) Total() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, c := range k.calls {
		n += c
	}
	return n
}

// Spec returns the declaration.
func (k *Counter) Spec() tool.Spec {
	return tool.Spec{Name: k.name, Description: "Counts its calls.", Schema: AnyObject, Class: k.class, Source: "tooltest"}
}

// Run counts the call.
func (k *Counter) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	if err := ctx.Err(); err != nil {
		return tool.Result{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls[c.ID]++
	return tool.Text(fmt.Sprintf("call %d of %s", k.calls[c.ID], c.ID)), nil
}

// Appender is a tool that appends the id of each call to a file, a line each, synced: a trace that outlives a killed process and
// shows a call that ran twice.
type Appender struct {
	Name  string
	Class run.Class
	Path  string
}

// Spec returns the declaration.
func (a Appender) Spec() tool.Spec {
	return tool.Spec{Name: a.Name, Description: "Appends its call id to a file.", Schema: AnyObject, Class: a.Class, Source: "tooltest"}
}

// Run appends the id.
func (a Appender) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	if err := ctx.Err(); err != nil {
		return tool.Result{}, err
	}
	f, err := os.OpenFile(a.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return tool.Result{}, fmt.Errorf("open the trace: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteString(string(c.ID) + "\n"); err != nil {
		return tool.Result{}, fmt.Errorf("write the trace: %w", err)
	}
	if err := f.Sync(); err != nil {
		return tool.Result{}, fmt.Errorf("sync the trace: %w", err)
	}
	return tool.Text("appended " + string(c.ID)), nil
}

// Trace returns the ids in an Appender's file, in the order in which the calls ran. No file: none ran.
func Trace(path string) ([]id.Call, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []id.Call
	for line := range strings.Lines(string(data)) {
		out = append(out, id.Call(strings.TrimSuffix(line, "\n")))
	}
	return out, nil
}
