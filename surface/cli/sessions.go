package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
	"github.com/meerkat-go/meerkat/transcript"
)

// listed is a session with the realm it is in.
type listed struct {
	Ref string `json:"session_ref"` // realm:id
	control.Session
}

func (c *command) sessionsCommand() *cobra.Command {
	var all, asJSON bool
	var q control.ListSessions
	cmd := &cobra.Command{
		Use:     "sessions",
		Aliases: []string{"session"},
		Short:   "list the sessions of this folder, latest first",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.json = asJSON
			switch {
			case len(args) > 0:
				return usage(fmt.Sprintf("sessions does not know %q", args[0]), "To see a session: rkat sessions show "+args[0])
			case q.Limit < 1 || q.Offset < 0:
				return usage("--limit must be above 0, and --offset not below", "")
			case all && c.remote():
				return usage("--all lists the realms of this machine, and a server shows the one of the API key", "Leave one of --all and --server out")
			}
			return c.list(cmd.Context(), all, q)
		},
	}
	flags := func(cmd *cobra.Command) {
		cmd.Flags().BoolVar(&all, "all", false, "those of all realms")
		cmd.Flags().BoolVar(&q.Archived, "archived", false, "also those that are a record, or were destroyed")
		cmd.Flags().StringToStringVar(&q.Labels, "label", nil, "only those labelled `KEY=VALUE`")
		cmd.Flags().IntVar(&q.Limit, "limit", 20, "`N` at most")
		cmd.Flags().IntVar(&q.Offset, "offset", 0, "leave out the `N` latest")
		cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	}
	flags(cmd)
	list := &cobra.Command{Use: "list", Short: "the same", Args: cmd.Args, RunE: cmd.RunE}
	flags(list)
	c.addServer(cmd.PersistentFlags())
	cmd.AddCommand(list, c.showCommand(), c.endCommand("archive", "make a record of a session: it takes nothing any more",
		func(ctx context.Context, p Plane, s control.Session) error { return p.Archive(ctx, s.ID) }),
		c.endCommand("destroy", "end a session for ever; what was said can still be read",
			func(ctx context.Context, p Plane, s control.Session) error {
				_, err := p.Destroy(ctx, s.ID)
				return err
			}))
	return cmd
}

// list prints the sessions of a realm, or of all.
func (c *command) list(ctx context.Context, all bool, q control.ListSessions) error {
	cfg, err := c.settings("")
	if err != nil {
		return err
	}
	realms := []string{cfg.Realm}
	if all {
		if realms, err = config.Realms(cfg.StateRoot); err != nil {
			return err
		}
	}
	sessions := []listed{}
	var failed []error
	for _, realm := range realms {
		found, err := c.listRealm(ctx, cfg, realm, q)
		if err != nil && !all {
			return err
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("realm %s: %w", realm, err))
		}
		sessions = append(sessions, found...)
	}
	if c.json {
		err = c.printJSON(map[string]any{"sessions": sessions})
	} else {
		err = c.printSessions(sessions, all, len(sessions) >= q.Limit)
	}
	return errors.Join(append(failed, err)...)
}

// listRealm opens a realm for a listing; one that does not exist has none and is not made.
func (c *command) listRealm(ctx context.Context, cfg config.Config, realm string, q control.ListSessions) ([]listed, error) {
	cfg.Realm, cfg.StateDir = realm, filepath.Join(cfg.StateRoot, realm)
	if _, err := os.Stat(cfg.StateDir); !c.remote() && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	rt, err := c.enter(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if c.remote() {
		realm, q.Workspace = rt.Realm, cfg.Workspace
	}
	found, err := rt.Plane.Sessions(ctx, q)
	if err = errors.Join(err, rt.Close()); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	out := make([]listed, len(found))
	for i, s := range found {
		out[i] = listed{realm + ":" + string(s.ID), s}
	}
	return out, nil
}

func (c *command) printSessions(sessions []listed, all, full bool) error {
	if len(sessions) == 0 {
		_, err := fmt.Fprintln(c.Stdout, "No sessions found.")
		return err
	}
	width, onTerminal := c.Terminal(c.Stdout)
	var b strings.Builder
	const row = "%-13s  %-10s  %4v  %-10s  %-16s  %s"
	b.WriteString(fmt.Sprintf(row, "ID", "STATE", "MSGS", "UPDATED", "MODEL", "TITLE") + "\n")
	for _, s := range sessions {
		title := terminal.Line(s.Title)
		if all {
			title = terminal.Line(s.Workspace) + "  " + title
		}
		model := terminal.Line(s.Model[strings.LastIndexByte(s.Model, '/')+1:])
		line := fmt.Sprintf(row, short(string(s.ID)), state(s.Session), s.Messages, c.day(s.Updated), terminal.Clip(model, 16), title)
		if onTerminal && width > 0 {
			line = terminal.Clip(line, width)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if _, err := fmt.Fprint(c.Stdout, b.String()); err != nil {
		return err
	}
	if full {
		_, err := fmt.Fprintln(c.Stderr, "There may be more: --limit and --offset.")
		return err
	}
	return nil
}

// day is a time in ten columns: the hour of today, or another day.
func (c *command) day(t time.Time) string {
	t = t.Local()
	if now := c.Now().Local(); now.YearDay() == t.YearDay() && now.Year() == t.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02")
}

// state is a session's state in a word for people.
func state(s control.Session) string {
	if s.Unfinished {
		return "unfinished"
	}
	if s.Phase == "attached" {
		return "idle"
	}
	return s.Phase
}

// endCommand is a command that ends a session. It wants the session to be named: none is ended by default.
func (c *command) endCommand(name, short string, end func(context.Context, Plane, control.Session) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   name + " REF",
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.json = asJSON
			if len(args) != 1 {
				return usage("name one session: its id or the beginning of it, 'last', or '~N'", "'rkat sessions' lists them")
			}
			return c.end(cmd.Context(), args[0], name, end)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (c *command) end(ctx context.Context, ref, name string, end func(context.Context, Plane, control.Session) error) (err error) {
	cfg, err := c.settings("")
	if err != nil {
		return err
	}
	rt, err := c.enter(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	s, err := rt.Plane.Session(ctx, ref)
	if err == nil {
		err = end(ctx, rt.Plane, s)
	}
	if err == nil {
		s, err = rt.Plane.Session(ctx, string(s.ID))
	}
	switch {
	case err != nil:
		return err
	case c.json:
		return c.printJSON(s)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s is %s: %s\n", short(string(s.ID)), state(s), terminal.Line(s.Title))
	return err
}

// showFlags are those of sessions show.
type showFlags struct{ json, effects, events, full bool }

func (c *command) showCommand() *cobra.Command {
	var o showFlags
	cmd := &cobra.Command{
		Use:   "show [REF]",
		Short: "what was said and done in a session",
		Long:  "Show prints a session: REF is an id or its beginning, 'last' (the default), or '~N'.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.json = o.json
			ref := "last"
			if len(args) > 0 {
				ref = args[0]
			}
			return c.show(cmd.Context(), ref, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.effects, "effects", false, "the ledger of effects: what was asked of the world, and what came of it")
	f.BoolVar(&o.events, "events", false, "the events, each with its cursor")
	f.BoolVar(&o.full, "full", false, "tool results in full")
	f.BoolVar(&o.json, "json", false, "as JSON")
	return cmd
}

// shown is the JSON of a session.
type shown struct {
	listed
	Rows    []shownRow       `json:"messages"`
	Effects []control.Effect `json:"effects,omitempty"`
	Events  []shownEvent     `json:"events,omitempty"`
}

type shownRow struct {
	At   transcript.Position `json:"at"`
	Time string              `json:"time"`
	Run  string              `json:"run_id,omitempty"`
	Role string              `json:"role"`
	Body transcript.Entry    `json:"entry"`
}

type shownEvent struct {
	Cursor  uint64        `json:"cursor"`
	Time    string        `json:"time"`
	Run     string        `json:"run_id,omitempty"`
	Type    string        `json:"type"`
	Payload event.Payload `json:"payload"`
}

const stamp = "2006-01-02T15:04:05.000Z07:00"

func (c *command) show(ctx context.Context, ref string, o showFlags) error {
	cfg, err := c.settings("")
	if err != nil {
		return err
	}
	rt, err := c.enter(ctx, cfg)
	if err != nil {
		return err
	}
	s, err := c.read(ctx, rt.Plane, orElse(rt.Realm, cfg.Realm), ref, o)
	if err = errors.Join(err, rt.Close()); err != nil {
		return err
	}
	if o.json {
		return c.printJSON(s)
	}
	return c.printShown(s, o)
}

func (c *command) read(ctx context.Context, p Plane, realm, ref string, o showFlags) (shown, error) {
	session, err := c.find(ctx, p, ref)
	if err != nil {
		return shown{}, err
	}
	s := shown{listed: listed{realm + ":" + string(session.ID), session}, Rows: []shownRow{}}
	rows, err := p.Transcript(ctx, session.ID, 1, 0)
	if err != nil {
		return shown{}, fmt.Errorf("read the transcript: %w", err)
	}
	for _, r := range rows {
		s.Rows = append(s.Rows, shownRow{r.At, r.Time.Format(stamp), string(r.Run), transcript.Role(r.Entry), r.Entry})
	}
	if o.effects {
		if s.Effects, err = p.Effects(ctx, session.ID); err != nil {
			return shown{}, fmt.Errorf("read the effects: %w", err)
		}
	}
	if o.events {
		if s.Events, err = readEvents(ctx, p, session); err != nil {
			return shown{}, fmt.Errorf("read the events: %w", err)
		}
	}
	return s, nil
}

// readEvents reads the events that there were when session was looked up.
func readEvents(ctx context.Context, p Plane, session control.Session) ([]shownEvent, error) {
	if session.Cursor == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []shownEvent
	for e, err := range p.Events(ctx, session.ID, 0) {
		if err != nil {
			return nil, err
		}
		if e.Cursor == 0 {
			continue
		}
		out = append(out, shownEvent{e.Cursor, e.Time.Format(stamp), string(e.Run), e.Payload.Type(), e.Payload})
		if e.Cursor >= session.Cursor {
			break
		}
	}
	return out, nil
}

func (c *command) printShown(s shown, o showFlags) error {
	p := c.printer()
	p.field("Session", string(s.ID))
	p.field("State", state(s.Session))
	p.field("Created", s.Created.Local().Format("2006-01-02 15:04:05"))
	p.field("Model", s.Model)
	p.field("Workspace", s.Workspace)
	p.field("Tokens", fmt.Sprint(s.Tokens))
	if !o.effects && !o.events {
		for _, r := range s.Rows {
			p.row(r, o.full)
		}
	}
	if o.effects {
		p.effects(s.Effects)
	}
	if o.events {
		for _, e := range s.Events {
			data, err := json.Marshal(e.Payload)
			if err != nil {
				return err
			}
			p.line("#%-4d %s %s %s", e.Cursor, e.Time, e.Type, terminal.Line(string(data)))
		}
	}
	if s.Unfinished {
		p.line("")
		p.line("%s", c.there(fmt.Sprintf("A run is unfinished: 'rkat resume %s' goes on.", short(string(s.ID)))))
	}
	return p.err
}
