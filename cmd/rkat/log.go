package main

import (
	"log/slog"
	"os"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/serve"
)

// rpcLog logs to standard error, and all there is to a file that RKAT_RPC_TRACE_FILE names.
func rpcLog(env func(string) string) (*slog.Logger, func(), error) {
	log, err := serve.Logger(os.Stderr, serve.FilterLevel(env("RUST_LOG")), "text")
	name := env("RKAT_RPC_TRACE_FILE")
	if err != nil || name == "" {
		return log, func() {}, err
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, &control.Error{Message: "the file that RKAT_RPC_TRACE_FILE names cannot be written: " + err.Error()}
	}
	all, err := serve.Logger(file, "debug", "text")
	return slog.New(slog.NewMultiHandler(log.Handler(), all.Handler())), func() { _ = file.Close() }, err
}
