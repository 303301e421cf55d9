// Package cli is the command line of the product: commands, what they print, and how they end.
//
// It translates. What the user asks for becomes calls of the Plane; events become lines. The answer of a command goes to
// standard output and everything else to standard error. Everything outside the package comes in through World (what the
// operating system gives) and App (what the product offers), so that a test can stand in for either.
//
// # How a command ends
//
//	code  meaning
//	0     done
//	1     failed: "Error: what happened. why. what to do"
//	2     wrong use, nothing configured, or a limit ended the run
//	130   interrupted by Ctrl-C; the session is kept
//	143   ended by SIGTERM; the run is unfinished and can be gone on with
//
// # Who draws
//
// One goroutine per command owns the screen: the loop in follow.go. It takes events, ticks, signals and the outcome from
// channels, so nothing here needs a lock.
package cli

import (
	"context"
	"io"
	"iter"
	"os"
	"time"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Plane is the part of control.Plane that the command line uses.
type Plane interface {
	CreateSession(ctx context.Context, req control.CreateSession) (control.Session, error)
	Submit(ctx context.Context, req control.Submit) (control.Receipt, error)
	Wait(ctx context.Context, session id.Session, input id.Input) (control.Outcome, error)
	Resume(ctx context.Context, session id.Session) (control.Session, error)
	Interrupt(ctx context.Context, session id.Session, run id.Run) error
	Session(ctx context.Context, ref string) (control.Session, error)
	Sessions(ctx context.Context, req control.ListSessions) ([]control.Session, error)
	Transcript(ctx context.Context, session id.Session, from, before int) ([]transcript.Row, error)
	Events(ctx context.Context, session id.Session, after uint64) iter.Seq2[event.Event, error]
	Effects(ctx context.Context, session id.Session) ([]control.Effect, error)
	Archive(ctx context.Context, session id.Session) error
	Destroy(ctx context.Context, session id.Session) (abandoned int, err error)
}

// Runtime is an open realm.
type Runtime struct {
	Plane Plane
	// CheckModel finds out, without a network, whether a model can be used; nil: nobody knows. Its error says what to do.
	CheckModel func(ctx context.Context, name string) error
	// Realm is the realm's name where the settings do not say it: at a server; empty: they do, or it is not told.
	Realm string
	// Lost tells when the way to a server breaks, with the reason, and when it is there again, with nil; nil: there is no server.
	Lost <-chan error
	// Close lets go of the realm. Runs that are not over stay unfinished, and durable.
	Close func() error
}

// Model is what is known of a model by name.
type Model struct {
	Name       string `json:"name"` // as --model takes it
	Provider   string `json:"provider"`
	Default    bool   `json:"default,omitempty"` // of its provider
	Configured bool   `json:"configured"`        // can be used now
	Context    int    `json:"context_tokens,omitempty"`
	MaxOutput  int    `json:"max_output_tokens,omitempty"`
	Note       string `json:"note,omitempty"`
}

// App is the product behind the commands. All fields must be set but Examine, Repair, Demo and Dial.
type App struct {
	Open func(ctx context.Context, c config.Config) (Runtime, error)
	// Examine reads all that is kept in a state folder and says what is damaged; Repair mends what can be mended as well.
	Examine, Repair func(ctx context.Context, stateDir string) (control.Checkup, error)

	Models      func(c config.Config) []Model
	Model       string // of runs for which nobody names one, before any is looked for; empty: there is none
	FindServers func(ctx context.Context) []config.Server
	ListModels  func(ctx context.Context, p config.Provider) ([]string, error)
	// Demo shows the product on out. Args are for the processes it starts of itself; empty: it is the first.
	Demo func(ctx context.Context, out io.Writer, args []string) error
	// Dial makes the client of a server; nil: client.New.
	Dial func(client.Config) (*client.Client, error)
	// Keys are the API keys of a state root.
	Keys func(stateRoot string) Keys
	// Serve runs a server until it is told to end.
	Serve   func(ctx context.Context, o ServeOptions) error
	Version string
	Commit  string
}

// World is what the operating system gives a process.
type World struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Piped   bool // standard input is a pipe or a file: somebody may have put text there
	Stdout  io.Writer
	Stderr  io.Writer
	Env     func(string) string
	Dir     string // the working folder; empty: it was deleted
	Signals <-chan os.Signal
	// Terminal tells the width of the terminal that w is; false: it is none.
	Terminal func(w io.Writer) (width int, ok bool)
	Now      func() time.Time
	// Tick makes the clock that redraws the progress line, and a function that stops it.
	Tick func() (<-chan time.Time, func())
}

// Exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
	ExitTerminated  = 143
)

// command carries what a command works with.
type command struct {
	World
	app   App
	flags globalFlags
	json  bool // of the command that runs: errors are told as JSON too
}

// globalFlags are those of every command.
type globalFlags struct {
	workspace, realm, stateRoot string
	serverFlags
}

// Main runs one command to its end and returns the exit code.
func Main(ctx context.Context, w World, app App) int {
	c := &command{World: w, app: app}
	root := c.root()
	root.SetArgs(shorthand(root, w.Args))
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.fail(err)
	}
	return ExitDone
}

// config reads the settings of a command.
func (c *command) config(model string) (config.Config, error) {
	return config.Load(config.Source{Env: c.Env, Dir: c.Dir, Workspace: c.flags.workspace, Realm: c.flags.realm,
		StateRoot: c.flags.stateRoot, Model: model})
}
