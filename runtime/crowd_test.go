package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
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
			case dice == 1:
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
	t := task{d, b.Turn, ctx}
	b.Delta(executor.Delta{ID: d.ID, Text: "…"})
	if d.Kind == run.CallModel {
		if rows, err := b.Transcript(ctx, d.Upto); err == nil && len(rows) == 0 {
			panic("nothing to answer")
		}
	}
	switch {
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

// Hundreds of callers say anything to the same few sessions while the store fails now and then. Nobody may hang: in a bubble that is
// noticed at once. What is left is in order.
// Scenario: S62
func TestR31_R45_a_crowd_at_the_same_sessions(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.host(func(c *runtime.Config) {
					c.Executor, c.Mailbox, c.Fold, c.StoreGrace = busy(seed), 64, 8, 2*time.Second
				})
				var faults atomic.Uint64
				w.store.decide(func(*store.Batch) storetest.Fault {
					return mishap(rand.New(rand.NewPCG(seed, faults.Add(1))).IntN(60))
				})
				sessions := []id.Session{sid, "s2", "s3"}
				var wg sync.WaitGroup
				for n := range 200 {
					wg.Go(func() {
						rng := rand.New(rand.NewPCG(seed, uint64(n)))
						for range 12 {
							pass(time.Duration(rng.IntN(50)) * time.Millisecond)
							p.anything(rng, sessions[rng.IntN(3)])
						}
					})
				}
				wg.Wait()
				w.store.decide(nil)
				for _, s := range sessions {
					w.orderly(p, s)
				}
				p.close()
			})
		})
	}
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

// anything says something to a session. Any refusal is fine that has a code.
func (p *place) anything(rng *rand.Rand, s id.Session) {
	ctx, cancel := context.WithTimeout(p.w.ctx, time.Duration(rng.IntN(3000))*time.Millisecond)
	defer cancel()
	var err error
	current := func() id.Run {
		st, _ := p.State(ctx, s)
		return st.Run()
	}
	in := id.Input(fmt.Sprint("in-", rng.IntN(40)))
	switch rng.IntN(12) {
	case 0, 1, 2:
		_, _, err = p.AcceptWithCompletion(ctx, s, runtime.Input{ID: in, Content: says("hello"), RequireIdle: rng.IntN(4) == 0})
	case 3, 4:
		_, _, err = p.AcceptWithCompletion(ctx, s, runtime.Input{ID: in, Content: says("and"), Steer: true})
	case 5:
		_, err = p.Wait(ctx, s, in)
	case 6:
		err = p.InterruptCurrentRun(ctx, s, current(), "why not")
	case 7:
		err = p.CancelAfterBoundary(ctx, s, current())
	case 8:
		err = p.StopRuntimeExecutor(ctx, s, "why not", time.Duration(rng.IntN(200))*time.Millisecond)
	case 9:
		err = p.RegisterSession(ctx, s, runtime.Registration{Profile: &run.Profile{Model: "m"}})
	case 10:
		err = p.RegisterSession(ctx, s, runtime.Registration{})
	case 11:
		_, err = p.EnsureSessionWithExecutor(ctx, s, busy(1))
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && fault.CodeOf(err) == fault.Internal {
		p.w.Errorf("an error without a code: %v", err)
	}
}

// orderly brings a session to rest and looks at what is stored.
func (w *world) orderly(p *place, s id.Session) {
	w.Helper()
	if err := p.RegisterSession(w.ctx, s, runtime.Registration{}); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		w.Fatalf("revive: %v", err)
	}
	for range 1000 {
		st, err := p.State(w.ctx, s)
		w.ok(err)
		w.ok(machine.Check(st))
		list, err := p.ListActiveInputs(w.ctx, s)
		w.ok(err)
		if st.Run() == "" && len(list) == 0 {
			w.stored(p, s)
			return
		}
		pass(time.Second)
	}
	st, _ := p.State(w.ctx, s)
	w.Fatalf("session %s does not come to rest: %s, %d open", s, st.Turn.Phase, st.Open.Len())
}

// stored checks runs, inputs and transcript of a session at rest.
func (w *world) stored(p *place, s id.Session) {
	w.Helper()
	events, err := p.Events(w.ctx, s, 0, 0)
	w.ok(err)
	starts, ends := map[id.Run]int{}, map[id.Run]int{}
	accepted, over := map[id.Input]int{}, map[id.Input]int{}
	for n, e := range events {
		if e.Cursor != uint64(n+1) {
			w.Fatalf("R28: event %d has cursor %d", n, e.Cursor)
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
		}
	}
	for r, n := range starts {
		if n != 1 || ends[r] != 1 {
			w.Fatalf("R32: run %s started %d times and ended %d times", r, n, ends[r])
		}
	}
	for in, n := range accepted {
		if n != 1 || over[in] != 1 {
			w.Fatalf("R31: input %s accepted %d times and ended %d times", in, n, over[in])
		}
	}
	rows, err := p.Transcript(w.ctx, s, 1, 0)
	w.ok(err)
	open := map[id.Call]bool{}
	for _, r := range rows {
		switch e := r.Entry.(type) {
		case transcript.Assistant:
			for _, u := range e.Blocks.ToolUses() {
				open[u.ID] = true
			}
		case transcript.ToolResult:
			if !open[e.Call] {
				w.Fatalf("R37: a result without a call, or a second one, at %v", r.At)
			}
			delete(open, e.Call)
		}
	}
	if len(open) > 0 {
		w.Fatalf("R37: calls without a result: %v", open)
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
