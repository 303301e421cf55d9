package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Limits bounds what one call may take. The zero value means the defaults.
type Limits struct {
	Timeout   time.Duration // of a tool whose Spec names none; 0: 600 s
	Grace     time.Duration // how long a tool that was told to stop is waited for; 0: 2 s
	MaxResult int           // bytes of text in one result; 0: 100,000
	MaxMedia  int           // bytes of media in one result; 0: 5 MiB
	// OnDefect, if set, is told of tools that break their contract: a panic, an error that is none, a call that did not stop. It is
	// for logs and metrics; it must not block, and may be called concurrently.
	OnDefect func(Defect)
}

func (l Limits) withDefaults() Limits {
	if l.Timeout <= 0 {
		l.Timeout = 600 * time.Second
	}
	if l.Grace <= 0 {
		l.Grace = 2 * time.Second
	}
	if l.MaxResult <= 0 {
		l.MaxResult = 100_000
	}
	if l.MaxMedia <= 0 {
		l.MaxMedia = 5 << 20
	}
	return l
}

// Defect is one breach of the contract of Tool.
type Defect struct {
	Tool  string
	Call  id.Call
	Kind  string // panic, error, leak
	Text  string
	Stack []byte // of a panic
}

// Registry is the set of tools a session works with. It does not change; Withhold makes another one. It knows nothing of limits
// on concurrency: those belong to whoever calls it. Safe for concurrent use.
type Registry struct {
	limits   Limits
	tools    map[string]*entry
	specs    []Spec // what is offered, sorted by name
	withheld map[string]bool
	leaked   *atomic.Int64
	listing  func() *scope.Catalogue // made when it is first needed
}

// entry is one tool. Its schema is compiled when it is first needed: a start of the program pays for the tools it uses only.
type entry struct {
	tool   Tool
	spec   Spec
	schema func() (*schema, error)
}

// usable reports whether every model provider takes a tool of that name: 1 to 64 letters, digits, dashes and underscores.
func usable(name string) bool {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, other)
}

// NewRegistry makes a registry. A name that is used twice, or that no model provider would take, is an error.
func NewRegistry(limits Limits, tools ...Tool) (*Registry, error) {
	r := &Registry{limits: limits.withDefaults(), tools: make(map[string]*entry, len(tools)), leaked: new(atomic.Int64)}
	if err := r.add(map[string]*entry{}, tools); err != nil {
		return nil, err
	}
	r.list()
	return r, nil
}

// With returns a registry that also has these tools, each in place of one of the same name; what was withheld stays so. Errors are those of
// NewRegistry, among the new ones.
func (r *Registry) With(tools ...Tool) (*Registry, error) {
	w := *r
	w.tools = maps.Clone(r.tools)
	if err := w.add(map[string]*entry{}, tools); err != nil {
		return nil, err
	}
	w.list()
	return &w, nil
}

// add puts tools in; added are those of this call.
func (r *Registry) add(added map[string]*entry, tools []Tool) error {
	for _, t := range tools {
		spec := t.Spec()
		if err := CheckName(spec.Name); err != nil {
			return err
		}
		if old, ok := added[spec.Name]; ok {
			return fmt.Errorf("tool %q is offered twice: by %s and by %s", spec.Name, source(old.spec), source(spec))
		}
		e := &entry{t, spec, sync.OnceValues(func() (*schema, error) { return compile(spec.Schema) })}
		r.tools[spec.Name], added[spec.Name] = e, e
	}
	return nil
}

// CheckName says what is wrong with the name of a tool: not every provider would take it.
func CheckName(name string) error {
	if !usable(name) {
		return fmt.Errorf("tool name %q: want 1 to 64 letters, digits, _ or -", name)
	}
	return nil
}

// CheckSchema says what is wrong with the schema of a tool: it cannot be read, or is of no object.
func CheckSchema(data json.RawMessage) error {
	_, err := compile(data)
	return err
}

func source(s Spec) string {
	if s.Source == "" {
		return "an unnamed source"
	}
	return s.Source
}

func (r *Registry) list() {
	r.specs = nil
	for _, name := range slices.Sorted(maps.Keys(r.tools)) {
		if !r.withheld[name] {
			r.specs = append(r.specs, r.tools[name].spec)
		}
	}
	specs := r.specs
	r.listing = sync.OnceValue(func() *scope.Catalogue { return catalogue(specs) })
}

// Catalogue returns what is offered, as those see it who decide what a model may see. A tool of an outside server may be hidden until it is asked
// for.
func (r *Registry) Catalogue() *scope.Catalogue { return r.listing() }

func catalogue(specs []Spec) *scope.Catalogue {
	entries := make([]scope.Entry, len(specs))
	for n, s := range specs {
		entries[n] = scope.Entry{Name: s.Name, Description: s.Description, Witness: s.Witness(), Deferrable: s.Kind == scope.MCP,
			Volume: scope.VolumeOf(s.Name, s.Description, string(s.Schema))}
	}
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		panic(fmt.Sprintf("tool: a registry has a tool twice: %v", err))
	}
	return c
}

// Withhold returns a registry of the same tools that does not offer the named ones and refuses calls of them as denied. A name
// that no tool has is kept: it is refused in the same way.
func (r *Registry) Withhold(names ...string) *Registry {
	w := *r
	w.withheld = maps.Clone(r.withheld)
	if w.withheld == nil {
		w.withheld = make(map[string]bool)
	}
	for _, n := range names {
		w.withheld[n] = true
	}
	w.list()
	return &w
}

// Specs returns the declarations of what is offered, sorted by name. The schemas are shared: not to be changed.
func (r *Registry) Specs() []Spec { return slices.Clone(r.specs) }

// Leaked returns the number of calls that were given up because they did not stop, and still run.
func (r *Registry) Leaked() int { return int(r.leaked.Load()) }

// Verify compiles every schema, and returns what is wrong with them. It is for tests and diagnosis: a tool whose schema cannot be
// read is offered all the same and judges its arguments itself.
func (r *Registry) Verify() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.tools)) {
		if _, err := r.tools[name].schema(); err != nil {
			errs = append(errs, fmt.Errorf("tool %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Check judges a call a model asks for: the class to freeze with its intent, and why it must not run, or nil.
func (r *Registry) Check(name string, args json.RawMessage) (run.Class, *run.Refusal) {
	e, refusal := r.lookup(name, args)
	if e == nil {
		return run.Once, refusal
	}
	return e.spec.Class, refusal
}

// lookup finds the tool of a call and judges its arguments. The entry is nil if there is no such tool here.
func (r *Registry) lookup(name string, args json.RawMessage) (*entry, *run.Refusal) {
	if r.withheld[name] {
		return nil, refuse(transcript.ResultDenied, "The tool %q is not offered to this session. %s", name, r.offer())
	}
	e, ok := r.tools[name]
	if !ok {
		text := fmt.Sprintf("There is no tool %q.", shorten(name))
		var names []string
		for _, s := range r.specs {
			names = append(names, s.Name)
		}
		if near := Near(name, names); len(near) > 0 {
			text += " Did you mean " + quoteAll(near, " or ") + "?"
		}
		return nil, refuse(transcript.ResultNotFound, "%s %s", text, r.offer())
	}
	m, err := arguments(args)
	if err != nil {
		return e, refuse(transcript.ResultInvalid, "%s: %v.", name, err)
	}
	s, err := e.schema()
	if err != nil {
		return e, nil // see Verify
	}
	if found := s.check(m); len(found) > 0 {
		return e, refuse(transcript.ResultInvalid, "The arguments of %s do not fit its schema:\n- %s", name, strings.Join(found, "\n- "))
	}
	return e, nil
}

func refuse(code, format string, args ...any) *run.Refusal {
	return &run.Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (r *Registry) offer() string {
	if len(r.specs) == 0 {
		return "This session has no tools."
	}
	names := make([]string, len(r.specs))
	for i, s := range r.specs {
		names[i] = s.Name
	}
	return "The tools are: " + strings.Join(names, ", ") + "."
}

// Run carries a call out. It judges the call once more: the set of tools may have changed since the intent was committed. A tool
// that panics, runs out of time or reports an error that is none makes an error result. The error is the context's, or wraps
// ErrOutcomeUnknown.
//
// Run returns at the latest Limits.Grace after ctx ends or the time is up. A tool that has not stopped by then is left behind,
// told to OnDefect and counted by Leaked until it ends.
func (r *Registry) Run(ctx context.Context, c Call) (Result, error) {
	e, refusal := r.lookup(c.Name, c.Args)
	if refusal != nil {
		return Result{Content: transcript.TextBlocks(refusal.Message), IsError: true, Code: refusal.Code}, nil
	}
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("tool %s was not started: %w", c.Name, err)
	}
	timeout := e.spec.Timeout
	if timeout <= 0 {
		timeout = r.limits.Timeout
	}
	tctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	a := &attempt{done: make(chan outcome, 1)}
	go a.run(tctx, r, e, c)
	select {
	case out := <-a.done:
		return r.settle(ctx, tctx, timeout, c, out)
	case <-tctx.Done():
	}
	grace := time.NewTimer(r.limits.Grace)
	defer grace.Stop()
	select {
	case out := <-a.done:
		return r.settle(ctx, tctx, timeout, c, out)
	case <-grace.C:
	}
	if !a.abandon(r.leaked) {
		return r.settle(ctx, tctx, timeout, c, <-a.done)
	}
	r.defect(Defect{Tool: c.Name, Call: c.ID, Kind: "leak", Text: "did not stop within " + r.limits.Grace.String() + " of being told to"})
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("tool %s did not stop within %s of being cancelled and was left behind: %w", c.Name, r.limits.Grace, err)
	}
	return Errorf(transcript.ResultTimeout, "%s did not end within %s. It was told to stop and has not: it may still be running, and may have taken effect.",
		c.Name, timeout), nil
}

type outcome struct {
	result Result
	err    error
	panic  any
	stack  []byte
	ended  bool // false: the goroutine left without returning
}

// attempt is one running call, and the agreement on who owns its end.
type attempt struct {
	done chan outcome
	over atomic.Int32 // 0 running, 1 left behind, 2 ended
	left *atomic.Int64
}

func (a *attempt) run(ctx context.Context, r *Registry, e *entry, c Call) {
	var out outcome
	defer func() {
		if !out.ended {
			out.panic, out.stack = recover(), debug.Stack()
		}
		if a.over.CompareAndSwap(0, 2) {
			a.done <- out
			return
		}
		a.left.Add(-1)
	}()
	out.result, out.err = e.tool.Run(ctx, c)
	out.ended = true
}

// abandon leaves a running call behind; false if it has ended after all.
func (a *attempt) abandon(leaked *atomic.Int64) bool {
	a.left = leaked
	leaked.Add(1)
	if a.over.CompareAndSwap(0, 1) {
		return true
	}
	leaked.Add(-1)
	return false
}

// settle makes a result of how a call ended.
func (r *Registry) settle(ctx, tctx context.Context, timeout time.Duration, c Call, out outcome) (Result, error) {
	switch {
	case !out.ended:
		text := fmt.Sprint(out.panic)
		if out.panic == nil {
			text = "it ended its goroutine"
		}
		r.defect(Defect{Tool: c.Name, Call: c.ID, Kind: "panic", Text: text, Stack: out.stack})
		return Errorf(transcript.ResultFailed, "%s failed by a defect of its own, and may have taken effect: %s", c.Name, shorten(text)), nil
	case out.err == nil:
		return clip(out.result, r.limits), nil
	case errors.Is(out.err, ErrOutcomeUnknown):
		return Result{}, fmt.Errorf("tool %s: %w", c.Name, out.err)
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("tool %s was stopped: %w", c.Name, errors.Join(ctx.Err(), other(out.err, ctx.Err())))
	case tctx.Err() != nil:
		return Errorf(transcript.ResultTimeout, "%s did not end within %s and was stopped. What it did until then is not undone.", c.Name, timeout), nil
	}
	r.defect(Defect{Tool: c.Name, Call: c.ID, Kind: "error", Text: out.err.Error()})
	return clip(Errorf(transcript.ResultFailed, "%s failed: %v", c.Name, out.err), r.limits), nil
}

// other returns err unless it says no more than known does.
func other(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

func (r *Registry) defect(d Defect) {
	if r.limits.OnDefect != nil {
		r.limits.OnDefect(d)
	}
}
