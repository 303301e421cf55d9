package peer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// How long a request may stay open.
const (
	DefaultPatience = 10 * time.Minute // where the caller says nothing
	MaxPatience     = 24 * time.Hour   // who asks for more is refused
)

// RequestPhase of one request.
type RequestPhase uint8

// The phases. The numbers are stored. Absent and Closed are never at rest: what is closed is gone.
const (
	Absent           RequestPhase = iota // the zero value
	Sent                                 // this session asked and has heard nothing
	AcceptedProgress                     // it asked, and the peer is at work
	Received                             // the peer asked and has no final reply yet
	Closed
)

var requestPhases = []string{"absent", "sent", "accepted_progress", "received", "closed"}

// String returns the public name.
func (p RequestPhase) String() string { return requestPhases[p] }

// RequestKind is a kind of RequestEvent.
type RequestKind uint8

// The kinds. The first four are about what this session asks, the others about what it is asked: two directions that share no ids.
const (
	RequestSent     RequestKind = iota // before it is handed to the transport
	Progressed                         // the peer accepted it, or says how far it is
	Answered                           // completed or failed: the peer's last word
	TimedOut                           // the deadline passed, or it could not be sent
	RequestReceived                    // it came in, and is for the session to answer
	Replied                            // the final reply was sent; before that a reply may fail and be tried again
	Lapsed                             // the deadline passed
)

var requestKinds = []string{"request_sent", "progressed", "answered", "timed_out", "request_received", "replied", "lapsed"}

// String returns the public name.
func (k RequestKind) String() string { return requestKinds[k] }

func (k RequestKind) inbound() bool { return k >= RequestReceived }

// Request is one open question. It is a value.
type Request struct {
	ID       string         `json:"id"` // correlation: the id of the envelope that asks
	Peer     string         `json:"peer"`
	Intent   string         `json:"intent,omitempty"`
	Handling input.Handling `json:"handling,omitempty"` // of the last word, where that says nothing itself
	Phase    RequestPhase   `json:"phase"`
	Deadline time.Time      `json:"deadline"`
}

// RequestEvent is an event of Calls.
type RequestEvent struct {
	Kind     RequestKind
	ID       string
	Peer     string         // whom it was sent to, or who speaks; TimedOut, Replied and Lapsed do without
	Intent   string         // RequestSent, RequestReceived
	Handling input.Handling // RequestSent, RequestReceived
	Now      time.Time      // RequestSent, RequestReceived
	Patience time.Duration  // RequestSent, RequestReceived; 0: DefaultPatience
}

// Guards and refusals that callers tell apart.
const (
	GuardRequest  = "request and peer are named"
	GuardPatience = "deadline is at most a day away"
	GuardAsked    = "the peer is the one that was asked"
	WhyOpen       = "a request of that id is open"
	WhyNotOpen    = "no request of that id is open"
)

type requestGuard = fsm.Guard[Request, RequestEvent]

var (
	requestIsNamed = requestGuard{Name: GuardRequest, OK: func(_ Request, e RequestEvent) bool { return e.ID != "" && e.Peer != "" }}
	patienceIsSane = requestGuard{Name: GuardPatience, OK: func(_ Request, e RequestEvent) bool {
		return e.Patience >= 0 && e.Patience <= MaxPatience
	}}
	peerWasAsked = requestGuard{Name: GuardAsked, OK: func(r Request, e RequestEvent) bool { return r.Peer == e.Peer }}
)

func opened(_ Request, e RequestEvent) Request {
	return Request{ID: e.ID, Peer: e.Peer, Intent: e.Intent, Handling: e.Handling, Deadline: after(e.Now, cmp.Or(e.Patience, DefaultPatience))}
}

// after returns the time that long after now, in the one form that is stored.
func after(now time.Time, d time.Duration) time.Time { return now.Add(d).Round(0).UTC() }

var (
	asked    = []RequestPhase{Sent, AcceptedProgress}
	notAsked = []RequestPhase{Absent, Received, Closed}
	notOwed  = []RequestPhase{Absent, Sent, AcceptedProgress, Closed}
	notNew   = []RequestPhase{Sent, AcceptedProgress, Received, Closed}
)

// Calls decides one request.
var Calls = fsm.Must(fsm.Table[RequestPhase, RequestKind, Request, RequestEvent]{
	Region: "peer/request",
	Phases: requestPhases,
	Events: requestKinds,
	Phase:  func(r Request) RequestPhase { return r.Phase },
	Move:   func(r Request, p RequestPhase) Request { r.Phase = p; return r },
	Kind:   func(e RequestEvent) RequestKind { return e.Kind },
	Rules: []fsm.Rule[RequestPhase, RequestKind, Request, RequestEvent]{
		{On: RequestSent, From: []RequestPhase{Absent}, When: []requestGuard{requestIsNamed, patienceIsSane}, To: Sent, Do: opened}, // Q1
		{On: Progressed, From: asked, When: []requestGuard{peerWasAsked}, To: AcceptedProgress},                                     // Q2
		{On: Answered, From: asked, When: []requestGuard{peerWasAsked}, To: Closed},                                                 // Q3
		{On: TimedOut, From: asked, To: Closed},                                                                                     // Q4
		{On: TimedOut, From: notAsked, Stay: true},                                                                                  // Q5

		{On: RequestReceived, From: []RequestPhase{Absent}, When: []requestGuard{requestIsNamed, patienceIsSane}, To: Received, Do: opened}, // Q6
		{On: Replied, From: []RequestPhase{Received}, To: Closed},                                                                           // Q7
		{On: Lapsed, From: []RequestPhase{Received}, To: Closed},                                                                            // Q8
		{On: Lapsed, From: notOwed, Stay: true},                                                                                             // Q9
	},
	Refuse: []fsm.No[RequestPhase, RequestKind]{
		{On: RequestSent, From: notNew, Why: WhyOpen},     // Q10
		{On: Progressed, From: notAsked, Why: WhyNotOpen}, // Q11
		{On: Answered, From: notAsked, Why: WhyNotOpen},   // Q11
		{On: RequestReceived, From: notNew, Why: WhyOpen}, // Q10
		{On: Replied, From: notOwed, Why: WhyNotOpen},     // Q11
	},
})

// Requests are the open ones of both directions. It is a value; the zero value has none.
type Requests struct {
	out, in pmap.Map[pmap.Name, *Request] // what a pointer leads to is never changed
	due     pmap.Map[due, struct{}]       // the same, by deadline
}

// due orders requests by deadline, what this session asked first.
type due struct {
	at      time.Time
	inbound bool
	id      string
}

// Compare orders by deadline, then outbound before inbound, then by id.
func (d due) Compare(o due) int {
	if c := d.at.Compare(o.at); c != 0 {
		return c
	}
	if d.inbound != o.inbound {
		if o.inbound {
			return -1
		}
		return 1
	}
	return strings.Compare(d.id, o.id)
}

func (r *Requests) way(inbound bool) *pmap.Map[pmap.Name, *Request] {
	if inbound {
		return &r.in
	}
	return &r.out
}

func (r Requests) get(inbound bool, id string) Request {
	if q, ok := r.way(inbound).Get(pmap.Name(id)); ok {
		return *q
	}
	return Request{}
}

// put returns r with the request at its place; without it, once it is closed.
func (r Requests) put(inbound bool, q Request) Requests {
	m := r.way(inbound)
	key := due{q.Deadline, inbound, q.ID}
	if q.Phase == Closed {
		*m, r.due = m.Delete(pmap.Name(q.ID)), r.due.Delete(key)
		return r
	}
	*m, r.due = m.Set(pmap.Name(q.ID), &q), r.due.Set(key, struct{}{})
	return r
}

// Outbound returns the open request of that id that this session sent.
func (r Requests) Outbound(id string) (Request, bool) {
	q := r.get(false, id)
	return q, q.Phase != Absent
}

// Inbound returns the open request of that id that this session is to answer.
func (r Requests) Inbound(id string) (Request, bool) {
	q := r.get(true, id)
	return q, q.Phase != Absent
}

// Len returns how many are open.
func (r Requests) Len() int { return r.due.Len() }

// All yields the open ones: those sent by id, then those received by id.
func (r Requests) All() iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for _, m := range [...]pmap.Map[pmap.Name, *Request]{r.out, r.in} {
			for _, q := range m.All() {
				if !yield(*q) {
					return
				}
			}
		}
	}
}

// IsZero reports whether none is open.
func (r Requests) IsZero() bool { return r.due.IsZero() }

// MarshalJSON encodes the open ones as All yields them.
func (r Requests) MarshalJSON() ([]byte, error) {
	all := make([]Request, 0, r.Len())
	for q := range r.All() {
		all = append(all, q)
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads what MarshalJSON wrote. One that is there twice, or is not open, is an error.
func (r *Requests) UnmarshalJSON(data []byte) error {
	var all []Request
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	var out Requests
	for _, q := range all {
		if q.Phase == Absent || q.Phase >= Closed {
			return fmt.Errorf("request %s is stored and not open", q.ID)
		}
		inbound := q.Phase == Received
		if out.get(inbound, q.ID).Phase != Absent {
			return fmt.Errorf("request %s is there twice", q.ID)
		}
		out = out.put(inbound, q)
	}
	*r = out
	return nil
}

// StepRequest returns what comes of e, and the request as it is then: one that was closed is not in the state any more.
func StepRequest(s State, e RequestEvent) (State, Request, error) {
	was := s.Requests.get(e.Kind.inbound(), e.ID)
	next, err := Calls.Step(was, e)
	if err == nil && next != was {
		s.Requests = s.Requests.put(e.Kind.inbound(), next)
	}
	return s, next, err
}

// Deadline returns the earliest time at which Due has something, and whether there is one.
func Deadline(s State) (time.Time, bool) {
	d, _, ok := s.Requests.due.First()
	return d.at, ok
}

// Due yields the requests whose deadline is not after now, the earliest first. Each is to be told TimedOut, or Lapsed if it is Received.
func Due(s State, now time.Time) iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for d := range s.Requests.due.All() {
			if d.at.After(now) || !yield(s.Requests.get(d.inbound, d.id)) {
				return
			}
		}
	}
}
