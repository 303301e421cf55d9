package serve_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// estate stands in for realms: settling takes as long as the test says.
type estate struct {
	settle  func(context.Context) error
	settled chan struct{}
	closed  chan struct{}
}

func newEstate() *estate {
	return &estate{settle: func(context.Context) error { return nil }, settled: make(chan struct{}), closed: make(chan struct{})}
}

func (*estate) Plane(context.Context, string) (*control.Plane, error) {
	return nil, errors.New("no realm is needed")
}

func (e *estate) Settle(ctx context.Context) error {
	close(e.settled)
	return e.settle(ctx)
}

func (e *estate) Close() error {
	close(e.closed)
	return nil
}

// said passes on what a daemon says of where it listens.
type said chan string

func (s said) Write(p []byte) (int, error) {
	s <- string(p)
	return len(p), nil
}

// run starts a daemon and returns its address, what tells it to end, and how it ended.
func run(t *testing.T, e *estate, handler func(serve.Hooks) http.Handler) (url string, stop chan os.Signal, ended chan error) {
	t.Helper()
	log, err := serve.Logger(t.Output(), "debug", "text")
	if err != nil {
		t.Fatal(err)
	}
	out := make(said, 1)
	stop, ended = make(chan os.Signal, 2), make(chan error, 1)
	c := serve.Config{Name: "test", Realms: e, Door: &control.Door{}, Owners: serve.NewOwners(t.TempDir(), "test"), HTTP: "127.0.0.1:0", Handler: handler,
		Patience: time.Minute, Stop: stop, Log: log, Err: out}
	go func() { ended <- serve.Run(t.Context(), c) }()
	select {
	case line := <-out:
		_, url, _ = strings.Cut(strings.TrimSpace(line), "http on ")
	case err := <-ended:
		t.Fatal(err)
	}
	return url, stop, ended
}

func get(t *testing.T, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestA_request_under_way_is_answered_and_none_is_taken_once_the_server_ends(t *testing.T) {
	t.Parallel()
	e := newEstate()
	let, waiting := make(chan struct{}), make(chan serve.Hooks, 1)
	e.settle = func(ctx context.Context) error {
		select {
		case <-let:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	url, stop, ended := run(t, e, func(k serve.Hooks) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			waiting <- k
			<-k.Shutdown // as a stream does
			w.WriteHeader(http.StatusTeapot)
		})
	})
	answered := make(chan int, 1)
	go func() {
		status, err := get(t, url)
		if err != nil {
			t.Error(err)
		}
		answered <- status
	}()
	k := <-waiting
	if err := k.Ready(t.Context()); err != nil {
		t.Errorf("before: %v", err)
	}
	stop <- os.Interrupt
	<-e.settled
	if err := k.Ready(t.Context()); !errors.Is(err, serve.ErrGoingDown) {
		t.Errorf("while it goes down: %v", err)
	}
	if _, err := get(t, url); err == nil {
		t.Error("a connection is taken while it goes down")
	}
	close(let)
	if status := <-answered; status != http.StatusTeapot {
		t.Errorf("answered with %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-e.closed
}

func TestA_second_signal_does_not_wait(t *testing.T) {
	t.Parallel()
	e := newEstate()
	e.settle = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	_, stop, ended := run(t, e, nil)
	stop <- os.Interrupt
	<-e.settled
	stop <- os.Interrupt
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestA_handler_that_breaks_takes_nobody_else_along(t *testing.T) {
	t.Parallel()
	url, stop, ended := run(t, newEstate(), func(serve.Hooks) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/break" {
				panic("broken")
			}
		})
	})
	if _, err := get(t, url+"/break"); err == nil {
		t.Error("it was answered")
	}
	if status, err := get(t, url); status != http.StatusOK {
		t.Errorf("afterwards: %d, %v", status, err)
	}
	stop <- os.Interrupt
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestA_realm_has_one_owner_and_he_is_named(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first, second := serve.NewOwners(root, "first"), serve.NewOwners(root, "second")
	for range 2 {
		if err := first.Take("r"); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.At("http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	var owned *serve.OwnedError
	err := second.Take("r")
	if !errors.As(err, &owned) || owned.Owner.PID != os.Getpid() || owned.Owner.Address != "http://127.0.0.1:1" || fault.CodeOf(err) != fault.OwnedElsewhere {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "r", "daemon.lock"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Take("r"); !errors.As(err, &owned) || owned.Owner != (serve.Owner{}) {
		t.Errorf("with nothing to be read: %v", err)
	}
	if err := second.Take("other"); err != nil {
		t.Errorf("another realm: %v", err)
	}
	if err := errors.Join(first.Release(), second.Take("r"), second.Release()); err != nil {
		t.Errorf("after he has left: %v", err)
	}
}

func TestA_port_that_is_taken_is_said_and_nothing_stays_open(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	log, err := serve.Logger(t.Output(), "off", "json")
	if err != nil {
		t.Fatal(err)
	}
	e := newEstate()
	err = serve.Run(t.Context(), serve.Config{Realms: e, Door: &control.Door{}, Owners: serve.NewOwners(t.TempDir(), ""), HTTP: "127.0.0.1:0", RPC: l.Addr().String(), Log: log, Err: t.Output()})
	if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
	<-e.closed
}

func TestLevels_of_the_log_are_read_or_refused(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]string{"": "info", "debug": "debug", "meerkat=debug": "info", "meerkat=debug,WARN": "WARN", "nonsense, error ": "error"} {
		if got := serve.FilterLevel(filter); got != want {
			t.Errorf("%q: %q", filter, got)
		}
	}
	if _, err := serve.Logger(t.Output(), "loud", ""); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	if _, err := serve.Logger(t.Output(), "", "xml"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}
