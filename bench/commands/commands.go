package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// command is one command, and the session it is given to.
type command struct {
	name  string
	hands executor.Executor // the host's; nil: it has none
	ready []step            // brings the session so far
	do    step

	models runtime.Models // the host's; nil: it changes none
}

// Steps that bring a session so far, or are measured.
var (
	queue   = submit(false)
	steer   = submit(true)
	publish = func(ctx context.Context, b *bed, s id.Session) error {
		return b.PublishEvent(ctx, s, "noticed", json.RawMessage(`{"what":"something"}`))
	}
	silence = func(ctx context.Context, b *bed, s id.Session) error {
		return b.SetSilentIntents(ctx, s, []string{"ping", "status"})
	}

	unregister = func(ctx context.Context, b *bed, s id.Session) error { return b.UnregisterSession(ctx, s) }
	back       = func(ctx context.Context, b *bed, s id.Session) error {
		return b.RegisterSession(ctx, s, runtime.Registration{})
	}
	ensure = func(ctx context.Context, b *bed, s id.Session) error {
		_, err := b.EnsureSessionWithExecutor(ctx, s, waits{})
		return err
	}
	bind = func(ctx context.Context, b *bed, s id.Session) error {
		_, err := b.PrepareBindings(ctx, s, runtime.Registration{Profile: &profile, System: "Answer."})
		return err
	}
	stop = func(ctx context.Context, b *bed, s id.Session) error {
		return b.StopRuntimeExecutor(ctx, s, "enough", time.Minute)
	}
	retire    = func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Retire(ctx, s); return err }
	reset     = func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Reset(ctx, s); return err }
	recycle   = func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Recycle(ctx, s); return err }
	recovery  = func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Recover(ctx, s); return err }
	destroy   = func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Destroy(ctx, s); return err }
	archive   = func(ctx context.Context, b *bed, s id.Session) error { return b.Archive(ctx, s) }
	interrupt = func(ctx context.Context, b *bed, s id.Session) error {
		r, err := bound(ctx, b, s)
		if err != nil {
			return err
		}
		return b.InterruptCurrentRun(ctx, s, r, "enough")
	}
	cancel = func(ctx context.Context, b *bed, s id.Session) error {
		r, err := bound(ctx, b, s)
		if err != nil {
			return err
		}
		return b.CancelAfterBoundary(ctx, s, r)
	}
	switched = func(ctx context.Context, b *bed, s id.Session) error {
		_, err := b.RequestModelSwitch(ctx, s, executor.SwitchRequest{ID: "switch", Target: identity.Route{Model: "another"}, Runs: 2,
			Approval: identity.ApprovalNotRequired})
		return err
	}
	changed = func(ctx context.Context, b *bed, s id.Session) error {
		_, err := b.ReconfigureSessionLLMIdentity(ctx, s, identity.Request{Model: "another", Provider: identity.Other})
		return err
	}
	prepare = func(ctx context.Context, b *bed, s id.Session) error {
		p, err := b.Prepare(ctx, s, runtime.Input{Content: say})
		b.prepared.Store(s, p)
		return err
	}
	commit = func(ctx context.Context, b *bed, s id.Session) error {
		p, ok := b.prepared.Load(s)
		if !ok {
			return errors.New("nothing was prepared")
		}
		return b.Commit(ctx, p.(runtime.Prepared), run.RunApplied{Appends: []transcript.Entry{reply}})
	}
)

// held does something through the handles of the registration.
func held(do func(ctx context.Context, h executor.Handles) error) step {
	return func(ctx context.Context, b *bed, s id.Session) error {
		h, ok := b.held.Load(s)
		if !ok {
			return errors.New("there are no handles")
		}
		return do(ctx, h.(executor.Handles))
	}
}

// Steps through handles. What is measured is what the handle does, and not how one comes by it.
var (
	hold = func(ctx context.Context, b *bed, s id.Session) error {
		h, err := b.handles(ctx, s)
		b.held.Store(s, h)
		return err
	}
	operationBegun = held(func(ctx context.Context, h executor.Handles) error {
		return h.Operations.Register(ctx, "build", executor.OperationSpec{Name: "build", Source: "shell"})
	})
	operationStarted  = held(func(ctx context.Context, h executor.Handles) error { return h.Operations.Start(ctx, "build") })
	operationComplete = held(func(ctx context.Context, h executor.Handles) error {
		return h.Operations.Complete(ctx, "build", executor.OperationResult{Content: "built"})
	})
	serverAdded = held(func(ctx context.Context, h executor.Handles) error { return h.Toolservers.Add(ctx, "files", "default") })
	serverReady = held(func(ctx context.Context, h executor.Handles) error {
		owed, err := h.Toolservers.Owed(ctx)
		if err != nil || len(owed) != 1 {
			return fmt.Errorf("%d connects are owed: %w", len(owed), err)
		}
		return h.Toolservers.Connected(ctx, owed[0])
	})
	callStarted = held(func(ctx context.Context, h executor.Handles) error {
		_, err := h.Toolservers.CallStarted(ctx, "files")
		return err
	})
	peerAdded = held(func(ctx context.Context, h executor.Handles) error {
		return h.Peers.Add(ctx, executor.Peer{ID: "ann", Name: "ann", Key: "ed25519:ann"})
	})
)

// both does two things, one after the other.
func both(first, second step) step {
	return func(ctx context.Context, b *bed, s id.Session) error {
		if err := first(ctx, b, s); err != nil {
			return err
		}
		return second(ctx, b, s)
	}
}

// bound is the run of a session that has one.
func bound(ctx context.Context, b *bed, s id.Session) (id.Run, error) {
	st, err := b.State(ctx, s)
	if err == nil && st.Run() == "" {
		err = errors.New("nothing runs")
	}
	return st.Run(), err
}

// all commands. A session is registered and at rest, with an executor attached, if nothing else is said.
var commands = []command{
	{"register (new)", waits{}, nil, register, nil},
	{"register (known, at rest here)", waits{}, []step{register}, back, nil},
	{"ensure executor", nil, []step{register}, ensure, nil},
	{"prepare bindings (registered)", waits{}, []step{register}, bind, nil},
	{"prepare bindings (new)", waits{}, nil, bind, nil},
	{"submit (at rest: the run begins)", waits{}, []step{register}, queue, nil},
	{"submit (waits behind a run)", waits{}, []step{register, queue}, queue, nil},
	{"submit (steers a run)", waits{}, []step{register, queue}, steer, nil},
	{"turn of an executor that answers at once", answers{}, []step{register}, turn, nil},
	{"interrupt", waits{}, []step{register, queue}, interrupt, nil},
	{"cancel after boundary", waits{}, []step{register, queue}, cancel, nil},
	{"stop", waits{}, []step{register}, stop, nil},
	{"register (stopped: revived)", waits{}, []step{register, stop}, back, nil},
	{"retire", waits{}, []step{register}, retire, nil},
	{"reset (gives up one input)", nil, []step{register, queue}, reset, nil},
	{"recycle (retired)", waits{}, []step{register, retire}, recycle, nil},
	{"recover (one input waits)", nil, []step{register, queue}, recovery, nil},
	{"destroy", waits{}, []step{register}, destroy, nil},
	{"archive", waits{}, []step{register}, archive, nil},
	{"unregister", waits{}, []step{register}, unregister, nil},
	{"unregister, register again", waits{}, []step{register}, both(unregister, back), nil},
	{"prepare (a run of the caller)", waits{}, []step{register}, prepare, nil},
	{"commit (of such a run)", waits{}, []step{register, prepare}, commit, nil},
	{"publish", waits{}, []step{register}, publish, nil},
	{"set silent intents", waits{}, []step{register}, silence, nil},
	{"offer 50 tools", waits{}, []step{register}, offer, nil},
	{"stage a filter", waits{}, []step{register, offer}, hide, nil},
	{"set the model's baseline", waits{}, []step{register}, baseline, nil},
	{"switch the model for two runs", waits{}, []step{register, baseline}, switched, nil},
	{"change the model", waits{}, []step{register}, changed, anyModel{}},

	{"operation registered", waits{}, []step{register, hold}, operationBegun, nil},
	{"operation completed, and the run for it", waits{}, []step{register, hold, operationBegun, operationStarted}, operationComplete, nil},
	{"tool server staged", waits{}, []step{register, hold}, serverAdded, nil},
	{"tool server connected", waits{}, []step{register, hold, serverAdded, queue}, serverReady, nil},
	{"call of a tool server started", waits{}, []step{register, hold, serverAdded, queue, serverReady}, callStarted, nil},
	{"peer added", waits{}, []step{register, hold}, peerAdded, nil},
}

func measureCommands(ctx context.Context, o options) error {
	fmt.Printf("%d sessions, each command once on each of them, one after the other\n", o.n)
	fmt.Printf("%-42s | %9s %9s %7s %7s | %9s %9s %7s %7s | %8s %6s\n", "", "memory", "", "", "", "SQLite", "", "", "", "", "")
	fmt.Printf("%-42s | %9s %9s %7s %7s | %9s %9s %7s %7s | %8s %6s\n", "command", "p50", "p99", "allocs", "KiB", "p50", "p99", "allocs", "KiB",
		"commits", "syncs")
	for n, c := range commands {
		if !strings.Contains(c.name, o.only) {
			continue
		}
		line := fmt.Sprintf("%-42s", c.name)
		var m measured
		for _, medium := range []string{inMemory, onSQLite} {
			var err error
			m, err = best(o.runs, func(run int) (measured, error) {
				return c.measure(ctx, medium, filepath.Join(o.dir, fmt.Sprint("commands-", n, "-", run)), o.n)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			line += fmt.Sprintf(" | %9s %9s %7.0f %7.1f", quantile(m.took, 0.5), quantile(m.took, 0.99), m.allocs, m.bytes/1024)
		}
		fmt.Printf("%s | %8.2f %6.2f\n", line, m.commits, m.syncs)
	}
	return nil
}

// measured is what calls took; all but took is per call.
type measured struct {
	took                          []time.Duration // sorted
	allocs, bytes, commits, syncs float64
}

// best does something several times and returns what took the least in the middle.
func best(runs int, measure func(run int) (measured, error)) (m measured, err error) {
	for run := range runs {
		once, err := measure(run)
		if err != nil {
			return m, err
		}
		if run == 0 || quantile(once.took, 0.5) < quantile(m.took, 0.5) {
			m = once
		}
	}
	return m, nil
}

func (c command) measure(ctx context.Context, medium, dir string, n int) (m measured, err error) {
	b, err := makeBed(medium, dir, c.hands, c.models)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	// Some more, to be called before the others: what is made once is made then.
	sessions, err := b.sessions(ctx, n+8, c.ready...)
	if err != nil {
		return m, err
	}
	for _, s := range sessions[n:] {
		if err := c.do(ctx, b, s); err != nil {
			return m, err
		}
	}
	m.took = make([]time.Duration, n)
	goruntime.GC()
	var before, after goruntime.MemStats
	commits, syncs := b.written()
	goruntime.ReadMemStats(&before)
	for i, s := range sessions[:n] {
		began := time.Now()
		if err := c.do(ctx, b, s); err != nil {
			return m, err
		}
		m.took[i] = time.Since(began)
	}
	goruntime.ReadMemStats(&after)
	allCommits, allSyncs := b.written()
	each := float64(n)
	m.allocs, m.bytes = float64(after.Mallocs-before.Mallocs)/each, float64(after.TotalAlloc-before.TotalAlloc)/each
	m.commits, m.syncs = float64(allCommits-commits)/each, float64(allSyncs-syncs)/each
	slices.Sort(m.took)
	return m, nil
}
