package peer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/input"
)

// EnvelopeKind is what a peer sent. The zero value is no kind and is rejected.
type EnvelopeKind uint8

// The kinds.
const (
	UnknownEnvelope EnvelopeKind = iota
	MessageEnvelope
	RequestEnvelope
	ResponseEnvelope
	LifecycleEnvelope // who belongs to a mob
	AckEnvelope       // of the transport
	EventEnvelope     // from outside, not from a peer
)

// What requests and notices are named when they are not for the model.
const (
	IntentBridge      = "supervisor.bridge"
	NoticePeerAdded   = "mob.peer_added"
	NoticePeerRetired = "mob.peer_retired"
	NoticePeerUnwired = "mob.peer_unwired"
)

// Statuses of a response. The first is progress, the others are last words.
const (
	StatusAccepted  = "accepted"
	StatusCompleted = "completed"
	StatusFailed    = "failed"
)

// Envelope is what decides how something that came in is taken. That it is genuine and its sender trusted was decided before.
type Envelope struct {
	Kind      EnvelopeKind
	ID        string
	From      string         // peer
	Body      string         // MessageEnvelope
	Blocks    bool           // it carries more than text
	Intent    string         // RequestEnvelope; LifecycleEnvelope: the notice
	Subject   string         // of a notice about a peer, where it is not the sender
	InReplyTo string         // ResponseEnvelope: the request's id
	Status    string         // ResponseEnvelope
	Handling  input.Handling // carried
}

// Class is how something is taken. The zero value is: not at all.
type Class uint8

// The classes.
const (
	Rejected Class = iota
	Message
	DismissMessage // ends the drain, once all that came before is handed over
	ActionableRequest
	SilentRequest
	BridgeCommand // for the bridge, never for the model
	PeerAdded
	PeerRetired
	PeerUnwired
	ResponseProgress
	ResponseTerminal
	Acknowledgement
	ExternalEvent
)

// Standing is a fact about the session: how it is reported at the moment something comes in.
type Standing uint8

// The standings.
const (
	NoSession Standing = iota // the zero value: there is none to ask
	StandingIdle
	StandingAttached
	StandingRunning
	StandingRetired
	StandingStopped
)

var (
	live     = []Standing{StandingAttached, StandingRunning}
	present  = []Standing{StandingIdle, StandingAttached, StandingRunning}
	anywhere = []Standing{StandingIdle, StandingAttached, StandingRunning, StandingRetired, StandingStopped}
)

// classes says of each class where it is admitted and what its admission means.
var classes = [...]struct {
	name    string
	in      []Standing
	durable bool // it becomes an input that survives the process
	wakes   bool // and has an idle session begin a run
}{
	Rejected:          {name: "rejected"},
	Message:           {"message", live, true, true},
	DismissMessage:    {"dismiss", live, false, false},
	ActionableRequest: {"request", live, true, true},
	SilentRequest:     {"silent_request", live, true, false},
	BridgeCommand:     {"bridge_command", anywhere, false, false},
	PeerAdded:         {"peer_added", present, false, false},
	PeerRetired:       {"peer_retired", anywhere, false, false},
	PeerUnwired:       {"peer_unwired", anywhere, false, false},
	ResponseProgress:  {"response_progress", live, false, false},
	ResponseTerminal:  {"response_terminal", live, true, true},
	Acknowledgement:   {"ack", append([]Standing{NoSession}, anywhere...), false, false},
	ExternalEvent:     {"external_event", live, true, true},
}

// String returns the public name.
func (c Class) String() string { return classes[c].name }

// Admits reports whether something of the class is let in by a session that stands so. What is not is rejected, with nothing changed.
func (c Class) Admits(at Standing) bool { return slices.Contains(classes[c].in, at) }

// Durable reports whether the class becomes an input that survives the process.
func (c Class) Durable() bool { return classes[c].durable }

// Wakes reports whether the class has an idle session begin a run.
func (c Class) Wakes() bool { return classes[c].wakes }

// Admission is the answer of Classify.
type Admission struct {
	Class    Class
	Request  string         // of a request: its own id; of a response: what it answers
	Subject  string         // PeerAdded, PeerRetired, PeerUnwired: the peer it is about
	Handling input.Handling // said by all that become durable inputs
}

// Classify says how something that came in is to be taken. It reads which intents are silent and how an answer's request wanted it handled,
// and changes nothing; what it does not know it rejects.
func Classify(s State, e Envelope) Admission {
	switch e.Kind {
	case MessageEnvelope:
		if !e.Blocks && strings.EqualFold(strings.TrimSpace(e.Body), "DISMISS") {
			return Admission{Class: DismissMessage}
		}
		return Admission{Class: Message, Handling: cmp.Or(e.Handling, input.HandlingQueue)}
	case RequestEnvelope:
		return request(s, e)
	case ResponseEnvelope:
		return response(s, e)
	case LifecycleEnvelope:
		return notice(e)
	case AckEnvelope:
		return Admission{Class: Acknowledgement}
	case EventEnvelope:
		return Admission{Class: ExternalEvent, Handling: cmp.Or(e.Handling, input.HandlingQueue)}
	case UnknownEnvelope:
	}
	return Admission{}
}

func request(s State, e Envelope) Admission {
	if e.Intent == IntentBridge {
		return Admission{Class: BridgeCommand, Request: e.ID}
	}
	if n := notice(e); n.Class != Rejected {
		n.Request = e.ID
		return n
	}
	if Silent(s, e.Intent) {
		return Admission{Class: SilentRequest, Request: e.ID, Handling: input.HandlingQueue}
	}
	return Admission{Class: ActionableRequest, Request: e.ID, Handling: cmp.Or(e.Handling, input.HandlingQueue)}
}

func response(s State, e Envelope) Admission {
	switch e.Status {
	case StatusAccepted:
		return Admission{Class: ResponseProgress, Request: e.InReplyTo, Handling: e.Handling}
	case StatusCompleted, StatusFailed:
		asked, _ := s.Requests.Outbound(e.InReplyTo)
		return Admission{Class: ResponseTerminal, Request: e.InReplyTo, Handling: cmp.Or(e.Handling, asked.Handling, input.HandlingQueue)}
	}
	return Admission{}
}

func notice(e Envelope) Admission {
	subject := cmp.Or(e.Subject, e.From)
	switch e.Intent {
	case NoticePeerAdded:
		return Admission{Class: PeerAdded, Subject: subject}
	case NoticePeerRetired:
		return Admission{Class: PeerRetired, Subject: subject}
	case NoticePeerUnwired:
		return Admission{Class: PeerUnwired, Subject: subject}
	}
	return Admission{}
}
