package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// crashAt tells the test binary, run again, that it is a child that is to be killed, and where its store is.
const crashAt = "STORETEST_CRASH_AT"

// crashSessions write at the same time in the child.
const crashSessions = 6

// CrashChild belongs at the beginning of TestMain. In a child of RunCrash it commits until it is killed and never returns; in any
// other process it does nothing.
func CrashChild(open func(ctx context.Context, place string) (store.Store, error)) {
	place := os.Getenv(crashAt)
	if place == "" {
		return
	}
	ctx := context.Background()
	s, err := open(ctx, place)
	if err == nil {
		err = commitForEver(ctx, s)
	}
	fmt.Fprintln(os.Stderr, "crash child:", err)
	os.Exit(1)
}

// commitForEver commits to several sessions and prints a line for each acknowledged version, until something fails. The goroutines
// it leaves behind die with the process.
func commitForEver(ctx context.Context, s store.Store) error {
	out, failed := make(chan string), make(chan error, crashSessions)
	for n := range crashSessions {
		go func() { failed <- commitOne(ctx, s, n, out) }()
	}
	for {
		select {
		case line := <-out:
			if _, err := os.Stdout.WriteString(line); err != nil {
				return err
			}
		case err := <-failed:
			return err
		}
	}
}

// commitOne goes on with one session where the last child was killed.
func commitOne(ctx context.Context, s store.Store, n int, out chan<- string) error {
	l, err := s.Acquire(ctx, claim(crashSession(n), "child"))
	if err != nil {
		return err
	}
	ld, err := s.Load(ctx, l.Session)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for v := ld.Version; ; v++ {
		if err := s.Commit(ctx, full(l, v)); err != nil {
			return err
		}
		out <- fmt.Sprintf("%d %d\n", n, v+1)
	}
}

func crashSession(n int) id.Session { return id.Session(fmt.Sprintf("crash-%d", n)) }

// RunCrash kills a process with signal 9 while it commits, opens the store it leaves behind, and checks that nothing it acknowledged
// is missing and that no batch is there in part; as many times as asked, in the same place. The test's TestMain calls CrashChild.
// check, if not nil, looks at the place in its own way after each crash.
func RunCrash(t *testing.T, place string, times int, open func(ctx context.Context, place string) (store.Store, error), check func(t *testing.T)) {
	acknowledged := make([]int, crashSessions)
	for range times {
		// The commit at which it dies is drawn; where in a commit the signal hits is up to the machine.
		killAfterAcks(t, place, 1+rand.IntN(60), acknowledged, nil)
		s, err := open(t.Context(), place)
		if err != nil {
			t.Fatalf("open after the crash: %v", err)
		}
		wantAcknowledged(world{t, s, t.Context()}, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		if check != nil {
			check(t)
		}
	}
}

// RunShared lets two processes commit in one place at the same time, this one and a child like that of RunCrash, which is killed at
// the end while this one goes on.
func RunShared(t *testing.T, place string, open func(ctx context.Context, place string) (store.Store, error)) {
	s, err := open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	w := world{t, s, t.Context()}
	mine := w.take(claim("mine", "parent"))
	acknowledged, v := make([]int, crashSessions), uint64(0)
	killAfterAcks(t, place, 60, acknowledged, func() {
		w.commit(full(mine, v))
		v++
	})
	w.commit(full(mine, v))
	wantAcknowledged(w, acknowledged)
	wantFull(w, "mine", int(v+1))
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// wantAcknowledged checks what a killed child left behind, and raises the acknowledged versions to those that are there.
func wantAcknowledged(w world, acknowledged []int) {
	w.Helper()
	for n, acked := range acknowledged {
		found := 0
		if ld, err := w.Load(w.ctx, crashSession(n)); err == nil {
			found = int(ld.Version)
		} else if !errors.Is(err, store.ErrNotFound) {
			w.Fatal(err)
		}
		if found < acked {
			w.Errorf("session %d: version %d was acknowledged, %d is there", n, acked, found)
		}
		if found > 0 {
			wantFull(w, crashSession(n), found)
		}
		acknowledged[n] = found
	}
}

// killAfterAcks runs a child until it has acknowledged n commits, kills it, and raises the acknowledged versions by all that it said.
// meanwhile, if not nil, is called for each of the n.
func killAfterAcks(t *testing.T, place string, n int, acknowledged []int, meanwhile func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), crashAt+"="+place)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = child.Process.Kill() }) }
	defer func() {
		kill()
		_ = child.Wait() // it says that it was killed
	}()
	lines, seen := bufio.NewReader(out), 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the line it died in is no acknowledgement
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		var session, version int
		if _, err := fmt.Sscanf(line, "%d %d\n", &session, &version); err != nil {
			t.Fatalf("the child said %q: %v", line, err)
		}
		acknowledged[session] = max(acknowledged[session], version)
		seen++
		if seen <= n && meanwhile != nil {
			meanwhile()
		}
		if seen == n {
			kill()
		}
	}
	if seen < n {
		t.Fatalf("the child ended by itself after %d commits", seen)
	}
}
