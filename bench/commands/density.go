package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
)

// kind is what the sessions are like whose size is measured.
type kind struct {
	name     string
	ready    []step // what was done with them, in an earlier life of the process
	earlier  executor.Executor
	hands    executor.Executor // of the life in which they are measured
	resident func(o options) int
	disk     func(o options) int
}

func measureDensity(ctx context.Context, o options) error {
	asked := func(o options) int { return o.resident }
	thousand := func(o options) int { return min(o.resident, 1000) }
	kinds := []kind{
		{"registered, with a system prompt", []step{register}, waits{}, waits{}, asked, asked},
		{"after a turn", []step{register, turn}, answers{}, answers{}, asked, asked},
		{"the same, one of many in the store", []step{register, turn}, answers{}, answers{}, asked, func(o options) int { return o.disk }},
		{"with 10 inputs that wait", append([]step{register}, slices.Repeat([]step{queue}, 10)...), nil, nil, asked, asked},
		{"with all its regions in use", append([]step{register}, used...), answers{}, answers{}, asked, asked},
		{"with a run that waits", []step{register, queue}, waits{}, waits{}, thousand, thousand},
	}
	fmt.Println("sessions that are resident and at rest, on SQLite, woken in a host that has just been opened; what is decoded of transcripts is dropped")
	fmt.Printf("%-36s %9s %9s | %10s %10s %10s %10s | %9s %9s\n", "", "resident", "in store", "heap each", "stack each", "goroutines", "process",
		"wake p50", "wake p99")
	for n, k := range kinds {
		if !strings.Contains(k.name, o.only) {
			continue
		}
		if err := k.measure(ctx, o, filepath.Join(o.dir, fmt.Sprint("density-", n))); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

// used makes use of what many sessions never use: two tool servers, connected; a filter; a baseline of the model; four peers; two
// operations of the background, at work and kept outside of this process.
var used = []step{
	func(ctx context.Context, b *bed, s id.Session) error {
		h, err := b.handles(ctx, s)
		if err != nil {
			return err
		}
		for _, server := range []string{"files", "browser"} {
			err = errors.Join(err, h.Toolservers.Add(ctx, server, "default"))
		}
		for _, op := range []string{"build", "deploy"} {
			err = errors.Join(err, h.Operations.Register(ctx, op, executor.OperationSpec{Name: op, Source: "shell", Durable: true}), h.Operations.Start(ctx, op))
		}
		for _, name := range []string{"ann", "bob", "eve", "joe"} {
			err = errors.Join(err, h.Peers.Add(ctx, executor.Peer{ID: name, Name: name, Address: "inproc://" + name, Key: "ed25519:" + name}))
		}
		return errors.Join(err, offer(ctx, b, s), hide(ctx, b, s), baseline(ctx, b, s))
	},
	turn, // at whose boundary the servers are connected
	func(ctx context.Context, b *bed, s id.Session) error {
		h, err := b.handles(ctx, s)
		if err != nil {
			return err
		}
		owed, err := h.Toolservers.Owed(ctx)
		if err == nil && len(owed) != 2 {
			err = fmt.Errorf("%d connects are owed", len(owed))
		}
		for _, c := range owed {
			err = errors.Join(err, h.Toolservers.Connected(ctx, c))
		}
		return err
	},
}

// footprint is what this process has, after a collection.
type footprint struct{ heap, stacks, goroutines uint64 }

func taken() footprint {
	goruntime.GC()
	goruntime.GC() // what the first one found to be finalized
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(s)
	return footprint{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()}
}

func (k kind) measure(ctx context.Context, o options, dir string) (err error) {
	n, disk := k.resident(o), max(k.disk(o), k.resident(o))
	earlier, err := makeBed(onSQLite, dir, k.earlier, nil)
	if err != nil {
		return err
	}
	sessions, err := earlier.sessions(ctx, disk, k.ready...)
	if err = errors.Join(err, earlier.close()); err != nil {
		return err
	}
	b, err := makeBed(onSQLite, dir, k.hands, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	sessions = slices.Clone(sessions[disk/2-n/2:][:n]) // not those that were made last
	took := make([]time.Duration, n)
	debug.FreeOSMemory()
	before := taken()
	if err := b.wake(ctx, sessions, took); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // drainers end, and the log is folded
	debug.FreeOSMemory()
	after := taken()
	goruntime.KeepAlive(sessions)
	if err := writeHeap(o.heap); err != nil {
		return err
	}
	slices.Sort(took)
	fmt.Printf("%-36s %9d %9d | %10d %10d %10.2f %10s | %9s %9s\n", k.name, n, disk, int64(after.heap-before.heap)/int64(n),
		int64(after.stacks-before.stacks)/int64(n), float64(int64(after.goroutines-before.goroutines))/float64(n), resident(), quantile(took, 0.5), quantile(took, 0.99))
	return nil
}

func writeHeap(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// wake makes the sessions resident, one after the other.
func (b *bed) wake(ctx context.Context, sessions []id.Session, took []time.Duration) error {
	for n, s := range sessions {
		began := time.Now()
		if _, err := b.WakeSession(ctx, s); err != nil {
			return err
		}
		took[n] = time.Since(began)
	}
	return nil
}

// resident is what this process has in memory; empty where the system does not tell.
func resident() string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return ""
			}
			return fmt.Sprintf("%d MB", kb/1000)
		}
	}
	return ""
}
