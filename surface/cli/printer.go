package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/cli/terminal"
	"github.com/meerkat-go/meerkat/transcript"
)

// printer writes what a command found out to standard output: made harmless and readable on a terminal, clean text elsewhere.
type printer struct {
	w      io.Writer
	styled bool
	opt    terminal.Options
	err    error // the first failed write
}

func (c *command) printer() *printer {
	width, ok := c.Terminal(c.Stdout)
	styled := ok && c.Env("NO_COLOR") == "" && c.Env("TERM") != "dumb"
	return &printer{w: c.Stdout, styled: styled, opt: terminal.Options{Markdown: styled, Width: min(width, 100)}}
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(terminal.Clean(fmt.Sprintf(format, args...)), " "))
	}
}

func (p *printer) field(name, value string) {
	if value != "" {
		p.line("%-10s %s", name+":", terminal.Line(value))
	}
}

// head begins a message.
func (p *printer) head(format string, args ...any) {
	p.line("")
	s := "── " + terminal.Line(fmt.Sprintf(format, args...))
	if p.styled {
		s = "\x1b[1m" + s + "\x1b[0m"
	}
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, s)
	}
}

// text shows what a model or a user said.
func (p *printer) text(s string) {
	if s == "" || p.err != nil {
		return
	}
	w := terminal.NewWriter(p.w, p.opt)
	p.err = errors.Join(w.WriteString(s), w.End())
}

// row shows one entry of a transcript.
func (p *printer) row(r shownRow, full bool) {
	switch e := r.Body.(type) {
	case transcript.System:
		p.head("system")
		p.clipped(e.Text, full)
	case transcript.Notice:
		p.head("notice: %s", e.Kind)
		p.text(e.Text)
	case transcript.User:
		p.head("user")
		p.clipped(e.Content.Plain(), full)
	case transcript.Assistant:
		p.head("assistant (%s)", orElse(e.Model, "model not named"))
		for _, b := range e.Blocks {
			switch b := b.(type) {
			case transcript.Text:
				p.text(b.Text)
			case transcript.ToolUse:
				p.line("→ %s %s", b.Name, terminal.Line(string(b.Args)))
			case transcript.Media:
				p.line("[image %s]", b.MediaType)
			case transcript.Reasoning:
			}
		}
	case transcript.ToolResult:
		as := ""
		if e.IsError {
			as = ", error"
		}
		if e.Code != "" {
			as += ", " + e.Code
		}
		p.head("result of %s%s", e.Name, as)
		p.clipped(e.Content.Plain(), full)
	}
}

// maxLines is how much of a long text is shown unless all of it is asked for.
const maxLines = 12

// clipped shows the beginning of a text, and how much there is of it beyond.
func (p *printer) clipped(s string, full bool) {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	rest := 0
	if !full && len(lines) > maxLines+1 {
		rest = len(lines) - maxLines
		lines = lines[:maxLines]
	}
	for _, l := range lines {
		p.line("%s", l)
	}
	if rest > 0 {
		p.line("… %s more (--full shows all)", plural(rest, "line"))
	}
}

// effects shows the ledger.
func (p *printer) effects(list []control.Effect) {
	p.head("effects")
	if len(list) == 0 {
		p.line("none")
		return
	}
	p.line("%-8s  %-11s  %-18s  %-10s  %-7s  %s", "ID", "KIND", "NAME", "CLASS", "ATTEMPT", "OUTCOME")
	for _, e := range list {
		outcome := orElse(e.Outcome, "ok")
		if e.Open {
			outcome = "open"
		}
		p.line("%-8s  %-11s  %-18s  %-10s  %-7d  %s", e.ID, e.Kind, terminal.Line(e.Name), e.Class, e.Attempt, outcome)
	}
}
