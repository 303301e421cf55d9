package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/sqlite"
	"github.com/meerkat-go/meerkat/transcript"
)

// bed is a host, and what is known of its store.
type bed struct {
	*runtime.Host
	counted  *counted
	sqlite   *sqlite.Store // nil: in memory
	prepared sync.Map      // id.Session to runtime.Prepared
	held     sync.Map      // id.Session to executor.Handles
}

// counted counts what is written.
type counted struct {
	store.Store
	commits atomic.Int64
}

// Commit implements store.Store.
func (c *counted) Commit(ctx context.Context, b *store.Batch) error {
	c.commits.Add(1)
	return c.Store.Commit(ctx, b)
}

// Where a bed keeps its sessions.
const (
	inMemory = "memory"
	onSQLite = "sqlite"
)

// makeBed opens a host. Leases are long, so that their renewal does not fall into what is measured.
func makeBed(medium, dir string, hands executor.Executor, models runtime.Models) (*bed, error) {
	b := &bed{}
	switch medium {
	case inMemory:
		b.counted = &counted{Store: memory.New()}
	default:
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		s, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "sessions.db")})
		if err != nil {
			return nil, err
		}
		b.sqlite, b.counted = s, &counted{Store: s}
	}
	b.Host = runtime.New(runtime.Config{Store: b.counted, Feed: &feed.Hub{}, Owner: store.Owner{ID: id.New(), PID: os.Getpid()},
		Executor: hands, Models: models, LeaseTTL: time.Hour, Transcripts: 1})
	return b, nil
}

// close lets everything go.
func (b *bed) close() error {
	return errors.Join(b.Close(context.Background()), b.counted.Store.Close())
}

// written is how many commits and syncs there were.
func (b *bed) written() (commits, syncs int64) {
	if b.sqlite != nil {
		syncs = int64(b.sqlite.Stats().Groups)
	}
	return b.counted.commits.Load(), syncs
}

// step is something done with one session.
type step func(ctx context.Context, b *bed, s id.Session) error

// sessions makes n sessions ready, many at once.
func (b *bed) sessions(ctx context.Context, n int, ready ...step) ([]id.Session, error) {
	out := make([]id.Session, n)
	for i := range out {
		out[i] = id.Session(id.New())
	}
	return out, b.all(ctx, out, ready...)
}

// all does something with all of the sessions, many at once.
func (b *bed) all(ctx context.Context, sessions []id.Session, do ...step) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, 64)
	for range cap(errs) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(sessions); i = next.Add(1) - 1 {
				for _, d := range do {
					if err := d(ctx, b, sessions[i]); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// What all sessions are made of.
var (
	profile = run.Profile{Model: "model", Workspace: "/home/somebody/project", Tools: "full"}
	say     = transcript.TextBlocks("what is in this folder?")
	reply   = transcript.Assistant{Blocks: transcript.TextBlocks("nothing"), Stop: transcript.StopEndTurn}
)

func register(ctx context.Context, b *bed, s id.Session) error {
	return b.RegisterSession(ctx, s, runtime.Registration{Profile: &profile, System: "Answer."})
}

func submit(steer bool) step {
	return func(ctx context.Context, b *bed, s id.Session) error {
		_, _, err := b.AcceptWithCompletion(ctx, s, runtime.Input{Content: say, Steer: steer})
		return err
	}
}

// turn submits something and waits for its end.
func turn(ctx context.Context, b *bed, s id.Session) error {
	v, _, err := b.AcceptWithCompletion(ctx, s, runtime.Input{Content: say})
	if err != nil {
		return err
	}
	how, err := b.Wait(ctx, s, v.Input)
	if err == nil && how.Ended.Status != "completed" {
		err = fmt.Errorf("the turn %s: %s", how.Ended.Status, how.Ended.Error)
	}
	return err
}

// handles are those of the registration.
func (b *bed) handles(ctx context.Context, s id.Session) (executor.Handles, error) {
	bindings, err := b.PrepareLocalSessionBindings(ctx, s, runtime.Registration{})
	return bindings.Handles, err
}

// waits is an executor that takes what it is given and answers nothing.
type waits struct{}

// Profile implements executor.Executor.
func (waits) Profile() executor.Profile { return executor.Profile{Grain: run.Fine} }

// Apply implements executor.Executor.
func (waits) Apply(ctx context.Context, _ executor.Run, b executor.Bindings) error {
	for range b.Turn.Directives(ctx) {
		continue
	}
	return ctx.Err()
}

// anyModel knows every model, and has a client for each.
type anyModel struct{}

// Request implements runtime.Models.
func (anyModel) Request(name string) identity.Request {
	return identity.Request{Model: name, Provider: identity.Other}
}

// Lookups implements runtime.Models.
func (anyModel) Lookups() identity.Lookups {
	return identity.Lookups{Owner: func(string) identity.Provider { return identity.Other },
		Surface: func(identity.Identity) (identity.Surface, bool) {
			return identity.Surface{ImageToolResults: true}, true
		}}
}

// Prepare implements runtime.Models.
func (anyModel) Prepare(context.Context, identity.Target) error { return nil }

// tools are 50 tools of five servers.
var tools = sync.OnceValue(func() *scope.Catalogue {
	var entries []scope.Entry
	for i := range 50 {
		entries = append(entries, scope.Entry{Name: fmt.Sprintf("tool%02d", i), Description: "does something",
			Witness: scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: fmt.Sprint("server", i%5)})})
	}
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		panic(err)
	}
	return c
})

func offer(ctx context.Context, b *bed, s id.Session) error { return b.OfferTools(ctx, s, tools()) }

// hide stages a filter that hides one tool.
func hide(ctx context.Context, b *bed, s id.Session) error {
	_, err := b.StagePersistentFilter(ctx, s, scope.Deny("tool07"), tools().Witnesses(scope.NamesOf("tool07")))
	return err
}

// baseline names the model that answers where nothing else is said.
func baseline(ctx context.Context, b *bed, s id.Session) error {
	return b.SetModelBaseline(ctx, s, identity.Route{Model: "model"})
}

// answers is an executor that answers at once.
type answers struct{}

// Profile implements executor.Executor.
func (answers) Profile() executor.Profile { return executor.Profile{Grain: run.Fine} }

// Apply implements executor.Executor.
func (answers) Apply(ctx context.Context, _ executor.Run, b executor.Bindings) error {
	for d := range b.Turn.Directives(ctx) {
		if err := b.Turn.Report(ctx, run.ModelReplied{ID: d.ID, Reply: reply}); err != nil && !errors.Is(err, executor.ErrStale) {
			return err
		}
	}
	return nil
}
