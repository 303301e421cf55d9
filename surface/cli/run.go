package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// outputFlags are those of a command that shows a run.
type outputFlags struct {
	output                                 string
	json, quiet, verbose, stream, noStream bool
	stdin                                  string
}

func (o *outputFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "text", "`FORMAT`: text or json")
	f.BoolVar(&o.json, "json", false, "the same as --output json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "nothing on standard error but errors")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "each event as a line on standard error")
	f.BoolVarP(&o.stream, "stream", "s", false, "show the answer as it comes, also in a pipe")
	f.BoolVar(&o.noStream, "no-stream", false, "show the answer when it is whole")
	f.StringVar(&o.stdin, "stdin", stdinAuto, "`HOW`: auto (read a pipe or file), blob (read it), off")
}

// view checks the flags and makes the view they ask for.
func (o *outputFlags) view(c *command) (*view, error) {
	switch {
	case o.output != "text" && o.output != "json":
		return nil, usage(fmt.Sprintf("--output does not know %q", o.output), "Say text or json")
	case o.stream && o.noStream:
		return nil, usage("--stream and --no-stream exclude each other", "")
	case o.quiet && o.verbose:
		return nil, usage("--quiet and --verbose exclude each other", "")
	}
	c.json = o.json || o.output == "json"
	_, terminal := c.Terminal(c.Stdout)
	stream := (terminal && !o.noStream || o.stream) && !c.json
	return c.newView(viewOptions{quiet: o.quiet, verbose: o.verbose, json: c.json, stream: stream}), nil
}

// runFlags are those of run.
type runFlags struct {
	outputFlags
	limitFlags
	model, tools, system, resume string
	yolo                         bool
	labels                       map[string]string
}

func (c *command) runCommand() *cobra.Command {
	var o runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] PROMPT…",
		Short: "give the agent something to do",
		Long:  "Run gives the agent something to do in the workspace and prints its answer.",
		Example: `  rkat run "what is in this folder?"
  git diff | rkat run "review this"
  rkat run --resume "and now fix it"`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, &o, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.model, "model", "m", "", "`NAME` of the model ('rkat models' lists them)")
	f.StringVarP(&o.tools, "tools", "t", "workspace", "`PRESET`: none, safe (read only), workspace, full")
	f.BoolVar(&o.yolo, "yolo", false, "the same as --tools full")
	f.StringVar(&o.system, "system", "", "`TEXT` of the system prompt")
	f.StringToStringVar(&o.labels, "label", nil, "`KEY=VALUE` by which 'rkat sessions --label' finds the session")
	f.StringVar(&o.resume, "resume", "", "go on with `SESSION`: an id or its beginning, last, ~N")
	f.Lookup("resume").NoOptDefVal = "last"
	o.limitFlags.add(cmd)
	o.outputFlags.add(cmd)
	c.addServer(f)
	return cmd
}

// presets are the values of --tools.
var presets = []string{"none", "safe", "workspace", "full"}

func (o *runFlags) check(cmd *cobra.Command) error {
	if o.yolo {
		if cmd.Flags().Changed("tools") && o.tools != "full" {
			return usage("--yolo means --tools full and excludes another", "")
		}
		o.tools = "full"
	}
	switch {
	case !slices.Contains(presets, o.tools):
		return usage(fmt.Sprintf("--tools does not know %q", o.tools), "Say "+strings.Join(presets[:3], ", ")+" or full")
	case o.resume == "":
		return o.limitFlags.check()
	}
	for _, name := range append([]string{"model", "tools", "yolo", "system", "label"}, limitNames...) {
		if cmd.Flags().Changed(name) {
			return usage("--"+name+" is settled when a session begins, and --resume goes on with one", "Leave one of the two out")
		}
	}
	return nil
}

func (c *command) run(cmd *cobra.Command, o *runFlags, args []string) error {
	v, err := o.view(c)
	if err != nil {
		return err
	}
	if err := o.check(cmd); err != nil {
		return err
	}
	text, err := c.prompt(args, o.stdin)
	if err != nil {
		return err
	}
	if text == "" {
		return usage("there is no prompt", `Say what to do: rkat run "what is in this folder?"`)
	}
	ctx := cmd.Context()
	if o.resume != "" {
		return c.goOn(ctx, v, o.resume, text)
	}
	cfg, err := c.settings(o.model)
	if err != nil {
		return err
	}
	p := run.Profile{Tools: o.tools, Labels: o.labels}
	if c.remote() && !o.yolo && !cmd.Flags().Changed("tools") {
		p.Tools = "" // the server has its own default
	}
	if err := o.limitFlags.apply(&p, c.Dir); err != nil {
		return err
	}
	return c.begin(ctx, v, cfg, o, p, text)
}

// begin runs a prompt in a new session.
func (c *command) begin(ctx context.Context, v *view, cfg config.Config, o *runFlags, p run.Profile, text string) error {
	var rt Runtime
	var session control.Session
	err := c.interruptible(ctx, func(ctx context.Context) error {
		named := cfg.Model != ""
		var err error
		if rt, cfg, err = c.begun(ctx, cfg); err != nil {
			return err
		}
		if !named && !o.quiet && !c.remote() {
			v.note("Using %s. (Choose another with --model.)", cfg.Model)
		}
		p.Model, p.Workspace = cfg.Model, cfg.Workspace
		session, err = rt.Plane.CreateSession(ctx, control.CreateSession{System: o.system, Profile: p})
		if err != nil {
			return errors.Join(fmt.Errorf("begin a session: %w", err), rt.Close())
		}
		if !named && !o.quiet && c.remote() { // the server has chosen
			v.note("Using %s. (Choose another with --model.)", session.Model)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f := &follower{c: c, plane: rt.Plane, session: session.ID, view: v, lost: rt.Lost}
	o2, err := f.follow(ctx, func(ctx context.Context) (control.Receipt, error) {
		return rt.Plane.Submit(ctx, control.Submit{Session: session.ID, Content: transcript.TextBlocks(text)})
	})
	return c.finish(rt, f, cfg, session, nil, o2, err)
}

// begun opens the place where a session is to begin, with a model that can be used. At a server the model is the server's affair.
func (c *command) begun(ctx context.Context, cfg config.Config) (Runtime, config.Config, error) {
	if c.remote() {
		rt, err := c.dial(ctx)
		cfg.Realm = rt.Realm
		return rt, cfg, err
	}
	cfg, err := c.choose(ctx, cfg)
	if err != nil {
		return Runtime{}, cfg, err
	}
	rt, err := c.open(ctx, cfg)
	if err != nil {
		return Runtime{}, cfg, err
	}
	if err := c.checkModel(ctx, rt, cfg); err != nil {
		return Runtime{}, cfg, errors.Join(err, rt.Close())
	}
	return rt, cfg, nil
}

// open opens the realm, after having made sure that its folder can be written.
func (c *command) open(ctx context.Context, cfg config.Config) (Runtime, error) {
	if err := config.MakeState(cfg.StateDir); err != nil {
		return Runtime{}, err
	}
	rt, err := c.app.Open(ctx, cfg)
	if err != nil {
		return Runtime{}, fmt.Errorf("open the sessions in %s: %w", cfg.StateDir, err)
	}
	return rt, nil
}

// checkModel refuses a model that cannot be used before anything is written.
func (c *command) checkModel(ctx context.Context, rt Runtime, cfg config.Config) error {
	if rt.CheckModel == nil {
		return nil
	}
	err := rt.CheckModel(ctx, cfg.Model)
	if err == nil {
		return nil
	}
	_, why, known := strings.Cut(err.Error(), "not_configured: ")
	if !known {
		if _, why, known = strings.Cut(err.Error(), "model_not_found: "); !known {
			why = err.Error()
		}
	}
	return &failure{code: fault.CodeOf(err), what: fmt.Sprintf("the model %q cannot be used: %s", cfg.Model, why),
		advice: "'rkat models' lists names, 'rkat doctor' says which providers are set up", exit: ExitFailed, err: err}
}

// tidyWait is how long what was interrupted may take to tidy up after itself.
const tidyWait = 5 * time.Second

// interruptible runs what comes before a session is followed, and gives up on the first signal: what it began is tidied up, unless that
// takes too long or another signal comes.
func (c *command) interruptible(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	select {
	case err := <-done:
		return err
	case s := <-c.Signals:
		cancel()
		timer := time.NewTimer(tidyWait)
		defer timer.Stop()
		select {
		case <-done:
		case <-c.Signals:
		case <-timer.C:
		}
		return ended(exitOf(s))
	}
}

// finish tells how it ended, and closes the realm.
func (c *command) finish(rt Runtime, f *follower, cfg config.Config, session control.Session, before *control.Outcome, o control.Outcome, err error) error {
	if errors.Is(err, errLeave) {
		c.say("Left at once. 'rkat resume %s' goes on.", short(string(session.ID)))
		return ended(ExitInterrupted)
	}
	closed := rt.Close()
	if errors.Is(err, errTerminated) {
		if c.remote() {
			c.say("Terminated. The run goes on at the server: 'rkat attach %s' shows it.", short(string(session.ID)))
		} else {
			c.say("Terminated. The run is unfinished, and nothing of it is lost: 'rkat resume %s' goes on.", short(string(session.ID)))
		}
		return ended(ExitTerminated)
	}
	if errors.Is(err, client.ErrUnreachable) {
		return c.left(session.ID, err)
	}
	if err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(c.result(cfg, session, before, o)); err != nil {
			return err
		}
	}
	if err := f.view.failed(); err != nil {
		return err
	}
	failed := explainOutcome(o)
	cut := f.interrupted && (o.Status == control.Cancelled || o.NoOutput != nil)
	if failed != nil && !cut {
		c.say("%s", label(failed)+failed.Error())
	}
	c.footer(f.view, session.ID, o)
	switch {
	case cut:
		c.say("Interrupted. The session is kept: 'rkat resume %s' goes on.", short(string(session.ID)))
		return ended(ExitInterrupted)
	case failed != nil:
		return ended(failed.exit)
	case closed != nil:
		return fmt.Errorf("close the sessions: %w", closed)
	}
	return nil
}

func label(f *failure) string {
	if f.code == fault.Budget {
		return "Budget exhausted: "
	}
	return "Error: "
}

func (c *command) footer(v *view, session id.Session, o control.Outcome) {
	if v.opt.quiet || v.opt.json {
		return
	}
	fmt.Fprintf(c.Stderr, "[Session: %s | Turns: %d | Tokens: %d in / %d out]\n", short(string(session)), o.Rounds, o.Usage.Input, o.Usage.Output)
}

// runResult is the JSON of a run.
type runResult struct {
	Session   id.Session `json:"session_id"`
	Ref       string     `json:"session_ref"` // realm:id
	Model     string     `json:"model,omitempty"`
	Workspace string     `json:"workspace,omitempty"`
	control.Outcome
	Resumed *control.Outcome `json:"resumed,omitempty"` // the run that was finished before this one
	Advice  string           `json:"advice,omitempty"`
}

func (c *command) result(cfg config.Config, s control.Session, before *control.Outcome, o control.Outcome) runResult {
	r := runResult{Session: s.ID, Ref: cfg.Realm + ":" + string(s.ID), Model: s.Model, Workspace: s.Workspace, Outcome: o, Resumed: before}
	if f := explainOutcome(o); f != nil {
		r.Advice = c.there(f.advice)
	}
	return r
}

// short is enough of a session id to tell it from others: its time, to the millisecond.
func short(session string) string { return session[:min(13, len(session))] }
