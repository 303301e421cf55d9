package control

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

//go:embed help.md
var helpText string

// Help asks how this software is used.
type Help struct {
	Question string
	About    string // what the asker wants to do with the answer; empty: nothing is said
	Plan     bool   // the answer is a plan of steps; false: an explanation
	Model    string // empty: the realm's
	Provider string
	Tokens   int // most tokens of the answer; 0: the realm's
}

// Session makes of a question a session and its first input: one without tools, whose model is told what there is to know. They are carried out like any
// others.
func (h Help) Session() (CreateSession, Submit, error) {
	if strings.TrimSpace(h.Question) == "" {
		return CreateSession{}, Submit{}, &Error{Code: fault.Invalid, Message: "the question is blank"}
	}
	system := helpText + "\nExplain; carry nothing out, and do not pretend that you did."
	if h.Plan {
		system = helpText + "\nAnswer with a plan: numbered steps, each with the exact command or call. Carry nothing out."
	}
	text := h.Question
	if h.About != "" {
		text = fmt.Sprintf("%s\n\nWhat it is for: %s", h.Question, h.About)
	}
	no := false
	return CreateSession{System: system, Provider: h.Provider, Builtins: &no, Shell: &no,
		Profile: run.Profile{Model: h.Model, MaxOutput: h.Tokens}}, Submit{Content: transcript.TextBlocks(text), RequireIdle: true}, nil
}
