// Package serve runs a daemon as a process: it binds listeners, says where they are, and goes down in good order when it is told to.
//
// # How it goes down
//
//	told to end      nothing is accepted any more, and /readyz says so
//	settle           calls of models and tools that are under way are answered; nothing new is begun. At most Config.Patience
//	part             streams end, and requests that wait are told that they do not wait any more
//	close            what is still at work is cancelled, leases are given up, stores are closed
//
// Runs that are not over stay durable, and the next process goes on with them. Told again, it does not wait.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// Realms are the realms of a state root, as far as a daemon handles them.
type Realms interface {
	Plane(ctx context.Context, realm string) (*control.Plane, error)
	// Settle begins nothing new and waits until what is under way is answered, or ctx ends.
	Settle(ctx context.Context) error
	Close() error
}

// RPC speaks JSON-RPC with whoever connects to a listener, until ctx ends.
type RPC interface {
	Listen(ctx context.Context, l net.Listener) error
}

// Config says what a daemon serves and where. Realms, Door, Owners, Log and Err must be set.
type Config struct {
	Name    string // of the command, for what it says of itself: rkat serve
	Realms  Realms
	Door    *control.Door
	Owners  *Owners
	Initial []string // realms that are opened at once, so that what is unfinished there goes on

	HTTP        string // address; empty: no HTTP
	RPC         string // address; empty: no JSON-RPC over TCP
	AllowRemote bool   // RPC may be bound to an address that others reach
	Handler     func(Hooks) http.Handler
	Speak       RPC // needed where RPC is set

	Patience time.Duration // how long to settle; 0: 10 s; negative: not at all
	Stop     <-chan os.Signal
	Log      *slog.Logger
	Err      io.Writer // where it says that it listens
	Measures *Measures // nil: nothing is measured
}

// Hooks are what a handler is given of the daemon it serves in.
type Hooks struct {
	Ready    func(context.Context) error // why the daemon takes no work; nil: it does
	Shutdown <-chan struct{}             // closed when streams and waiting requests are to end
	Log      *slog.Logger
	Observe  func(route string, status int, took time.Duration)
	Hosts    []string // names of the address it is bound to
}

// Bounds of the servers.
const (
	defaultPatience = 10 * time.Second
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeader       = 64 << 10
	maxConnections  = 4096
	partTimeout     = 3 * time.Second // for answers to be taken once they are told to part
)

// ErrGoingDown is why a daemon is not ready that was told to end.
var ErrGoingDown error = &control.Error{Code: fault.Unavailable, Message: "the server is going down"}

// daemon is one run of Run.
type daemon struct {
	Config
	going    atomic.Bool
	shutdown chan struct{}
	http     *http.Server
	httpAt   net.Listener
	rpcAt    net.Listener
	failed   chan error // of a server that ended by itself
	servers  sync.WaitGroup
	partRPC  context.CancelFunc
}

// Run serves until it is told to stop, and returns when everything is closed. Its error says what could not be begun, or what went wrong at the end; a
// realm that another daemon has is an *OwnedError.
func Run(ctx context.Context, c Config) (err error) {
	d := &daemon{Config: c, shutdown: make(chan struct{}), failed: make(chan error, 2)}
	if d.Patience == 0 {
		d.Patience = defaultPatience
	}
	defer func() { err = errors.Join(err, c.Realms.Close(), c.Owners.Release()) }()
	for _, realm := range c.Initial { // before anything is bound: a second daemon is to hear of the first, not of its port
		if err := c.Owners.Take(realm); err != nil {
			return err
		}
	}
	if err := d.bind(ctx); err != nil {
		return err
	}
	for _, realm := range c.Initial {
		if _, err := c.Realms.Plane(ctx, realm); err != nil {
			return errors.Join(err, d.unbind())
		}
	}
	d.start()
	d.announce()
	select {
	case <-ctx.Done():
		c.Log.Info("ending", "why", context.Cause(ctx))
	case s := <-c.Stop:
		c.Log.Info("ending", "why", s.String())
	case err = <-d.failed:
		c.Log.Error("a listener failed", "error", err)
	}
	d.end()
	return err
}

// bind listens where it is to, or nowhere.
func (d *daemon) bind(ctx context.Context) error {
	keys, err := d.keys(ctx)
	if err != nil {
		return err
	}
	if d.HTTP != "" {
		if d.httpAt, err = listen(ctx, "HTTP", d.HTTP, keys, true); err != nil {
			return err
		}
	}
	if d.RPC != "" {
		if d.rpcAt, err = listen(ctx, "JSON-RPC", d.RPC, keys, d.AllowRemote); err != nil {
			return errors.Join(err, d.unbind())
		}
	}
	return nil
}

// keys reports whether callers have to show keys.
func (d *daemon) keys(ctx context.Context) (bool, error) {
	if d.Door.Keys == nil {
		return false, nil
	}
	need, err := d.Door.Keys.Required(ctx)
	if err != nil {
		return false, fmt.Errorf("look for keys: %w", err)
	}
	return need, nil
}

func (d *daemon) unbind() error {
	var errs []error
	for _, l := range []net.Listener{d.httpAt, d.rpcAt} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (d *daemon) start() {
	if d.httpAt != nil {
		places := newBounded(d.httpAt, maxConnections)
		d.http = &http.Server{Handler: d.guarded(), ConnState: places.state, ConnContext: connContext, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug)}
		d.servers.Go(func() {
			if err := d.http.Serve(places); !errors.Is(err, http.ErrServerClosed) && !d.going.Load() {
				d.failed <- fmt.Errorf("serve HTTP: %w", err)
			}
		})
	}
	if d.rpcAt != nil {
		ctx, cancel := context.WithCancel(context.Background())
		d.partRPC = cancel
		at := d.rpcAt
		if d.Measures != nil {
			at = &counted{Listener: at, count: d.Measures.connected.Add}
		}
		d.servers.Go(func() {
			if err := d.Speak.Listen(ctx, at); err != nil && !d.going.Load() {
				d.failed <- fmt.Errorf("serve JSON-RPC: %w", err)
			}
		})
	}
}

// announce says where it listens: to whoever started it, and to other daemons.
func (d *daemon) announce() {
	at := ""
	if d.httpAt != nil {
		at = "http://" + d.httpAt.Addr().String()
		fmt.Fprintf(d.Err, "%s: http on %s\n", d.Name, at)
	}
	if d.rpcAt != nil {
		tcp := "tcp://" + d.rpcAt.Addr().String()
		fmt.Fprintf(d.Err, "rkat-rpc listening on %s\n", tcp)
		if at == "" {
			at = tcp
		}
	}
	if err := d.Owners.At(at); err != nil {
		d.Log.Warn("other daemons will not learn where this one listens", "error", err)
	}
}

// ready is why no work is taken.
func (d *daemon) ready(ctx context.Context) error {
	if d.going.Load() {
		return ErrGoingDown
	}
	for _, realm := range d.Initial {
		p, err := d.Realms.Plane(ctx, realm)
		if err == nil {
			err = p.Ready(ctx)
		}
		if err != nil {
			return fmt.Errorf("realm %s: %w", realm, err)
		}
	}
	return nil
}

// end goes down.
func (d *daemon) end() {
	d.going.Store(true)
	var closing sync.WaitGroup
	if d.rpcAt != nil {
		_ = d.rpcAt.Close() // those that are connected stay for now; there is nothing to be done about an error
	}
	if d.http != nil {
		d.http.SetKeepAlivesEnabled(false)
		_ = d.httpAt.Close()
	}
	d.settle()
	close(d.shutdown)
	if d.partRPC != nil {
		d.partRPC()
	}
	if d.http != nil {
		closing.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), partTimeout)
			defer cancel()
			if err := d.http.Shutdown(ctx); ctx.Err() != nil && err != nil {
				d.Log.Warn("clients did not take their answers in time")
				_ = d.http.Close() // it closes what it can
			}
		})
	}
	closing.Wait()
	d.servers.Wait()
	d.Log.Info("ended")
}

// settle waits for what is under way, until patience ends or somebody says again to end.
func (d *daemon) settle() {
	if d.Patience < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.Patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.Realms.Settle(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			d.Log.Warn("calls are cut that were not answered in time; their runs are kept", "error", err)
		}
		return
	case s := <-d.Stop:
		d.Log.Warn("told again to end: calls under way are cut, their runs are kept", "why", s.String())
		cancel()
	}
	<-done
}
