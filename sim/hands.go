package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// hands is the executor of one process: models and tools made of dice, and every way to misbehave.
type hands struct {
	w *world
	p *process

	mu sync.Mutex
	at map[id.Session]int // how many are at work on a session
}

// Profile implements executor.Executor. In some histories the executor has a loop of its own.
func (h *hands) Profile() executor.Profile {
	if h.w.roll("grain")%3 > 0 {
		return executor.Profile{Grain: run.Fine}
	}
	return executor.Profile{Grain: run.Whole, Class: run.Class(h.w.roll("class") % 3)}
}

var errLeft = errors.New("the executor left")

// Apply implements executor.Executor.
func (h *hands) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	h.enter(r.Session, 1)
	defer h.enter(r.Session, -1)
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	given := map[[2]any]bool{}
	var wg sync.WaitGroup
	defer wg.Wait()
	for d := range b.Turn.Directives(ctx) {
		key := [2]any{d.ID, d.Attempt}
		if given[key] {
			h.w.breach("R01", "%s attempt %d was handed out twice", d.ID, d.Attempt)
		}
		given[key] = true
		if h.w.mischief(h.p, fmt.Sprintf("%s %s %s/%d", r.Session[len(r.Session)-1:], d.Kind, d.ID, d.Attempt)) {
			kind := h.w.fault("effect")
			if kind != "" {
				// Not at the very time at which others hear of the commit that led here: who is first would be left to the scheduler.
				h.w.takes(time.Millisecond, "strike", kind, d.ID)
			}
			switch kind {
			case "":
			case "panic":
				leave(errLeft)
				panic("the executor broke")
			case "leave":
				leave(errLeft)
				return errLeft
			case "leave-while-refused":
				h.w.mu.Lock()
				h.w.refuse = time.Now().Add(h.w.long(2*time.Second, "refuse", d.ID))
				h.w.mu.Unlock()
				leave(errLeft)
				return errLeft
			case "hang":
				<-ctx.Done()
				h.w.takes(4*time.Second, "hang", d.ID) // perhaps longer than the grace time
				return ctx.Err()
			case "hang-for-ever":
				<-h.w.over
				return errLeft
			default:
				if h.strike(kind, d); ctx.Err() != nil || h.p.isDead() {
					return errLeft
				}
			}
		}
		if d.Kind == run.ApplyRun {
			wg.Go(func() { h.loop(ctx, leave, r, d, b) })
			continue
		}
		wg.Go(func() { h.carryOut(ctx, leave, r, d, b) })
	}
	return context.Cause(ctx)
}

// mischief says whether faults may happen here: only to a process that lives.
func (w *world) mischief(p *process, what string) bool {
	w.note("%s takes %s", p.name, what)
	return !p.isDead()
}

func (h *hands) strike(kind string, d run.Directive) {
	h.w.note("%s at %s", kind, d.ID)
	switch kind {
	case "kill":
		h.p.kill()
		h.w.succeed(h.p)
	case "zombie":
		h.w.succeed(h.p)
	case "poison": // whoever takes this call dies, for a while
		h.w.mu.Lock()
		h.w.poison[d.ID.String()] = true
		h.w.mu.Unlock()
	}
}

func (h *hands) enter(s id.Session, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[id.Session]int{}
	}
	h.at[s] += by
	// One that hangs was given up after its grace time; only then may there be two.
	if h.at[s] > 1 && h.p.host.Abandoned() == 0 {
		h.w.breach("R01", "two executors are at work on %s", s)
	}
}

// carryOut does what a directive asks for and reports it.
func (h *hands) carryOut(ctx context.Context, leave func(error), r executor.Run, d run.Directive, b executor.Bindings) {
	if h.p.isDead() {
		return
	}
	h.w.mu.Lock()
	poisoned := h.w.poison[d.ID.String()]
	h.w.mu.Unlock()
	if poisoned && d.Kind == run.RunTool {
		h.w.oracle.started(h.p, r.Session, d)
		h.w.takes(time.Millisecond, "poisoned", d.ID)
		h.strike("kill", d)
		return
	}
	if wait := time.Until(d.NotBefore); !d.NotBefore.IsZero() && wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
	h.w.oracle.started(h.p, r.Session, d)
	if d.Kind == run.CallModel {
		h.w.takes(100*time.Millisecond, "read", h.p.name, r.Session, d.ID, d.Attempt) // an interrupt may come in between
		h.w.oracle.shown(ctx, r.Session, d, b)
	}
	most := 200 * time.Millisecond
	deaf := h.w.roll("deaf", r.Session, d.ID)%8 == 0 // goes on although nobody wants it any more
	stop := ctx.Done()
	if deaf {
		stop = nil
	}
	select {
	case <-time.After(h.w.long(most, "work", h.p.name, r.Session, d.ID, d.Attempt)):
	case <-stop:
		return
	}
	if h.p.isDead() {
		return
	}
	h.gaveUp(ctx, leave, b.Turn.Report(ctx, h.report(r.Session, d)))
}

// loop carries a whole run out: it works for a while, takes at its boundaries what comes in, and says in the end what came of it.
func (h *hands) loop(ctx context.Context, leave func(error), r executor.Run, d run.Directive, b executor.Bindings) {
	key := []any{h.p.name, r.Session, d.ID, d.Attempt}
	works := func(n int) bool {
		select {
		case <-time.After(h.w.long(200*time.Millisecond, append(key, "loop", n)...)):
		case <-ctx.Done():
		}
		return ctx.Err() == nil && !h.p.isDead()
	}
	h.w.oracle.started(h.p, r.Session, d)
	h.w.takes(100*time.Millisecond, append(key, "read")...)
	h.w.oracle.shown(ctx, r.Session, d, b)
	v := h.w.roll(append(key, "rounds")...)
	for n := range int(v % 4) {
		if !works(n) {
			return
		}
		switch kind := h.w.fault("effect"); kind {
		case "":
		case "kill", "zombie":
			h.strike(kind, d)
		default:
			leave(errLeft)
			return
		}
		at, err := b.Turn.Boundary(ctx, d.ID)
		if err != nil {
			h.gaveUp(ctx, leave, err)
			return
		}
		if h.w.oracle.steered(r.Session, d, at); at.Cancel {
			break
		}
	}
	if !works(-1) {
		return
	}
	applied := run.RunApplied{ID: d.ID, Inputs: d.Inputs,
		Appends: []transcript.Entry{transcript.Assistant{Blocks: transcript.TextBlocks("done"), Stop: transcript.StopEndTurn}}}
	if v>>8%7 == 0 {
		applied.Failed = &run.Failure{Message: "it did not work"}
	}
	h.gaveUp(ctx, leave, b.Turn.Report(ctx, applied))
}

// gaveUp leaves the run because of an error that nobody expects.
func (h *hands) gaveUp(ctx context.Context, leave func(error), err error) {
	if err != nil && !errors.Is(err, executor.ErrStale) && ctx.Err() == nil {
		leave(err)
	}
}

// report is the answer, hashed from the session and the directive.
func (h *hands) report(s id.Session, d run.Directive) run.Report {
	if d.Kind == run.RunTool {
		return run.ToolSettled{ID: d.ID, Result: transcript.ToolResult{Content: transcript.TextBlocks("done"), IsError: h.w.roll("tool", s, d.ID)%5 == 0}}
	}
	v := h.w.roll("reply", s, d.ID, d.Attempt)
	if v%9 == 0 {
		return run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: "overloaded", Message: "busy", Retryable: v%2 == 0}}
	}
	if d.Kind == run.Extract {
		return run.Extracted{ID: d.ID, Attempt: d.Attempt, Verdict: run.OutputVerdict(v >> 8 % 3), Output: []byte("{}"), Error: "no"}
	}
	r := run.ModelReplied{ID: d.ID, Reply: transcript.Assistant{Stop: transcript.StopEndTurn, Blocks: transcript.TextBlocks("hm")}}
	calls := int(v>>8) % 4
	if d.Round >= 3 {
		calls = 0
	}
	for n := range calls {
		use := transcript.ToolUse{ID: id.Call(fmt.Sprintf("%s-%d", d.ID, n)), Name: "t", Args: []byte("{}")}
		i := run.Intent{Call: use, Class: run.Class(v >> (16 + 4*n) % 3)}
		if v>>(32+4*n)%8 == 0 {
			i.Refusal = &run.Refusal{Code: transcript.ResultInvalid, Message: "no"}
		}
		r.Reply.Blocks, r.Calls = append(r.Reply.Blocks, use), append(r.Calls, i)
	}
	return r
}
