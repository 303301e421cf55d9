package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

const (
	// recent is how many messages of the past are shown before what comes.
	recent = 4
	// lookEvery is after how many ticks of the clock a store is read again whose session runs in another process.
	lookEvery = 4
	// lostWait is how long a server may be away before attach gives it up.
	lostWait = 2 * time.Minute
)

func (c *command) attachCommand() *cobra.Command {
	var o outputFlags
	var once bool
	cmd := &cobra.Command{
		Use:   "attach [flags] [SESSION]",
		Short: "watch a session live",
		Long: `Attach shows the last messages of a session and then what happens in it. It only
looks: the session takes nothing from it, and Ctrl-C leaves without interrupting.
It stays until then, or until the session is archived or destroyed.

At a server (--server) replies are shown as they stream. Without one, a session
that runs in another process is read from the store, where replies appear when
they are complete.

SESSION is an id or its beginning, 'last' (the default), or '~N'.`,
		Example: `  rkat attach
  rkat attach 019a8c2e-41f0 --server https://agents.example.org`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := o.view(c)
			if err != nil {
				return err
			}
			ref := "last"
			if len(args) > 0 {
				ref = args[0]
			}
			return c.attach(cmd.Context(), v, ref, once)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "leave when the run that goes on has ended")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "nothing on standard error but errors")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "each event as a line on standard error")
	f.BoolVarP(&o.stream, "stream", "s", false, "show replies as they come, also in a pipe")
	f.BoolVar(&o.noStream, "no-stream", false, "show replies when they are whole")
	f.BoolVar(&o.json, "json", false, "each event as a line of JSON, deltas included, and nothing else")
	o.output = "text"
	c.addServer(f)
	return cmd
}

// attach watches a session until the user leaves, or nothing more can come.
func (c *command) attach(ctx context.Context, v *view, ref string, once bool) (err error) {
	cfg, err := c.settings("")
	if err != nil {
		return err
	}
	var rt Runtime
	var session control.Session
	err = c.interruptible(ctx, func(ctx context.Context) error {
		var err error
		if rt, err = c.enter(ctx, cfg); err != nil {
			return err
		}
		if session, err = c.find(ctx, rt.Plane, ref); err != nil {
			return errors.Join(err, rt.Close())
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	w := &watcher{c: c, plane: rt.Plane, session: session, view: v, lost: rt.Lost, once: once, cursor: session.Cursor}
	if err := w.past(ctx); err != nil {
		return err
	}
	return w.watch(ctx)
}

// watcher shows what happens in a session that somebody else carries on. Its loop is the only one that draws.
type watcher struct {
	c       *command
	plane   Plane
	session control.Session
	view    *view
	lost    <-chan error // nil: the session is read from a store
	once    bool
	cursor  uint64 // of the last event shown
	failed  error  // how the last run ended, if not well
}

// past shows the last messages, and what the session does.
func (w *watcher) past(ctx context.Context) error {
	if w.c.json {
		return nil
	}
	rows, err := w.plane.Transcript(ctx, w.session.ID, max(w.session.Messages-recent+1, 1), 0)
	if err != nil {
		return fmt.Errorf("read the transcript: %w", err)
	}
	p := w.c.printer()
	for _, r := range rows {
		p.row(shownRow{At: r.At, Role: transcript.Role(r.Entry), Body: r.Entry}, false)
	}
	if len(rows) > 0 {
		p.line("")
	}
	if !w.view.opt.quiet {
		w.view.note("Watching session %s, which is %s. (Ctrl-C leaves and interrupts nothing.)", short(string(w.session.ID)), state(w.session))
	}
	return p.err
}

// errOver ends the watching: there is nothing more to see.
var errOver = errors.New("over")

// watch shows events until the user leaves or nothing more comes.
func (w *watcher) watch(ctx context.Context) error {
	if w.once && w.session.Run == nil && w.session.Waiting == 0 || over(w.session.Phase) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	post := make(chan mail)
	tell := func(m mail) {
		select {
		case post <- m:
		case <-ctx.Done():
		}
	}
	look := make(chan bool, 1)
	wg.Go(func() {
		if err := w.read(ctx, look, tell); ctx.Err() == nil {
			tell(mail{err: orEnd(err)})
		}
	})
	err := w.loop(ctx, post, look)
	if errors.Is(err, errOver) {
		err = w.failed
	}
	if err == nil {
		err = w.view.failed()
	}
	return err
}

func orEnd(err error) error {
	if err == nil {
		return errOver
	}
	return err
}

func over(phase string) bool { return phase == "archived" || phase == "destroyed" }

// read tells the session's events: those of a server as they come, those of a store whenever it is looked at.
func (w *watcher) read(ctx context.Context, look <-chan bool, tell func(mail)) error {
	if w.lost != nil {
		for e, err := range w.plane.Events(ctx, w.session.ID, w.cursor) {
			if err != nil {
				return err
			}
			tell(mail{event: &e})
		}
		return nil
	}
	cursor := w.cursor
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look:
		}
		s, err := w.plane.Session(ctx, string(w.session.ID))
		if err != nil {
			return err
		}
		if s.Cursor > cursor {
			if cursor, err = w.upTo(ctx, cursor, s.Cursor, tell); err != nil {
				return err
			}
		}
		if over(s.Phase) {
			return nil
		}
	}
}

// upTo tells the events after one cursor up to another, which is in the store.
func (w *watcher) upTo(ctx context.Context, after, last uint64, tell func(mail)) (uint64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for e, err := range w.plane.Events(ctx, w.session.ID, after) {
		if err != nil {
			return after, err
		}
		tell(mail{event: &e})
		if after = max(after, e.Cursor); after >= last {
			break
		}
	}
	return after, nil
}

func (w *watcher) loop(ctx context.Context, post <-chan mail, look chan<- bool) error {
	ticks, done := w.c.Tick()
	defer done()
	var away <-chan time.Time
	for n := 0; ; {
		select {
		case m := <-post:
			if m.err != nil {
				return m.err
			}
			if err := w.see(*m.event); err != nil {
				return err
			}
		case err := <-w.lost:
			w.c.way(w.view, err)
			switch {
			case err == nil:
				away = nil
			case away == nil:
				away = time.After(lostWait)
			}
		case <-away:
			return w.c.left(w.session.ID, fmt.Errorf("the server is away for %s: %w", lostWait, client.ErrUnreachable))
		case <-ticks:
			w.view.tick()
			if n++; n%lookEvery == 0 {
				select {
				case look <- true:
				default: // it is still looking
				}
			}
		case s := <-w.c.Signals:
			return w.leave(s)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave ends the watching, and nothing else.
func (w *watcher) leave(s os.Signal) error {
	w.view.endAnswerLine()
	w.view.keep(w.view.progress.clear())
	if !w.view.opt.quiet && !w.c.json {
		w.c.say("Left. Nothing was interrupted: 'rkat attach %s' comes back.", short(string(w.session.ID)))
	}
	return ended(exitOf(s))
}

// see shows an event; errOver: it was the last.
func (w *watcher) see(e event.Event) error {
	w.cursor = max(w.cursor, e.Cursor)
	if w.c.json {
		if err := w.line(e); err != nil {
			return err
		}
	} else {
		w.show(e)
	}
	var end control.Outcome
	switch p := e.Payload.(type) {
	case event.SessionArchived:
		return w.nothingMore("archived")
	case event.SessionDestroyed:
		return w.nothingMore("destroyed")
	case event.RunCompleted:
		if p.ExtractionRequired {
			return nil
		}
		end = control.Outcome{Run: e.Run, Status: control.Completed, Text: p.Result, Usage: p.Usage, Rounds: p.Rounds, Calls: p.Calls, Cause: p.Cause}
	case event.ExtractionSucceeded:
		end = control.Outcome{Run: e.Run, Status: control.Completed, Output: p.Output}
	case event.ExtractionFailed:
		end = control.Outcome{Run: e.Run, Status: control.Completed, NoOutput: &run.NoOutput{Last: p.Last, Attempts: p.Attempts, Reason: p.Reason}}
	case event.RunFailed:
		end = control.Outcome{Run: e.Run, Status: control.Failed, Cause: p.Cause, Error: p.Error, Kind: p.Kind, Usage: p.Usage, Rounds: p.Rounds, Calls: p.Calls}
		if p.Class == fault.Cancelled.String() {
			end.Status = control.Cancelled
		}
	default:
		return nil
	}
	return w.ended(end)
}

func (w *watcher) nothingMore(phase string) error {
	if !w.view.opt.quiet && !w.c.json {
		w.view.note("The session is %s: nothing more comes.", phase)
	}
	return errOver
}

// ended shows how a run ended, and goes on watching unless one run was all that was asked for.
func (w *watcher) ended(o control.Outcome) error {
	w.view.outcome(o)
	w.failed = nil
	if f := explainOutcome(o); f != nil {
		w.view.note("%s", w.c.there(label(f)+f.Error()))
		w.failed = ended(f.exit)
	}
	if !w.c.json {
		w.c.footer(w.view, w.session.ID, o)
	}
	if w.once {
		return errOver
	}
	w.failed = nil
	return nil
}

// show draws an event, and what was said by whoever gave the session its work.
func (w *watcher) show(e event.Event) {
	said := ""
	switch p := e.Payload.(type) {
	case event.RunStarted:
		said = p.Prompt
	case event.Steered:
		said = p.Text
	}
	if said != "" {
		w.view.endAnswerLine()
		w.view.keep(w.view.progress.clear())
		p := w.c.printer()
		p.head("user")
		p.clipped(said, false)
		p.line("")
		w.view.keep(p.err)
	}
	w.view.event(e)
}

// line writes an event as JSON.
func (w *watcher) line(e event.Event) error {
	data, err := json.Marshal(shownEvent{e.Cursor, e.Time.Format(stamp), string(e.Run), e.Payload.Type(), e.Payload})
	if err == nil {
		_, err = fmt.Fprintln(w.c.Stdout, escapeControls(string(data)))
	}
	if err != nil {
		w.view.keep(err)
		return w.view.failed()
	}
	return nil
}
