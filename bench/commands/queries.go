package main

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/id"
)

// query is something that is asked about a session. It is asked so often for one measurement of the clock, which is too coarse for one.
type query struct {
	name  string
	times int
	ask   step
}

var (
	contains = query{"contains session", 100, func(ctx context.Context, b *bed, s id.Session) error {
		there, err := b.ContainsSession(ctx, s)
		if err == nil && !there {
			err = errors.New("it is not there")
		}
		return err
	}}
	hasExecutor = query{"has executor", 100, func(ctx context.Context, b *bed, s id.Session) error {
		there, err := b.SessionHasExecutor(ctx, s)
		if err == nil && !there {
			err = errors.New("it has none")
		}
		return err
	}}
	state = query{"state", 100, func(ctx context.Context, b *bed, s id.Session) error { _, err := b.State(ctx, s); return err }}
)

// queries are asked of a session with a run and nine inputs that wait behind it.
var queries = []query{
	contains, hasExecutor, state,
	{"state (reported phase)", 100, func(ctx context.Context, b *bed, s id.Session) error { _, err := b.RuntimeState(ctx, s); return err }},
	{"status", 100, func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Status(ctx, s); return err }},
	{"list active inputs (10)", 100, func(ctx context.Context, b *bed, s id.Session) error {
		all, err := b.ListActiveInputs(ctx, s)
		if err == nil && len(all) != 10 {
			err = fmt.Errorf("%d inputs are live", len(all))
		}
		return err
	}},
	{"input state (live)", 1, func(ctx context.Context, b *bed, s id.Session) error {
		st, err := b.State(ctx, s)
		if err != nil {
			return err
		}
		_, err = b.InputState(ctx, s, st.Inbox.Staged()[0].ID)
		return err
	}},
	{"events (the last 10)", 1, func(ctx context.Context, b *bed, s id.Session) error { _, err := b.Events(ctx, s, 2, 10); return err }},
}

func measureQueries(ctx context.Context, o options) error {
	fmt.Println("queries of one session with a run and nine inputs that wait, nothing else going on")
	fmt.Printf("%-42s | %9s %9s %7s | %9s %9s %7s\n", "", "memory", "", "", "SQLite", "", "")
	fmt.Printf("%-42s | %9s %9s %7s | %9s %9s %7s\n", "query", "p50", "p99", "allocs", "p50", "p99", "allocs")
	lines := make([]string, len(queries))
	for _, medium := range []string{inMemory, onSQLite} {
		b, err := makeBed(medium, filepath.Join(o.dir, "queries"), waits{}, nil)
		if err != nil {
			return err
		}
		ready := append([]step{register}, slices.Repeat([]step{queue}, 10)...)
		sessions, err := b.sessions(ctx, 1, ready...)
		for n, q := range queries {
			if err == nil && strings.Contains(q.name, o.only) {
				var m measured
				m, err = best(o.runs, func(int) (measured, error) { return q.measure(ctx, b, sessions[0], o.n) })
				if lines[n] == "" {
					lines[n] = fmt.Sprintf("%-42s", q.name)
				}
				lines[n] += fmt.Sprintf(" | %9s %9s %7.1f", quantile(m.took, 0.5), quantile(m.took, 0.99), m.allocs)
			}
		}
		if err = errors.Join(err, b.close()); err != nil {
			return err
		}
	}
	fmt.Println(strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n"))
	return nil
}

func (q query) measure(ctx context.Context, b *bed, s id.Session, n int) (m measured, err error) {
	m.took = make([]time.Duration, n)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for i := range m.took {
		began := time.Now()
		for range q.times {
			if err := q.ask(ctx, b, s); err != nil {
				return m, fmt.Errorf("%s: %w", q.name, err)
			}
		}
		m.took[i] = time.Since(began) / time.Duration(q.times)
	}
	goruntime.ReadMemStats(&after)
	m.allocs = float64(after.Mallocs-before.Mallocs) / float64(n*q.times)
	slices.Sort(m.took)
	return m, nil
}

// measureLoad asks what needs no lock of sessions that are written without a pause, and of the same sessions when they are not.
func measureLoad(ctx context.Context, o options) error {
	readers := max(goruntime.GOMAXPROCS(0)/2, 1)
	fmt.Printf("%d reader(s) without a pause over %d sessions, %v each; under load one writer for each session publishes without a pause; %d processors\n",
		readers, o.writers, o.span, goruntime.GOMAXPROCS(0))
	fmt.Printf("%-18s %-8s %-10s | %12s %9s %9s %9s %9s | %12s\n", "query", "store", "", "reads/s", "p50", "p99", "p99.9", "max", "commits/s")
	for _, medium := range []string{inMemory, onSQLite} {
		none := query{name: "(none)"}
		for _, l := range []load{{none, 0, o.writers}, {contains, readers, 0}, {contains, readers, o.writers}, {hasExecutor, readers, 0},
			{hasExecutor, readers, o.writers}, {state, readers, 0}, {state, readers, o.writers}} {
			var fastest borne
			for run := range o.runs {
				got, err := l.bear(ctx, o, medium, run)
				if err != nil {
					return fmt.Errorf("%s: %w", l.query.name, err)
				}
				if got.commits > fastest.commits || l.writers == 0 && got.reads > fastest.reads {
					fastest = got
				}
			}
			fastest.print(l, medium)
		}
	}
	return nil
}

// load is a query asked by some while others write.
type load struct {
	query            query
	readers, writers int
}

// borne is what came of a load.
type borne struct {
	took           histogram
	reads, commits float64 // per second
}

func (r *borne) print(l load, medium string) {
	name := "at rest"
	if l.writers > 0 {
		name = "written"
	}
	fmt.Printf("%-18s %-8s %-10s | %12.0f %9s %9s %9s %9s | %12.0f\n", l.query.name, medium, name, r.reads, r.took.quantile(0.5),
		r.took.quantile(0.99), r.took.quantile(0.999), r.took.most.Round(time.Microsecond), r.commits)
}

func (l load) bear(ctx context.Context, o options, medium string, run int) (out borne, err error) {
	b, err := makeBed(medium, filepath.Join(o.dir, fmt.Sprint("load-", l.query.name, l.writers, "-", run)), waits{}, nil)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	sessions, err := b.sessions(ctx, o.writers, register)
	if err != nil {
		return out, err
	}
	goruntime.GC()
	var over atomic.Bool
	var wg sync.WaitGroup
	errs := make(chan error, l.readers+l.writers)
	for _, s := range sessions[:l.writers] {
		wg.Go(func() {
			for !over.Load() {
				if err := publish(ctx, b, s); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	took := make([]histogram, l.readers)
	before, _ := b.written()
	began := time.Now()
	for r := range l.readers {
		wg.Go(func() {
			for n := r; !over.Load(); n++ {
				asked := time.Now()
				if err := l.query.ask(ctx, b, sessions[n%len(sessions)]); err != nil {
					errs <- err
					return
				}
				took[r].add(time.Since(asked))
				if n%128 == 0 {
					goruntime.Gosched() // as anything does that also waits for something
				}
			}
		})
	}
	select {
	case <-time.After(o.span):
	case err = <-errs:
	}
	over.Store(true)
	wall := time.Since(began)
	wg.Wait()
	after, _ := b.written()
	for _, t := range took {
		out.took.merge(t)
	}
	out.reads, out.commits = float64(out.took.n)/wall.Seconds(), float64(after-before)/wall.Seconds()
	return out, err
}

// histogram counts times in buckets that are a sixteenth wide. Millions of them need no more place than a few.
type histogram struct {
	buckets [60 * 16]uint64
	n       uint64
	most    time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.most = max(h.most, d)
	e := max(bits.Len64(uint64(d))-5, 0)
	h.buckets[e*16+int(d>>e)]++
}

func (h *histogram) merge(o histogram) {
	h.n += o.n
	h.most = max(h.most, o.most)
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// quantile is the lower end of the bucket it falls into.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint64(q * float64(h.n))
	for i, n := range h.buckets {
		if left < n {
			if i < 32 {
				return time.Duration(i)
			}
			e := i/16 - 1
			return time.Duration(i-e*16) << e
		}
		left -= n
	}
	return h.most
}
