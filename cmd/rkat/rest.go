package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/meerkat-go/meerkat/serve"
	"github.com/meerkat-go/meerkat/surface/console"
	"github.com/meerkat-go/meerkat/surface/rest"
)

// runREST is the program under the name rkat-rest: REST on the address that the realm's settings name.
func runREST(args []string) int {
	f, set := newFlags("rkat-rest", "REST over HTTP")
	set.BoolVar(&f.exposePaths, "expose-paths", false, "tell clients where the realm's files are")
	if f.parse(set, args); f.done {
		return f.exit
	}
	cfg, err := f.load(os.Getenv)
	if err != nil {
		return complain("rkat-rest", err)
	}
	log, err := serve.Logger(os.Stderr, serve.FilterLevel(os.Getenv("RUST_LOG")), "text")
	if err != nil {
		return complain("rkat-rest", err)
	}
	ctx := context.Background()
	h, err := newHouse(ctx, house{name: "rkat-rest", about: "meerkat-rest", config: cfg, env: os.Getenv, log: log, instance: f.instance, paths: f.exposePaths, tools: f.tools, folder: f.contextRoot != ""})
	if err != nil {
		return complain("rkat-rest", err)
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	c := h.serving()
	c.Stop, c.Err = stop, os.Stderr
	if c.HTTP, err = h.address(ctx); err != nil {
		return complain("rkat-rest", err)
	}
	if err := serve.Run(ctx, c); err != nil {
		return complain("rkat-rest", err)
	}
	return 0
}

// handler is all of HTTP but the measures: REST, and for rkat serve the console.
func (h *house) handler(k serve.Hooks) http.Handler {
	api := rest.New(rest.Config{Door: h.door, Hosts: k.Hosts, Ready: k.Ready, Shutdown: k.Shutdown, Log: k.Log, Observe: k.Observe})
	if h.about != "" {
		return api
	}
	page := sync.OnceValue(func() http.Handler { return console.New(console.Config{Door: h.door}) }) // its templates are read when they are wanted
	lazy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { page().ServeHTTP(w, r) })
	mux := http.NewServeMux()
	mux.Handle("/{$}", lazy)
	mux.Handle("/console/", lazy)
	mux.Handle("/", api)
	return mux
}
