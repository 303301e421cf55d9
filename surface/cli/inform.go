package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
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
