package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// route picks the process a caller speaks to: the owner, or now and then one before it that may still live.
func (w *world) route(key ...any) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.processes) - 1
	if last > 0 && w.roll(append([]any{"route"}, key...)...)%4 == 0 && !w.processes[last-1].isDead() {
		return w.processes[last-1]
	}
	return w.processes[last]
}

// client submits one input until it hears that it is durable, waits for its end, and asks again afterwards. Some inputs have two.
func (w *world) client(ctx context.Context, n int) {
	which := n
	if n > 0 && w.roll("double", n)%4 == 0 {
		which-- // the same input as another client
	}
	in := id.Input(fmt.Sprint("in", which))
	s := sessions[w.roll("session", which)%uint64(len(sessions))]
	w.takes(700*time.Millisecond, "begin", n)
	if !w.submit(ctx, n, s, in, which != n) {
		return
	}
	if !w.quiet(in) && !w.await(ctx, n, s, in) {
		return
	}
	switch w.roll("again", n) % 4 {
	case 0, 1:
		w.takes(time.Second, "again", n)
		w.submit(ctx, n, s, in, true)
	case 2:
		w.takes(time.Second, "again", n)
		w.alias(ctx, n, s, in)
	}
}

// submit returns true once the input is durable, false if it was refused for good.
func (w *world) submit(ctx context.Context, n int, s id.Session, in id.Input, known bool) bool {
	refused := false // for certain, the last time
	for try := 0; ctx.Err() == nil; try++ {
		p := w.route("submit", n, try)
		v, err := w.offer(ctx, p, s, runtime.Input{ID: in, Key: key(in), Steer: w.roll("lane", in)%2 == 0,
			Content: transcript.TextBlocks("do " + string(in))})
		if p.isDead() {
			w.takes(200*time.Millisecond, "retry", n, try)
			refused, known = false, true // the answer never came
			continue
		}
		w.note("client %d submits %s to %s: %+v %v", n, in, p.name, v, err)
		switch {
		case err == nil:
			if v.Duplicate && refused && !known && !w.twin(n) {
				w.breach("R25", "input %s was refused for certain, and had been written", in)
			}
			w.oracle.told(s, in, "accepted")
			return true
		case errors.Is(err, runtime.ErrNotReady), errors.Is(err, runtime.ErrStopping):
			return false
		}
		refused = errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrUnknown)
		known = known || !refused
		w.takes(500*time.Millisecond, "retry", n, try)
	}
	return false
}

// twin reports whether another client submits the same input.
func (w *world) twin(n int) bool {
	return w.roll("double", n+1)%4 == 0
}

// await returns true once the end is told.
func (w *world) await(ctx context.Context, n int, s id.Session, in id.Input) bool {
	for try := 0; ctx.Err() == nil; try++ {
		p := w.route("await", n, try)
		how, err := p.host.Wait(ctx, s, in)
		if err == nil && !p.isDead() {
			w.note("client %d hears of %s: %s", n, in, how.Ended.Status)
			w.oracle.told(s, in, how.Ended.Status)
			return true
		}
		w.takes(500*time.Millisecond, "wait", n, try)
	}
	w.breach("R31", "client %d still waits for %s", n, in)
	return false
}
