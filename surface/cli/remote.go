package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// serverFlags say that the sessions of a command are at a server.
type serverFlags struct {
	server, keyFile string
	plain           bool
}

// addServer adds the flags of a command that works at a server as well as here.
func (c *command) addServer(f *pflag.FlagSet) {
	f.StringVar(&c.flags.server, "server", c.Env("RKAT_SERVER"), "`URL` of the server that has the sessions (default: none, or RKAT_SERVER)")
	f.StringVar(&c.flags.keyFile, "key-file", "", "`FILE` with the API key for it (default: what RKAT_API_KEY holds)")
	f.BoolVar(&c.flags.plain, "plain-http", false, "let the API key go over http to another machine, for all on the way to read")
	f.Lookup("server").DefValue = ""
}

// remote reports whether the sessions of this command are at a server.
func (c *command) remote() bool { return c.flags.server != "" }

// settings reads what a command is told. For a server that is only what is said to it: its realm is its key's, its folders are its own, and this machine
// needs none.
func (c *command) settings(model string) (config.Config, error) {
	if !c.remote() {
		return c.config(model)
	}
	if c.flags.realm != "" || c.flags.stateRoot != "" {
		return config.Config{}, usage("--server excludes --realm and --state-root: the API key says whose sessions they are, and the server where they are kept", "")
	}
	if dir := c.flags.workspace; dir != "" && !filepath.IsAbs(dir) {
		return config.Config{}, usage(fmt.Sprintf("%q is no folder of a server: with --server, --workspace names one there, in full", dir), "")
	}
	return config.Config{Workspace: c.flags.workspace, Model: orElse(model, c.Env("RKAT_MODEL"))}, nil
}

// enter opens what the settings name for reading: a realm that exists, or a server. It makes no folder.
func (c *command) enter(ctx context.Context, cfg config.Config) (Runtime, error) {
	if c.remote() {
		return c.dial(ctx)
	}
	if _, err := os.Stat(cfg.StateDir); errors.Is(err, os.ErrNotExist) {
		return Runtime{}, noSessions(cfg)
	}
	rt, err := c.app.Open(ctx, cfg)
	if err != nil {
		return Runtime{}, fmt.Errorf("open the sessions in %s: %w", cfg.StateDir, err)
	}
	return rt, nil
}

// dial finds the server and asks it who it is, so that a wrong address or key is told before anything else.
func (c *command) dial(ctx context.Context) (Runtime, error) {
	key, err := c.key()
	if err != nil {
		return Runtime{}, err
	}
	lost := make(chan error, 8)
	dial := c.app.Dial
	if dial == nil {
		dial = client.New
	}
	cl, err := dial(client.Config{URL: c.flags.server, Key: key, Plain: c.flags.plain, Lost: func(err error) {
		select {
		case lost <- err:
		default: // whoever reads them has enough to tell
		}
	}})
	if err != nil {
		return Runtime{}, err
	}
	info, err := cl.Host(ctx)
	if err != nil {
		return Runtime{}, err
	}
	return Runtime{Plane: far{cl}, Realm: info.Realm.Realm, Lost: lost, Close: func() error { return nil }}, nil
}

// maxKey bounds a file that holds a key, in bytes.
const maxKey = 4096

// key finds the API key; empty: there is none, and the server may want none.
func (c *command) key() (string, error) {
	path := c.flags.keyFile
	if path == "" {
		return strings.TrimSpace(c.Env("RKAT_API_KEY")), nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", usage(fmt.Sprintf("the API key cannot be read: %v", err), "")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", usage(fmt.Sprintf("the API key cannot be read: %v", err), "")
	case runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0:
		return "", usage(fmt.Sprintf("others may read the API key in %s", path), "Forbid it: chmod 600 "+path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	key := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", usage(fmt.Sprintf("the API key cannot be read: %v", err), "")
	case len(data) > maxKey || key == "":
		return "", usage(fmt.Sprintf("there is no API key in %s: a file with a key holds that one line", path), "")
	}
	return key, nil
}

var (
	ownCommand   = regexp.MustCompile(`'rkat (resume|run|sessions|attach)\b[^']*'`)
	theirCommand = regexp.MustCompile(`'rkat (doctor|models)'`)
)

// there makes what is advised hold for the server: commands are said with its address, and what is looked at on its machine is said to be there.
func (c *command) there(text string) string {
	if !c.remote() {
		return text
	}
	text = theirCommand.ReplaceAllString(text, "'rkat $1' on the server's machine")
	if c.flags.server == c.Env("RKAT_SERVER") {
		return text
	}
	return ownCommand.ReplaceAllStringFunc(text, func(s string) string {
		return strings.TrimSuffix(s, "'") + " --server " + c.flags.server + "'"
	})
}

// farAdvice says what to do about an error of the way to a server, or of one that came from there.
func farAdvice(e *client.Error) string {
	switch {
	case errors.Is(e, client.ErrUnreachable) && e.Code == fault.OutcomeUnknown:
		return "It may have taken effect: look with 'rkat sessions' before you try again"
	case errors.Is(e, client.ErrUnreachable):
		return "Check the address and the network, and that 'rkat serve' runs there"
	case e.Status == 0 && e.Code == fault.Invalid:
		return ""
	}
	switch e.Code {
	case fault.Unidentified:
		return "Set RKAT_API_KEY, or name a file that holds the key with --key-file. 'rkat keys create' on the server's machine makes one"
	case fault.Forbidden:
		return "Use a key of a higher level: 'rkat keys create' on the server's machine makes one"
	case fault.Storage, fault.Corrupt:
		return "Whoever runs the server has to look at its state folder. Nothing that was accepted is lost"
	case fault.NotFound:
		return "'rkat sessions' lists the sessions that the key may see"
	case fault.Internal:
		return "It is a defect of the server, or it is no server of this product"
	case fault.Overloaded, fault.InProgress, fault.OwnedElsewhere:
		return "Try again in a moment"
	}
	return adviceFor(e.Code, e.Message)
}

// explainFar finds out what a user can do about an error of a server, or of the way to it.
func explainFar(e *client.Error, f *failure) *failure {
	f.code, f.advice = e.Code, farAdvice(e)
	if e.Status == 0 && e.Code == fault.Invalid {
		f.exit = ExitUsage
	}
	return f
}

// left is the end of a command that lost its server while a run went on there.
func (c *command) left(s id.Session, err error) error {
	return &failure{code: fault.CodeOf(err), what: oneLine(err.Error()), advice: fmt.Sprintf("What was accepted goes on there: 'rkat attach %s' shows it", short(string(s))),
		exit: ExitFailed, err: err}
}

// way tells that the way to the server broke, or is there again. A user who sees nothing move is told why.
func (c *command) way(v *view, err error) {
	switch {
	case v.opt.quiet:
	case err != nil && !v.cut:
		v.note("The connection to %s is lost (%s). Trying again; what runs there goes on.", c.flags.server, oneLine(reason(err)))
	case err == nil && v.cut:
		v.note("Connected again.")
	}
	v.cut = err != nil
}

// reason is why the way broke, without what was attempted.
func reason(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// far is the plane of a realm at a server.
type far struct{ *client.Client }

// Submit gives a session something to do.
func (f far) Submit(ctx context.Context, req control.Submit) (control.Receipt, error) {
	p, err := submitParams(req)
	if err != nil {
		return control.Receipt{}, err
	}
	r, err := f.Client.Submit(ctx, req.Session, p, req.Key)
	return control.Receipt(r), err
}

// Wait blocks until an input has ended.
func (f far) Wait(ctx context.Context, s id.Session, in id.Input) (control.Outcome, error) {
	o, err := f.Client.Wait(ctx, s, in)
	return control.Outcome(o), err
}

// Resume makes a session live at the server.
func (f far) Resume(ctx context.Context, s id.Session) (control.Session, error) {
	d, err := f.Client.Resume(ctx, s)
	return session(d), err
}

// Session finds a session.
func (f far) Session(ctx context.Context, ref string) (control.Session, error) {
	d, err := f.Client.Session(ctx, ref)
	return session(d), err
}

// Sessions lists sessions.
func (f far) Sessions(ctx context.Context, q control.ListSessions) ([]control.Session, error) {
	list, err := f.Client.Sessions(ctx, client.List{Limit: q.Limit, Offset: q.Offset, Workspace: q.Workspace, Labels: q.Labels, Archived: q.Archived})
	out := make([]control.Session, len(list))
	for i, d := range list {
		out[i] = session(d)
	}
	return out, err
}

// Transcript reads rows.
func (f far) Transcript(ctx context.Context, s id.Session, from, before int) ([]transcript.Row, error) {
	return f.Client.Transcript(ctx, s, from, before)
}

// Effects reads the ledger.
func (f far) Effects(ctx context.Context, s id.Session) ([]control.Effect, error) {
	list, err := f.Client.Effects(ctx, s)
	out := make([]control.Effect, len(list))
	for i, e := range list {
		out[i] = control.Effect(e)
	}
	return out, err
}

// Events follows a session.
func (f far) Events(ctx context.Context, s id.Session, after uint64) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		for n, err := range f.Client.Events(ctx, s, after) {
			var e event.Event
			if err == nil {
				e, err = n.Event()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// CreateSession makes a session at the server.
func (f far) CreateSession(ctx context.Context, req control.CreateSession) (control.Session, error) {
	s, err := f.Client.CreateSession(ctx, createParams(req))
	if err != nil {
		return control.Session{}, err
	}
	return f.Session(ctx, string(s))
}

// createParams says what the command line asks of a new session.
func createParams(req control.CreateSession) wire.CreateParams {
	p := req.Profile
	out := wire.CreateParams{Session: req.ID, System: req.System, Model: p.Model, Workspace: p.Workspace, ToolsPreset: p.Tools, OutputSchema: p.Schema,
		Labels: p.Labels}
	if p.MaxOutput > 0 {
		out.MaxTokens = count32(p.MaxOutput)
	}
	if p.MaxRounds > 0 {
		out.MaxRounds = count32(p.MaxRounds)
	}
	if b := p.Budget; b != (run.Budget{}) {
		out.Budget = &wire.BudgetLimits{}
		if b.Tokens > 0 {
			out.Budget.Tokens = count64(b.Tokens)
		}
		if b.Calls > 0 {
			out.Budget.Calls = count64(b.Calls)
		}
		if b.Duration > 0 {
			d := wire.Duration(b.Duration)
			out.Budget.Duration = &d
		}
	}
	return out
}

func count32(n int) *uint32 {
	u := uint32(min(n, math.MaxUint32))
	return &u
}

func count64(n int) *uint64 {
	u := uint64(n)
	return &u
}

// submitParams says what the command line gives a session.
func submitParams(req control.Submit) (wire.SubmitParams, error) {
	p := wire.SubmitParams{Input: req.Input, Lane: req.Lane, Continue: req.Continue, RequireIdle: req.RequireIdle}
	if len(req.Content) == 0 {
		return p, nil
	}
	for _, b := range req.Content {
		if _, ok := b.(transcript.Text); !ok {
			return p, &failure{code: fault.Unavailable, what: "the command line sends text to servers, and nothing else", exit: ExitFailed}
		}
	}
	var err error
	p.Prompt, err = wire.Marshal(req.Content.Plain())
	return p, err
}

// session is a session as the server tells it.
func session(d wire.Detail) control.Session {
	return control.Session{ID: d.ID, Phase: d.Phase, Created: d.Created, Updated: d.Updated, Title: d.Title, Model: d.Model, Workspace: d.Workspace,
		Messages: d.Messages, Tokens: d.Tokens, Run: (*control.Run)(d.Run), Unfinished: d.Unfinished, Pending: d.Pending, Waiting: d.Waiting,
		Cursor: d.Cursor, Labels: d.Labels, Deferred: d.Deferred}
}
