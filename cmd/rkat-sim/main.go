// Command rkat-sim hunts: it plays histories of the simulation, with faults, from seeds that nobody has looked at. For each that breaks a rule it prints
// the one command that plays it again.
//
//	go run ./cmd/rkat-sim -for 10m [-seed N] [-parallel N]
//
// It exits with 1 if it found something, and with 2 if it could not hunt.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/meerkat-go/meerkat/sim/hunt"
)

func main() {
	span := flag.Duration("for", time.Minute, "how long to hunt")
	seed := flag.Uint64("seed", 0, "the first seed; 0: any")
	parallel := flag.Int("parallel", runtime.GOMAXPROCS(0), "how many processes play")
	progress := flag.Duration("progress", 10*time.Second, "how often to say how far it is")
	flag.Parse()
	if flag.NArg() > 0 || *span <= 0 || *parallel < 1 || *progress <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *seed == 0 {
		*seed = 1 + uint64(rand.Uint32())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	report, err := play(ctx, hunt.Config{For: *span, Seed: *seed, Parallel: *parallel, Progress: *progress, Patience: 2 * time.Minute, Most: 20, Out: os.Stdout})
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case len(report.Findings) > 0:
		os.Exit(1)
	}
}

// play builds the simulation, hunts, and sums up.
func play(ctx context.Context, c hunt.Config) (hunt.Report, error) {
	dir, err := os.MkdirTemp("", "rkat-sim-*")
	if err != nil {
		return hunt.Report{}, fmt.Errorf("make a folder for the simulation: %w", err)
	}
	defer os.RemoveAll(dir)
	if c.Worker, err = hunt.Build(ctx, dir); err != nil {
		return hunt.Report{}, err
	}
	fmt.Printf("from seed %d, %d processes, %s\n", c.Seed, c.Parallel, c.For)
	report, err := hunt.Run(ctx, c)
	fmt.Printf("%s\n", report)
	for _, f := range report.Findings {
		fmt.Printf("%s\n  play it again: %s\n", f.What[0], f.Replay())
	}
	return report, err
}
