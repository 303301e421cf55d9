package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/internal/near"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

// failure is an error told to the user: what happened and why, and what to do about it.
type failure struct {
	code   fault.Code
	what   string // no full stop at its end
	advice string // one or more sentences without the last full stop; empty: nothing to be done
	exit   int
	told   bool   // its story is on the screen already: only the exit code is left to give
	screen string // shown in place of the one line
	err    error
}

func (f *failure) Error() string {
	s := sentence(f.what)
	if f.advice != "" {
		s += " " + sentence(f.advice)
	}
	return s
}

// sentence ends s with a full stop, unless it ends with a question, or with something to be typed.
func sentence(s string) string {
	s = strings.TrimRight(s, ". ")
	if strings.HasSuffix(s, "?") || strings.HasSuffix(s, `"`) && strings.Contains(s, `rkat `) {
		return s
	}
	return s + "."
}

func (f *failure) Unwrap() error         { return f.err }
func (f *failure) FaultCode() fault.Code { return f.code }

// usage is a command that was called wrongly.
func usage(what, advice string) error {
	return &failure{code: fault.Invalid, what: what, advice: advice, exit: ExitUsage}
}

// ended is a command that has told its end and only gives its code.
func ended(exit int) error { return &failure{exit: exit, told: true} }

// fail tells an error and returns the exit code.
func (c *command) fail(err error) int {
	var f *failure
	if !errors.As(err, &f) {
		f = explain(err)
	}
	if f.told {
		return f.exit
	}
	if f.screen != "" {
		fmt.Fprint(c.Stderr, f.screen)
	} else {
		c.say("Error: %s", f.Error())
	}
	if c.json {
		c.printJSON(map[string]any{"error": map[string]string{"code": f.code.String(), "message": f.what, "advice": c.there(f.advice)}})
	}
	return f.exit
}

// say writes a line to standard error, with what it advises as it holds where the sessions are.
func (c *command) say(format string, args ...any) {
	fmt.Fprintln(c.Stderr, terminal.Clean(c.there(fmt.Sprintf(format, args...))))
}

// printJSON writes v as the one object of a command's output.
func (c *command) printJSON(v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if err == nil {
		_, err = io.WriteString(c.Stdout, escapeControls(b.String()))
	}
	if err != nil {
		return &failure{code: fault.Storage, what: "the output cannot be written: " + err.Error(), exit: ExitFailed, err: err}
	}
	return nil
}

// escapeControls writes what JSON may hold as it is and a terminal obeys as JSON's escapes: DEL, the control characters from U+0080
// to U+009F, and direction overrides. Outside of its strings JSON has none of them.
func escapeControls(s string) string {
	if !strings.ContainsFunc(s, obeyed) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if obeyed(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func obeyed(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// explain finds out what a user can do about an error of the product.
func explain(err error) *failure {
	f := &failure{code: fault.CodeOf(err), what: aboutStore(oneLine(err.Error())), exit: ExitFailed, err: err}
	var ce *config.Error
	var fe *client.Error
	if errors.As(err, &fe) {
		return explainFar(fe, f)
	}
	switch {
	case errors.As(err, &ce):
		f.what, f.advice, f.exit = ce.What, ce.Advice, ExitUsage
		return f
	case errors.Is(err, syscall.ENOSPC), f.code == fault.Storage && strings.Contains(f.what, "no space"):
		f.advice = "Free some space, or move the state folder with RKAT_STATE_DIR. Nothing that was accepted is lost: 'rkat resume' goes on"
		return f
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), f.code == fault.Storage && strings.Contains(f.what, "not writable"):
		f.advice = "Set RKAT_STATE_DIR to a folder that can be written, or pass --state-root"
		return f
	}
	f.advice = adviceFor(f.code, f.what)
	if f.code == fault.OwnedElsewhere {
		f.what = holder(f.what)
	}
	return f
}

// storeFile is how an error names the file that the sessions are in.
var storeFile = regexp.MustCompile(`^.*\(([^()]*sessions\.sqlite3)\): `)

// aboutStore leaves out what was attempted on the way to an error of the store: a user needs the file and what is wrong with it.
func aboutStore(what string) string {
	return storeFile.ReplaceAllString(what, "the session store ${1}: ")
}

// oneLine joins the lines of an error that has several causes, each once.
func oneLine(s string) string {
	var out string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); !strings.Contains(out, l) {
			out = strings.TrimPrefix(out+"; "+l, "; ")
		}
	}
	return out
}

// holder takes what a user needs from an error that says who holds a session.
func holder(what string) string {
	i := strings.Index(what, " is in use by process")
	if i < 0 {
		return what
	}
	who, _, _ := strings.Cut(what[i:], " until ")
	from := strings.LastIndexByte(what[:i], ' ') + 1
	return "session " + short(what[from:i]) + who
}

func adviceFor(code fault.Code, what string) string {
	switch code {
	case fault.Corrupt:
		if strings.Contains(what, "newer version") {
			return "Use the rkat that wrote it, or a later one. Nothing was changed"
		}
		return "Nothing was changed. To work in the meantime, name another place with RKAT_STATE_DIR"
	case fault.OwnedElsewhere:
		if strings.Contains(what, " is served by ") {
			return "Use that server, or end it first"
		}
		return "Another rkat is working on this session. Wait until it is done, or end it and try again"
	case fault.Busy:
		return "Something is running or waiting in this session. Wait for it, or interrupt it"
	case fault.Overloaded, fault.InProgress:
		return "Try again in a moment"
	case fault.OutcomeUnknown:
		return "It may have taken effect: look with 'rkat sessions show last' before you try again"
	case fault.NotReady:
		return "The session does not take this now: 'rkat sessions show last' says where it stands"
	case fault.Storage:
		return "'rkat doctor' looks at the state folder. Nothing that was accepted is lost: 'rkat resume' goes on"
	case fault.Unauthenticated, fault.Provider:
		return "'rkat doctor' says what is set up; check the provider's key and address"
	case fault.Internal:
		return "This is a defect: please report it with the command that led to it"
	case fault.NotFound:
		return "'rkat sessions' lists the sessions of this folder, and says which are archived"
	case fault.Invalid, fault.NotRunning, fault.Stale, fault.Cancelled, fault.Budget:
		return ""
	}
	return ""
}

// providerAdvice says what to do about a failed model call of a kind (llm.Kind). The message only tells whose key it is about.
func providerAdvice(kind, message string) string {
	switch kind {
	case "authentication_failed":
		return "The provider does not accept the key. Check " + keyOf(message) + ", then 'rkat resume'"
	case "invalid_key":
		return "The key is known but not allowed to do this. Check the account behind " + keyOf(message) + ", then 'rkat resume'"
	case "rate_limited":
		return "The provider limits how much you may ask. Wait a while, then 'rkat resume'"
	case "model_not_found":
		return "The provider does not have this model. 'rkat models' lists names; choose one with --model"
	case "not_configured":
		return "'rkat doctor' says what is set up and what is not"
	case "context_exceeded", "request_too_large":
		return "The conversation is longer than the model takes. Start a new session, or choose a model with more room"
	case "content_filtered":
		return "The provider's filter stopped it. Say it in other words"
	case "overloaded", "server_error":
		return "The provider is in trouble. Try again later with 'rkat resume'"
	case "connection_reset", "network_timeout", "incomplete_response", "stream_stalled", "call_timeout":
		return "The connection to the provider failed. Check that the address is right and reachable, then 'rkat resume'"
	case "stream_parse_error", "invalid_tool_call", "empty_completion":
		return "The provider sent something that makes no sense. Try again with 'rkat resume', or choose another model with --model"
	case "invalid_request":
		return "The provider refused the request. If it names a setting, change it; otherwise choose another model with --model"
	}
	return "Try again with 'rkat resume'"
}

func keyOf(message string) string {
	switch {
	case strings.Contains(message, "anthropic"):
		return "ANTHROPIC_API_KEY"
	case strings.Contains(message, "openai"):
		return "OPENAI_API_KEY"
	}
	return "the provider's key"
}

// Causes of a run that ended before its end, as an Outcome names them.
const (
	causeTurnLimit = "turn_limit_reached"
	causeBudget    = "budget_exhausted"
	causeTime      = "time_budget_exceeded"
)

// explainOutcome turns the end of a run into an error; nil: it completed.
func explainOutcome(o control.Outcome) *failure {
	switch {
	case o.Cause == causeTurnLimit:
		return &failure{code: fault.Budget, what: fmt.Sprintf("the run was stopped after %d model calls, its limit", o.Rounds),
			advice: "What was done so far is kept. 'rkat resume' goes on; --max-rounds sets the limit of a new session", exit: ExitUsage}
	case o.Cause == causeBudget:
		return &failure{code: fault.Budget, what: orElse(o.Error, "a budget was used up"),
			advice: "What was done so far is kept. --max-tokens-total and --max-tool-calls set the budget of a new session", exit: ExitUsage}
	case o.Cause == causeTime:
		return &failure{code: fault.Budget, what: orElse(o.Error, "the time of the run was up"),
			advice: "What was done so far is kept. 'rkat resume' goes on; --max-duration sets the time of a new session", exit: ExitUsage}
	case o.NoOutput != nil:
		return &failure{code: fault.Provider, what: "there is an answer, and no output that fits the schema: " + o.NoOutput.Reason,
			advice: "The answer is kept. Ask again with 'rkat run --resume', or for less", exit: ExitFailed}
	case o.Status == control.Completed:
		return nil
	case o.Status == control.Cancelled:
		return &failure{code: fault.Cancelled, what: "the run was cancelled", advice: "'rkat resume' goes on", exit: ExitFailed}
	case o.Status == control.Abandoned:
		return &failure{code: fault.Cancelled, what: "the prompt was given up: " + orElse(o.Error, orElse(o.Cause, "no reason was given")),
			advice: "Send it again", exit: ExitFailed}
	}
	what := orElse(o.Error, orElse(o.Cause, "no reason was given"))
	return &failure{code: fault.Provider, what: "the run failed: " + what, advice: providerAdvice(o.Kind, what), exit: ExitFailed}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// notFound says which sessions are near to one that does not exist.
func (c *command) notFound(ctx context.Context, p Plane, ref string, err error) error {
	f := &failure{code: fault.NotFound, what: fmt.Sprintf("there is no session %q here", ref), exit: ExitFailed, err: err}
	list, lerr := p.Sessions(ctx, control.ListSessions{Limit: 200})
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	if len(list) == 0 {
		f.advice = "This folder has no sessions yet: 'rkat sessions --all' lists those of others"
		if c.remote() {
			f.advice = "There are no sessions yet"
		}
		return f
	}
	var ids []string
	for _, s := range list {
		ids = append(ids, string(s.ID))
	}
	if meant := near.Names(ref, ids, 3); len(meant) > 0 {
		for i := range meant {
			meant[i] = short(meant[i])
		}
		f.advice = "Did you mean " + strings.Join(meant, ", ") + "? 'rkat sessions' lists all"
		return f
	}
	f.advice = "'rkat sessions' lists those of this folder, 'rkat sessions --all' those of others too"
	if c.remote() {
		f.advice = "'rkat sessions' lists those that the key may see"
	}
	return f
}
