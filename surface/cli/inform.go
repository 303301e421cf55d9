package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

func (c *command) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "version", Short: "print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.version(asJSON) }}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// version opens nothing and asks nobody.
func (c *command) version(asJSON bool) error {
	if asJSON {
		c.json = true
		return c.printJSON(map[string]string{"version": c.app.Version, "commit": c.app.Commit, "go": runtime.Version(),
			"platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	commit := ""
	if c.app.Commit != "" {
		commit = " (" + c.app.Commit[:min(12, len(c.app.Commit))] + ")"
	}
	_, err := fmt.Fprintf(c.Stdout, "rkat %s%s %s %s/%s\n", c.app.Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func (c *command) modelsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "models", Short: "list the models known by name, and which can be used now", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.json = asJSON
			return c.models(cmd.Context())
		}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (c *command) models(ctx context.Context) error {
	cfg, err := c.config("")
	if err != nil {
		return err
	}
	var servers []config.Server
	if !cfg.NoProbe {
		servers = c.app.FindServers(ctx)
	}
	models := c.app.Models(cfg)
	for _, s := range servers {
		for i, name := range s.Models {
			models = append(models, Model{Name: s.Provider.Name + "/" + name, Provider: s.Provider.Name, Default: i == 0, Configured: true,
				Note: "at " + s.Provider.BaseURL})
		}
	}
	if c.json {
		return c.printJSON(map[string]any{"models": models})
	}
	p := c.printer()
	p.line("%-38s  %-6s  %8s  %s", "MODEL", "USABLE", "CONTEXT", "")
	for _, m := range models {
		usable := "no"
		if m.Configured {
			usable = "yes"
		}
		size := ""
		if m.Context > 0 {
			size = count(m.Context)
		}
		note := m.Note
		if m.Default && note == "" {
			note = "default of " + m.Provider
		}
		p.line("%-38s  %-6s  %8s  %s", terminal.Line(m.Name), usable, size, note)
	}
	p.line("")
	p.line("--model takes these names, and provider/NAME for any other that a provider has.")
	return p.err
}

// finding is one thing that doctor looked at.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func (c *command) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "doctor", Short: "say what is set up, what is not, and what to do about it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.json = asJSON
			return c.doctor(cmd.Context())
		}}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// doctor fails if something keeps the product from working at all; a model that is missing does not: there is offline.
func (c *command) doctor(ctx context.Context) error {
	cfg, err := c.config("")
	if err != nil {
		return err
	}
	state := []finding{c.stateFinding(cfg)}
	if state[0].OK {
		state = append(state, c.storeFinding(ctx, cfg))
	}
	findings := append([]finding{{Name: "workspace", OK: true, Detail: cfg.Workspace}, {Name: "realm", OK: true, Detail: cfg.Realm}}, state...)
	findings = append(findings, c.modelFindings(ctx, cfg)...)
	broken := false
	for _, f := range state {
		broken = broken || !f.OK
	}
	if c.json {
		err = c.printJSON(map[string]any{"ok": !broken, "findings": findings})
	} else {
		p := c.printer()
		for _, f := range findings {
			mark := "ok"
			if !f.OK {
				mark = "--"
			}
			p.line("%s  %-14s %s", mark, f.Name, f.Detail)
			if f.Advice != "" {
				p.line("    %s", f.Advice)
			}
		}
		err = p.err
	}
	if err == nil && broken {
		return ended(ExitFailed)
	}
	return err
}

func (c *command) stateFinding(cfg config.Config) finding {
	f := finding{Name: "state folder", OK: true, Detail: cfg.StateDir}
	if err := config.MakeState(cfg.StateDir); err != nil {
		var ce *config.Error
		f.OK = false
		if f.Detail = err.Error(); errors.As(err, &ce) {
			f.Detail, f.Advice = ce.What, ce.Advice
		}
	}
	return f
}

func (c *command) storeFinding(ctx context.Context, cfg config.Config) finding {
	f := finding{Name: "sessions", OK: true}
	rt, err := c.app.Open(ctx, cfg)
	var list []control.Session
	if err == nil {
		list, err = rt.Plane.Sessions(ctx, control.ListSessions{Limit: 1000})
		err = errors.Join(err, rt.Close())
	}
	if err == nil && c.app.CheckStore != nil {
		err = c.app.CheckStore(ctx, cfg.StateDir)
	}
	if err != nil {
		e := explain(err)
		return finding{Name: f.Name, Detail: e.what, Advice: e.advice}
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

func (c *command) modelFindings(ctx context.Context, cfg config.Config) []finding {
	var out []finding
	for _, p := range cfg.Providers {
		f := finding{Name: p.Name, OK: true, Detail: "set up by " + p.Origin + ", at " + p.Address()}
		if p.Key == "" {
			f.Detail += ", without a key"
		}
		out = append(out, f)
	}
	var servers []config.Server
	if cfg.NoProbe {
		out = append(out, finding{Name: "local servers", OK: true, Detail: "not looked for: RKAT_NO_PROBE is set"})
	} else {
		servers = c.app.FindServers(ctx)
	}
	for _, s := range servers {
		out = append(out, finding{Name: s.Provider.Name, OK: true, Detail: "runs at " + s.Provider.BaseURL + ": " + strings.Join(s.Models, ", ")})
	}
	if cfg.Model != "" {
		out = append(out, finding{Name: "model", OK: true, Detail: cfg.Model + " (RKAT_MODEL)"})
	} else if len(cfg.Providers)+len(servers) == 0 {
		out = append(out, finding{Name: "model", Detail: "no provider is set up, and no local server was found",
			Advice: "Set ANTHROPIC_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL; or --model offline"})
	}
	return out
}

func (c *command) demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "watch a run being killed and coming back; needs nothing, takes some seconds",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.app.Demo == nil {
				return usage("this build has no demo", "")
			}
			err := c.interruptible(cmd.Context(), func(ctx context.Context) error { return c.app.Demo(ctx, c.Stdout, args) })
			if err != nil && errors.Is(err, os.ErrPermission) {
				return &failure{what: "the demo cannot run: " + err.Error(), advice: "It needs a temporary folder that can be written: set TMPDIR", exit: ExitFailed, err: err}
			}
			return err
		}}
}
