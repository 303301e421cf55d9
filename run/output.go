package run

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// OutputVerdict says what came of a try at an output.
type OutputVerdict uint8

// The verdicts. The zero value is the careful one.
const (
	OutputFailed  OutputVerdict = iota // there is none, and another try would not help
	OutputInvalid                      // it does not fit the schema
	OutputValid                        // it fits
)

var verdictNames = [...]string{"failed", "invalid", "valid"}

func (v OutputVerdict) String() string { return verdictNames[v] }

// Extracted tells what came of one try at the output. A call of the model that gave no reply is a ModelFailed.
type Extracted struct {
	ID      id.Effect
	Attempt int // of the directive
	Verdict OutputVerdict
	Output  json.RawMessage // OutputValid: a JSON value that fits the schema
	Text    string          // what the model said; told with the next try, and if there is no output
	Error   string          // OutputInvalid, OutputFailed: what is wrong with it, for the model and for people
	Usage   transcript.Usage
}

// Answers returns the id of the directive the report answers.
func (r Extracted) Answers() id.Effect { return r.ID }

func (Extracted) report() {}

// Misfit is a try at an output that did not fit.
type Misfit struct {
	Text  string `json:"text"`
	Error string `json:"error"`
}

// NoOutput says why a run that wanted an output has none.
type NoOutput struct {
	Last     string `json:"last_output,omitempty"` // what the model said at last
	Attempts int    `json:"attempts"`              // tries that were answered or failed
	Reason   string `json:"reason"`                // a terminal cause kind, a colon, and words
}

// Budget bounds what a session may use. The zero value bounds nothing. Money is not among it: nobody here knows prices.
type Budget struct {
	Tokens   int           `json:"max_tokens,omitempty"`     // input and output of all the session's model calls, as providers count them
	Calls    int           `json:"max_tool_calls,omitempty"` // tool calls in one run; the round in which it is reached is not cut
	Duration time.Duration `json:"max_duration,omitempty"`   // of one run, by the clock, from its beginning
}
