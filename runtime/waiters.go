package runtime

import (
	"slices"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
)

// waiters are those who wait for inputs of one session to end. They are plumbing: nothing is decided by who waits.
type waiters struct {
	mu    sync.Mutex
	of    map[id.Input][]waiter
	early int // of them
}

// waiter is told once, and is none any more. An early one also wants to know when the run of its input waits for clients alone.
type waiter struct {
	ch    chan ended // holds one
	early bool
}

type ended struct {
	how     machine.InputChange
	pending *CallbackPending // it has not ended; nil: it has
	err     error
}

// add registers a waiter.
func (w *waiters) add(in id.Input, early bool) waiter {
	one := waiter{make(chan ended, 1), early}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[id.Input][]waiter{}
	}
	w.keep(in, append(w.of[in], one))
	return one
}

// keep makes these the waiters of an input.
func (w *waiters) keep(in id.Input, these []waiter) {
	for _, one := range w.of[in] {
		if one.early {
			w.early--
		}
	}
	for _, one := range these {
		if one.early {
			w.early++
		}
	}
	if len(these) == 0 {
		delete(w.of, in)
		return
	}
	w.of[in] = these
}

// resolve tells those whose input ended.
func (w *waiters) resolve(done map[id.Input]machine.InputChange) {
	if len(done) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for in, how := range done {
		for _, one := range w.of[in] {
			one.ch <- ended{how: how}
		}
		w.keep(in, nil)
	}
}

// suspend tells those who want to know it that the run of their input waits for clients alone.
func (w *waiters) suspend(st machine.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.early == 0 || !st.Suspended() {
		return
	}
	for i := range st.Inbox.All() {
		pending := suspended(st, i.ID)
		if pending == nil {
			continue
		}
		var kept []waiter
		for _, one := range w.of[i.ID] {
			if one.early {
				one.ch <- ended{pending: pending}
			} else {
				kept = append(kept, one)
			}
		}
		w.keep(i.ID, kept)
	}
}

// drop takes a waiter away that has stopped waiting.
func (w *waiters) drop(in id.Input, gone waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kept []waiter
	for _, one := range w.of[in] {
		if one != gone {
			kept = append(kept, one)
		}
	}
	w.keep(in, kept)
}

// counts lists how many wait for each input, by its id.
func (w *waiters) counts() []Waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Waiting
	for in, list := range w.of {
		out = append(out, Waiting{in, len(list)})
	}
	slices.SortFunc(out, func(a, b Waiting) int { return strings.Compare(string(a.Input), string(b.Input)) })
	return out
}

// fail tells everybody that this process will not learn how it ends.
func (w *waiters) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.of {
		for _, one := range list {
			one.ch <- ended{err: err}
		}
	}
	w.of, w.early = nil, 0
}
