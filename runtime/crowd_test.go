package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/sqlite"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// busy carries runs out by itself: calls of every class, failures, early returns, now and then a panic.
func busy(seed uint64) executor.Executor {
	var n atomic.Uint64
	return scripted{apply: func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
		rng := rand.New(rand.NewPCG(seed, n.Add(1)))
		var wg sync.WaitGroup
		defer wg.Wait()
		for d := range b.Turn.Directives(ctx) {
			dice := rng.IntN(40)
			switch {
			case dice == 0:
				panic("an executor that breaks")
			case dice == 1, d.Kind == run.ApplyRun:
				return errors.New("an executor that leaves")
			}
			wg.Go(func() { answer(ctx, d, b, dice) })
		}
		return nil
	}}
}

func answer(ctx context.Context, d run.Directive, b executor.Bindings, dice int) {
	select {
	case <-time.After(time.Duration(dice) * 10 * time.Millisecond):
	case <-ctx.Done():
		return
	}
	t := task{d, b.Turn, ctx, b.Call}
	b.Delta(executor.Delta{ID: d.ID, Text: "…"})
	if d.Kind == run.CallModel {
		if rows, err := b.Transcript(ctx, d.Upto); err == nil && len(rows) == 0 {
			panic("nothing to answer")
		}
	}
	switch {
	case d.Caller:
		panic("R127: a run that its caller carries out")
	case d.Kind == run.RunTool:
		_ = t.settles("ok") // stale, or the end of ctx: nothing to do about it
	case dice < 5:
		_ = t.fails(d.Attempt, true)
	case dice < 20 && d.Round < 4:
		_ = t.replies("", call{"x", run.Once}, call{"y", run.ReadOnly}, call{"z", run.Idempotent})
	default:
		_ = t.replies("done")
	}
}

// looping has a loop of its own: it crosses a few boundaries, takes steers there, and says in the end what came of all of it.
func looping(seed uint64) executor.Executor {
	var n atomic.Uint64
	return executor.Whole{Class: run.Class(seed % 3), Do: func(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
		rng := rand.New(rand.NewPCG(seed, n.Add(1)))
		if d.Caller {
			panic("R127: a run that its caller carries out")
		}
		for range rng.IntN(4) {
			select {
			case <-time.After(time.Duration(1+rng.IntN(300)) * time.Millisecond):
			case <-ctx.Done():
				return run.RunApplied{}, ctx.Err()
			}
			at, err := b.Turn.Boundary(ctx, d.ID)
			if err != nil {
				return run.RunApplied{}, err
			}
			if at.Cancel {
				break
			}
		}
		r := run.RunApplied{Appends: []transcript.Entry{transcript.Assistant{Blocks: says("done"), Stop: transcript.StopEndTurn}}}
		switch rng.IntN(12) {
		case 0:
			return r, errors.New("an executor that leaves")
		case 1:
			r.Failed = &run.Failure{Message: "it did not work"}
		}
		return r, nil
	}}
}

// meddler is an executor that calls the host from wherever the host calls it.
type meddler struct {
	executor.Executor
	c *crowd
	n *atomic.Uint64
}

func (m meddler) meddle(ctx context.Context, s id.Session) error {
	rng := rand.New(rand.NewPCG(m.c.seed, m.n.Add(1)))
	ctx, cancel := context.WithTimeout(ctx, time.Second) // it may wait for an input that waits for it
	defer cancel()
	if rng.IntN(4) == 0 {
		m.c.says(ctx, rng, s)
	}
	if rng.IntN(8) == 0 {
		return errors.New("the far side is gone")
	}
	return nil
}

func (m meddler) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	_ = m.meddle(ctx, r.Session)
	return m.Executor.Apply(ctx, r, b)
}

func (m meddler) Interrupt(ctx context.Context, r executor.Run, _ string) error {
	return m.meddle(ctx, r.Session)
}

func (m meddler) Clean(ctx context.Context, s id.Session) error { return m.meddle(ctx, s) }

// Signal implements runtime.Signals: whoever placed a session does what comes to his mind when he hears of it.
func (m meddler) Signal(ctx context.Context, s id.Session, _ run.Signal) error {
	return m.meddle(ctx, s)
}

// crowd is hundreds of callers who say anything to the same few sessions. A session lives for a while; then it is somebody's turn to
// archive or to destroy it, and the crowd moves on to the next.
type crowd struct {
	*place
	seed     uint64
	sessions []id.Session
	own      bool // the host has an executor of its own

	mu    sync.Mutex
	heard map[owed]runtime.Outcome // what whoever waits for an accepted input was told in the end
	said  map[string]int           // how often each command was carried out, and each sort of mistake
	waits sync.WaitGroup
}

// owed is an input that was accepted.
type owed struct {
	session id.Session
	input   id.Input
}

// Hundreds of callers, executors and orchestrators say anything to the same few sessions, while the store fails now and then. Nobody may
// hang: in a bubble that is noticed at once. Every answer is one of those that are promised; what is left is in order, also of
// sessions that were destroyed in the middle; and whoever waits hears what is stored.
//
// They also show R54, R55, R56, R57, R58 and R127.
//
// Scenario: S62, S121, M4, M8
func TestR31_R45_a_crowd_at_the_same_sessions(t *testing.T) {
	var mu sync.Mutex
	said := map[string]int{}
	t.Cleanup(func() {
		for _, x := range sayings {
			if !t.Failed() && said[x.name] == 0 {
				t.Errorf("%s was never carried out", x.name)
			}
		}
	})
	for _, c := range []struct {
		name     string
		seed     uint64
		executor func(c *crowd) executor.Executor
	}{
		{"step by step", 1, func(c *crowd) executor.Executor { return busy(c.seed) }},
		{"whole runs", 2, func(c *crowd) executor.Executor { return looping(c.seed) }},
		{"without an executor of its own", 3, func(*crowd) executor.Executor { return nil }},
		{"an executor that meddles", 4, func(c *crowd) executor.Executor { return meddler{busy(c.seed), c, new(atomic.Uint64)} }},
		{"a loop that meddles, over SQLite", 5, func(c *crowd) executor.Executor { return meddler{looping(c.seed), c, new(atomic.Uint64)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			bubble(t, func(w *world) {
				if strings.Contains(c.name, "SQLite") {
					db, err := sqlite.Open(w.ctx, sqlite.Options{Path: filepath.Join(dir, "store.db")})
					w.ok(err)
					defer func() { w.ok(db.Close()) }()
					w.store = &flaky{Faulty: storetest.Faulty{Store: db}}
				}
				for name, n := range w.crowd(c.seed, 200, 12, c.executor) {
					mu.Lock()
					said[name] += n
					mu.Unlock()
				}
			})
		})
	}
}

// crowd lets so many callers say so many things each. It returns how often each was carried out.
func (w *world) crowd(seed uint64, callers, rounds int, ex func(*crowd) executor.Executor) map[string]int {
	w.Helper()
	c := &crowd{seed: seed, heard: map[owed]runtime.Outcome{}, said: map[string]int{}}
	for n := range 8 {
		c.sessions = append(c.sessions, id.Session(fmt.Sprintf("00000000-0000-7000-8000-0000000000%02x", n+1)))
	}
	c.place = w.host(func(config *runtime.Config) {
		config.Executor = ex(c)
		c.own = config.Executor != nil
		config.Signals = meddler{nil, c, new(atomic.Uint64)}
		config.Mailbox, config.Fold, config.StoreGrace = 64, 8, 2*time.Second
	})
	var faults atomic.Uint64
	w.store.decide(func(*store.Batch) storetest.Fault {
		return mishap(rand.New(rand.NewPCG(seed, faults.Add(1))).IntN(60))
	})
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(n)))
			for round := range rounds {
				// Never no time at all: a timer that is due at once was seen to crash the race detector in a bubble.
				pass(time.Duration(1+rng.IntN(200)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(w.ctx, time.Duration(1+rng.IntN(3000))*time.Millisecond)
				c.says(ctx, rng, c.sessions[round*(len(c.sessions)-2)/rounds+rng.IntN(3)])
				cancel()
			}
		})
	}
	all.Wait()
	w.store.decide(nil)
	for _, s := range c.sessions {
		c.orderly(s)
	}
	c.waits.Wait()
	c.everybodyHeard()
	for _, s := range c.sessions {
		c.over(s)
	}
	c.close()
	return c.said
}

func mishap(dice int) storetest.Fault {
	f := storetest.Fault{Delay: time.Duration(dice%5) * time.Millisecond}
	switch dice {
	case 50, 51, 52, 53:
		f.Fail = store.ErrFull
	case 54, 55:
		f.Hide = storetest.HideLost
	case 56, 57, 58:
		f.Hide = storetest.HideWritten
	}
	return f
}

// caller is one of the crowd, about to say one thing to one session.
type caller struct {
	c   *crowd
	ctx context.Context
	rng *rand.Rand
	s   id.Session
}

// sayings are all that can be said to a session, and how often it is.
var sayings = []struct {
	weight int
	name   string
	say    func(*caller) error
}{
	{160, "submit", (*caller).submit},
	{24, "wait", (*caller).wait},
	{16, "amend", func(c *caller) error {
		return c.c.AmendSession(c.ctx, c.s, run.Profile{Model: "m", System: "be brief"})
	}},
	{24, "context", func(c *caller) error {
		return just(c.c.AddContext(c.ctx, c.s, fmt.Sprintf("context %d", c.rng.IntN(40)), transcript.Notice{Kind: "context", Text: fmt.Sprint(c.rng.IntN(3))}))
	}},
	{80, "prepare", (*caller).prepare},
	{40, "serve", (*caller).serve},
	{24, "interrupt", func(c *caller) error { return c.c.InterruptCurrentRun(c.ctx, c.s, c.current(), "why not") }},
	{24, "cancel", func(c *caller) error { return c.c.CancelAfterBoundary(c.ctx, c.s, c.current()) }},
	{8, "stop", func(c *caller) error {
		return c.c.StopRuntimeExecutor(c.ctx, c.s, "why not", time.Duration(1+c.rng.IntN(200))*time.Millisecond)
	}},
	{40, "make", func(c *caller) error {
		r := runtime.Registration{Profile: &run.Profile{Model: "m"}}
		if c.rng.IntN(2) == 0 {
			r.Profile.System = "be brief"
		} else {
			r.Seed = []transcript.Row{{Entry: transcript.User{Content: says("hello")}}}
		}
		return c.c.RegisterSession(c.ctx, c.s, r)
	}},
	{120, "register", func(c *caller) error { return c.c.RegisterSession(c.ctx, c.s, runtime.Registration{}) }},
	{12, "unregister", func(c *caller) error { return c.c.UnregisterSession(c.ctx, c.s) }},
	{40, "attach", (*caller).attach},
	{24, "prepare bindings", func(c *caller) error {
		return just(c.c.PrepareBindings(c.ctx, c.s, runtime.Registration{}))
	}},
	{16, "prepare local bindings", func(c *caller) error {
		return just(c.c.PrepareLocalSessionBindings(c.ctx, c.s, runtime.Registration{}))
	}},
	{50, "bind", (*caller).bind},
	{8, "retire", func(c *caller) error { return just(c.c.Retire(c.ctx, c.s)) }},
	{24, "abandon", func(c *caller) error { return just(c.c.AbandonRetired(c.ctx, c.s)) }},
	{30, "reset", func(c *caller) error { return just(c.c.Reset(c.ctx, c.s)) }},
	{40, "recycle", func(c *caller) error { return just(c.c.Recycle(c.ctx, c.s)) }},
	{24, "recover", func(c *caller) error { return just(c.c.Recover(c.ctx, c.s)) }},
	{2, "destroy", func(c *caller) error { return just(c.c.Destroy(c.ctx, c.s)) }},
	{2, "archive", func(c *caller) error { return c.c.Archive(c.ctx, c.s) }},
	{24, "publish", func(c *caller) error { return c.c.PublishEvent(c.ctx, c.s, "note", []byte(`{"a":1}`)) }},
	{16, "wake", func(c *caller) error { return just(c.c.WakeSession(c.ctx, c.s)) }},
	{40, "read", (*caller).read},
}

// just keeps the error of an answer.
func just(_ any, err error) error { return err }

// says says anything, and looks whether the answer is one of those that are promised.
func (c *crowd) says(ctx context.Context, rng *rand.Rand, s id.Session) {
	total := 0
	for _, x := range sayings {
		total += x.weight
	}
	n := 0
	for dice := rng.IntN(total); dice >= sayings[n].weight; n++ {
		dice -= sayings[n].weight
	}
	before, _ := c.State(c.w.ctx, s)
	err := sayings[n].say(&caller{c, ctx, rng, s})
	if err == nil {
		c.mu.Lock()
		c.said[sayings[n].name]++
		c.mu.Unlock()
	}
	if text := unpromised(sayings[n].name, before.Phase(), err); text != "" {
		c.complain(fmt.Sprintf("%s of a session that was %s: %s", sayings[n].name, before.Phase(), text), err)
	}
}

// complain tells of a sort of mistake once.
func (c *crowd) complain(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said[what]++; c.said[what] == 1 {
		c.w.Errorf("%s: %v", what, err)
	}
}

// promised are the answers that a host may give, beside those of its store and of the caller's own context.
var promised = []error{runtime.ErrNotFound, runtime.ErrNotReady, runtime.ErrNotRunning, runtime.ErrNotCurrent, runtime.ErrBusy,
	runtime.ErrExists, runtime.ErrBegun, runtime.ErrStopping, runtime.ErrOverloaded, runtime.ErrDestroyed, runtime.ErrStopped, runtime.ErrRetired, runtime.ErrBound,
	runtime.ErrStaleEpoch, runtime.ErrDuplicate, runtime.ErrNotCallers, runtime.ErrUnregistered, runtime.ErrUnregisterInProgress,
	runtime.ErrUnregisterUnknown, runtime.ErrInterruptUnknown, runtime.ErrInvalid, runtime.ErrStore}

// outside are conditions of what the host stands on, and of whom it calls.
var outside = []error{store.ErrFull, store.ErrUnknown, store.ErrNotFound, runtime.ErrSignal, runtime.ErrCleanup, runtime.ErrClosed,
	context.DeadlineExceeded, context.Canceled}

// last are the answers of a session that was destroyed. What has ended is answered as before: an input that is known is a duplicate.
var last = []error{runtime.ErrDestroyed, runtime.ErrNotRunning, runtime.ErrDuplicate, store.ErrNotFound}

// harmless are the commands that a session which is over may carry out: they look, or find an input that was given before.
var harmless = []string{"read", "submit", "context", "wait", "wake"}

// unpromised says what is wrong with an answer; empty: nothing.
func unpromised(command, phase string, err error) string {
	is := func(list []error) bool {
		return slices.ContainsFunc(list, func(x error) bool { return errors.Is(err, x) })
	}
	left := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	switch {
	case err == nil && phase == "destroyed" && command != "destroy" && !slices.Contains(harmless, command):
		return "it was carried out on a session that was destroyed"
	case err == nil || left && !is(promised):
		return ""
	case phase == "destroyed" && !is(last) && !left:
		return "R55: that is not how a destroyed session answers"
	case !is(promised) && !is(outside):
		return "that is no answer that was promised"
	case fault.CodeOf(err) == fault.Internal && !errors.Is(err, runtime.ErrSignal) && !errors.Is(err, runtime.ErrCleanup):
		return "an error without a code"
	}
	var named *runtime.CommandError
	if !errors.As(err, &named) && command != "wait" && command != "read" {
		return "R56: it does not say which command was refused"
	}
	return ""
}

func (c *caller) current() id.Run {
	st, _ := c.c.State(c.ctx, c.s)
	return st.Run()
}

// input is any of forty; some have the key of another.
func (c *caller) input() runtime.Input {
	in := runtime.Input{ID: id.Input(fmt.Sprint("in-", c.rng.IntN(40))), Content: says("hello")}
	if c.rng.IntN(8) == 0 {
		in.Key = fmt.Sprint("in-", c.rng.IntN(40))
	}
	return in
}

// submit gives the session something to do, and has somebody wait for its end, however long that takes.
func (c *caller) submit() error {
	in := c.input()
	in.Steer, in.RequireIdle = c.rng.IntN(2) == 0, c.rng.IntN(8) == 0
	v, _, err := c.c.AcceptWithCompletion(c.ctx, c.s, in)
	if err != nil {
		return err
	}
	if !v.Duplicate {
		c.c.waits.Go(func() { c.c.hear(owed{c.s, v.Input}) })
	}
	return nil
}

// hear waits until an input has ended, through every unregistration of its session.
func (c *crowd) hear(o owed) {
	for range 10_000 {
		out, err := c.Completion(o.session, o.input).Wait(c.w.ctx)
		_, unsure := out.(runtime.FinalizationFailed)
		switch {
		case c.w.ctx.Err() != nil:
			return // the test has failed
		case errors.Is(err, runtime.ErrNotFound), out == runtime.Terminated{Reason: "runtime session unregistered"}, unsure:
			pass(time.Second)
			continue
		case err != nil:
			c.w.Errorf("whoever waits for %s of %s hears %v", o.input, o.session, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if was := c.heard[o]; was != nil {
			c.w.Errorf("R33: input %s of %s was accepted twice", o.input, o.session)
		}
		c.heard[o] = out
		return
	}
	c.w.Errorf("R31: whoever waits for %s of %s hears nothing", o.input, o.session)
}

func (c *caller) wait() error {
	how, err := c.c.Wait(c.ctx, c.s, c.input().ID)
	if err == nil && how.Ended == nil {
		return errors.New("it has not ended")
	}
	return err
}

// prepare binds a run, and commits it, or says that it failed, or forgets it.
func (c *caller) prepare() error {
	p, err := c.c.Prepare(c.ctx, c.s, c.input())
	if err != nil {
		return err
	}
	if p.Run == "" || !p.Directive.Caller || p.Directive.Run != p.Run {
		return fmt.Errorf("prepared %+v", p)
	}
	pass(time.Duration(1+c.rng.IntN(100)) * time.Millisecond)
	switch c.rng.IntN(3) {
	case 0:
		return c.c.Commit(c.ctx, p, run.RunApplied{Inputs: p.Directive.Inputs})
	case 1:
		return c.c.Fail(c.ctx, p, run.Failure{Message: "it broke"})
	}
	return nil
}

func (c *caller) serve() error {
	if _, err := c.c.PrepareServiceTurn(c.ctx, c.s); err != nil {
		return err
	}
	pass(time.Duration(1+c.rng.IntN(100)) * time.Millisecond)
	if c.rng.IntN(2) == 0 {
		return nil
	}
	return c.c.CommitServiceTurnTerminalReceipt(c.ctx, c.s, run.RunApplied{})
}

func (c *caller) attach() error {
	ex := []executor.Executor{busy(c.c.seed), looping(c.c.seed), meddler{busy(1), c.c, new(atomic.Uint64)}}[c.rng.IntN(3)]
	return just(c.c.EnsureSessionWithExecutor(c.ctx, c.s, ex))
}

// bind puts the session at one of two places, under the epoch it has, or had.
func (c *caller) bind() error {
	st, err := c.c.State(c.ctx, c.s)
	if err != nil {
		return err
	}
	pass(time.Duration(1+c.rng.IntN(20)) * time.Millisecond)
	p := machine.Placement{Runtime: fmt.Sprint("east-", c.rng.IntN(2)), Fence: 1}
	return c.c.BindPlacement(c.ctx, c.s, st.Lifecycle.Epoch, p)
}

// read asks for all that can be asked, and looks whether it fits.
func (c *caller) read() error {
	p := c.c
	st, err := p.State(c.ctx, c.s)
	if errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	if err == nil {
		err = machine.Check(st)
	}
	in := c.input().ID
	_, inErr := p.InputState(c.ctx, c.s, in)
	_, receiptErr := p.LoadBoundaryReceipt(c.ctx, c.s, st.Run(), 1)
	for _, e := range []error{inErr, receiptErr} {
		if !errors.Is(e, store.ErrNotFound) {
			err = errors.Join(err, e)
		}
	}
	if d := p.Probe(c.ctx, c.s); strings.Contains(strings.Join(d.Reasons, " "), "rule") {
		err = errors.Join(err, fmt.Errorf("probed: %v", d.Reasons))
	}
	if found, e := p.SessionOf(runtime.RuntimeOf(c.s)); e != nil || found != c.s {
		err = errors.Join(err, fmt.Errorf("found %s: %w", found, e))
	}
	return errors.Join(err, just(p.SessionHasExecutor(c.ctx, c.s)), just(p.Status(c.ctx, c.s)),
		just(p.ListActiveInputs(c.ctx, c.s)), just(p.ContainsSession(c.ctx, c.s)), just(p.RuntimeState(c.ctx, c.s)), just(p.Effects(c.ctx, c.s)), just(p.Events(c.ctx, c.s, st.Cursor, 1)),
		just(p.Transcript(c.ctx, c.s, st.Message, 0)))
}

// orderly brings a session to rest, as somebody would who has nothing else to do with it, and looks at what is stored.
func (c *crowd) orderly(s id.Session) {
	c.w.Helper()
	var st machine.State
	for range 1000 {
		err := c.RegisterSession(c.w.ctx, s, runtime.Registration{})
		if errors.Is(err, runtime.ErrUnregisterInProgress) { // the store failed in the middle of it
			if err := c.UnregisterSession(c.w.ctx, s); err != nil && !errors.Is(err, runtime.ErrCleanup) {
				c.w.Fatal(err)
			}
			continue
		}
		gone := errors.Is(err, runtime.ErrDestroyed) || errors.Is(err, runtime.ErrArchived) // signals may be owed all the same
		if errors.Is(err, runtime.ErrNotFound) && !gone {
			return // nobody ever made it
		}
		if err != nil && !gone {
			c.w.Fatalf("register %s again: %v", s, err)
		}
		if st, err = c.State(c.w.ctx, s); !gone && !st.Attached() {
			c.w.ok(err)
			if c.own {
				c.w.Fatalf("R54: nobody carries out what session %s has, in phase %s", s, c.phaseOf(s))
			}
			if _, err = c.EnsureSessionWithExecutor(c.w.ctx, s, busy(c.seed)); errors.Is(err, runtime.ErrRetired) {
				_, err = c.AbandonRetired(c.w.ctx, s)
			}
			c.w.ok(err)
		}
		st, err = c.State(c.w.ctx, s)
		c.w.ok(err)
		c.w.ok(machine.Check(st))
		if _, d, ok := st.Open.First(); ok && d.Caller { // whoever promised to carry it out has forgotten it
			err = c.InterruptCurrentRun(c.w.ctx, s, st.Run(), "forgotten")
			if err != nil && !errors.Is(err, runtime.ErrInterruptUnknown) {
				c.w.Fatal(err)
			}
		}
		if st.Run() == "" && st.Inbox.Len() == 0 && st.Open.Len() == 0 {
			c.stored(s)
			return
		}
		if st.Run() == "" && st.Inbox.Len() == st.Inbox.Riding() { // what is only to be known waits for whoever comes next
			_, _, err := c.AcceptWithCompletion(c.w.ctx, s, runtime.Input{Content: says("anything new?")})
			c.w.ok(err)
		}
		pass(time.Second)
	}
	c.w.Fatalf("session %s does not come to rest in phase %s: %+v, %+v, %d wait, %d open", s, st.Phase(), st.Control, st.Transient, st.Inbox.Len(), st.Open.Len())
}

func (c *crowd) phaseOf(s id.Session) string {
	phase, err := c.RuntimeState(c.w.ctx, s)
	c.w.ok(err)
	return phase
}

// everybodyHeard holds what those who waited were told against what is stored.
func (c *crowd) everybodyHeard() {
	for o, told := range c.heard {
		how, err := c.InputState(c.w.ctx, o.session, o.input)
		c.w.ok(err)
		again, err := c.Completion(o.session, o.input).Wait(c.w.ctx)
		c.w.ok(err)
		if how.Ended == nil || !reflect.DeepEqual(told, again) {
			c.w.Errorf("R31: whoever waited for %s of %s was told %#v, stored is %#v", o.input, o.session, told, again)
		}
	}
}

// over looks at what a session answers that was destroyed or archived: nothing brings it back, and nothing is written.
func (c *crowd) over(s id.Session) {
	st, err := c.State(c.w.ctx, s)
	if errors.Is(err, runtime.ErrNotFound) || err == nil && st.Phase() != "destroyed" && !st.Lifecycle.Archived {
		return
	}
	c.w.ok(err)
	if st.Lifecycle.Archived { // whoever archived it may have left before it was unregistered
		if err := c.Archive(c.w.ctx, s); err != nil && !errors.Is(err, runtime.ErrCleanup) {
			c.w.Fatalf("archive %s once more: %v", s, err)
		}
		st, err = c.State(c.w.ctx, s)
		c.w.ok(err)
	}
	for seed := range uint64(4) {
		for _, x := range sayings {
			if x.name == "archive" || x.name == "destroy" {
				continue // said again they are no error
			}
			err := x.say(&caller{c, c.w.ctx, rand.New(rand.NewPCG(seed, 1)), s})
			text := unpromised(x.name, st.Phase(), err)
			if st.Lifecycle.Archived && err == nil && !slices.Contains(harmless, x.name) {
				text = "it was carried out on a session that was archived"
			}
			if text != "" {
				c.w.Errorf("%s of a session that is over: %s: %v", x.name, text, err)
			}
			if after, err := c.State(c.w.ctx, s); err != nil || after.Version != st.Version {
				c.w.Fatalf("R55: %s of a session that is over at version %d brought it to %d, %v", x.name, st.Version, after.Version, err)
			}
		}
	}
}

// stored checks runs, inputs and transcript of a session at rest.
func (c *crowd) stored(s id.Session) {
	c.w.Helper()
	events, err := c.Events(c.w.ctx, s, 0, 0)
	c.w.ok(err)
	starts, ends := map[id.Run]int{}, map[id.Run]int{}
	accepted, over := map[id.Input]int{}, map[id.Input]int{}
	destroyed := 0
	for n, e := range events {
		if e.Cursor != uint64(n+1) {
			c.w.Fatalf("R28: event %d has cursor %d", n, e.Cursor)
		}
		if destroyed > 0 {
			c.w.Fatalf("R55: after it was destroyed session %s tells %T", s, e.Payload)
		}
		switch p := e.Payload.(type) {
		case event.RunStarted:
			starts[e.Run]++
		case event.RunCompleted, event.RunFailed:
			ends[e.Run]++
		case event.InputAccepted:
			accepted[p.Input]++
		case event.InputEnded:
			over[p.Input]++
		case event.SessionDestroyed:
			destroyed++
		}
	}
	for r, n := range starts {
		if n != 1 || ends[r] != 1 {
			c.w.Fatalf("R32: run %s started %d times and ended %d times", r, n, ends[r])
		}
	}
	for in, n := range accepted {
		if n != 1 || over[in] != 1 {
			c.w.Fatalf("R31: input %s accepted %d times and ended %d times", in, n, over[in])
		}
	}
	rows, err := c.Transcript(c.w.ctx, s, 1, 0)
	c.w.ok(err)
	open := map[id.Call]bool{}
	for _, r := range rows {
		switch e := r.Entry.(type) {
		case transcript.Assistant:
			for _, u := range e.Blocks.ToolUses() {
				open[u.ID] = true
			}
		case transcript.ToolResult:
			if !open[e.Call] {
				c.w.Fatalf("R37: a result without a call, or a second one, at %v", r.At)
			}
			delete(open, e.Call)
		}
	}
	if len(open) > 0 {
		c.w.Fatalf("R37: calls without a result: %v", open)
	}
}

func TestWhat_cannot_be_encoded_harms_nobody_beside_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.store.decide(next(1, delayed))
		first := later(func() error { p.submit("b", "more"); return nil })
		use := transcript.ToolUse{ID: "c", Name: "x", Args: []byte("{")}
		bad := run.ModelReplied{ID: m.ID, Reply: transcript.Assistant{Blocks: transcript.Blocks{use}}, Calls: []run.Intent{{Call: use}}}
		reply := later(func() error { return m.turn.Report(m.ctx, bad) })
		third := later(func() error { p.submit("c", "more"); return nil })
		w.ok(<-first)
		if err := <-reply; err == nil || errors.Is(err, executor.ErrStale) || fault.CodeOf(err) != fault.Invalid {
			w.Fatalf("got %v", err)
		}
		w.ok(<-third)
		w.ok(m.replies("better"))
		p.ended("a", "completed")
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "", time.Nanosecond))
		p.close()
	})
}

// Whoever attaches an executor may leave before he is answered, or hear that nobody knows whether it is done.
// Scenario: S33
func TestR11_R25_an_attachment_that_nobody_was_told_of_leaves_nobody_idle(t *testing.T) {
	for name, hide := range map[string]storetest.Fault{"the caller leaves": delayed, "the outcome is unknown": {Hide: storetest.HideWritten}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(func(c *runtime.Config) { c.Executor = nil })
				p.submit("a", "hello")
				w.store.decide(always(hide))
				w.store.loads(func() error { return store.ErrBusy })
				ctx, leave := context.WithCancel(w.ctx)
				attached := later(func() error { return just(p.EnsureSessionWithExecutor(ctx, sid, hands{p.tasks})) })
				leave()
				w.is(<-attached, store.ErrUnknown)
				w.store.decide(nil)
				w.store.loads(nil)
				w.ok(p.task(run.CallModel).replies("done"))
				p.ended("a", "completed")
				p.close()
			})
		})
	}
}

// The same for a session that leaves: it is not kept in memory, and whoever takes it up again finds it as it is stored.
func TestR25_R57_an_unregistration_whose_outcome_was_unknown_is_done_or_not(t *testing.T) {
	for name, hide := range map[string]storetest.Hiding{"written": storetest.HideWritten, "lost": storetest.HideLost} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(nil)
				w.store.decide(always(storetest.Fault{Hide: hide}))
				w.store.loads(func() error { return store.ErrBusy })
				w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrUnregisterUnknown)
				w.store.decide(nil)
				w.store.loads(nil)
				pass(time.Minute)
				if name == "lost" {
					w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{}), runtime.ErrUnregisterInProgress)
					w.ok(p.UnregisterSession(w.ctx, sid))
				}
				if ok, err := p.ContainsSession(w.ctx, sid); ok || err != nil {
					w.Fatalf("contained: %t, %v", ok, err)
				}
				w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrNotFound)
				w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
				p.submit("a", "hello")
				w.ok(p.task(run.CallModel).replies("done"))
				p.ended("a", "completed")
				p.close()
			})
		})
	}
}

// What it has in hand when it is to be unregistered may come to an end all the same. Then there is no run any more that would bring the next.
func TestR54_a_retired_session_that_is_registered_again_carries_out_what_waits(t *testing.T) {
	bubble(t, func(w *world) {
		first := true
		ex := scripted{apply: func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
			for d := range b.Turn.Directives(ctx) {
				if first {
					first = false
					<-ctx.Done()
				}
				if err := (task{d, b.Turn, context.WithoutCancel(ctx), b.Call}).replies("done"); err != nil {
					return err
				}
			}
			return nil
		}}
		p := w.registered(func(c *runtime.Config) { c.Executor = ex })
		p.submit("a", "hello")
		p.submit("b", "and then")
		synctest.Wait() // the executor is at work on it
		w.ok(just(p.Retire(w.ctx, sid)))
		w.ok(p.UnregisterSession(w.ctx, sid))
		p.ended("a", "completed")
		if how, err := p.InputState(w.ctx, sid, "b"); err != nil || how.Ended != nil {
			w.Fatalf("R57: input b: %+v, %v", how, err)
		}
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		p.ended("b", "completed")
		if p.phase() != "retired" {
			w.Fatalf("phase %s", p.phase())
		}
		p.close()
	})
}

// Destroying is not refused while a session is being unregistered. Then there is nothing left to unregister.
func TestR55_R57_a_session_that_is_destroyed_while_it_is_unregistered(t *testing.T) {
	bubble(t, func(w *world) {
		release := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(context.Context, executor.Run, executor.Bindings) error { <-release; return nil }}
		})
		p.submit("a", "hello")
		synctest.Wait()
		leaves := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		w.ok(just(p.Destroy(w.ctx, sid)))
		w.pending(leaves)
		close(release)
		w.is(<-leaves, runtime.ErrDestroyed)
		w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrDestroyed)
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{}}), runtime.ErrDestroyed)
		p.close()
	})
}

// Whoever commits a run that is ended just then hears what he would have heard a moment later.
func TestR56_a_commit_that_comes_too_late_is_told_so_whenever_that_is(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		mine, err := p.Prepare(w.ctx, sid, runtime.Input{ID: "a", Content: says("mine")})
		w.ok(err)
		w.store.decide(next(1, delayed))
		interrupted := later(func() error { return p.InterruptCurrentRun(w.ctx, sid, mine.Run, "enough") })
		w.is(p.Commit(w.ctx, mine, run.RunApplied{}), runtime.ErrNotRunning)
		w.ok(<-interrupted)
		p.ended("a", "cancelled")
		p.close()
	})
}

// Whoever is told to come back later comes at the worst time: the end of the old registration and the beginning of the new one are one commit.
func TestR51_R57_a_session_that_is_registered_again_as_it_leaves_goes_on(t *testing.T) {
	bubble(t, func(w *world) {
		cleaned := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = cleaner{c.Executor.(hands), func(context.Context, id.Session) error { <-cleaned; return nil }}
		})
		mine, err := p.Prepare(w.ctx, sid, runtime.Input{ID: "a", Content: says("mine")})
		w.ok(err)
		p.submit("b", "waits")
		before := p.state().Lifecycle.Epoch
		leaves := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		w.store.decide(next(1, delayed)) // so that what comes meanwhile is taken together
		interrupted := later(func() error { return p.InterruptCurrentRun(w.ctx, sid, mine.Run, "enough") })
		close(cleaned)
		synctest.Wait()
		back := later(func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) })
		w.ok(<-interrupted)
		w.ok(<-leaves)
		w.ok(<-back)
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("b", "completed")
		if p.state().Lifecycle.Epoch == before {
			w.Fatal("R53: the epoch is the old one")
		}
		p.close()
	})
}

// Whoever was to make the session has left in the middle; who only wants it back does not make it.
func TestR56_a_registration_without_a_profile_makes_no_session(t *testing.T) {
	bubble(t, func(w *world) {
		slow := &slowAcquire{Store: w.store, asked: make(chan struct{}), free: make(chan struct{})}
		p := w.host(func(c *runtime.Config) { c.Store = slow })
		anew := runtime.Registration{Profile: &run.Profile{Model: "m"}}
		ctx, leave := context.WithCancel(w.ctx)
		left := later(func() error { return p.RegisterSession(ctx, sid, anew) })
		<-slow.asked
		leave()
		w.is(<-left, context.Canceled)
		close(slow.free)
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{}), runtime.ErrNotFound)
		w.ok(p.RegisterSession(w.ctx, sid, anew))
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		if st := p.state(); st.Profile == nil || st.Profile.Model != "m" {
			w.Fatalf("made with the profile %+v", st.Profile)
		}
		p.close()
	})
}

// One session waits for its disk, another for an executor that does not let go.
// Scenario: S124
func TestR45_what_is_done_to_one_session_holds_no_other_up(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		slow, stuck, hangs := id.Session("00000000-0000-7000-8000-000000000002"), id.Session("00000000-0000-7000-8000-000000000003"), make(chan struct{})
		p.register(slow)
		p.register(stuck)
		w.ok(just(p.EnsureSessionWithExecutor(w.ctx, stuck, scripted{apply: func(context.Context, executor.Run, executor.Bindings) error {
			<-hangs
			return nil
		}})))
		w.store.decide(func(b *store.Batch) (f storetest.Fault) {
			if b.Session == slow {
				f.Delay = time.Hour
			}
			return f
		})
		var others []<-chan error
		for _, s := range []id.Session{slow, stuck} {
			others = append(others, later(func() error {
				_, _, err := p.AcceptWithCompletion(w.ctx, s, runtime.Input{Content: says("x")})
				return errors.Join(err, p.UnregisterSession(w.ctx, s))
			}))
		}
		began := time.Now()
		w.ok(just(p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks})))
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		mine, err := p.Prepare(w.ctx, sid, runtime.Input{Content: says("x")})
		w.ok(err)
		w.ok(p.Commit(w.ctx, mine, run.RunApplied{}))
		all := commands(w, p)
		for _, name := range []string{"publish", "retire", "abandon", "reset", "recycle", "recover", "prepare bindings", "stop", "register", "unregister",
			"register", "prepare a turn", "destroy"} {
			if err := all[name](); err != nil {
				w.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(began); took != 0 {
			w.Fatalf("it took %v", took)
		}
		for _, ch := range others {
			w.ok(<-ch)
		}
		close(hangs)
		p.close()
	})
}
