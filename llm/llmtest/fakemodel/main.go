// Command fakemodel runs a scripted model server as a process of its own, for tests that kill the process under test.
//
//	fakemodel -addr 127.0.0.1:0 -script script.json -log requests.jsonl
//
// It prints its URL as the first line on standard output and serves until it is killed. It speaks Anthropic Messages and OpenAI
// Chat Completions: give the URL as ANTHROPIC_BASE_URL, or the URL with /v1 as OPENAI_BASE_URL. The script's format is in the comment
// of package script. Without one, every request is answered "Hello from the fake model."
//
// The log gets one line of JSON for each request when it arrives, synced to disk before the request is answered: the number n, the
// time, the wire, the rule that answers (-1: none), what the conversation holds (model, last user text, tool_results,
// results_since_user), and the body. A request that is not in the log was not answered.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/meerkat-go/meerkat/llm/llmtest/fakeserver"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	scriptFile := flag.String("script", "", "file with the rules; none: always a greeting")
	logFile := flag.String("log", "", "file that gets a line for each request; none: no log")
	flag.Parse()
	if err := run(*addr, *scriptFile, *logFile); err != nil {
		fmt.Fprintln(os.Stderr, "fakemodel:", err)
		os.Exit(1)
	}
}

func run(addr, scriptFile, logFile string) error {
	s := script.Script{Rules: []script.Rule{{Reply: script.Reply{Text: "Hello from the fake model."}}}}
	if scriptFile != "" {
		data, err := os.ReadFile(scriptFile)
		if err != nil {
			return err
		}
		if s, err = script.Parse(data); err != nil {
			return fmt.Errorf("%s: %w", scriptFile, err)
		}
	}
	server := fakeserver.New(s.Rules...)
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		server.OnRequest = func(r fakeserver.Request) error { return appendLine(f, r) }
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Printf("http://%s\n", listener.Addr()); err != nil {
		return err
	}
	return (&http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
}

func appendLine(f *os.File, r fakeserver.Request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	return f.Sync()
}
