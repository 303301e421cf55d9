package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// turn is the second commit of a turn without tools: the input ends, two messages, three events, one receipt.
func turn(l store.Lease, from uint64) *store.Batch {
	v := int(from)
	body := make([]byte, 600)
	return &store.Batch{Session: l.Session, Term: l.Term, From: from, To: from + 1, Control: body[:400],
		Head:     store.Head{Created: l.Expires, Updated: l.Expires.Add(time.Duration(v)), Phase: "idle", Title: "a session", Model: "m", Workspace: "/work"},
		Inputs:   []store.InputRow{{ID: id.Input(id.New()), Seq: id.Seq(v), Body: body[:200]}},
		Messages: []store.MessageRow{{Message: v * 2, Role: "user", Body: body[:200]}, {Message: v*2 + 1, Role: "assistant", Body: body}},
		Events:   []store.EventRow{{Cursor: from*3 + 1, Body: body[:150]}, {Cursor: from*3 + 2, Body: body[:150]}, {Cursor: from*3 + 3, Body: body[:300]}},
		Receipts: []store.ReceiptRow{{Run: "run", Sequence: v, Body: body[:100]}}}
}

// BenchmarkSync is what the disk takes for making 16 KiB durable: no commit is faster.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "x"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 16<<10)
	for b.Loop() {
		_, err1 := f.Write(block)
		if err := errors.Join(err1, syscall.Fdatasync(int(f.Fd()))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit measures one commit of a turn, by one session and by many at once.
func BenchmarkCommit(b *testing.B) {
	for _, sessions := range []int{1, 16, 64, 128} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := mustOpen(b, Options{Path: filepath.Join(b.TempDir(), "sessions.db")})
			defer s.Close()
			leases := make([]store.Lease, sessions)
			for n := range leases {
				l, err := s.Acquire(b.Context(), store.Claim{Session: id.Session(id.New()), Owner: store.Owner{ID: "o"}, Now: time.Now(), TTL: time.Hour, Create: true})
				if err != nil {
					b.Fatal(err)
				}
				leases[n] = l
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			took := make([][]time.Duration, sessions)
			before := s.Stats()
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for n, l := range leases {
				wg.Go(func() {
					for v := uint64(0); left.Add(-1) >= 0; v++ {
						start := time.Now()
						if err := s.Commit(b.Context(), turn(l, v)); err != nil {
							b.Error(err)
							return
						}
						took[n] = append(took[n], time.Since(start))
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			after := s.Stats()
			b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(after.Requests-before.Requests)/float64(after.Groups-before.Groups), "commits/sync")
		})
	}
}

// BenchmarkOpen measures opening and closing: what every start of the program pays.
func BenchmarkOpen(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		dir := b.TempDir()
		for n := 0; b.Loop(); n++ {
			if err := mustOpen(b, Options{Path: filepath.Join(dir, fmt.Sprint(n), "sessions.db")}).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("existing", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "sessions.db")
		for b.Loop() {
			if err := mustOpen(b, Options{Path: path}).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead measures the reads that are on somebody's way, with many sessions in the file.
func BenchmarkRead(b *testing.B) {
	s := mustOpen(b, Options{Path: filepath.Join(b.TempDir(), "sessions.db")})
	defer s.Close()
	const sessions = 5000
	var one store.Lease
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for n := w; n < sessions; n += 64 {
				l, err := s.Acquire(b.Context(), store.Claim{Session: id.Session(id.New()), Owner: store.Owner{ID: "o"}, Now: time.Now(), TTL: time.Hour, Create: true})
				if err := errors.Join(err, s.Commit(b.Context(), turn(l, 0))); err != nil {
					b.Error(err)
				}
				if n == 0 {
					one = l
				}
			}
		})
	}
	wg.Wait()
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Load(b.Context(), one.Session); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if n, err := s.Count(b.Context(), store.Query{Active: true}); err != nil || n != sessions {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Sessions(b.Context(), store.Query{Fresh: true, Active: true}); err != nil || len(got) != 50 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("labels", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Sessions(b.Context(), store.Query{Labels: map[string]string{"a": "b"}}); err != nil || len(got) != 0 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Sessions(b.Context(), store.Query{}); err != nil || len(got) != 50 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("list-workspace-none", func(b *testing.B) {
		for b.Loop() {
			if got, err := s.Sessions(b.Context(), store.Query{Workspace: "/none"}); err != nil || len(got) != 0 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("input-by-key-none", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Input(b.Context(), one.Session, "none"); !errors.Is(err, store.ErrNotFound) {
				b.Fatal(err)
			}
		}
	})
}
