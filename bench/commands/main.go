// Command commands measures what every command of the runtime costs on a session that is resident, in memory and on SQLite; what queries cost
// while sessions are written at full speed; and what a resident session takes.
//
//	go run ./bench/commands                       # all of it, about three minutes
//	go run ./bench/commands -what commands -n 300
//	go run ./bench/commands -what density -resident 10000 -disk 100000
//
// It is a program and no set of benchmarks: most commands change their session for good, so each call needs a session of its own that was
// brought so far outside of the clock; what is asked for are the quantiles of single calls and what each call writes and syncs, which a
// benchmark of N calls in a row does not tell; and the memory of ten thousand sessions is that of a process in which nothing else was done.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// options are what the flags say.
type options struct {
	dir      string        // everything is made below it, and removed
	n        int           // calls of each command
	runs     int           // of each measurement
	span     time.Duration // of each measurement under load
	writers  int
	resident int // sessions in memory
	disk     int // sessions in the store
	only     string
	heap     string // file for what is in memory when the sessions are woken
}

func main() {
	o := options{}
	what := flag.String("what", "commands,queries,load,density", "which measurements, separated by commas")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the measurements to this file")
	flag.StringVar(&o.dir, "dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	flag.StringVar(&o.heap, "memprofile", "", "with -what density: write what the sessions woken last have on the heap to this file")
	flag.StringVar(&o.only, "only", "", "only commands, queries and kinds of sessions whose name holds this")
	flag.IntVar(&o.n, "n", 1000, "calls of each command, each on a session of its own")
	flag.IntVar(&o.runs, "runs", 1, "runs of each measurement, of which the one with the lowest median is shown; of those with writers the one that wrote most")
	flag.DurationVar(&o.span, "span", 2*time.Second, "length of each measurement under load")
	flag.IntVar(&o.writers, "writers", 64, "sessions that are written at the same time")
	flag.IntVar(&o.resident, "resident", 10_000, "sessions in memory")
	flag.IntVar(&o.disk, "disk", 100_000, "sessions in the store, of which those in memory are some")
	flag.Parse()
	if err := measureAll(o, *what, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "commands:", err)
		os.Exit(1)
	}
}

func measureAll(o options, what, profile string) (err error) {
	if o.heap != "" {
		runtime.MemProfileRate = 512 // before anything is made that is to be seen
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if o.dir, err = os.MkdirTemp(o.dir, "meerkat-commands-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	fmt.Println("durability: SQLite WAL, synchronous=FULL. A sync is one transaction of the store, leases included")
	took, err := syncs(filepath.Join(o.dir, "probe"), 1000)
	if err != nil {
		return err
	}
	fmt.Printf("fsync of 512 bytes, same disk: p50 %s, p99 %s\n", quantile(took, 0.5), quantile(took, 0.99))
	ctx := context.Background()
	for _, w := range strings.Split(what, ",") {
		measure, ok := map[string]func(context.Context, options) error{
			"commands": measureCommands, "queries": measureQueries, "load": measureLoad, "density": measureDensity}[w]
		if !ok {
			return fmt.Errorf("nothing is called %q", w)
		}
		fmt.Println()
		if err := measure(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// syncs is what the disk takes for making 512 bytes durable.
func syncs(path string, n int) ([]time.Duration, error) {
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
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took, nil
}

// quantile is of sorted times.
func quantile(took []time.Duration, q float64) time.Duration {
	d := took[min(len(took)-1, int(q*float64(len(took))))]
	if d < time.Microsecond {
		return d
	}
	return d.Round(100 * time.Nanosecond)
}
