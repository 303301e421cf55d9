// Command turns measures durable turns through the whole stack: control, runtime, machine, driver, SQLite, agent, and a model that
// answers at once.
//
//	go run ./bench/turns                       # one session, 64 sessions, with and without a tool; turn 10 against turn 1,000
//	go run ./bench/turns -dir /mnt/disk -turns 2000
//
// It prints what one fdatasync of 512 bytes costs on the same disk in the same run, since that is the limit of the rest.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

func main() {
	dir := flag.String("dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	turns := flag.Int("turns", 1000, "turns per measurement")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the measurements to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "turns:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := measure(context.Background(), *dir, *turns); err != nil {
		fmt.Fprintln(os.Stderr, "turns:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, dir string, turns int) error {
	dir, err := os.MkdirTemp(dir, "meerkat-turns-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("durability: SQLite WAL, synchronous=FULL; the model answers at once, in this process")
	fmt.Printf("%-34s %10s %10s %10s %12s\n", "", "p50", "p99", "max", "per second")
	syncs, err := fdatasync(filepath.Join(dir, "probe"), 1000)
	if err != nil {
		return err
	}
	row("fdatasync of 512 bytes", syncs, 0)
	for _, tools := range []int{0, 1, 4} {
		for _, sessions := range []int{1, 64} {
			name := fmt.Sprintf("%d session(s), %d tool(s) a turn", sessions, tools)
			if err := load(ctx, filepath.Join(dir, fmt.Sprint(tools, "-", sessions)), name, sessions, tools, turns); err != nil {
				return err
			}
		}
	}
	if err := depth(ctx, filepath.Join(dir, "depth")); err != nil {
		return err
	}
	return resident()
}

func row(name string, took []time.Duration, wall time.Duration) {
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Microsecond)
	}
	rate := ""
	if wall > 0 {
		rate = fmt.Sprintf("%.0f", float64(len(took))/wall.Seconds())
	}
	fmt.Printf("%-34s %10s %10s %10s %12s\n", name, at(0.5), at(0.99), took[len(took)-1].Round(time.Microsecond), rate)
}

func fdatasync(path string, n int) ([]time.Duration, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	took := make([]time.Duration, n)
	block := make([]byte, 512)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := sync1(f); err != nil {
			return nil, err
		}
		took[i] = time.Since(began)
	}
	return took, nil
}

func load(ctx context.Context, dir, name string, sessions, tools, turns int) (err error) {
	rt, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := rt.Close(); err == nil {
			err = e
		}
	}()
	var ids []id.Session
	for range sessions {
		s, err := create(ctx, rt)
		if err != nil {
			return err
		}
		ids = append(ids, s)
	}
	each := max(turns/sessions, 20)
	took := make([]time.Duration, sessions*each)
	errs := make(chan error, sessions)
	var wg sync.WaitGroup
	began := time.Now()
	for n, s := range ids {
		wg.Go(func() {
			for i := range each {
				d, err := turn(ctx, rt.Plane(), s, tools)
				if err != nil {
					errs <- err
					return
				}
				took[n*each+i] = d
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)
	close(errs)
	for err := range errs {
		return err
	}
	row(name, took, wall)
	return nil
}

// depth compares early turns of one session with late ones: the cost of a turn must not grow.
func depth(ctx context.Context, dir string) error {
	rt, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer rt.Close()
	s, err := create(ctx, rt)
	if err != nil {
		return err
	}
	// Another session first, so that the log has grown to the size it keeps and both measurements write into it.
	other, err := create(ctx, rt)
	if err != nil {
		return err
	}
	for range 600 {
		if _, err := turn(ctx, rt.Plane(), other, 1); err != nil {
			return err
		}
	}
	var took []time.Duration
	written := map[int]int64{}
	for i := range 1100 {
		written[i] = bytesWritten()
		d, err := turn(ctx, rt.Plane(), s, 1)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	row("one session, turns 10 to 109", slices.Clone(took[10:110]), 0)
	row("one session, turns 1,000 to 1,099", slices.Clone(took[1000:1100]), 0)
	if early, late := written[110]-written[10], bytesWritten()-written[1000]; early > 0 {
		fmt.Printf("bytes written a turn: %d at turn 10, %d at turn 1,000 (%+.1f %%)\n", early/100, late/100, 100*float64(late-early)/float64(early))
	}
	return nil
}

// bytesWritten is what this process has handed to write calls; 0 where the system does not tell.
func bytesWritten() int64 {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "wchar: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

func open(ctx context.Context, dir string) (*meerkat.Runtime, error) {
	return meerkat.Open(ctx, meerkat.Config{StateDir: dir, Models: map[string]llm.Model{"instant": instant{}}, Tools: []tool.Tool{nothing{}}})
}

func create(ctx context.Context, rt *meerkat.Runtime) (id.Session, error) {
	s, err := rt.Plane().CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "instant", Tools: "none"}, System: "Answer."})
	return s.ID, err
}

// turn is one turn as a client sees it: submit, durable, carried out, durable, told.
func turn(ctx context.Context, p *control.Plane, s id.Session, tools int) (time.Duration, error) {
	began := time.Now()
	r, err := p.Submit(ctx, control.Submit{Session: s, Content: transcript.TextBlocks(strconv.Itoa(tools))})
	if err != nil {
		return 0, err
	}
	out, err := p.Wait(ctx, s, r.Input)
	if err == nil && out.Status != control.Completed {
		err = fmt.Errorf("the turn %s: %s", out.Status, out.Error)
	}
	return time.Since(began), err
}

// instant is a model that asks for as many calls as the last user message says, and then is done.
type instant struct{}

// Stream implements llm.Model.
func (instant) Stream(_ context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		last := req.Rows[len(req.Rows)-1]
		if u, ok := last.Entry.(transcript.User); ok {
			if n, _ := strconv.Atoi(u.Content.Plain()); n > 0 {
				for i := range n {
					call := llm.CallPart{Index: i, ID: id.Call(fmt.Sprintf("c%d-%d", last.At.Message, i)), Name: "nothing", Args: "{}"}
					if !yield(call, nil) {
						return
					}
				}
				yield(llm.Done{Stop: transcript.StopToolUse}, nil)
				return
			}
		}
		_ = yield(llm.TextPart{Text: "done"}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

// nothing is a tool that does nothing, at once.
type nothing struct{}

// Spec implements tool.Tool.
func (nothing) Spec() tool.Spec {
	return tool.Spec{Name: "nothing", Description: "Does nothing.", Schema: json.RawMessage(`{"type":"object"}`), Source: "bench"}
}

// Run implements tool.Tool.
func (nothing) Run(context.Context, tool.Call) (tool.Result, error) { return tool.Text("ok"), nil }

// resident prints the memory of this process, which has just run all of the above.
func resident() error {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil // not Linux: nothing to print
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	return nil
}
