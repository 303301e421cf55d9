package serve

import (
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// guarded is all that is served over HTTP: the handler that was given, and the measures.
func (d *daemon) guarded() http.Handler {
	mux := http.NewServeMux()
	h := Hooks{Ready: d.ready, Shutdown: d.shutdown, Log: d.Log}
	if host, _, err := net.SplitHostPort(d.HTTP); err == nil && host != "" && net.ParseIP(host) == nil {
		h.Hosts = []string{host}
	}
	if d.Measures != nil {
		h.Observe = d.Measures.Request
		mux.HandleFunc("GET /metrics", d.metrics)
	}
	if d.Handler != nil {
		mux.Handle("/", d.Handler(h))
	} else {
		mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				d.Log.Error("a request broke its handler", "panic", p, "stack", string(debug.Stack()))
				panic(http.ErrAbortHandler) // the connection is of no more use
			}
		}()
		if d.Measures != nil {
			d.Measures.inFlight.Add(1)
			defer d.Measures.inFlight.Add(-1)
		}
		bound(w, r)
		mux.ServeHTTP(w, r)
	})
}

// metrics tells the measures to whoever has a key, or to everybody where nobody needs one.
func (d *daemon) metrics(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	status := http.StatusOK
	if _, err := d.Door.Enter(r.Context(), strings.TrimSpace(token)); err != nil {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a good API key is needed", status)
	} else {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = d.Measures.set.WriteTo(w) // a reader that has gone away misses nothing
	}
	d.Measures.Request("GET /metrics", status, time.Since(began))
}
