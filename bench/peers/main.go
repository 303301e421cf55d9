// Command peers measures others beside Meerkat, in one run on one machine: the same conversation, the same fake model in a process of
// its own, the same tool, the same number of turns, each subject in a fresh process on a fresh folder.
//
//	cd bench/peers && go run . -runs 5
//	cd bench/peers && go run . -only 3-meerkat,4-dbos-full -turns 1000 -dir /mnt/disk
//
// It is a module of its own, so that what is compared is no dependency of the product.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	role := flag.String("role", "", "for the bench itself: model, or the name of a subject")
	url := flag.String("url", "", "for the bench itself: where the model is")
	runs := flag.Int("runs", 5, "how often each subject is measured; the subjects take turns")
	turns := flag.Int("turns", 300, "turns of one session alone")
	only := flag.String("only", strings.Join(names(), ","), "subjects")
	dir := flag.String("dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	ttft := flag.Duration("ttft", 0, "how long the model thinks before its first token")
	flag.Parse()
	ctx := context.Background()
	var err error
	switch *role {
	case "":
		err = compare(ctx, strings.Split(*only, ","), *runs, *turns, *dir, *ttft)
	case "model":
		err = serveModel(*ttft)
	default:
		err = report(ctx, *role, *url, *dir, *turns)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// report measures one subject and prints the figures for whoever started this process.
func report(ctx context.Context, name, url, dir string, turns int) error {
	k, ok := kinds[name]
	if !ok {
		return fmt.Errorf("no subject is called %q: there are %s", name, strings.Join(names(), ", "))
	}
	f, err := measure(ctx, k, url, dir, turns)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// compare starts the model and measures the subjects, run by run: what disturbs the machine for a while disturbs all of them.
func compare(ctx context.Context, subjects []string, runs, turns int, dir string, ttft time.Duration) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	dir, err = os.MkdirTemp(dir, "meerkat-peers-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url, stop, err := startModel(ctx, self, ttft)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	fmt.Printf("model: a process of its own, Chat Completions over HTTP on the loopback, time to first token %v; load %s\n", ttft, load())
	fmt.Printf("%d runs; alone: %d turns of one session; together: %d sessions of %d turns; idle: %d sessions of one turn\n\n", runs, turns, parallel, each, idle)
	got := map[string][]figures{}
	var syncs []time.Duration
	for n := range runs {
		took, err := syncProbe(filepath.Join(dir, "probe"))
		if err != nil {
			return err
		}
		syncs = append(syncs, took...)
		for _, name := range subjects {
			f, err := child(ctx, self, name, url, filepath.Join(dir, fmt.Sprintf("%s-%d", name, n)), turns)
			if err != nil {
				return err
			}
			got[name] = append(got[name], f)
		}
		fmt.Fprintf(os.Stderr, "run %d of %d done, load %s\n", n+1, runs, load())
	}
	tables(os.Stdout, subjects, got)
	fmt.Printf("\none fsync of 512 bytes on the same disk, %d in each run: p50 %.2f ms, p99 %.2f ms, max %.1f ms\nload at the end: %s\n", probes,
		float64(at(syncs, 0.5))/1e6, float64(at(syncs, 0.99))/1e6, float64(at(syncs, 1))/1e6, load())
	return nil
}

func startModel(ctx context.Context, self string, ttft time.Duration) (url string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, self, "-role", "model", "-ttft", ttft.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the model: %w", err)
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("hear where the model is: %w", err), stop())
	}
	return strings.TrimSpace(line), stop, nil
}

func child(ctx context.Context, self, name, url, dir string, turns int) (f figures, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, fmt.Errorf("make folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-role", name, "-url", url, "-dir", dir, "-turns", strconv.Itoa(turns))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("measure %s: %w", name, err)
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&f); err != nil {
		return f, fmt.Errorf("read the figures of %s: %w", name, err)
	}
	return f, nil
}

// tables prints medians of the runs, and the extremes where they say more.
func tables(w io.Writer, subjects []string, got map[string][]figures) {
	fmt.Fprintln(w, "| subject | durability | no tool: p50 / p99 / max | one tool: p50 / p99 / max | together, no tool: turns/s (p50) | one tool: turns/s (p50) | resident: warm / most | an idle session |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, name := range subjects {
		fs, k := got[name], kinds[name]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %.0f / %.0f MB | %.1f KiB, %.0f goroutines |\n", k.title, k.durability,
			lat(fs, func(f figures) latency { return f.Plain }), lat(fs, func(f figures) latency { return f.Tool }),
			many(fs, func(f figures) rate { return f.Many }), many(fs, func(f figures) rate { return f.ManyTool }),
			median(fs, func(f figures) float64 { return float64(f.First) })/1e6, median(fs, func(f figures) float64 { return float64(f.Most) })/1e6,
			median(fs, func(f figures) float64 { return f.IdleBytes })/1024, median(fs, func(f figures) float64 { return f.IdleGoroutines }))
	}
	for _, name := range subjects {
		for n, f := range got[name] {
			if f.Calls != f.Expected || f.Many.Failed+f.ManyTool.Failed > 0 {
				fmt.Fprintf(w, "\n%s, run %d: %d calls of the model where %d were agreed; %d and %d turns failed. %s %s\n",
					name, n+1, f.Calls, f.Expected, f.Many.Failed, f.ManyTool.Failed, f.Many.Why, f.ManyTool.Why)
			}
		}
	}
}

func lat(fs []figures, of func(figures) latency) string {
	ms := func(q func(latency) time.Duration) []float64 {
		var out []float64
		for _, f := range fs {
			out = append(out, float64(q(of(f)))/1e6)
		}
		slices.Sort(out)
		return out
	}
	p50, p99, most := ms(func(l latency) time.Duration { return l.P50 }), ms(func(l latency) time.Duration { return l.P99 }), ms(func(l latency) time.Duration { return l.Max })
	return fmt.Sprintf("%.2f / %.2f / %.1f ms", p50[len(p50)/2], p99[len(p99)/2], most[len(most)-1])
}

func many(fs []figures, of func(figures) rate) string {
	var per []float64
	for _, f := range fs {
		per = append(per, of(f).PerSecond)
	}
	slices.Sort(per)
	p50 := median(fs, func(f figures) float64 { return float64(of(f).P50) / 1e6 })
	return fmt.Sprintf("%.0f, %.0f to %.0f (%.1f ms)", per[len(per)/2], per[0], per[len(per)-1], p50)
}

func median(fs []figures, of func(figures) float64) float64 {
	var all []float64
	for _, f := range fs {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

const probes = 200

// syncProbe measures what the disk takes, which is the limit of all that is durable.
func syncProbe(path string) (took []time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for range probes {
		began := time.Now()
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("sync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// load is how busy the machine is, as the system says.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}
