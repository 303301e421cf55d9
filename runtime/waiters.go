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
	mu sync.Mutex
	of map[id.Input][]chan ended
}

type ended struct {
	how machine.InputChange
	err error
}

// add registers a waiter; the channel holds one.
func (w *waiters) add(in id.Input) chan ended {
	ch := make(chan ended, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[id.Input][]chan ended{}
	}
	w.of[in] = append(w.of[in], ch)
	return ch
}

// resolve tells those whose input ended.
func (w *waiters) resolve(done map[id.Input]machine.InputChange) {
	if len(done) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for in, how := range done {
		for _, ch := range w.of[in] {
			ch <- ended{how: how}
		}
		delete(w.of, in)
	}
}

// drop takes a waiter away that has stopped waiting.
func (w *waiters) drop(in id.Input, ch chan ended) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.of[in][:0:0]
	for _, c := range w.of[in] {
		if c != ch {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		delete(w.of, in)
		return
	}
	w.of[in] = kept
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
		for _, ch := range list {
			ch <- ended{err: err}
		}
	}
	w.of = nil
}
