package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-go/meerkat/run"
)

// limitFlags are the bounds of a new session's runs, and the output that is wanted of them.
type limitFlags struct {
	maxRounds, maxTokens  int
	tokensTotal, maxCalls int
	maxDuration           time.Duration
	schema                string
}

func (o *limitFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&o.maxRounds, "max-rounds", 0, "`N` model calls in one run at most (default 100)")
	f.IntVar(&o.maxTokens, "max-tokens", 0, "`N` tokens in one reply at most")
	f.IntVar(&o.tokensTotal, "max-tokens-total", 0, "`N` tokens in the whole session at most, input and output")
	f.IntVar(&o.maxCalls, "max-tool-calls", 0, "`N` tool calls in one run at most")
	f.DurationVarP(&o.maxDuration, "max-duration", "d", 0, "one run may take `DURATION`, such as 90s or 10m")
	f.StringVar(&o.schema, "schema", "", "print an output that fits the JSON Schema in `FILE`, or given as it is")
}

// limitNames are the flags that a session begins with and keeps.
var limitNames = []string{"max-rounds", "max-tokens", "max-tokens-total", "max-tool-calls", "max-duration", "schema"}

func (o *limitFlags) check() error {
	if o.maxRounds < 0 || o.maxTokens < 0 || o.tokensTotal < 0 || o.maxCalls < 0 || o.maxDuration < 0 {
		return usage("a limit cannot be negative", "Leave it out for the default")
	}
	return nil
}

// apply puts the limits into a profile. A schema that cannot be read is a wrong call.
func (o *limitFlags) apply(p *run.Profile, dir string) error {
	p.MaxRounds, p.MaxOutput = o.maxRounds, o.maxTokens
	p.Budget = run.Budget{Tokens: o.tokensTotal, Calls: o.maxCalls, Duration: o.maxDuration}
	if o.schema == "" {
		return nil
	}
	raw, from := []byte(o.schema), "what --schema says"
	if !strings.HasPrefix(strings.TrimSpace(o.schema), "{") {
		path := o.schema
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		var err error
		if raw, err = os.ReadFile(path); err != nil {
			return usage(fmt.Sprintf("the schema cannot be read: %v", err), "--schema takes a file, or a JSON object")
		}
		from = o.schema
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return usage(from+" is no JSON object", "A JSON Schema is one, such as "+`{"type":"object","properties":{"answer":{"type":"string"}}}`)
	}
	p.Schema = raw
	return nil
}

// indented is an output as it is printed.
func indented(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return escapeControls(string(raw))
	}
	return escapeControls(b.String())
}
