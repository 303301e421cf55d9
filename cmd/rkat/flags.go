package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// serverFlags are those of rkat-rpc and rkat-rest.
type serverFlags struct {
	name                                        string
	realm, instance, backend                    string
	stateRoot, contextRoot, userRoot            string
	isolated, allowRemote, exposePaths, version bool
	tcp, tools                                  string
	liveWS, liveScheme                          string
	liveWebRTC                                  bool
	liveTimeout                                 int

	done bool // nothing is left to do, and exit is the code
	exit int
}

func newFlags(name, what string) (*serverFlags, *flag.FlagSet) {
	f := &serverFlags{name: name}
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(os.Stderr)
	set.Usage = func() {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n\n", name, version, what)
		set.PrintDefaults()
	}
	set.StringVar(&f.realm, "realm", "", "`name` of the realm (default: a new one)")
	set.BoolVar(&f.isolated, "isolated", false, "a new realm that nobody shares")
	set.StringVar(&f.instance, "instance", "", "`name` of this process among those of the realm")
	set.StringVar(&f.backend, "realm-backend", "", "`kind` of store: sqlite")
	set.StringVar(&f.stateRoot, "state-root", "", "`folder` of all realms (default: RKAT_STATE_DIR, or ~/.rkat/realms)")
	set.StringVar(&f.contextRoot, "context-root", "", "`folder` that sessions work in (default: this one)")
	set.StringVar(&f.userRoot, "user-config-root", "", "`folder` of the user's settings; nothing is read from there yet")
	set.StringVar(&f.tools, "tools", "", "most `tools` of a session: none, safe, workspace or full (default: full, or workspace where keys are needed)")
	set.BoolVar(&f.version, "version", false, "print the version")
	return f, set
}

func parseRPC(args []string) *serverFlags {
	f, set := newFlags("rkat-rpc", "JSON-RPC over standard input and output, or TCP")
	set.StringVar(&f.tcp, "tcp", "", "`address` to listen on, instead of standard input and output")
	set.BoolVar(&f.allowRemote, "allow-remote", false, "the address may be one that other machines reach")
	set.StringVar(&f.liveWS, "live-ws", "", "not there yet")
	set.StringVar(&f.liveScheme, "live-ws-scheme", "", "not there yet")
	set.BoolVar(&f.liveWebRTC, "live-webrtc", false, "not there yet")
	set.IntVar(&f.liveTimeout, "live-tool-timeout-ms", 0, "not there yet")
	return f.parse(set, args)
}

// parse reads flags and answers what needs no server.
func (f *serverFlags) parse(set *flag.FlagSet, args []string) *serverFlags {
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.done = true
	case err != nil:
		f.done, f.exit = true, 2 // the set has said why
	case f.version:
		fmt.Println(f.name, version)
		f.done = true
	case set.NArg() > 0:
		f.done, f.exit = true, complain(f.name, usageError("%q is no flag, and %s takes nothing else", set.Arg(0), f.name))
	}
	return f
}

func usageError(format string, args ...any) error {
	return &control.Error{Code: fault.Invalid, Message: fmt.Sprintf(format, args...)}
}

// complain says on standard error what went wrong and returns the exit code.
func complain(name string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	if fault.CodeOf(err) == fault.Invalid {
		return 2
	}
	return 1
}
