package cli

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/config"
)

// ServeOptions says what to serve and where.
type ServeOptions struct {
	Config      config.Config
	HTTP        string // address; empty: as the settings say; "off": none
	RPC         string // address; empty: none
	AllowRemote bool
	Tools       string        // the most that a session may have, as a preset; empty: workspace where keys are needed, else full
	Folder      bool          // a flag names the folder to work in
	Patience    time.Duration // how long what is under way may take once the server is to end; negative: no time
	LogLevel    string
	LogFormat   string
	Stderr      io.Writer
	Stop        <-chan os.Signal
	Env         func(string) string
}

const serveLong = `Serve the sessions of a realm, or of all realms that have keys, until told to end.

Over HTTP there is the REST interface, its stream of events, /health, /readyz,
/metrics, and a page at / to look at sessions and give them work. --rpc adds
JSON-RPC over TCP. Without keys ('rkat keys create') only this machine may come
in, and an address that others reach is refused.

Whoever comes with a key has a folder of his realm to work in, and no shell: -C
names a folder for all of them, and --tools full lets them run commands.

With --realm there is that realm alone. On SIGTERM or Ctrl-C calls that are under
way are finished, if they take no longer than --shutdown-timeout; runs that are not
over are kept, and the next start goes on with them. Again: at once.`

func (c *command) serveCommand() *cobra.Command {
	var o ServeOptions
	cmd := &cobra.Command{Use: "serve", Short: "serve sessions over HTTP and JSON-RPC", Long: serveLong, Args: cobra.NoArgs,
		Example: "  rkat serve\n  rkat serve --http 127.0.0.1:9000 --rpc 127.0.0.1:9001",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Config, err = c.config(""); err != nil {
				return err
			}
			if o.Patience < 0 {
				return usage("--shutdown-timeout is not negative", "0 cuts calls that are under way")
			}
			if o.Patience == 0 {
				o.Patience = -1
			}
			o.Folder = c.flags.workspace != ""
			o.Stderr, o.Stop, o.Env = c.Stderr, c.Signals, c.Env
			return c.app.Serve(cmd.Context(), o)
		}}
	f := cmd.Flags()
	f.StringVar(&o.HTTP, "http", "", "address for HTTP (default: [rest] of the settings, or 127.0.0.1:8080); off: none")
	f.StringVar(&o.RPC, "rpc", "", "address for JSON-RPC over TCP (default: none)")
	f.StringVar(&o.Tools, "tools", "", "most tools of a session: none, safe, workspace or full (default: full, or workspace where keys are needed)")
	f.BoolVar(&o.AllowRemote, "allow-remote", false, "JSON-RPC may listen where other machines reach it")
	f.DurationVar(&o.Patience, "shutdown-timeout", 10*time.Second, "how long calls under way may take at the end")
	f.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn, error or off")
	f.StringVar(&o.LogFormat, "log-format", "text", "text or json")
	return cmd
}
