package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// world is a store, and hosts on it whose executors do what the test says. It lives in a bubble: time passes when all are asleep.
type world struct {
	*testing.T
	memory *memory.Store
	store  *flaky
	ctx    context.Context
}

// place is one host with its executor and its hub.
type place struct {
	*runtime.Host
	w     *world
	hub   *feed.Hub
	tasks chan task // directives that wait for the test to answer them
}

// task is a directive in the hands of the test.
type task struct {
	run.Directive
	turn executor.Turn
	ctx  context.Context
	call func(id.Effect) (executor.Call, bool)
}

const sid = id.Session("00000000-0000-7000-8000-000000000001")

// bubble runs a test in virtual time. Nothing the test started may be left when it ends.
func bubble(t *testing.T, body func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memory.New()
		body(&world{T: t, memory: m, store: &flaky{Faulty: storetest.Faulty{Store: m}}, ctx: t.Context()})
	})
}

// flaky is a store whose faults can be changed while it is in use.
type flaky struct {
	storetest.Faulty
	mu    sync.Mutex
	load  func() error
	renew func() error
	input func() error
}

func (f *flaky) failing(what *func() error) error {
	f.mu.Lock()
	fail := *what
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail()
}

func (f *flaky) Input(ctx context.Context, s id.Session, key string) (store.InputRow, error) {
	if err := f.failing(&f.input); err != nil {
		return store.InputRow{}, err
	}
	return f.Store.Input(ctx, s, key)
}

func (f *flaky) InputByID(ctx context.Context, s id.Session, in id.Input) (store.InputRow, error) {
	if err := f.failing(&f.input); err != nil {
		return store.InputRow{}, err
	}
	return f.Store.InputByID(ctx, s, in)
}

func (f *flaky) Load(ctx context.Context, s id.Session) (store.Loaded, error) {
	if err := f.failing(&f.load); err != nil {
		return store.Loaded{}, err
	}
	return f.Store.Load(ctx, s)
}

func (f *flaky) Renew(ctx context.Context, o store.Owner, now time.Time, ttl time.Duration, held []store.Lease) ([]id.Session, error) {
	if err := f.failing(&f.renew); err != nil {
		return nil, err
	}
	return f.Store.Renew(ctx, o, now, ttl, held)
}

func (f *flaky) Commit(ctx context.Context, b *store.Batch) error {
	f.mu.Lock()
	faulty := f.Faulty
	f.mu.Unlock()
	return faulty.Commit(ctx, b)
}

// decide sets what happens to commits; nil: nothing.
func (f *flaky) decide(d func(b *store.Batch) storetest.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Decide = d
}

func (f *flaky) loads(fail func() error)  { f.mu.Lock(); f.load = fail; f.mu.Unlock() }
func (f *flaky) renews(fail func() error) { f.mu.Lock(); f.renew = fail; f.mu.Unlock() }

func (f *flaky) inputs(fail func() error) { f.mu.Lock(); f.input = fail; f.mu.Unlock() }

// always is a fault that never ends.
func always(f storetest.Fault) func(*store.Batch) storetest.Fault {
	return func(*store.Batch) storetest.Fault { return f }
}

// once is a fault that happens to the next n commits.
func next(n int, f storetest.Fault) func(*store.Batch) storetest.Fault {
	return func(*store.Batch) storetest.Fault {
		if n--; n >= 0 {
			return f
		}
		return storetest.Fault{}
	}
}

// Fine-grained hands that give every directive to the test, several at once.
type hands struct{ tasks chan task }

func (hands) Profile() executor.Profile { return executor.Profile{Grain: run.Fine} }

func (h hands) Apply(ctx context.Context, _ executor.Run, b executor.Bindings) error {
	for d := range b.Turn.Directives(ctx) {
		select {
		case h.tasks <- task{d, b.Turn, ctx, b.Call}:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// scripted is an executor made of a function.
type scripted struct {
	profile executor.Profile
	apply   func(ctx context.Context, r executor.Run, b executor.Bindings) error
}

func (s scripted) Profile() executor.Profile { return s.profile }

func (s scripted) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	return s.apply(ctx, r, b)
}

// host makes a host; change may be nil.
func (w *world) host(change func(*runtime.Config)) *place {
	p := &place{w: w, hub: &feed.Hub{}, tasks: make(chan task)}
	c := runtime.Config{Store: w.store, Feed: p.hub, Owner: store.Owner{ID: id.New(), PID: 41}, Executor: hands{p.tasks}}
	if change != nil {
		change(&c)
	}
	p.Host = runtime.New(c)
	w.Cleanup(func() { // after a failure; else the test has closed it
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p
}

// registered makes a host with one session.
func (w *world) registered(change func(*runtime.Config)) *place {
	w.Helper()
	p := w.host(change)
	p.register(sid)
	return p
}

func (p *place) register(s id.Session) {
	p.w.Helper()
	p.w.ok(p.RegisterSession(p.w.ctx, s, runtime.Registration{Profile: &run.Profile{Model: "m"}}))
}

// close must leave nothing behind.
func (p *place) close() {
	p.w.Helper()
	p.w.ok(p.Close(p.w.ctx))
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// is fails unless err is the condition.
func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

func says(text string) transcript.Blocks { return transcript.TextBlocks(text) }

func (p *place) submit(in id.Input, text string) machine.Verdict {
	p.w.Helper()
	v, _, err := p.AcceptWithCompletion(p.w.ctx, sid, runtime.Input{ID: in, Content: says(text)})
	p.w.ok(err)
	return v
}

func (p *place) steer(in id.Input, text string) machine.Verdict {
	p.w.Helper()
	v, _, err := p.AcceptWithCompletion(p.w.ctx, sid, runtime.Input{ID: in, Content: says(text), Steer: true})
	p.w.ok(err)
	return v
}

// task takes the next directive, which must be of a kind.
func (p *place) task(kind run.Kind) task {
	p.w.Helper()
	select {
	case t := <-p.tasks:
		if t.Kind != kind {
			p.w.Fatalf("handed out %s %s, want %s", t.Kind, t.Call.Name, kind)
		}
		return t
	case <-time.After(10 * time.Minute):
		p.w.Fatalf("no %s was handed out", kind)
		return task{}
	}
}

// nothing fails if something is handed out before everything is at rest.
func (p *place) nothing() {
	p.w.Helper()
	synctest.Wait()
	select {
	case t := <-p.tasks:
		p.w.Fatalf("handed out: %s %s attempt %d", t.Kind, t.Call.Name, t.Attempt)
	default:
	}
}

func (p *place) ended(in id.Input, status string) machine.InputChange {
	p.w.Helper()
	how, err := p.Wait(p.w.ctx, sid, in)
	p.w.ok(err)
	if how.Ended.Status != status {
		p.w.Fatalf("input %s ended %s (%s), want %s", in, how.Ended.Status, how.Ended.Error, status)
	}
	return how
}

func (p *place) state() machine.State {
	p.w.Helper()
	st, err := p.State(p.w.ctx, sid)
	p.w.ok(err)
	p.w.ok(machine.Check(st))
	return st
}

// replies answers a model call; each call is name/class.
func (t task) replies(text string, calls ...call) error {
	r := run.ModelReplied{ID: t.ID, Reply: transcript.Assistant{Stop: transcript.StopEndTurn}}
	if text != "" {
		r.Reply.Blocks = says(text)
	}
	for n, c := range calls {
		use := transcript.ToolUse{ID: id.Call(fmt.Sprintf("call-%s-%d", t.ID, n)), Name: c.name, Args: []byte("{}")}
		r.Reply.Blocks = append(r.Reply.Blocks, use)
		r.Calls = append(r.Calls, run.Intent{Call: use, Class: c.class})
	}
	return t.turn.Report(t.ctx, r)
}

type call struct {
	name  string
	class run.Class
}

// settles answers a tool call.
func (t task) settles(text string) error {
	return t.turn.Report(t.ctx, run.ToolSettled{ID: t.ID, Result: transcript.ToolResult{Content: says(text)}})
}

func (t task) fails(attempt int, retryable bool) error {
	return t.turn.Report(t.ctx, run.ModelFailed{ID: t.ID, Attempt: attempt, Failure: run.Failure{Kind: "overloaded", Message: "busy", Retryable: retryable}})
}

// events reads what is durable and checks that the cursors are dense (R28).
func (p *place) events() []event.Event {
	p.w.Helper()
	all, err := p.Events(p.w.ctx, sid, 0, 0)
	p.w.ok(err)
	for n, e := range all {
		if e.Cursor != uint64(n+1) {
			p.w.Fatalf("event %d has cursor %d", n, e.Cursor)
		}
	}
	return all
}

func count[P event.Payload](events []event.Event) int {
	n := 0
	for _, e := range events {
		if _, ok := e.Payload.(P); ok {
			n++
		}
	}
	return n
}

// results lists the results in the transcript as call name: code, or text if it has no code.
func (p *place) results() []string {
	p.w.Helper()
	rows, err := p.Transcript(p.w.ctx, sid, 1, 0)
	p.w.ok(err)
	var out []string
	for _, r := range rows {
		if r, ok := r.Entry.(transcript.ToolResult); ok {
			what := r.Code
			if what == "" {
				what = r.Content.Plain()
			}
			out = append(out, r.Name+": "+what)
		}
	}
	return out
}

// stepping is a loop of its own that looks at a boundary for each true it is sent, tells what it found there, and is done at a false.
func stepping() (step chan bool, at chan run.Boundary, loop executor.Executor) {
	step, at = make(chan bool), make(chan run.Boundary)
	return step, at, executor.Whole{Do: func(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
		for <-step {
			got, err := b.Turn.Boundary(ctx, d.ID)
			if err != nil {
				return run.RunApplied{}, err
			}
			at <- got
		}
		return run.RunApplied{Appends: []transcript.Entry{transcript.Assistant{Blocks: says("done"), Stop: transcript.StopEndTurn}}}, nil
	}}
}
