// Package rest serves a realm over HTTP: requests and answers in JSON, events as a stream of server-sent events.
//
// One table (see routes) says which routes there are, what each takes and gives, and who may use it; the multiplexer and the OpenAPI document are both
// made from it, so what is described is what is there. The package translates: whoever calls is let in by control.Door, and everything that is done is
// a method of the control.Plane that he gets. It owns what belongs to HTTP alone: how large and how many requests may be, and how long a connection may
// keep silent.
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

// Config says whom to let in, and within which bounds. Door must be set; a bound that is 0 is the default that stands beside it.
type Config struct {
	Door *control.Door
	// Hosts are names, without port, that requests may be addressed to where no key is needed, besides those of this machine itself. A page from
	// elsewhere whose name was made to point here is refused, so that it cannot use a server that trusts its machine.
	Hosts []string
	// Ready says whether the server can take work, for GET /readyz; nil: the realm of those who need no key is asked.
	Ready func(context.Context) error
	// Shutdown ends streams and waiting requests when it is closed; what is under way in sessions is none of its business. nil: never.
	Shutdown <-chan struct{}

	// Webhook has to be in the header X-Webhook-Secret of events from outside, beside the key; empty: it need not.
	Webhook string

	MaxBody       int64         // bytes of a request's body; 10 MiB
	MaxBodies     int64         // bytes of all bodies that are being read or worked on; 128 MiB
	BodyTimeout   time.Duration // until a body has to be there; 30 s
	WriteTimeout  time.Duration // until a client has to have taken what is written to it; 15 s
	Heartbeat     time.Duration // between signs of life on a stream that has nothing to say; 15 s
	Rate          float64       // requests a second of one key, or of one address where no key is needed; 1,000
	Burst         int           // requests at once of the same; 2,000
	Streams       int           // streams of events; 1,024
	StreamsPerKey int           // streams of one key, or of one address; 256
	Waits         int           // requests that wait for a run; 4,096
	WaitsPerKey   int           // those of one key, or of one address; 1,024

	Log *slog.Logger // one line a request: never what it said, its key, or its query; nil: none
	// Observe is told of each request when it is over: the pattern of its route, its status, and how long it took. nil: nobody is.
	Observe func(route string, status int, took time.Duration)
}

// Largest and longest that are allowed where Config does not say.
const (
	defaultBody    = 10 << 20
	defaultBodies  = 128 << 20
	bodyTimeout    = 30 * time.Second
	writeTimeout   = 15 * time.Second
	heartbeat      = 15 * time.Second
	defaultRate    = 1000
	defaultBurst   = 2000
	defaultStreams = 1024
	streamsPerKey  = 256
	defaultWaits   = 4096
	waitsPerKey    = 1024
)

// handler is the surface.
type handler struct {
	Config
	mux      *http.ServeMux
	routes   []route
	document func() ([]byte, error)
	limits   *limits
	streams  *gauge
	waits    *gauge
	bodies   *budget
	requests *requests
	origin   *http.CrossOriginProtection
}

// New makes the handler of all routes. It starts nothing; it answers until Config.Shutdown is closed, and after that refuses to wait.
func New(c Config) http.Handler {
	fill(&c)
	h := &handler{Config: c, mux: http.NewServeMux(), limits: newLimits(c.Rate, c.Burst), streams: newGauge(c.Streams, c.StreamsPerKey, errStreams, errYourStreams),
		waits:  newGauge(c.Waits, c.WaitsPerKey, errWaits, errYourWaits),
		bodies: &budget{max: c.MaxBodies}, requests: newRequests(), origin: http.NewCrossOriginProtection()}
	h.routes = h.table()
	h.document = sync.OnceValues(func() ([]byte, error) { return document(h.routes) })
	for _, rt := range h.routes {
		h.mux.HandleFunc(rt.method+" "+rt.pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w.(*recorder), r, rt) })
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { h.nowhere(w.(*recorder), r) })
	return h
}

func fill(c *Config) {
	or(&c.MaxBody, defaultBody)
	or(&c.MaxBodies, max(defaultBodies, c.MaxBody))
	or(&c.BodyTimeout, bodyTimeout)
	or(&c.WriteTimeout, writeTimeout)
	or(&c.Heartbeat, heartbeat)
	or(&c.Rate, defaultRate)
	or(&c.Burst, defaultBurst)
	or(&c.Streams, defaultStreams)
	or(&c.StreamsPerKey, streamsPerKey)
	or(&c.Waits, defaultWaits)
	or(&c.WaitsPerKey, waitsPerKey)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func or[T comparable](p *T, otherwise T) {
	var zero T
	if *p == zero {
		*p = otherwise
	}
}

// ServeHTTP answers a request, and tells the log and the metrics of it.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w, id: id.New()}
	began := time.Now()
	rec.Header().Set("X-Content-Type-Options", "nosniff")
	rec.Header().Set("Cache-Control", "no-store")
	rec.Header().Set("X-Request-Id", rec.id)
	defer func() {
		gave := recover()
		if gave != nil && gave != http.ErrAbortHandler { //nolint:errorlint // the value itself is compared, as net/http does
			h.Log.Error("a handler panicked", "request_id", rec.id, "route", rec.route, "panic", fmt.Sprint(gave), "stack", string(debug.Stack()))
			if !rec.begun() {
				h.fail(rec, r, errBroken)
				gave = nil
			}
		}
		h.told(rec, r, time.Since(began))
		if gave != nil {
			panic(http.ErrAbortHandler) // so that a client does not take a torn answer for a whole one
		}
	}()
	h.deadline(rec)
	if r.Body != nil && r.Body != http.NoBody {
		// Also of a request that is refused unread: the server looks for the rest of its body before it answers.
		if err := http.NewResponseController(w).SetReadDeadline(began.Add(h.BodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			h.fail(rec, r, fmt.Errorf("bound the time for a body: %w", err))
			return
		}
	}
	h.mux.ServeHTTP(rec, r)
}

var errBroken = &control.Error{Code: fault.Internal, Message: "something went wrong here; the server's log says more, under this request's id"}

func (h *handler) told(rec *recorder, r *http.Request, took time.Duration) {
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	if rec.route == "" { // a path that was sent to its clean form
		rec.route = "none"
	}
	if h.Observe != nil {
		h.Observe(rec.route, status, took)
	}
	level := slog.LevelInfo
	if status >= 500 && status != http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("request_id", rec.id), slog.String("method", method(r.Method)), slog.String("route", rec.route), slog.Int("status", status),
		slog.Duration("took", took), slog.Int64("bytes", rec.bytes)}
	if rec.key != "" {
		attrs = append(attrs, slog.String("key", rec.key))
	}
	if rec.cause != "" {
		attrs = append(attrs, slog.String("error", rec.cause))
	}
	h.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
}

// method is a method that is known, so that nobody fills the log with what he calls one.
func method(m string) string {
	for _, known := range methods {
		if m == known {
			return m
		}
	}
	return "OTHER"
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// nowhere answers a request for which there is no route.
func (h *handler) nowhere(w *recorder, r *http.Request) {
	w.route = "none"
	var allowed []string
	for _, m := range methods {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := h.mux.Handler(probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		h.fail(w, r, &control.Error{Code: fault.NotFound, Message: "there is no such path; GET /openapi.json says which there are"})
		return
	}
	for _, m := range allowed {
		w.Header().Add("Allow", m)
	}
	h.fail(w, r, errMethod)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	id     string // of the request, in the log and in errors
	route  string
	key    string // name of the caller's key
	cause  string // of an answer that is no success
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader remembers the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *recorder) begun() bool { return w.status != 0 }

// leaving ends with the request, or when the server goes down. Its cause tells which.
func (h *handler) leaving(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if h.Shutdown == nil {
		return ctx, func() { cancel(nil) }
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-h.Shutdown:
			cancel(errGoingDown)
		case <-done:
		}
	})
	return ctx, func() {
		close(done)
		wg.Wait()
		cancel(nil)
	}
}

var errGoingDown = errors.New("the server is going down")
