package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Process is the World of this process. Call it once: it takes the signals over.
func Process() (World, error) {
	dir, err := os.Getwd()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return World{}, fmt.Errorf("find the working folder: %w", err)
	}
	// Room for all that count: one to interrupt, one to leave, one to end.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return World{
		Args: os.Args[1:], Stdin: os.Stdin, Piped: piped(os.Stdin), Stdout: os.Stdout, Stderr: os.Stderr,
		Env: os.Getenv, Dir: dir, Signals: signals, Terminal: width, Now: time.Now, Tick: tick,
	}, nil
}

// piped reports whether f is a pipe, a socket or a file, rather than a terminal, the null device or nothing.
func piped(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeCharDevice|os.ModeDir) == 0
}

func width(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil || n <= 0 {
		n = 80
	}
	return n, true
}

func tick() (<-chan time.Time, func()) {
	t := time.NewTicker(120 * time.Millisecond)
	return t.C, t.Stop
}
