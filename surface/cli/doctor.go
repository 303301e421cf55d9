package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

func (c *command) doctorCommand() *cobra.Command {
	var asJSON, repair bool
	cmd := &cobra.Command{Use: "doctor", Short: "say what is set up, what is not or is damaged, and what to do about it", Args: cobra.NoArgs,
		Long: `Says what is set up and what is not, and looks at everything that is kept of the realm, down to every row of every session. It changes
nothing, and others may use the realm meanwhile. With --repair it mends what can be mended without a guess, after copying
everything into a folder backup-TIME beside it; nobody else may use the realm meanwhile. What is taken out is listed and kept.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.json = asJSON
			return c.doctor(cmd.Context(), repair)
		}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&repair, "repair", false, "mend what can be mended, after making a copy")
	return cmd
}

// doctor fails if something is damaged or keeps the product from working at all; a model that is missing does not: there is offline.
func (c *command) doctor(ctx context.Context, repair bool) error {
	cfg, err := c.config("")
	if err != nil {
		return err
	}
	kept := control.Checkup{Findings: []control.Finding{c.stateFinding(cfg)}}
	if kept.Findings[0].OK {
		if kept, err = c.checkup(ctx, cfg, repair, kept.Findings[0]); err != nil {
			return err
		}
	}
	kept.OK = !slices.ContainsFunc(kept.Findings, func(f control.Finding) bool { return !f.OK })
	healthy := kept.OK
	kept.Findings = append([]control.Finding{{Name: "workspace", OK: true, Detail: cfg.Workspace}, {Name: "realm", OK: true, Detail: cfg.Realm}}, kept.Findings...)
	kept.Findings = append(kept.Findings, c.modelFindings(ctx, cfg)...)
	if c.json {
		err = c.printJSON(kept)
	} else {
		err = c.showCheckup(kept, repair)
	}
	if err == nil && !healthy {
		return ended(ExitFailed)
	}
	return err
}

// checkup looks at what is kept of the realm. It is not opened if that could do harm.
func (c *command) checkup(ctx context.Context, cfg config.Config, repair bool, first control.Finding) (kept control.Checkup, err error) {
	look := c.app.Examine
	if repair {
		if look = c.app.Repair; look == nil {
			return kept, usage("this build cannot repair", "")
		}
	}
	if look != nil {
		if kept, err = look(ctx, cfg.StateDir); err != nil {
			return kept, err
		}
	}
	harm := slices.ContainsFunc(kept.Findings, func(f control.Finding) bool { return !f.OK && (f.Name == "log" || f.Name == "store") })
	kept.Findings = append([]control.Finding{first}, kept.Findings...)
	if !harm {
		kept.Findings = append(kept.Findings, c.sessionsFinding(ctx, cfg))
	}
	return kept, nil
}

func (c *command) showCheckup(kept control.Checkup, repair bool) error {
	p := c.printer()
	for _, f := range kept.Findings {
		mark := "ok"
		if !f.OK {
			mark = "--"
		}
		detail := f.Detail
		if f.Session != "" {
			detail = string(f.Session) + ": " + detail
		}
		p.line("%s  %-14s %s", mark, f.Name, terminal.Line(detail))
		for _, r := range f.Rows {
			p.line("    %s: %s", terminal.Line(r.Row), terminal.Line(r.Reason))
			p.line("      sha256 %s", r.Digest)
			if r.Done != "" {
				p.line("      %s", r.Done)
			}
		}
		if f.Done != "" {
			p.line("    Done: %s", terminal.Line(f.Done))
		}
		if f.Advice != "" {
			p.line("    %s", terminal.Line(f.Advice))
		}
	}
	switch {
	case kept.Backup != "":
		p.line("Everything as it was: %s", kept.Backup)
	case repair:
		p.line("Nothing was changed.")
	}
	return p.err
}

func (c *command) stateFinding(cfg config.Config) control.Finding {
	f := control.Finding{Name: "state folder", OK: true, Detail: cfg.StateDir}
	if err := config.MakeState(cfg.StateDir); err != nil {
		var ce *config.Error
		f.OK = false
		if f.Detail = err.Error(); errors.As(err, &ce) {
			f.Detail, f.Advice = ce.What, ce.Advice
		}
	}
	return f
}

func (c *command) sessionsFinding(ctx context.Context, cfg config.Config) control.Finding {
	f := control.Finding{Name: "sessions", OK: true}
	rt, err := c.app.Open(ctx, cfg)
	var list []control.Session
	if err == nil {
		list, err = rt.Plane.Sessions(ctx, control.ListSessions{Limit: 1000})
		err = errors.Join(err, rt.Close())
	}
	if err != nil {
		e := explain(err)
		return control.Finding{Name: f.Name, Detail: e.what, Advice: e.advice}
	}
	unfinished := 0
	for _, s := range list {
		if s.Unfinished {
			unfinished++
		}
	}
	f.Detail = plural(len(list), "session")
	if len(list) == 1000 {
		f.Detail = "at least 1000 sessions"
	}
	if unfinished > 0 {
		f.Detail += fmt.Sprintf(", %d unfinished", unfinished)
		f.Advice = "'rkat sessions' lists them, 'rkat resume REF' goes on"
	}
	return f
}

func (c *command) modelFindings(ctx context.Context, cfg config.Config) []control.Finding {
	var out []control.Finding
	for _, p := range cfg.Providers {
		f := control.Finding{Name: p.Name, OK: true, Detail: "set up by " + p.Origin + ", at " + p.Address()}
		if p.Key == "" {
			f.Detail += ", without a key"
		}
		out = append(out, f)
	}
	var servers []config.Server
	if cfg.NoProbe {
		out = append(out, control.Finding{Name: "local servers", OK: true, Detail: "not looked for: RKAT_NO_PROBE is set"})
	} else {
		servers = c.app.FindServers(ctx)
	}
	for _, s := range servers {
		out = append(out, control.Finding{Name: s.Provider.Name, OK: true, Detail: "runs at " + s.Provider.BaseURL + ": " + strings.Join(s.Models, ", ")})
	}
	if cfg.Model != "" {
		out = append(out, control.Finding{Name: "model", OK: true, Detail: cfg.Model + " (RKAT_MODEL)"})
	} else if len(cfg.Providers)+len(servers) == 0 {
		out = append(out, control.Finding{Name: "model", Detail: "no provider is set up, and no local server was found",
			Advice: "Set ANTHROPIC_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL; or --model offline"})
	}
	return out
}
