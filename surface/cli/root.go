package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const helpText = `Meerkat runs an agent in a folder, and finishes what it began: a run survives
crashes, each model reply is bought once, each tool call is made once.

  rkat run "what is in this folder?"        one prompt, one answer
  rkat run --model offline "…"              the same without a key or a network
  cat report.txt | rkat run "summarise"     standard input goes with the prompt
  rkat resume                               go on with what was interrupted
  rkat demo                                 a run is killed and comes back

Commands:
  run PROMPT…          give the agent something to do       (rkat run --help)
  resume [SESSION]     go on with an unfinished run, or with a new prompt
  sessions             list the sessions of this folder
  sessions show REF    what was said; --effects, --events: what was done
  sessions archive REF, sessions destroy REF    make a record of one; end one
  attach [SESSION]     watch a session live, here or at a server (--server URL)
  serve, keys          serve over HTTP and JSON-RPC; the API keys of a server
  models, doctor       which models there are; what is set up and what is not

On every command:
  -C, --workspace DIR  folder to work in (default: this one)
  -r, --realm NAME     whose sessions (default: those of the workspace)
      --state-root DIR where they are kept (default: ~/.rkat/realms)
Settings: ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENAI_BASE_URL, RKAT_MODEL
`

// root builds the tree of commands.
func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "rkat",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd == root {
			fmt.Fprint(cmd.OutOrStdout(), helpText)
			return
		}
		fmt.Fprint(cmd.OutOrStdout(), commandHelp(cmd))
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err.Error(), fmt.Sprintf("See '%s --help'", cmd.CommandPath()))
	})
	f := root.PersistentFlags()
	f.StringVarP(&c.flags.workspace, "workspace", "C", "", "folder to work in (default: this one)")
	f.StringVarP(&c.flags.realm, "realm", "r", "", "whose sessions (default: those of the workspace)")
	f.StringVar(&c.flags.stateRoot, "state-root", "", "where sessions are kept (default: ~/.rkat/realms)")
	version := root.Flags().Bool("version", false, "print the version")
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *version {
			return c.version(false)
		}
		return run(cmd, args)
	}
	root.AddCommand(c.runCommand(), c.resumeCommand(), c.sessionsCommand(), c.attachCommand(), c.modelsCommand(), c.doctorCommand(), c.demoCommand(),
		c.serveCommand(), c.keysCommand(), c.versionCommand())
	return root
}

// commandHelp is the help of one command: what it does, how it is called, its flags.
func commandHelp(cmd *cobra.Command) string {
	var b strings.Builder
	if text := cmd.Long; text != "" {
		b.WriteString(strings.TrimSpace(text) + "\n\n")
	} else {
		b.WriteString(cmd.Short + "\n\n")
	}
	b.WriteString("Usage:\n  " + cmd.UseLine() + "\n")
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, s := range cmd.Commands() {
			if s.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-18s %s\n", strings.TrimPrefix(s.Use, cmd.Name()+" "), s.Short)
			}
		}
	}
	if cmd.Example != "" {
		b.WriteString("\nExamples:\n" + strings.TrimRight(cmd.Example, "\n") + "\n")
	}
	if cmd.HasAvailableLocalFlags() {
		b.WriteString("\nFlags:\n" + cmd.LocalFlags().FlagUsagesWrapped(80))
	}
	if cmd.HasAvailableInheritedFlags() {
		b.WriteString("\nOn every command: -C/--workspace DIR, -r/--realm NAME, --state-root DIR\n")
	}
	return b.String()
}

// shorthand turns `rkat "a prompt"` into `rkat run "a prompt"`: the first argument that is no flag is no command and cannot be
// a mistyped one, or a flag of run comes before it.
func shorthand(root *cobra.Command, args []string) []string {
	run, _, err := root.Find([]string{"run"})
	if err != nil {
		return args
	}
	first, runFlag := firstArgument(root, run, args)
	switch {
	case first < 0 || first >= len(args):
		if !runFlag {
			return args
		}
	case strings.HasPrefix(args[first], "__"), !runFlag && !strings.ContainsAny(args[first], " \t\n?"):
		return args
	default:
		if cmd, _, err := root.Find(args[first : first+1]); err == nil && cmd != root {
			return args
		}
	}
	return append([]string{"run"}, args...)
}

// firstArgument finds the first argument that is no flag; -1: there is none. It says whether a flag of run was among those
// before it.
func firstArgument(root, run *cobra.Command, args []string) (first int, runFlag bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return i + 1, runFlag
		}
		if !strings.HasPrefix(a, "-") || a == "-" {
			return i, runFlag
		}
		name, _, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		find := func(set *pflag.FlagSet) *pflag.Flag {
			if strings.HasPrefix(a, "--") {
				return set.Lookup(name)
			}
			if name == "" {
				return nil
			}
			return set.ShorthandLookup(name[:1])
		}
		flag := find(root.PersistentFlags())
		if flag == nil {
			if flag = find(run.Flags()); flag != nil {
				runFlag = true
			}
		}
		attached := given || !strings.HasPrefix(a, "--") && len(name) > 1
		if flag != nil && flag.NoOptDefVal == "" && !attached {
			i++
		}
	}
	return -1, runFlag
}

// unknownCommand says what is close to a word that is no command.
func unknownCommand(root *cobra.Command, word string) error {
	root.SuggestionsMinimumDistance = 2
	advice := fmt.Sprintf("To send it as a prompt: rkat run %q", word)
	if near := root.SuggestionsFor(word); len(near) > 0 {
		advice = fmt.Sprintf("Did you mean 'rkat %s'? %s", near[0], advice)
	}
	return usage(fmt.Sprintf("there is no command %q", word), advice)
}
