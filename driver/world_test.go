package driver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

const sid = id.Session("00000000-0000-7000-8000-000000000001")

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// world is a session in a store, and the driver that owns it.
type world struct {
	testing.TB
	memory *memory.Store
	store  *counted
	d      *driver.Driver
	at     time.Time
	told   []event.Event
	budget *driver.Budget // nil: everything is kept
}

// counted is a store that fails on command and counts what it is asked.
type counted struct {
	storetest.Faulty
	commits, inputs int
	messages        atomic.Int64 // readings of the whole transcript
	last            *store.Batch
	load            error
}

func (c *counted) Commit(ctx context.Context, b *store.Batch) error {
	c.commits++
	c.last = b.Clone()
	return c.Faulty.Commit(ctx, b)
}

func (c *counted) Input(ctx context.Context, s id.Session, key string) (store.InputRow, error) {
	c.inputs++
	return c.Store.Input(ctx, s, key)
}

func (c *counted) Messages(ctx context.Context, s id.Session, from, before int) ([]store.MessageRow, error) {
	if from == 1 && before == 0 {
		c.messages.Add(1)
	}
	return c.Store.Messages(ctx, s, from, before)
}

func (c *counted) Load(ctx context.Context, s id.Session) (store.Loaded, error) {
	if c.load != nil {
		return store.Loaded{}, c.load
	}
	return c.Store.Load(ctx, s)
}

func newWorld(t testing.TB) *world {
	m := memory.New()
	w := &world{TB: t, memory: m, store: &counted{Faulty: storetest.Faulty{Store: m}}, at: epoch}
	w.d = w.open("a")
	return w
}

// registered is a session with an executor.
func registered(t testing.TB) *world {
	w := newWorld(t)
	w.tell(machine.Register{Profile: &run.Profile{Model: "m", Workspace: "/w"}, System: "be brief"})
	w.tell(attach(run.Fine))
	return w
}

func attach(g run.Grain) machine.Attach {
	return machine.Attach{Attachment: machine.Attachment{ID: 1, Grain: g, Class: run.Idempotent}}
}

// open takes the session over.
func (w *world) open(owner string) *driver.Driver {
	w.Helper()
	var broken uint64
	var held *store.HeldError
	claim := store.Claim{Session: sid, Owner: store.Owner{ID: owner}, Now: w.at, TTL: time.Minute, Create: true}
	lease, err := w.memory.Acquire(w.Context(), claim)
	if errors.As(err, &held) {
		broken = held.Lease.Term
		claim.Break = broken
		lease, err = w.memory.Acquire(w.Context(), claim)
	}
	w.ok(err)
	d, err := driver.Open(w.Context(), w.store, lease, w.budget)
	w.ok(err)
	return d
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

// stage takes steps, none of which may be refused.
func (w *world) stage(events ...machine.Event) *driver.Staged {
	w.Helper()
	s := w.d.Stage()
	for _, ev := range events {
		w.at = w.at.Add(time.Second)
		_, err := s.Step(w.Context(), w.at, ev, false)
		w.ok(err)
	}
	return s
}

// tell commits events as one batch.
func (w *world) tell(events ...machine.Event) driver.Told {
	w.Helper()
	told, err := w.stage(events...).Commit(w.Context())
	w.ok(err)
	w.told = append(w.told, told.Events...)
	w.ok(machine.Check(w.d.State()))
	return told
}

func submit(in id.Input, text string) machine.Submit {
	return machine.Submit{Input: given.Input{ID: in, Body: given.Prompt{Blocks: transcript.TextBlocks(text)}}}
}

func steer(in id.Input, text string) machine.Submit {
	s := submit(in, text)
	s.Input.Body = given.Prompt{Blocks: transcript.TextBlocks(text), Run: given.Options{Handling: given.HandlingSteer}}
	return s
}

// model returns the open model call.
func (w *world) model() run.Directive { return w.open1(run.CallModel, "") }

func (w *world) tool(name string) run.Directive { return w.open1(run.RunTool, name) }

func (w *world) open1(kind run.Kind, name string) run.Directive {
	w.Helper()
	for _, d := range w.d.State().Open.All() {
		if d.Kind == kind && (name == "" || d.Call.Name == name) {
			return d
		}
	}
	w.Fatalf("no %s %s is open", kind, name)
	return run.Directive{}
}

// reply answers a model call; each call is a name, of class once unless it begins with "ro". What begins with "ask" is to be allowed, and what
// begins with "client" is a client's.
func reply(d run.Directive, text string, calls ...string) machine.Reported {
	r := run.ModelReplied{ID: d.ID, Reply: transcript.Assistant{Stop: transcript.StopEndTurn, Model: "p/m", Usage: &transcript.Usage{Input: 10, Output: 2}}}
	if text != "" {
		r.Reply.Blocks = transcript.TextBlocks(text)
	}
	for n, name := range calls {
		use := transcript.ToolUse{ID: id.Call(fmt.Sprintf("c%s-%d", d.ID, n)), Name: name, Args: json.RawMessage(`{"path": "<a>&b",  "n":1}`)}
		class := run.Once
		if len(name) > 1 && name[:2] == "ro" {
			class = run.ReadOnly
		}
		r.Reply.Blocks = append(r.Reply.Blocks, use)
		hold := run.NoHold
		switch {
		case strings.HasPrefix(name, "ask_client"):
			hold = run.ApprovedCallback
		case strings.HasPrefix(name, "ask"):
			hold = run.Approval
		case strings.HasPrefix(name, "client"):
			hold = run.Callback
		}
		r.Calls = append(r.Calls, run.Intent{Call: use, Class: class, Hold: hold})
	}
	return machine.Reported{Report: r}
}

func settle(d run.Directive, text string) machine.Reported {
	return machine.Reported{Report: run.ToolSettled{ID: d.ID, Duration: time.Second, Result: transcript.ToolResult{Content: transcript.TextBlocks(text)}}}
}

func fail(d run.Directive) machine.Reported {
	return machine.Reported{Report: run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: "overloaded", Message: "busy", Retryable: true}}}
}

func (w *world) reader() driver.Reader { return driver.Reader{Store: w.memory} }

// same compares; nil and empty are not told apart, and times by the instant.
func same(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
}

// shown is all of a state in a form that can be compared.
func shown(s machine.State) map[string]any {
	m := map[string]any{"session": s.Session, "control": s.Control, "profile": s.Profile}
	var inputs []inbox.Item
	for i := range s.Inbox.All() {
		inputs = append(inputs, i)
	}
	var open []run.Directive
	for _, d := range s.Open.All() {
		open = append(open, d)
	}
	m["inputs"], m["open"] = inputs, open
	return m
}
