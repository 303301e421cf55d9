// Command daemon measures rkat as a process that others talk to: how soon it answers, what it costs to be at rest, how long a submit and a read take,
// what JSON-RPC adds to a turn, how late a streamed token comes, and how fast a reader catches up.
//
//	go run ./bench/daemon                     # everything; builds what it measures
//	go run ./bench/daemon -what start,acks
//
// The model answers at once, in the daemon (RKAT_TEST_CLIENT), but for the tokens: there it is this process, which speaks Chat Completions.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bed is what the measurements share.
type bed struct {
	dir  string
	rkat string
	runs int
}

func main() {
	what := flag.String("what", "start,acks,turns,tokens,catchup", "which measurements, in that order")
	runs := flag.Int("runs", 40, "processes started, for each kind")
	dir := flag.String("dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	flag.Parse()
	if err := measure(*dir, *runs, strings.Split(*what, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "daemon:", err)
		os.Exit(1)
	}
}

func measure(dir string, runs int, what []string) error {
	dir, err := os.MkdirTemp(dir, "meerkat-daemon-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bed{dir: dir, rkat: filepath.Join(dir, "rkat"), runs: runs}
	build := exec.Command("go", "build", "-trimpath", "-o", dir, "github.com/meerkat-go/meerkat/cmd/rkat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := os.Symlink(b.rkat, filepath.Join(dir, "rkat-rpc")); err != nil {
		return err
	}
	fmt.Printf("%-58s %9s %9s %9s\n", "", "p50", "p99", "max")
	for _, one := range []struct {
		name string
		do   func(*bed) error
	}{{"start", start}, {"acks", acks}, {"turns", turns}, {"tokens", tokens}, {"catchup", catchUp}} {
		if !slices.Contains(what, one.name) {
			continue
		}
		if err := one.do(b); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return nil
}

func row(name string, took []time.Duration) {
	if len(took) == 0 {
		fmt.Printf("%-58s nothing was measured\n", name)
		return
	}
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Microsecond)
	}
	fmt.Printf("%-58s %9s %9s %9s\n", name, at(0.5), at(0.99), took[len(took)-1].Round(time.Microsecond))
}

// start times processes from their start to their first answer.
func start(b *bed) error {
	for _, kind := range []struct {
		name string
		once func(*bed, string) (time.Duration, int, error)
	}{
		{"rkat-rpc, start to the answer of initialize", rpcOnce},
		{"rkat serve, start to the answer of /health", serveOnce},
	} {
		var took []time.Duration
		var sizes []int
		for n := range b.runs {
			t, size, err := kind.once(b, filepath.Join(b.dir, fmt.Sprint("state-", len(kind.name), n)))
			if err != nil {
				return err
			}
			took, sizes = append(took, t), append(sizes, size)
		}
		row(kind.name, took)
		slices.Sort(sizes)
		fmt.Printf("  resident then: p50 %.1f MB, max %.1f MB\n", float64(sizes[len(sizes)/2])/1e3, float64(sizes[len(sizes)-1])/1e3)
	}
	return nil
}

func rpcOnce(b *bed, state string) (time.Duration, int, error) {
	began := time.Now()
	p, err := startRPC(b, state)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	if _, err := p.call("initialize", `{}`); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	size, err := residentKB(p.cmd.Process.Pid)
	return took, size, err
}

func serveOnce(b *bed, state string) (time.Duration, int, error) {
	began := time.Now()
	s, err := startServe(b, state)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	if _, err := s.get("/health"); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	size, err := residentKB(s.cmd.Process.Pid)
	return took, size, err
}
