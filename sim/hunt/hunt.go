// Package hunt plays histories of the simulation in other processes, for as long as it is told to, and says how to play again what broke a rule.
//
// A worker is the test binary of package sim. It says on its standard output which plan it is about to play and what came of it, one Line each, so
// that a history that takes its process with it, or never ends, is known by its plan too. Each worker has one processor: in a bubble of
// testing/synctest nearly everything waits for everything else, and two workers find more than one that is twice as wide.
package hunt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Line is what a worker says: first that it plays a plan, then, with Done, what came of it.
type Line struct {
	Seed     uint64
	Plan     string // the arguments that play it again
	Done     bool
	Commits  int
	Effects  int
	Breaches []string
}

// Finding is a history that broke a rule, or its process, or did not end.
type Finding struct {
	Plan string
	What []string
}

// Replay is the command that plays the history again.
func (f Finding) Replay() string { return "go test ./sim -v " + f.Plan }

// Report is what a hunt has done.
type Report struct {
	Histories, Commits, Effects int
	Findings                    []Finding
}

// String tells of it in one line. A step is a commit or an effect: that is where things go wrong.
func (r Report) String() string {
	return fmt.Sprintf("%d histories, %d steps (%d commits, %d effects), %d findings", r.Histories, r.Commits+r.Effects, r.Commits, r.Effects, len(r.Findings))
}

// Config says how to hunt.
type Config struct {
	For      time.Duration
	Seed     uint64 // the first; workers go up from there, far from each other
	Parallel int    // workers
	Progress time.Duration
	Patience time.Duration // how long one history may take in real time
	Most     int           // findings after which the hunt ends
	Out      io.Writer
	// Worker makes the command of one worker, which plays from a seed on until it is killed.
	Worker func(ctx context.Context, first uint64) *exec.Cmd
}

// apart is how far the workers' first seeds lie from each other.
const apart = 1_000_000

// kept is how much of a worker's complaints is kept: a crash says first what it is.
const kept = 4000

type hunt struct {
	Config
	stop context.CancelFunc

	mu     sync.Mutex
	report Report
	failed error // a worker could not be used at all
}

// Run hunts until the time is up, ctx ends, or there are enough findings. It waits for its workers. An error says that it could not hunt.
func Run(ctx context.Context, c Config) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.For)
	defer cancel()
	h := &hunt{Config: c, stop: cancel}
	began := time.Now()
	var workers, telling sync.WaitGroup
	for n := range c.Parallel {
		workers.Go(func() { h.work(ctx, c.Seed+uint64(n)*apart) })
	}
	done := make(chan struct{})
	telling.Go(func() {
		tick := time.NewTicker(c.Progress)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				h.mu.Lock()
				fmt.Fprintf(c.Out, "%s: %s\n", time.Since(began).Round(time.Second), h.report)
				h.mu.Unlock()
			case <-done:
				return
			}
		}
	})
	workers.Wait()
	close(done)
	telling.Wait()
	return h.report, h.failed
}

// work has one worker after another play from a seed on: one that dies or stands still is a finding, and the next begins behind it.
func (h *hunt) work(ctx context.Context, first uint64) {
	for ctx.Err() == nil {
		last, complaint, err := h.one(ctx, first)
		switch {
		case ctx.Err() != nil:
		case last.Plan == "":
			h.mu.Lock()
			h.failed = errors.Join(h.failed, fmt.Errorf("run a worker: %w\n%s", err, complaint))
			h.mu.Unlock()
			h.stop()
		case last.Done:
			first = last.Seed + 1 // it ended between two histories
		default:
			h.found(Finding{last.Plan, []string{fmt.Sprintf("the process did not get through: %v", err), complaint}})
			first = last.Seed + 1
		}
	}
}

// one runs a worker to its end and returns the last that it said.
func (h *hunt) one(ctx context.Context, first uint64) (last Line, complaint string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := h.Worker(ctx, first)
	var errs head
	cmd.Stderr = &errs
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, "", err
	}
	if err = cmd.Start(); err != nil {
		return last, "", err
	}
	still := time.AfterFunc(h.Patience, func() { cancel(fmt.Errorf("nothing came of it in %s", h.Patience)) })
	defer still.Stop()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		still.Reset(h.Patience)
		var l Line
		if !strings.HasPrefix(lines.Text(), `{"Seed":`) || json.Unmarshal(lines.Bytes(), &l) != nil {
			errs.add(lines.Text()) // the test binary speaks too, and says on this stream why it fails
			continue
		}
		last = l
		h.heard(l)
	}
	scanned := lines.Err()
	if scanned != nil {
		cancel(scanned) // so that it is not left writing to nobody
	}
	err = errors.Join(scanned, cmd.Wait())
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return last, errs.String(), err
}

func (h *hunt) heard(l Line) {
	if !l.Done {
		return
	}
	h.mu.Lock()
	h.report.Histories++
	h.report.Commits += l.Commits
	h.report.Effects += l.Effects
	h.mu.Unlock()
	if len(l.Breaches) > 0 {
		h.found(Finding{l.Plan, l.Breaches})
	}
}

func (h *hunt) found(f Finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.report.Findings = append(h.report.Findings, f)
	fmt.Fprintf(h.Out, "FOUND %s\nplay it again: %s\n", strings.Join(f.What, "\n  "), f.Replay())
	if len(h.report.Findings) >= h.Most {
		h.stop()
	}
}

// head keeps the first of what is written to it. Both streams of a worker come here, so it is locked.
type head struct {
	mu   sync.Mutex
	text []byte
	more int // bytes that were left out
}

// Write keeps what there is room for.
func (w *head) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), kept-len(w.text))
	w.text = append(w.text, p[:n]...)
	w.more += len(p) - n
	return len(p), nil
}

func (w *head) add(line string) { _, _ = w.Write([]byte(line + "\n")) } // never fails

// String returns it, and says how much is missing.
func (w *head) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.more > 0 {
		return fmt.Sprintf("%s … and %d bytes more", w.text, w.more)
	}
	return string(w.text)
}

// Build compiles the simulation's test binary into a folder and returns what runs it as a worker. It needs the Go toolchain and to be called
// within the module.
func Build(ctx context.Context, dir string) (func(ctx context.Context, first uint64) *exec.Cmd, error) {
	binary := filepath.Join(dir, "sim.test")
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "github.com/meerkat-go/meerkat/sim").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the simulation: %w\n%s", err, out)
	}
	return func(ctx context.Context, first uint64) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestEvery_rule_holds_whatever_happens$", "-test.timeout", "0", "-hunt", "-first", fmt.Sprint(first))
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		return cmd
	}, nil
}
