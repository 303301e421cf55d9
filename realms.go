package meerkat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// Realms opens the realms of a state root when somebody asks for them, each once, and keeps them open. It must be closed. Its methods may be called
// concurrently.
type Realms struct {
	root   string
	config Config
	// Admit is called before a realm is opened, and its result when the realm is closed; its error keeps the realm shut. nil: all are opened.
	Admit func(realm string) (leave func() error, err error)
	// Apart gives each realm a workspace of its own, in its folder, which its sessions do not leave: for realms of people who are strangers to each
	// other.
	Apart bool

	mu     sync.Mutex
	open   map[string]*opened
	closed bool
}

// opened is a realm that is open, or being opened by whoever asked for it first.
type opened struct {
	ready   chan struct{}
	runtime *Runtime
	leave   func() error
	err     error
}

// ErrRealmsClosed is the answer to whoever asks for a realm of a server that is going down. Its code is unavailable.
var ErrRealmsClosed error = &control.Error{Code: fault.Unavailable, Message: "the server is going down"}

// OpenRealms makes a Realms over a state root. c is what each is opened with, but for StateDir; a Store cannot be shared and must not be set.
func OpenRealms(stateRoot string, c Config) *Realms {
	return &Realms{root: stateRoot, config: c, open: map[string]*opened{}}
}

// Open returns the realm of that name, and opens it if need be. A realm that could not be opened is tried again by the next who asks.
func (r *Realms) Open(ctx context.Context, realm string) (*Runtime, error) {
	if err := config.CheckRealm(realm); err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrRealmsClosed
	}
	o, there := r.open[realm]
	if !there {
		o = &opened{ready: make(chan struct{})}
		r.open[realm] = o
	}
	r.mu.Unlock()
	if !there {
		// Whoever comes first opens it for all: that he goes away does not end it.
		o.runtime, o.leave, o.err = r.start(context.WithoutCancel(ctx), realm)
		if o.err != nil {
			r.mu.Lock()
			delete(r.open, realm)
			r.mu.Unlock()
		}
		close(o.ready)
	}
	select {
	case <-o.ready:
		return o.runtime, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Plane is Open for control.Door.
func (r *Realms) Plane(ctx context.Context, realm string) (*control.Plane, error) {
	rt, err := r.Open(ctx, realm)
	if err != nil {
		return nil, err
	}
	return rt.Plane(), nil
}

func (r *Realms) start(ctx context.Context, realm string) (*Runtime, func() error, error) {
	dir := filepath.Join(r.root, realm)
	if err := config.MakeState(dir); err != nil {
		return nil, nil, err
	}
	leave := func() error { return nil }
	if r.Admit != nil {
		var err error
		if leave, err = r.Admit(realm); err != nil {
			return nil, nil, err
		}
	}
	c := r.config
	c.StateDir = dir
	if r.Apart {
		c.Workspace = filepath.Join(dir, "workspace")
		c.Within = c.Workspace
		if err := os.MkdirAll(c.Workspace, 0o700); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("make the workspace of realm %s: %w", realm, err), leave())
		}
	}
	rt, err := Open(ctx, c)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open realm %s: %w", realm, err), leave())
	}
	rt.plane.Realm, rt.plane.Backend = realm, "sqlite"
	rt.plane.Paths = &control.Paths{Root: dir, Manifest: filepath.Join(dir, "realm_manifest.json"), Config: filepath.Join(dir, "config.toml"),
		Sessions: storePath(dir), JSONL: filepath.Join(dir, "sessions_jsonl")}
	return rt, leave, nil
}

// running waits for all that are being opened and returns those that are open.
func (r *Realms) running() []*opened {
	r.mu.Lock()
	var all []*opened
	for _, o := range r.open {
		all = append(all, o)
	}
	r.mu.Unlock()
	var out []*opened
	for _, o := range all {
		<-o.ready
		if o.err == nil {
			out = append(out, o)
		}
	}
	return out
}

// Len is how many realms are open.
func (r *Realms) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// Settle opens no more realms and lets those that are open come to rest, as Runtime.Settle does, all at once.
func (r *Realms) Settle(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return each(r.running(), func(o *opened) error { return o.runtime.Settle(ctx) })
}

// Close closes all realms, at once, and opens no more.
func (r *Realms) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return each(r.running(), func(o *opened) error { return errors.Join(o.runtime.Close(), o.leave()) })
}

// each does something with all realms at the same time.
func each(all []*opened, do func(*opened) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for n, o := range all {
		wg.Go(func() { errs[n] = do(o) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Settle begins nothing new and waits until what is under way is answered: a model call, a tool call. Runs stay where that leaves them, durable, and
// whoever opens the realm next goes on with them; only Close is of use afterwards. If ctx ends first, something is still at work.
func (r *Runtime) Settle(ctx context.Context) error {
	r.carry.end()
	return r.host.Settle(ctx)
}
