package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/meerkat-go/meerkat/surface/cli/terminal"
)

const (
	erase  = "\r\x1b[K"
	frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
)

// progress is the one live line that says what the agent is doing. It stands on standard error and is erased before anything
// else is written there.
type progress struct {
	w       io.Writer
	width   int // 0: there is no line
	drawn   bool
	began   time.Time
	doing   string
	in, out int // tokens that a provider reported
	letters int // of replies it has not reported yet
	frame   int
}

func (p *progress) draw(now time.Time) error {
	if p.width == 0 || p.doing == "" {
		return nil
	}
	runes := []rune(frames)
	p.frame = (p.frame + 1) % len(runes)
	line := string(runes[p.frame]) + " " + terminal.Line(p.doing)
	tail := ""
	if out := p.out + (p.letters+3)/4; p.in+out > 0 {
		about := ""
		if p.letters > 0 {
			about = "~"
		}
		tail = fmt.Sprintf(" · %s%s out", about, count(out))
		if p.in > 0 {
			tail = fmt.Sprintf(" · %s in, %s%s out", count(p.in), about, count(out))
		}
	}
	tail += fmt.Sprintf(" · %ds", int(now.Sub(p.began).Seconds()))
	line = terminal.Clip(line, max(10, p.width-1-terminal.Width(tail))) + tail
	p.drawn = true
	_, err := io.WriteString(p.w, erase+terminal.Clip(line, p.width-1))
	return err
}

func (p *progress) clear() error {
	if !p.drawn {
		return nil
	}
	p.drawn = false
	_, err := io.WriteString(p.w, erase)
	return err
}

// count writes a number of tokens so that it takes little room.
func count(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprint(n)
	case n < 10_000:
		return fmt.Sprintf("%.1fk", float64(n)/1000)
	case n < 1_000_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprintf("%.1fM", float64(n)/1e6)
}
