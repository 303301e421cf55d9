package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/meerkat-go/meerkat/serve"
	"github.com/meerkat-go/meerkat/surface/jsonrpc"
)

// How long a process that a client has to itself may take to end: whoever waits for it kills it after 5 seconds.
const (
	rpcSettle = time.Second
	rpcClose  = 4 * time.Second // after its client has gone, settling included
)

// runRPC is the program under the name rkat-rpc: JSON-RPC with the client that started it, or with whoever connects.
func runRPC(args []string) int {
	f := parseRPC(args)
	if f.done {
		return f.exit
	}
	log, closeLog, err := rpcLog(os.Getenv)
	if err != nil {
		return complain("rkat-rpc", err)
	}
	defer closeLog()
	cfg, err := f.load(os.Getenv)
	if err != nil {
		return complain("rkat-rpc", err)
	}
	h, err := newHouse(context.Background(), house{name: "rkat-rpc", about: "meerkat-rpc", config: cfg, env: os.Getenv, log: log, alone: f.tcp == "",
		instance: f.instance, paths: f.tcp == "", tools: f.tools, folder: f.contextRoot != ""})
	if err != nil {
		return complain("rkat-rpc", err)
	}
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if f.tcp == "" {
		err = h.stdio(stop)
	} else {
		c := h.serving()
		c.RPC, c.AllowRemote, c.Stop, c.Err = f.tcp, f.allowRemote, stop, os.Stderr
		c.Patience = rpcSettle
		err = serve.Run(context.Background(), c)
	}
	if err != nil {
		return complain("rkat-rpc", err)
	}
	return 0
}

// stdio speaks with one client until it goes away or somebody ends the process. Its runs that are not over are kept.
func (h *house) stdio(stop <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- h.speak().Serve(ctx, os.Stdin, os.Stdout) }()
	var err error
	select {
	case err = <-served:
	case s := <-stop:
		h.log.Debug("ending", "why", s.String())
		cancel()
		err = <-served
	}
	late := time.AfterFunc(rpcClose, func() {
		h.log.Warn("something does not let go; its run is kept")
		os.Exit(0)
	})
	defer late.Stop()
	soon, cut := context.WithTimeout(context.Background(), rpcSettle)
	defer cut()
	if e := h.realms.Settle(soon); e != nil {
		h.log.Debug("calls are cut; their runs are kept", "error", e)
	}
	return errors.Join(err, h.realms.Close())
}

func (h *house) speak() *jsonrpc.Server {
	return &jsonrpc.Server{Door: h.door, Log: h.log, Observe: h.measures.Call}
}
