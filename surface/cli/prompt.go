package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/fault"
)

// maxPrompt bounds what one prompt may hold, standard input included. It is more than any model reads, and small enough to be
// one row of the store.
const maxPrompt = 8 << 20

// Ways of --stdin.
const (
	stdinAuto = "auto" // read it if it is a pipe or a file
	stdinBlob = "blob" // read it
	stdinOff  = "off"  // leave it alone
)

// prompt puts the prompt together from the arguments and standard input. Text of both stands with the input first, inside
// <stdin> tags; text of one alone stands for itself. Empty: there was neither.
func (c *command) prompt(args []string, stdin string) (string, error) {
	text := strings.Join(args, " ")
	if err := checkText("the prompt", text); err != nil {
		return "", err
	}
	var input string
	switch stdin {
	case stdinAuto:
		if c.Piped {
			var err error
			if input, err = c.readStdin(strings.TrimSpace(text) != ""); err != nil {
				return "", err
			}
		}
	case stdinBlob:
		var err error
		if input, err = c.readStdin(false); err != nil {
			return "", err
		}
	case stdinOff:
	default:
		return "", usage(fmt.Sprintf("--stdin does not know %q", stdin), "Say auto, blob or off")
	}
	switch {
	case strings.TrimSpace(input) == "":
		if strings.TrimSpace(text) == "" {
			return "", nil
		}
		return text, nil
	case strings.TrimSpace(text) == "":
		return input, nil
	}
	if len(text)+len(input) > maxPrompt {
		return "", tooLong()
	}
	return "<stdin>\n" + strings.TrimRight(input, "\n") + "\n</stdin>\n\n" + text, nil
}

// readStdin reads all of standard input. If there is a prompt besides, nobody may know that input is waited for: after a while
// it is said.
func (c *command) readStdin(hint bool) (string, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(c.Stdin, maxPrompt+1))
		done <- result{data, err}
	}()
	var wait <-chan time.Time
	if hint {
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		wait = timer.C
	}
	for {
		select {
		case <-wait:
			fmt.Fprintln(c.Stderr, "Waiting for the end of standard input. (To go without it: --stdin off)")
		case <-c.Signals:
			return "", ended(ExitInterrupted)
		case r := <-done:
			switch {
			case r.err != nil:
				return "", &failure{code: fault.Invalid, what: "standard input cannot be read: " + r.err.Error(), exit: ExitFailed, err: r.err}
			case len(r.data) > maxPrompt:
				return "", tooLong()
			}
			return string(r.data), checkText("standard input", string(r.data))
		}
	}
}

// checkText refuses what is no text: changing it silently into some would be worse.
func checkText(what, s string) error {
	if len(s) > maxPrompt {
		return tooLong()
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return usage(fmt.Sprintf("%s is not text: byte %d is zero", what, i+1), "Name a binary file in the prompt instead, so that tools can look at it")
	}
	if !utf8.ValidString(s) {
		return usage(what+" is not text in UTF-8", "Convert it first, or name the file in the prompt so that tools can look at it")
	}
	return nil
}

func tooLong() error {
	return usage(fmt.Sprintf("the prompt is longer than %d MiB. Nothing was sent or written", maxPrompt>>20),
		"Put the text into a file of the workspace and name it in the prompt: tools read it piece by piece")
}
