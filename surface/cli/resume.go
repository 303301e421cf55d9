package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/transcript"
)

func (c *command) resumeCommand() *cobra.Command {
	var o outputFlags
	cmd := &cobra.Command{
		Use:   "resume [flags] [SESSION] [PROMPT…]",
		Short: "go on with an unfinished run, or with a new prompt",
		Long: `Resume finishes what was interrupted: the same run, from its last committed step.
No model reply is bought again and no finished tool call is made again. A run
that failed or was cancelled is gone on with. A prompt is sent after that.

SESSION is an id or its beginning, 'last', or '~N' for the N-th most recent;
without one it is the last session of the workspace.`,
		Example: `  rkat resume
  rkat resume 019a8c2e-41f0
  rkat resume last "and now in French"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := o.view(c)
			if err != nil {
				return err
			}
			ref, words := "last", args
			if len(args) > 0 && isRef(args[0]) {
				ref, words = args[0], args[1:]
			}
			stdin := o.stdin
			if len(words) == 0 && stdin == stdinAuto {
				stdin = stdinOff
			}
			text, err := c.prompt(words, stdin)
			if err != nil {
				return err
			}
			if len(words) > 0 && text == "" {
				return usage("the prompt is empty", "Say what to do next, or leave it out to finish what was interrupted")
			}
			return c.goOn(cmd.Context(), v, ref, text)
		},
	}
	o.add(cmd)
	c.addServer(cmd.Flags())
	return cmd
}

// isRef reports whether a word is meant as the name of a session rather than the beginning of a prompt.
func isRef(s string) bool {
	if s == "last" || s == "" {
		return s != ""
	}
	if n, ok := strings.CutPrefix(s, "~"); ok {
		return n != "" && strings.Trim(n, "0123456789") == ""
	}
	hex := len(s) <= 36 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
	return hex && (len(s) >= 4 && strings.ContainsAny(s, "0123456789") || len(s) >= 8)
}

// goOn goes on with a session: with its unfinished run, or with one that failed if there is no prompt; then with the prompt.
func (c *command) goOn(ctx context.Context, v *view, ref, text string) error {
	cfg, err := c.settings("")
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.StateDir); !c.remote() && errors.Is(err, os.ErrNotExist) {
		return noSessions(cfg)
	}
	var rt Runtime
	var session, taken control.Session
	err = c.interruptible(ctx, func(ctx context.Context) error {
		var err error
		if c.remote() {
			rt, err = c.dial(ctx)
			cfg.Realm = rt.Realm
		} else {
			cfg = c.withServers(ctx, cfg)
			rt, err = c.open(ctx, cfg)
		}
		if err != nil {
			return err
		}
		if session, err = c.find(ctx, rt.Plane, ref); err == nil {
			taken, err = rt.Plane.Resume(ctx, session.ID)
		}
		if err != nil {
			return errors.Join(err, rt.Close())
		}
		return nil
	})
	if err != nil {
		return err
	}
	f := &follower{c: c, plane: rt.Plane, session: session.ID, view: v, cursor: session.Cursor, lost: rt.Lost}
	if err := c.tellWait(ctx, f, taken); err != nil {
		return errors.Join(err, rt.Close())
	}
	before, err := c.finishRuns(ctx, f, taken)
	switch {
	case err != nil:
		return c.finish(rt, f, cfg, session, nil, control.Outcome{}, err)
	case before != nil && (text == "" || f.interrupted):
		if text != "" {
			v.note("The prompt was not sent.")
		}
		return c.finish(rt, f, cfg, session, nil, *before, nil)
	case before == nil && text == "" && !taken.Pending:
		return errors.Join(c.atRest(cfg, session), rt.Close())
	}
	if before != nil && before.Status != control.Completed {
		v.note("The unfinished run: %s", explainOutcome(*before))
	}
	submit := control.Submit{Session: session.ID, Continue: true}
	if text != "" {
		submit = control.Submit{Session: session.ID, Content: transcript.TextBlocks(text)}
	}
	o, err := f.follow(ctx, func(ctx context.Context) (control.Receipt, error) { return rt.Plane.Submit(ctx, submit) })
	return c.finish(rt, f, cfg, session, before, o, err)
}

// lookBack is how many events are read to find out what a run waits for: what fails is told last.
const lookBack = 16

// tellWait says that the run which was taken over waits for its next attempt: what was said of it when it failed is long gone.
func (c *command) tellWait(ctx context.Context, f *follower, s control.Session) error {
	if s.Run == nil || f.view.opt.quiet || f.cursor == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next time.Time
	attempt := 0
	for e, err := range f.plane.Events(ctx, f.session, f.cursor-min(f.cursor, lookBack)) {
		if err != nil {
			return fmt.Errorf("look for what the run waits for: %w", err)
		}
		switch p := e.Payload.(type) {
		case event.Retrying:
			next, attempt = e.Time.Add(p.Delay), p.Attempt+1
		case event.TurnStarted, event.RunStarted, event.TextComplete, event.RunCompleted, event.RunFailed:
			next = time.Time{}
		}
		if e.Cursor >= f.cursor {
			break
		}
	}
	if wait := next.Sub(c.Now()); wait > time.Second {
		f.view.note("The model call is tried again (attempt %d) in %s. (Ctrl-C, then 'rkat resume' asks at once.)", attempt, wait.Round(time.Second))
	}
	return nil
}

// finishRuns watches the run that was taken over, and those that waited behind it, to their ends. It returns the last outcome;
// nil: there was no run.
func (c *command) finishRuns(ctx context.Context, f *follower, s control.Session) (*control.Outcome, error) {
	var last *control.Outcome
	for s.Run != nil && len(s.Run.Inputs) > 0 && !f.interrupted {
		if last != nil && last.Status != control.Completed {
			f.view.note("A run ended before the next one: %s", explainOutcome(*last))
		}
		o, err := c.finishRun(ctx, f, s)
		if err != nil {
			return nil, err
		}
		last = &o
		if s, err = f.plane.Session(ctx, string(f.session)); err != nil {
			return nil, fmt.Errorf("look for what waits: %w", err)
		}
	}
	return last, nil
}

// finishRun watches the run that was taken over until the last of its inputs has ended.
func (c *command) finishRun(ctx context.Context, f *follower, s control.Session) (control.Outcome, error) {
	return f.follow(ctx, func(context.Context) (control.Receipt, error) {
		return control.Receipt{Input: s.Run.Inputs[len(s.Run.Inputs)-1], Run: s.Run.ID}, nil
	})
}

// withServers adds the model servers of this machine if nothing else is configured: a session may have used one.
func (c *command) withServers(ctx context.Context, cfg config.Config) config.Config {
	if len(cfg.Providers) > 0 || cfg.NoProbe {
		return cfg
	}
	for _, s := range c.app.FindServers(ctx) {
		cfg.Providers = append(cfg.Providers, s.Provider)
	}
	return cfg
}

// find looks a session up, and says which are near to one that does not exist.
func (c *command) find(ctx context.Context, p Plane, ref string) (control.Session, error) {
	s, err := p.Session(ctx, ref)
	if fault.CodeOf(err) == fault.NotFound {
		return s, c.notFound(ctx, p, ref, err)
	}
	return s, err
}

// atRest says that there is nothing to resume. It is no failure: what was asked for is so already.
func (c *command) atRest(cfg config.Config, s control.Session) error {
	if c.json {
		return c.printJSON(map[string]any{"session_id": s.ID, "session_ref": cfg.Realm + ":" + string(s.ID), "status": "nothing_to_resume"})
	}
	at := ""
	if c.remote() && c.flags.server != c.Env("RKAT_SERVER") {
		at = " --server " + c.flags.server
	}
	_, err := fmt.Fprintf(c.Stderr, "There is nothing to resume: the last run of session %s is complete.\nTo go on with it: rkat resume %s%s \"…\"\n",
		short(string(s.ID)), short(string(s.ID)), at)
	return err
}

func noSessions(cfg config.Config) error {
	return &failure{code: fault.NotFound, what: "there are no sessions of " + cfg.Workspace + " yet",
		advice: `Begin one with 'rkat run "…"'; 'rkat sessions --all' lists those of other folders`, exit: ExitFailed}
}
