// Package storetest is the suite that every store.Store passes, and Faulty, a store that fails on command.
//
// Run holds an implementation to the contract. RunDurable adds what must survive closing, RunCrash what must survive kill -9. The
// clauses are split by subject: leases, commits, rows, listings, concurrent use, the end of contexts and of the store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Run holds a store to the contract. open returns a new empty store each time; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, subject := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) store.Store)
	}{{"leases", leases}, {"renewing", renewing}, {"commits", commits}, {"refusals", refusals}, {"inputs", inputs}, {"operations", operations}, {"rows", rows},
		{"reading", reading}, {"listings", listings}, {"labels", labelled}, {"wakes", wakes}, {"concurrent use", concurrent}, {"ends", ends}} {
		t.Run(subject.name, func(t *testing.T) {
			t.Parallel()
			subject.run(t, open)
		})
	}
}

// epoch is the time of every test; it is not the clock's.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

const ttl = 10 * time.Second

// world is one test's store and what it asks of it. Its methods fail the test on an unexpected error.
type world struct {
	*testing.T
	store.Store
	ctx context.Context
}

// scenario runs one sentence of the contract against a store of its own.
func scenario(t *testing.T, open func(t *testing.T) store.Store, sentence string, body func(w world)) {
	t.Run(sentence, func(t *testing.T) {
		t.Parallel()
		s := open(t)
		t.Cleanup(func() {
			if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("close: %v", err)
			}
		})
		body(world{t, s, t.Context()})
	})
}

// owner is a process of a name.
func owner(name string) store.Owner {
	return store.Owner{ID: name, Machine: "m-" + name, Boot: "b-" + name, PID: 4711, Started: "17", Address: "unix:" + name}
}

// claim asks for a session at the epoch.
func claim(sid id.Session, who string) store.Claim {
	return store.Claim{Session: sid, Owner: owner(who), Now: epoch, TTL: ttl, Create: true}
}

// take acquires and must succeed.
func (w world) take(c store.Claim) store.Lease {
	w.Helper()
	l, err := w.Acquire(w.ctx, c)
	if err != nil {
		w.Fatalf("acquire: %v", err)
	}
	return l
}

// batch is the smallest batch that brings a session from one version to the next.
func batch(l store.Lease, from uint64) *store.Batch {
	return &store.Batch{Session: l.Session, Term: l.Term, From: from, To: from + 1, Control: []byte(fmt.Sprintf("control %d", from+1)),
		Head: store.Head{Created: epoch, Updated: epoch.Add(time.Duration(from) * time.Second), Phase: "idle"}}
}

// commit must succeed.
func (w world) commit(b *store.Batch) {
	w.Helper()
	if err := w.Commit(w.ctx, b); err != nil {
		w.Fatalf("commit: %v", err)
	}
}

// refuses must fail with a condition, and with one only.
func (w world) refuses(err error, want *fault.Condition) {
	w.Helper()
	for _, c := range []*fault.Condition{store.ErrNotFound, store.ErrConflict, store.ErrFenced, store.ErrUnknown, store.ErrFull, store.ErrReadOnly,
		store.ErrCorrupt, store.ErrFuture, store.ErrClosed, store.ErrBusy, store.ErrFailed, store.ErrExists, store.ErrInvalid} {
		if got := errors.Is(err, c); got != (c == want) {
			w.Fatalf("got %v, want %v: is %v: %t", err, want, c, got)
		}
	}
	if code := fault.CodeOf(err); code != want.FaultCode() {
		w.Fatalf("%v has code %v, want %v", err, code, want.FaultCode())
	}
}

// load must succeed.
func (w world) load(sid id.Session) store.Loaded {
	w.Helper()
	l, err := w.Load(w.ctx, sid)
	if err != nil {
		w.Fatalf("load: %v", err)
	}
	return l
}

// same compares values; nil and empty are the same.
func (w world) same(got, want any) {
	w.Helper()
	if reflect.DeepEqual(got, want) { // much faster, and nearly always true
		return
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		w.Fatalf("-want +got:\n%s", d)
	}
}

// everything reads all that a session has.
func (w world) everything(sid id.Session) map[string]any {
	w.Helper()
	loaded, err := w.Load(w.ctx, sid)
	if err != nil {
		loaded.Version = 0
	}
	messages, err1 := w.Messages(w.ctx, sid, 0, 0)
	events, err2 := w.Events(w.ctx, sid, 0, 0)
	effects, err3 := w.Effects(w.ctx, sid)
	sessions, err4 := w.Sessions(w.ctx, store.Query{Prefix: string(sid)})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		w.Fatalf("read session: %v", err)
	}
	return map[string]any{"loaded": loaded, "messages": messages, "events": events, "effects": effects, "sessions": sessions}
}

// full fills every part of a batch, with bodies that name its version.
func full(l store.Lease, from uint64) *store.Batch {
	b := batch(l, from)
	v := int(b.To)
	body := func(kind string) []byte { return []byte(fmt.Sprintf("%s of version %d", kind, v)) }
	b.Head = store.Head{Created: epoch, Updated: epoch.Add(time.Duration(v) * time.Minute), Phase: "running", Title: "Hello, wörld", Model: "m",
		Workspace: "/w", Messages: v * 2, Tokens: v * 100, Unfinished: true, Wake: epoch.Add(time.Duration(v) * time.Hour),
		Labels: map[string]string{"version": fmt.Sprint(v), "wörld\"": ""}, Past: v%2 == 0}
	b.Values = []store.Value{{Name: "model", Data: body("model")}, {Name: "peer", Data: body("peer")}}
	b.Inputs = []store.InputRow{{ID: id.Input(fmt.Sprintf("in-%d", v)), Key: fmt.Sprintf("key-%d", v), Seq: id.Seq(v), Live: true, Body: body("input")}}
	b.Effects = []store.EffectRow{{ID: id.Effect{Version: b.To, Ordinal: 0}, Open: true, Kind: "tool", Run: "run", Body: body("effect 0")},
		{ID: id.Effect{Version: b.To, Ordinal: 1}, Kind: "delivery", Run: "run", Body: body("effect 1")}}
	b.Operations = []store.OperationRow{{ID: fmt.Sprintf("op-%04d", v), Kept: true, Seq: b.To * 3, Body: body("operation")},
		{ID: fmt.Sprintf("past-%04d", v), Seq: b.To, Body: body("past operation")}}
	b.Messages = []store.MessageRow{{Message: v * 2, Ordinal: 0, Role: "user", Body: body("question")},
		{Message: v*2 + 1, Ordinal: 0, Role: "assistant", Body: body("answer")}}
	b.Events = []store.EventRow{{Cursor: b.To*2 - 1, Body: body("event a")}, {Cursor: b.To * 2, Body: body("event b")}}
	b.Receipts = []store.ReceiptRow{{Run: "run", Sequence: v, Body: body("receipt")}}
	return b
}
