package peer

import (
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// ReservationTTL is how long a reserved stream waits for its subscriber.
const ReservationTTL = 30 * time.Second

// StreamPhase of one stream.
type StreamPhase uint8

// The phases. NoStream and the last three are never at rest: what ended is gone.
const (
	NoStream    StreamPhase = iota // the zero value
	Reserved                       // a subscriber may come
	Attached                       // it is there
	Completed                      // it had the outcome
	ClosedEarly                    // it went away before
	Expired                        // it did not come in time, or not before the outcome
)

var streamPhases = []string{"absent", "reserved", "attached", "completed", "closed_early", "expired"}

// String returns the public name.
func (p StreamPhase) String() string { return streamPhases[p] }

// Stream lets one subscriber follow the outcome of one interaction: an input, or a request to a peer.
type Stream struct {
	Phase StreamPhase
	Until time.Time // Reserved: the last moment to attach
}

// StreamKind is a kind of StreamEvent.
type StreamKind uint8

// The kinds.
const (
	StreamReserve  StreamKind = iota // the interaction was accepted, and its caller asked for a stream
	StreamAttach                     // a subscriber comes
	StreamComplete                   // the outcome is there, whatever it is
	StreamClose                      // the subscriber went away, or will not come
	StreamExpire                     // nobody came: the interaction is over before it began
)

var streamKinds = []string{"reserve", "attach", "complete", "close", "expire"}

// String returns the public name.
func (k StreamKind) String() string { return streamKinds[k] }

// StreamEvent is an event of Streams.
type StreamEvent struct {
	Kind StreamKind
	ID   string    // of the interaction
	Now  time.Time // StreamReserve, StreamAttach
}

// Guards and refusals that callers tell apart.
const (
	GuardStream    = "interaction is named"
	WhyReserved    = "stream is there already"
	WhyNotReserved = "stream is not reserved"
	WhyAttached    = "stream has its subscriber"
)

type streamGuard = fsm.Guard[Stream, StreamEvent]

var (
	streamIsNamed = streamGuard{Name: GuardStream, OK: func(_ Stream, e StreamEvent) bool { return e.ID != "" }}
	inTime        = streamGuard{Name: "in time", OK: func(s Stream, e StreamEvent) bool { return !e.Now.After(s.Until) }}
)

var (
	gone = []StreamPhase{NoStream, Completed, ClosedEarly, Expired}
)

// Streams decides one stream. The first end counts; those that come after it change nothing.
var Streams = fsm.Must(fsm.Table[StreamPhase, StreamKind, Stream, StreamEvent]{
	Region: "peer/stream",
	Phases: streamPhases,
	Events: streamKinds,
	Phase:  func(s Stream) StreamPhase { return s.Phase },
	Move:   func(s Stream, p StreamPhase) Stream { s.Phase = p; return s },
	Kind:   func(e StreamEvent) StreamKind { return e.Kind },
	Rules: []fsm.Rule[StreamPhase, StreamKind, Stream, StreamEvent]{
		{On: StreamReserve, From: []StreamPhase{NoStream}, When: []streamGuard{streamIsNamed}, To: Reserved, // T1
			Do: func(s Stream, e StreamEvent) Stream { s.Until = after(e.Now, ReservationTTL); return s }},
		{On: StreamAttach, From: []StreamPhase{Reserved}, When: []streamGuard{inTime}, To: Attached, // T2
			Do: func(s Stream, _ StreamEvent) Stream { s.Until = time.Time{}; return s }},
		{On: StreamAttach, From: []StreamPhase{Reserved}, To: Expired},     // T3
		{On: StreamComplete, From: []StreamPhase{Attached}, To: Completed}, // T4
		{On: StreamComplete, From: []StreamPhase{Reserved}, To: Expired},   // T5
		{On: StreamClose, From: []StreamPhase{Attached}, To: ClosedEarly},  // T6
		{On: StreamClose, From: []StreamPhase{Reserved}, To: Expired},      // T7
		{On: StreamExpire, From: []StreamPhase{Reserved}, To: Expired},     // T8
		{On: StreamComplete, From: gone, Stay: true},                       // T9
		{On: StreamClose, From: gone, Stay: true},                          // T9
		{On: StreamExpire, From: gone, Stay: true},                         // T9
	},
	Refuse: []fsm.No[StreamPhase, StreamKind]{
		{On: StreamReserve, From: []StreamPhase{Reserved, Attached, Completed, ClosedEarly, Expired}, Why: WhyReserved}, // T10
		{On: StreamAttach, From: gone, Why: WhyNotReserved},                                                             // T11
		{On: StreamAttach, From: []StreamPhase{Attached}, Why: WhyAttached},                                             // T12
		{On: StreamExpire, From: []StreamPhase{Attached}, Why: WhyAttached},                                             // T12
	},
})

// StepStream returns what comes of e, and the stream as it is then: one that ended is not in the link any more. A subscriber that comes
// too late is no refusal, since it ends the reservation: the stream is Expired then, and the subscriber is told that it timed out.
func StepStream(l Link, e StreamEvent) (Link, Stream, error) {
	was, _ := l.Streams.Get(pmap.Name(e.ID))
	next, err := Streams.Step(was, e)
	switch {
	case err != nil || next == was:
	case next.Phase >= Completed:
		l.Streams = l.Streams.Delete(pmap.Name(e.ID))
	default:
		l.Streams = l.Streams.Set(pmap.Name(e.ID), next)
	}
	return l, next, err
}
