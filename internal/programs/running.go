package programs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Running is an rkat that runs.
type Running struct {
	t      testing.TB
	cmd    *exec.Cmd
	ctx    context.Context
	cancel context.CancelFunc
	out    transcript
	err    transcript
	wait   func() error
}

// Start starts rkat without input.
func (w *World) Start(args ...string) *Running {
	w.t.Helper()
	return w.Run(func(*exec.Cmd) {}, args...)
}

// Run starts rkat after change has had its way with the command: other streams, another user.
func (w *World) Run(change func(*exec.Cmd), args ...string) *Running {
	w.t.Helper()
	p := &Running{t: w.t}
	p.ctx, p.cancel = context.WithTimeout(context.Background(), Limit)
	p.cmd = w.Command(p.ctx, args...)
	p.out.more, p.err.more = make(chan struct{}), make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	change(p.cmd)
	p.wait = sync.OnceValue(p.cmd.Wait)
	if err := p.cmd.Start(); err != nil {
		p.cancel()
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.cancel()
		_ = p.wait() // how it ended was asked before, or nobody wants to know
	})
	return p
}

// Pid is the process's number.
func (p *Running) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Running) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("send %v: %v", s, err)
	}
}

// Await returns when the text has been printed on standard error.
func (p *Running) Await(text string) {
	p.t.Helper()
	p.await(&p.err, text)
}

// AwaitOutput returns when the text has been printed on standard output.
func (p *Running) AwaitOutput(text string) {
	p.t.Helper()
	p.await(&p.out, text)
}

func (p *Running) await(s *transcript, text string) {
	p.t.Helper()
	for {
		said, more := s.read()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-more:
		case <-p.ctx.Done():
			p.t.Fatalf("rkat %q did not say %q:\n%s", p.cmd.Args[1:], text, said)
		}
	}
}

// Wait returns when the program has ended. One that takes longer than Limit fails the test.
func (p *Running) Wait() Result {
	p.t.Helper()
	err := p.wait()
	late := p.ctx.Err() != nil
	p.cancel()
	r := Result{Args: p.cmd.Args[1:]}
	r.Stdout, _ = p.out.read()
	r.Stderr, _ = p.err.read()
	var exit *exec.ExitError
	switch {
	case late:
		p.t.Fatalf("rkat %q was still running after %v\n%s", r.Args, Limit, r)
	case errors.As(err, &exit):
		r.Exit = exit.ExitCode()
	case err != nil:
		p.t.Fatalf("run rkat %q: %v", r.Args, err)
	}
	return r
}

// Eventually returns when the condition holds, which it looks at again and again; a world whose Limit is over fails the test.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// transcript keeps what a stream carries and tells when there is more.
type transcript struct {
	mu   sync.Mutex
	data bytes.Buffer
	more chan struct{}
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.data.Write(p)
}

func (s *transcript) read() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.String(), s.more
}
