package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

// viewOptions says what of a run is shown.
type viewOptions struct {
	quiet   bool // nothing but the answer, and errors
	verbose bool // each event as a line
	json    bool // the answer is JSON, written by somebody else
	stream  bool // the answer is shown as it comes
}

// view shows one run after the other. Its methods return the first error of a write.
type view struct {
	opt      viewOptions
	stderr   io.Writer
	now      func() time.Time
	answer   *terminal.Writer
	plain    bool // the answer goes to a pipe or file, byte for byte
	stdout   io.Writer
	shared   bool // the answer and the progress line are on the same terminal
	progress progress
	shown    strings.Builder // what has been streamed of the reply that is coming
	streamed time.Time       // when its last piece came
	last     string          // the last reply shown whole
	cut      bool            // the way to the server is broken
	blind    bool            // pieces of the reply that is coming were lost: the rest of it is shown when it is whole
	err      error
}

// newView decides how things look from what the outputs are.
func (c *command) newView(opt viewOptions) *view {
	outWidth, outTerm := c.Terminal(c.Stdout)
	errWidth, errTerm := c.Terminal(c.Stderr)
	dumb := c.Env("TERM") == "dumb"
	v := &view{opt: opt, stderr: c.Stderr, stdout: c.Stdout, now: c.Now, plain: !outTerm, shared: outTerm && errTerm}
	v.answer = terminal.NewWriter(c.Stdout, terminal.Options{Markdown: !dumb && c.Env("NO_COLOR") == "", Width: min(outWidth, 100)})
	v.progress = progress{w: c.Stderr, began: c.Now()}
	if errTerm && !dumb && !opt.quiet && !opt.verbose {
		v.progress.width = max(errWidth, 20)
	}
	return v
}

// keep remembers the first failed write: the screen may be gone, which is for the end of the command to tell.
func (v *view) keep(err error) {
	if v.err == nil && err != nil {
		v.err = err
	}
}

// note writes a line to standard error, on a line of its own.
func (v *view) note(format string, args ...any) {
	v.endAnswerLine()
	v.keep(v.progress.clear())
	_, err := fmt.Fprintln(v.stderr, terminal.Clean(fmt.Sprintf(format, args...)))
	v.keep(err)
}

// endAnswerLine makes room on a terminal that shows an unfinished line of the answer.
func (v *view) endAnswerLine() {
	if v.shared && !v.answer.Fresh() {
		v.keep(v.answer.End())
	}
}

// write adds to the answer.
func (v *view) write(s string) {
	v.keep(v.progress.clear())
	if v.plain {
		_, err := io.WriteString(v.stdout, s)
		v.keep(err)
		return
	}
	v.keep(v.answer.WriteString(s))
}

// endReply ends the line of the answer.
func (v *view) endReply(text string) {
	if v.plain {
		if !strings.HasSuffix(text, "\n") {
			v.write("\n")
		}
		return
	}
	v.keep(v.answer.End())
}

// lull is how long an answer that streams on the same terminal must pause before the progress line is drawn under it: an answer
// that grows is progress enough.
const lull = time.Second

// tick redraws the progress line, unless an unfinished line of the answer stands in its place.
func (v *view) tick() {
	if v.shared && (!v.answer.Fresh() || v.now().Sub(v.streamed) < lull) {
		return
	}
	v.keep(v.progress.draw(v.now()))
}

func (v *view) doing(format string, args ...any) {
	v.progress.doing = fmt.Sprintf(format, args...)
}

// event shows one thing that happened.
func (v *view) event(e event.Event) {
	if v.opt.verbose {
		if line := describe(e); line != "" {
			v.note("%s %s", e.Time.Local().Format("15:04:05.000"), line)
		}
	}
	switch p := e.Payload.(type) {
	case event.RunStarted:
		v.doing("starting")
	case event.TurnStarted:
		v.doing("asking the model")
		v.shown.Reset()
		v.blind = false
	case event.TextDelta:
		v.doing("the model is answering")
		v.delta(p.Delta)
	case event.ReasoningDelta:
		v.doing("the model is thinking")
		v.progress.letters += len(p.Delta)
	case event.AttemptVoided:
		v.voided()
	case event.TextComplete:
		v.complete(p.Content)
	case event.ToolCallRequested:
		v.doing("running %s", call(p.Name, p.Args))
	case event.ToolExecutionStarted:
		if !strings.HasPrefix(v.progress.doing, "running "+p.Name+" ") {
			v.doing("running %s", p.Name)
		}
	case event.ToolExecutionCompleted:
		v.doing("asking the model")
	case event.Retrying:
		v.doing("waiting to try again")
		if !v.opt.quiet && !v.opt.verbose {
			v.note("The model call failed (attempt %d of %d): %s. Trying again in %s.", p.Attempt, p.Max, strings.TrimRight(p.Error, "."), seconds(p.Delay))
		}
	case event.StoreFailing:
		v.doing("waiting for the store")
		v.note("What has happened cannot be kept: %s. Trying again for up to %s.", strings.TrimRight(aboutStore(oneLine(p.Error)), "."), seconds(p.Patience))
	case event.Resumed:
		v.resumed(p)
	case event.TurnCompleted:
		if p.Usage != nil {
			v.progress.in += p.Usage.Input
			v.progress.out += p.Usage.Output
			v.progress.letters = 0
		}
	case event.RunCompleted:
		if p.ExtractionRequired {
			v.doing("asking the model for the output")
		}
	case event.Gap:
		v.blind = true
	case event.RunFailed, event.SessionRegistered, event.InputAccepted, event.InputEnded, event.Steered, event.SessionStopped,
		event.ExtractionSucceeded, event.ExtractionFailed, event.BudgetWarning:
	}
}

func (v *view) delta(s string) {
	v.progress.letters += len(s)
	if !v.opt.stream || v.blind {
		return
	}
	v.shown.WriteString(s)
	v.streamed = v.now()
	v.write(s)
}

// voided says that what was streamed does not count.
func (v *view) voided() {
	if v.opt.stream && v.shown.Len() > 0 {
		v.endReply(v.shown.String())
		v.note("[the reply broke off: what was shown of it does not count]")
	}
	v.shown.Reset()
	v.blind = false
}

// complete reconciles what was streamed with the reply that counts: a slow screen, or one that came late, has not seen it all.
func (v *view) complete(text string) {
	v.blind = false
	if !v.opt.stream || text == "" {
		return
	}
	rest, ok := strings.CutPrefix(text, v.shown.String())
	if !ok {
		v.endReply(v.shown.String())
		v.note("[the reply in full:]")
		rest = text
	}
	v.write(rest)
	v.endReply(text)
	v.shown.Reset()
	v.last = text
}

func (v *view) resumed(p event.Resumed) {
	if v.opt.quiet || v.opt.verbose {
		return
	}
	s := "The run goes on after an interruption."
	if p.Unknown > 0 {
		s += " " + plural(p.Unknown, "tool call") + " may have taken effect before it and will not be repeated; the model is told."
	}
	v.note("%s", s)
}

// outcome shows the answer unless it stands there already, or the output if one was wanted.
func (v *view) outcome(o control.Outcome) {
	v.progress.doing = ""
	v.keep(v.progress.clear())
	if v.shown.Len() > 0 { // streamed, and never completed
		v.last = v.shown.String()
		v.endReply(v.last)
		v.shown.Reset()
	}
	switch {
	case v.opt.json || o.Status != control.Completed:
	case o.Output != nil: // to a program that reads it nothing else is the answer
		_, err := fmt.Fprintln(v.stdout, indented(o.Output))
		v.keep(err)
	case o.Text != "" && (!v.opt.stream || v.last != o.Text):
		v.write(o.Text)
		v.endReply(o.Text)
	}
	v.last = ""
}

// describe is the line of an event; empty: it has none.
func describe(e event.Event) string {
	switch e.Payload.(type) {
	case event.TextDelta, event.ReasoningDelta:
		return ""
	}
	detail := ""
	if data, err := json.Marshal(e.Payload); err == nil && string(data) != "{}" {
		detail = " " + terminal.Clip(terminal.Line(string(data)), 2000)
	}
	cursor := "     "
	if e.Cursor > 0 {
		cursor = fmt.Sprintf("%-5s", fmt.Sprintf("#%d", e.Cursor))
	}
	return cursor + " " + e.Payload.Type() + detail
}

// call is a tool call in a few words: its name, and the argument that says most.
func call(name string, args json.RawMessage) string {
	var m map[string]any
	if err := json.Unmarshal(args, &m); err != nil {
		return name
	}
	for _, key := range []string{"path", "command", "pattern", "query", "name", "url"} {
		if s, ok := m[key].(string); ok && s != "" {
			return name + " " + terminal.Clip(terminal.Line(s), 60)
		}
	}
	return name
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// failed returns the first failed write as an error of the command.
func (v *view) failed() error {
	if v.err == nil {
		return nil
	}
	return &failure{what: "the output cannot be written: " + v.err.Error(), advice: "The session is kept: 'rkat sessions show last' has the answer",
		exit: ExitFailed, err: errors.Unwrap(v.err)}
}
