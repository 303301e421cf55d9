package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How much is done, the same for all.
const (
	warm     = 20   // turns before anything is measured, in a session of their own
	parallel = 32   // sessions at the same time
	each     = 20   // turns of each of them
	idle     = 1000 // sessions that have had one turn and do nothing
)

// figures are what one subject's process tells of one run.
type figures struct {
	Plain, Tool     latency
	Many, ManyTool  rate
	First, Most     int64   // resident bytes after the warm-up, and the most of the whole run
	IdleBytes       float64 // of heap and stacks, of one idle session
	IdleGoroutines  float64
	Calls, Expected int64 // of the model: every turn did what was agreed
}

type latency struct{ P50, P99, Max time.Duration }

type rate struct {
	PerSecond float64
	P50, P99  time.Duration
	Failed    int
	Why       string // the first failure
}

// measure does one run of one subject, in this process.
func measure(ctx context.Context, k kind, url, dir string, turns int) (f figures, err error) {
	before, err := modelCalls(url)
	if err != nil {
		return f, err
	}
	s, err := k.open(ctx, url, dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := alone(ctx, s, askTool, warm); err != nil {
		return f, fmt.Errorf("warm up: %w", err)
	}
	f.First = status("VmRSS:")
	if f.Plain, err = alone(ctx, s, askPlain, turns); err != nil {
		return f, err
	}
	if f.Tool, err = alone(ctx, s, askTool, turns); err != nil {
		return f, err
	}
	if f.Many, err = together(ctx, s, askPlain); err != nil {
		return f, err
	}
	if f.ManyTool, err = together(ctx, s, askTool); err != nil {
		return f, err
	}
	if err := f.idle(ctx, s); err != nil {
		return f, err
	}
	f.Most = status("VmHWM:")
	after, err := modelCalls(url)
	f.Calls = after - before
	f.Expected = int64(2*warm + turns + 2*turns + parallel*each + 2*parallel*each + idle)
	return f, err
}

// alone measures the turns of one session, one after the other.
func alone(ctx context.Context, s subject, prompt string, turns int) (latency, error) {
	one, err := s.session(ctx)
	if err != nil {
		return latency{}, err
	}
	took := make([]time.Duration, turns)
	for i := range took {
		began := time.Now()
		if err := one.turn(ctx, prompt); err != nil {
			return latency{}, fmt.Errorf("turn %d: %w", i, err)
		}
		took[i] = time.Since(began)
	}
	return latency{at(took, 0.5), at(took, 0.99), at(took, 1)}, nil
}

// together measures many sessions at once. A turn that fails is counted, not hidden, and not part of the rate.
func together(ctx context.Context, s subject, prompt string) (r rate, err error) {
	sessions := make([]session, parallel)
	for i := range sessions {
		if sessions[i], err = s.session(ctx); err != nil {
			return r, err
		}
	}
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	began := time.Now()
	for _, one := range sessions {
		wg.Go(func() {
			for range each {
				began := time.Now()
				err := one.turn(ctx, prompt)
				d := time.Since(began)
				mu.Lock()
				if err == nil {
					took = append(took, d)
				} else if r.Failed++; r.Why == "" {
					r.Why = err.Error()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.PerSecond = float64(len(took)) / time.Since(began).Seconds()
	r.P50, r.P99 = at(took, 0.5), at(took, 0.99)
	return r, nil
}

// idle measures what a session costs that has had one turn and now does nothing.
func (f *figures) idle(ctx context.Context, s subject) error {
	sessions := make([]session, 0, idle)
	bytes, goroutines := used()
	for range idle {
		one, err := s.session(ctx)
		if err != nil {
			return err
		}
		if err := one.turn(ctx, askPlain); err != nil {
			return err
		}
		sessions = append(sessions, one)
	}
	moreBytes, moreGoroutines := used()
	f.IdleBytes, f.IdleGoroutines = float64(moreBytes-bytes)/idle, float64(moreGoroutines-goroutines)/idle
	runtime.KeepAlive(sessions)
	return nil
}

// used is what the process holds when the garbage is gone.
func used() (bytes int64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// at is a quantile; it sorts what it is given.
func at(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))]
}

// status is a size of this process, in bytes; 0 where the system does not tell.
func status(field string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

func modelCalls(url string) (int64, error) {
	resp, err := http.Get(url + "/calls")
	if err != nil {
		return 0, fmt.Errorf("ask the model for its calls: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("ask the model for its calls: %w", err)
	}
	return strconv.ParseInt(string(data), 10, 64)
}
