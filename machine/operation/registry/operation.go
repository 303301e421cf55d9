package registry

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// ID names one operation of a session for ever. It is minted by whoever begins the work.
type ID string

// Compare orders ids by their bytes.
func (i ID) Compare(o ID) int { return strings.Compare(string(i), string(o)) }

// Work says what kind of work an operation is. The numbers are stored.
type Work uint8

// The kinds of work.
const (
	BackgroundTool Work = iota // a tool that goes on after its call was answered. Its end is news for the conversation
	MemberChild                // another session, at work for this one. It tells its end itself, so that is no news here
)

var works = []string{"background_tool_op", "mob_member_child"}

// String returns the public name.
func (w Work) String() string { return works[w] }

// Status of an operation. The numbers are stored.
type Status uint8

// The statuses. The last six are ends.
const (
	Absent       Status = iota // the zero value: never registered
	Provisioning               // asked for, not at work yet
	Running                    // at work
	Retiring                   // asked to finish and leave
	Completed                  // it has a result
	Failed                     // it came to nothing, and said why
	Aborted                    // given up before it was at work
	Cancelled                  // stopped by whoever asked for it
	Retired                    // left as it was asked to
	Terminated                 // ended from outside: whoever carried it is gone
)

var statuses = []string{"absent", "provisioning", "running", "retiring", "completed", "failed", "aborted", "cancelled", "retired",
	"terminated"}

// String returns the public name.
func (s Status) String() string { return statuses[s] }

// Terminal reports whether s is an end.
func (s Status) Terminal() bool { return s >= Completed }

// Spec is what an operation is registered as.
type Spec struct {
	Work        Work       `json:"work,omitempty"`
	Name        string     `json:"name,omitempty"`         // shown; cut after MaxLabel bytes
	Source      string     `json:"source,omitempty"`       // what began it; cut like the name
	Child       id.Session `json:"child,omitempty"`        // MemberChild: the session that works
	ExpectsPeer bool       `json:"expects_peer,omitempty"` // MemberChild: it will say once that it can be spoken to
	Durable     bool       `json:"durable,omitempty"`      // the work is kept outside this process and outlives it
	Yields      bool       `json:"yields,omitempty"`       // it only waits, and gives way to new input
}

// Result is what a completed operation came to.
type Result struct {
	Content  string        `json:"content,omitempty"` // cut after MaxText bytes, and says so
	IsError  bool          `json:"is_error,omitempty"`
	Duration time.Duration `json:"duration,omitempty"` // of the work; 0: unknown
	Tokens   int           `json:"tokens,omitempty"`
}

// Outcome is how an operation ended.
type Outcome struct {
	Status Status  `json:"status"`
	Result *Result `json:"result,omitempty"` // Completed. Never changed in place
	Reason string  `json:"reason,omitempty"` // Failed: the error. Aborted, Cancelled, Terminated: why, if it is known
}

// Op is one operation as it stands. Times are milliseconds since 1970, as told by the events; 0: not yet.
type Op struct {
	ID ID `json:"id"`
	Spec
	Status    Status  `json:"status"`
	PeerReady bool    `json:"peer_ready,omitempty"`
	Progress  int     `json:"progress,omitempty"` // how often it reported any
	Created   int64   `json:"created,omitempty"`
	Started   int64   `json:"started,omitempty"`
	Completed int64   `json:"completed,omitempty"`
	Seq       Seq     `json:"seq,omitempty"`    // its place among all that ended; 0: it has not
	Result    *Result `json:"result,omitempty"` // never changed in place
	Reason    string  `json:"reason,omitempty"`
}

// Outcome returns how o ended. Of one that has not, only the status says anything.
func (o Op) Outcome() Outcome { return Outcome{o.Status, o.Result, o.Reason} }

// Elapsed returns how long o took from its registration to its end, or has taken so far. It is never negative, whatever the clocks did.
func (o Op) Elapsed(now time.Time) time.Duration {
	until := o.Completed
	if !o.Status.Terminal() {
		until = now.UnixMilli()
	}
	return time.Duration(max(until-o.Created, 0)) * time.Millisecond
}

// news reports whether the end of o is to be told to the conversation.
func (o Op) news() bool { return o.Work == BackgroundTool }

// MaxText bounds, in bytes, what an operation may say of its end: it is kept with the state. What is longer belongs into a blob.
const MaxText = 16 << 10

// MaxLabel bounds names and sources, in bytes.
const MaxLabel = 256

// clip returns text as valid UTF-8 of at most limit bytes, followed by a remark if something had to go.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	cut := limit
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s [%d bytes cut]", text[:cut], len(text)-cut)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Names of guards and refusals that callers tell apart.
const (
	GuardNamed        = "the id is named"
	GuardPeerExpected = "a peer is expected"
	GuardPeerOnce     = "the peer is not ready yet"
	WhyUnknown        = "operation is not registered"
	WhyDuplicate      = "operation is already registered"
	WhyEnded          = "operation has ended"
	WhyProvisioning   = "operation is not at work yet"
	WhyStarted        = "operation is at work already"
	WhyRetiring       = "operation is retiring already"
)

type opGuard = fsm.Guard[Op, Event]

var (
	named        = opGuard{Name: GuardNamed, OK: func(_ Op, e Event) bool { return e.ID != "" && utf8.ValidString(string(e.ID)) }}
	peerExpected = opGuard{Name: GuardPeerExpected, OK: func(o Op, _ Event) bool { return o.Work == MemberChild && o.ExpectsPeer }}
	peerOnce     = opGuard{Name: GuardPeerOnce, OK: func(o Op, _ Event) bool { return !o.PeerReady }}
)

func begin(_ Op, e Event) Op {
	o := Op{ID: e.ID, Spec: e.Spec, Created: millis(e.At)}
	o.Name, o.Source = clip(o.Name, MaxLabel), clip(o.Source, MaxLabel)
	return o
}

func leave(o Op, e Event) Op { o.Completed = millis(e.At); return o }

func leaveBecause(o Op, e Event) Op {
	o.Reason = clip(e.Reason, MaxText)
	return leave(o, e)
}

func complete(o Op, e Event) Op {
	r := e.Result
	r.Content = clip(r.Content, MaxText)
	o.Result = &r
	return leave(o, e)
}

var (
	absent  = []Status{Absent}
	atWork  = []Status{Running, Retiring}
	live    = []Status{Provisioning, Running, Retiring}
	ended   = []Status{Completed, Failed, Aborted, Cancelled, Retired, Terminated}
	pending = []Status{Provisioning}
)

// Operations decides one operation. Its phases are the statuses.
var Operations = fsm.Must(fsm.Table[Status, Kind, Op, Event]{
	Region: "operation",
	Phases: statuses,
	Events: kinds[:RequestWaitAll],
	Phase:  func(o Op) Status { return o.Status },
	Move:   func(o Op, s Status) Op { o.Status = s; return o },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Status, Kind, Op, Event]{
		{On: Register, From: absent, When: []opGuard{named}, To: Provisioning, Do: begin},                          // B1
		{On: Start, From: pending, To: Running, Do: func(o Op, e Event) Op { o.Started = millis(e.At); return o }}, // B2
		{On: Fail, From: live, To: Failed, Do: leaveBecause},                                                       // B3
		{On: Complete, From: atWork, To: Completed, Do: complete},                                                  // B4
		{On: Abort, From: pending, To: Aborted, Do: leaveBecause},                                                  // B5
		{On: Cancel, From: live, To: Cancelled, Do: leaveBecause},                                                  // B6
		{On: RequestRetire, From: []Status{Running}, To: Retiring},                                                 // B7
		{On: MarkRetired, From: atWork, To: Retired, Do: leave},                                                    // B8
		{On: PeerReady, From: atWork, When: []opGuard{peerExpected, peerOnce}, Stay: true, Do: func(o Op, _ Event) Op { // B9
			o.PeerReady = true
			return o
		}},
		{On: Progress, From: atWork, Stay: true, Do: func(o Op, _ Event) Op { o.Progress++; return o }}, // B10
		{On: Terminate, From: live, To: Terminated, Do: leaveBecause},                                   // B11
	},
	Refuse: []fsm.No[Status, Kind]{
		{On: Register, From: live, Why: WhyDuplicate},
		{On: Register, From: ended, Why: WhyDuplicate},
		{On: Start, From: absent, Why: WhyUnknown},
		{On: Start, From: atWork, Why: WhyStarted},
		{On: Start, From: ended, Why: WhyEnded},
		{On: Fail, From: absent, Why: WhyUnknown},
		{On: Fail, From: ended, Why: WhyEnded},
		{On: Complete, From: absent, Why: WhyUnknown},
		{On: Complete, From: pending, Why: WhyProvisioning},
		{On: Complete, From: ended, Why: WhyEnded},
		{On: Abort, From: absent, Why: WhyUnknown},
		{On: Abort, From: atWork, Why: WhyStarted},
		{On: Abort, From: ended, Why: WhyEnded},
		{On: Cancel, From: absent, Why: WhyUnknown},
		{On: Cancel, From: ended, Why: WhyEnded},
		{On: RequestRetire, From: absent, Why: WhyUnknown},
		{On: RequestRetire, From: pending, Why: WhyProvisioning},
		{On: RequestRetire, From: []Status{Retiring}, Why: WhyRetiring},
		{On: RequestRetire, From: ended, Why: WhyEnded},
		{On: MarkRetired, From: absent, Why: WhyUnknown},
		{On: MarkRetired, From: pending, Why: WhyProvisioning},
		{On: MarkRetired, From: ended, Why: WhyEnded},
		{On: PeerReady, From: absent, Why: WhyUnknown},
		{On: PeerReady, From: pending, Why: WhyProvisioning},
		{On: PeerReady, From: ended, Why: WhyEnded},
		{On: Progress, From: absent, Why: WhyUnknown},
		{On: Progress, From: pending, Why: WhyProvisioning},
		{On: Progress, From: ended, Why: WhyEnded},
		{On: Terminate, From: absent, Why: WhyUnknown},
		{On: Terminate, From: ended, Why: WhyEnded},
	},
})
