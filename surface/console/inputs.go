package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

// inputs is what events say of a session's inputs.
type inputs struct {
	known map[id.Input]*inputSeen
	order []id.Input
}

type inputSeen struct {
	at     uint64 // cursor of the first word about it
	time   time.Time
	lane   string
	state  string
	text   string
	reason string
	ended  bool
}

// maxInputs is how many inputs stand on a page: the latest, and all that have not ended.
const maxInputs = 40

func (in *inputs) get(x id.Input, e event.Event) *inputSeen {
	if in.known == nil {
		in.known = map[id.Input]*inputSeen{}
	}
	s, ok := in.known[x]
	if !ok {
		s = &inputSeen{at: e.Cursor, time: e.Time, state: "queued"}
		in.known[x] = s
		in.order = append(in.order, x)
	}
	return s
}

// tell takes an event in and says which inputs it was about.
func (in *inputs) tell(e event.Event) []id.Input {
	switch p := e.Payload.(type) {
	case event.InputAccepted:
		in.get(p.Input, e).lane = p.Lane
		return []id.Input{p.Input}
	case event.RunStarted:
		for _, x := range p.Inputs {
			s := in.get(x, e)
			s.state = "staged"
			if len(p.Inputs) == 1 {
				s.text = brief(p.Prompt)
			}
		}
		return p.Inputs
	case event.Steered:
		s := in.get(p.Input, e)
		s.state, s.text, s.lane = "applied", brief(p.Text), control.LaneSteer
		return []id.Input{p.Input}
	case event.InputEnded:
		s := in.get(p.Input, e)
		s.state, s.reason, s.ended = p.Outcome, p.Reason, true
		in.forget()
		return []id.Input{p.Input}
	}
	return nil
}

// bound adds the inputs of the run that is bound: it may have begun before the first event that was read.
func (in *inputs) bound(_ id.Run, of []id.Input) {
	for _, x := range of {
		if _, ok := in.known[x]; !ok {
			in.get(x, event.Event{}).state = "applied"
		}
	}
}

// forget keeps what is known of ended inputs to what is shown.
func (in *inputs) forget() {
	for n := 0; len(in.order) > 2*maxInputs && n < len(in.order); {
		if x := in.order[n]; in.known[x].ended {
			delete(in.known, x)
			in.order = slices.Delete(in.order, n, n+1)
			continue
		}
		n++
	}
}

// inputView is an input as it is shown.
type inputView struct {
	Key    string
	Order  uint64
	ID     string
	Lane   string
	State  string
	Tone   string // open, good, over
	Text   string
	Reason string
	Time   time.Time
}

// inputViews shows inputs, latest first; only nil: all that are known. Of those that have not ended the plane is asked, which knows more than the
// events do.
func (c *console) inputViews(ctx context.Context, p *control.Plane, s id.Session, seen *inputs, only []id.Input) ([]inputView, error) {
	var out []inputView
	for n := len(seen.order) - 1; n >= 0; n-- {
		x := seen.order[n]
		known := seen.known[x]
		if only != nil && !slices.Contains(only, x) || only == nil && known.ended && len(out) >= maxInputs {
			continue
		}
		v := inputView{Key: "input-" + string(x), Order: known.at, ID: string(x), Lane: known.lane, State: known.state, Text: known.text, Reason: strings.ReplaceAll(known.reason, "_", " "), Time: known.time}
		if !known.ended {
			st, err := p.Input(ctx, s, x)
			switch code := fault.CodeOf(err); {
			case err == nil:
				v.State = st.State
				if st.Lane != "" {
					v.Lane = st.Lane
				}
			case code != fault.Unavailable && code != fault.NotFound:
				return nil, fmt.Errorf("ask for input %s: %w", x, err)
			}
		}
		if v.Text == "" {
			v.Text = c.spoken.get(said{s, x})
		}
		switch {
		case v.State == "consumed" && v.Reason == "":
			v.Tone = "good"
		case v.State == "consumed", v.State == "abandoned", v.State == "superseded", v.State == "coalesced":
			v.Tone = "over" // its end, and no reply
		default:
			v.Tone = "open"
		}
		out = append(out, v)
	}
	return out, nil
}

// spoken remembers the beginnings of what was last said through this console: an input that waits has no text in any event yet. What it has forgotten
// is shown without.
type spoken struct {
	mu    sync.Mutex
	texts map[said]string
	order []said
}

// said names an input: ids of inputs may be chosen by whoever submits, so the session is part of the name.
type said struct {
	session id.Session
	input   id.Input
}

const maxSpoken = 1000

// name makes the id of an input that is about to be submitted: the text is known before the first event tells of it.
func (s *spoken) name(session id.Session, text string) id.Input {
	in := id.Input(id.New())
	x := said{session, in}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil {
		s.texts = map[said]string{}
	}
	s.order = append(s.order, x)
	s.texts[x] = brief(text)
	if len(s.order) > maxSpoken {
		delete(s.texts, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
	return in
}

func (s *spoken) get(x said) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.texts[x]
}
