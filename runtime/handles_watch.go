package runtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
)

// watches are those who wait for something to become of a session: for an operation to end, for several of them, for anything to change. They
// are plumbing: nothing is decided by who waits, and nobody needs a goroutine for it. The zero value has nobody.
type watches struct {
	mu      sync.Mutex
	ended   error // why nobody is told anything any more
	of      map[registry.ID][]*watch
	waits   map[string]chan []registry.Awaited // by token; each holds one
	tokens  int
	changed chan struct{} // closed at the next change; nil: nobody waits for one
}

// watch is one watcher of one operation.
type watch struct {
	ch   chan executor.OperationOutcome // holds one
	done bool
	drop func() bool // lets go of its context
}

// add registers a watcher. It is told at once if nobody will be told anything any more.
func (w *watches) add(ctx context.Context, op registry.ID) *watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &watch{ch: make(chan executor.OperationOutcome, 1)}
	one.drop = context.AfterFunc(ctx, func() { w.forget(op, one) })
	if w.ended != nil {
		one.tell(terminated(w.ended))
		return one
	}
	if w.of == nil {
		w.of = map[registry.ID][]*watch{}
	}
	w.of[op] = append(w.of[op], one)
	return one
}

// tell tells a watcher, once. Under the lock.
func (o *watch) tell(how executor.OperationOutcome) {
	if !o.done {
		o.done = true
		o.ch <- how
		close(o.ch)
		o.drop()
	}
}

// forget lets a watcher go without having told it anything.
func (w *watches) forget(op registry.ID, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one.done {
		return
	}
	one.done = true
	close(one.ch)
	one.drop()
	rest := w.of[op][:0:0]
	for _, o := range w.of[op] {
		if o != one {
			rest = append(rest, o)
		}
	}
	if w.of[op] = rest; len(rest) == 0 {
		delete(w.of, op)
	}
}

// resolve tells the watchers of an operation how it ended.
func (w *watches) resolve(op registry.ID, how executor.OperationOutcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.of[op] {
		one.tell(how)
	}
	delete(w.of, op)
}

func (w *watches) count(op registry.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.of[op])
}

// await makes a place for the end of a wait, under a name that nothing else has in this process.
func (w *watches) await(token string) (string, <-chan []registry.Awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens++
	if token != "" { // without a name it is refused by whoever decides
		token = fmt.Sprintf("%s/%d", token, w.tokens)
	}
	if w.waits == nil {
		w.waits = map[string]chan []registry.Awaited{}
	}
	ch := make(chan []registry.Awaited, 1)
	w.waits[token] = ch
	return token, ch
}

func (w *watches) abandon(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waits, token)
}

// next returns a channel that is closed at the next change. It is asked for before looking at what is.
func (w *watches) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
		if w.ended != nil {
			close(w.changed)
		}
	}
	return w.changed
}

// note tells what has become durable. The drainer's, after the snapshot was published.
func (w *watches) note(was, is machine.State, told driver.Told) {
	for _, e := range told.Operations {
		w.resolve(e.ID, endOf(e.Outcome))
	}
	same := was.Regions == is.Regions && was.Lifecycle == is.Lifecycle && was.Transient == is.Transient
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, over := range told.Waits {
		if ch, ok := w.waits[over.Token]; ok {
			ch <- over.Ends
			delete(w.waits, over.Token)
		}
	}
	if w.changed != nil && !same && w.ended == nil {
		close(w.changed)
		w.changed = nil
	}
}

// close tells everybody that this process learns nothing any more.
func (w *watches) close(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = why
	for _, all := range w.of {
		for _, one := range all {
			one.tell(terminated(why))
		}
	}
	w.of = nil
	if w.changed != nil { // it stays closed
		close(w.changed)
	}
}

// terminated is what a watcher is told of an operation whose end it will not learn.
func terminated(why error) executor.OperationOutcome {
	return executor.OperationOutcome{Status: executor.Terminated, Reason: why.Error()}
}
