// Command start measures whole processes: rkat version from start to exit against a bare net/http program, and rkat run from start to
// the first byte of its request at the model, with the resident size then.
//
//	go run ./bench/start                # builds what it measures
//	go run ./bench/start -runs 100
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	runs := flag.Int("runs", 40, "counted runs of each")
	flag.Parse()
	if err := measure(*runs); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func measure(runs int) error {
	dir, err := os.MkdirTemp("", "meerkat-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, pkg := range []string{"cmd/rkat", "bench/start/bare"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir, "github.com/meerkat-go/meerkat/"+pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	rkat := filepath.Join(dir, "rkat")
	if info, err := os.Stat(rkat); err == nil {
		fmt.Printf("size of rkat: %.1f MB\n", float64(info.Size())/1e6)
	}
	fmt.Printf("%-52s %9s %9s %9s\n", "", "p50", "p99", "max")
	// In turns, so that a drift of the machine's speed meets both.
	var bare, version []time.Duration
	for n := range runs + 2 {
		b, err := whole(filepath.Join(dir, "bare"))
		if err != nil {
			return err
		}
		v, err := whole(rkat, "version")
		if err != nil {
			return err
		}
		if n >= 2 {
			bare, version = append(bare, b), append(version, v)
		}
	}
	row("bare net/http program, start to exit", bare)
	row("rkat version, start to exit", version)
	return request(dir, rkat, runs)
}

func whole(name string, args ...string) (time.Duration, error) {
	began := time.Now()
	err := exec.Command(name, args...).Run()
	return time.Since(began), err
}

func row(name string, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(10 * time.Microsecond)
	}
	fmt.Printf("%-52s %9s %9s %9s\n", name, at(0.5), at(0.99), took[len(took)-1].Round(10*time.Microsecond))
}

// request listens as a model and times rkat run from its start to the first byte it sends: for a new realm, and for one that exists.
func request(dir, rkat string, runs int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	var fresh, warm []time.Duration
	var sizes []int
	for n := range runs {
		state := filepath.Join(dir, "state", strconv.Itoa(n))
		for _, into := range []*[]time.Duration{&fresh, &warm} {
			took, size, err := once(listener, rkat, dir, state)
			if err != nil {
				return err
			}
			*into = append(*into, took)
			sizes = append(sizes, size)
		}
	}
	row("rkat run, start to first byte at the model, new realm", fresh)
	row("the same, realm exists", warm)
	slices.Sort(sizes)
	fmt.Printf("resident then: p50 %.1f MB, max %.1f MB\n", float64(sizes[len(sizes)/2])/1e3, float64(sizes[len(sizes)-1])/1e3)
	return nil
}

func once(listener net.Listener, rkat, dir, state string) (took time.Duration, resident int, err error) {
	cmd := exec.Command(rkat, "run", "--model", "openai/m", "--tools", "workspace", "hello")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RKAT_STATE_DIR="+state, "OPENAI_API_KEY=k", "OPENAI_BASE_URL=http://"+listener.Addr().String()+"/v1")
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
	}()
	conn, err := listener.Accept()
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	resident, err = residentKB(cmd.Process.Pid)
	return took, resident, err
}

func residentKB(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, errors.New("no resident size in /proc")
}
