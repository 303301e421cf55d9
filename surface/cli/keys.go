package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

// Key is what is shown of an API key. Nothing of it opens a door.
type Key struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Realm   string     `json:"realm"`
	Level   string     `json:"level"`
	Created time.Time  `json:"created_at"`
	Revoked *time.Time `json:"revoked_at,omitempty"`
	Last4   string     `json:"last4"` // the last letters of the token
}

// Keys are the API keys of a state root.
type Keys interface {
	// Create makes a key and returns its token, which nobody can ask for again.
	Create(ctx context.Context, name, realm string, level control.Level) (Key, string, error)
	List(ctx context.Context) ([]Key, error)
	Revoke(ctx context.Context, id string) (Key, error)
}

func (c *command) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "make, list and revoke the API keys of a server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var asJSON bool
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "as JSON")
	var name, level string
	create := &cobra.Command{Use: "create", Short: "make a key and print it, once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.json = asJSON
			return c.createKey(cmd.Context(), name, level)
		}}
	create.Flags().StringVar(&name, "name", "", "what the key is for; it is shown in lists and logs")
	create.Flags().StringVar(&level, "level", "write", "read: look; write: also make sessions and give them work; admin: also settings")
	list := &cobra.Command{Use: "list", Short: "list the keys of all realms", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.json = asJSON
			return c.listKeys(cmd.Context())
		}}
	revoke := &cobra.Command{Use: "revoke ID", Short: "make a key worthless, at once and for good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.json = asJSON
			return c.revokeKey(cmd.Context(), args[0])
		}}
	cmd.AddCommand(create, list, revoke)
	return cmd
}

// keys opens the keys of the state root that the flags name.
func (c *command) keys() (Keys, string, error) {
	cfg, err := c.config("")
	if err != nil {
		return nil, "", err
	}
	return c.app.Keys(cfg.StateRoot), cfg.Realm, nil
}

func (c *command) createKey(ctx context.Context, name, level string) error {
	if strings.TrimSpace(name) == "" {
		return usage("a key needs a name", "Say what it is for: rkat keys create --name laptop")
	}
	l, err := control.ParseLevel(level)
	if err != nil {
		return usage(err.Error(), "See 'rkat keys create --help'")
	}
	keys, realm, err := c.keys()
	if err != nil {
		return err
	}
	k, token, err := keys.Create(ctx, name, realm, l)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(struct {
			Key
			Token string `json:"token"`
		}{k, token})
	}
	fmt.Fprintf(c.Stderr, "Key %s (%s) may %s in realm %s. It is shown this once:\n", k.ID, terminal.Line(k.Name), k.Level, k.Realm)
	_, err = fmt.Fprintln(c.Stdout, token)
	return err
}

func (c *command) listKeys(ctx context.Context) error {
	keys, _, err := c.keys()
	if err != nil {
		return err
	}
	list, err := keys.List(ctx)
	if err != nil {
		return err
	}
	if c.json {
		if list == nil {
			list = []Key{}
		}
		return c.printJSON(map[string]any{"keys": list})
	}
	p := c.printer()
	if len(list) == 0 {
		p.line("There are no keys. 'rkat keys create --name NAME' makes one.")
		return p.err
	}
	p.line("%-12s  %-5s  %-24s  %-20s  %-10s  %s", "ID", "LEVEL", "REALM", "NAME", "CREATED", "")
	for _, k := range list {
		note := "…" + k.Last4
		if k.Revoked != nil {
			note = "revoked " + k.Revoked.Format(time.DateOnly)
		}
		p.line("%-12s  %-5s  %-24s  %-20s  %-10s  %s", k.ID, k.Level, k.Realm, terminal.Line(k.Name), k.Created.Format(time.DateOnly), note)
	}
	return p.err
}

func (c *command) revokeKey(ctx context.Context, id string) error {
	keys, _, err := c.keys()
	if err != nil {
		return err
	}
	k, err := keys.Revoke(ctx, id)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(k)
	}
	_, err = fmt.Fprintf(c.Stdout, "Key %s (%s) is revoked.\n", k.ID, terminal.Line(k.Name))
	return err
}
