package executor

import (
	"context"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
)

// ErrStaleHandle says that a handle is of a registration, or was given to an executor, that is over. Nothing was changed. Which of the two it is
// stands in the same error.
var ErrStaleHandle = fault.New(fault.Stale, "the handle is of a registration or an executor that is over")

// Handles are what an executor is given of its session beside the run: background operations, tool servers, peers, what comes in. All of them
// work on the one authority of the session and keep nothing themselves (R119).
//
// What a handle is told is durable when the method returns without an error, if it is of the durable kind at all. A method blocks until then, or until
// ctx ends; ending in between leaves it open whether it was done, and the error says so. All methods may be called concurrently, from within Apply
// and from anywhere else but the goroutine that commits, which no executor ever is on. A handle is good for one registration of the session. One
// that was given to Apply is good only while that executor is attached, over all of its activations; what outlives its executor needs a
// handle of the registration instead. Afterwards every method fails with ErrStaleHandle. What the session does not accept is a *Refused.
//
// Two handles of one registration and one executor are equal as interface values. A field is nil where whoever runs the executor has nothing for it, as
// in tests of an executor alone.
type Handles struct {
	Operations   Operations
	Completions  Completions
	Toolservers  Toolservers
	MCPStatus    MCPStatus
	Toolset      Toolset
	Models       Models
	Routing      Routing
	Peers        Peers
	Supervision  Supervision
	Interactions Interactions
	Drain        Drain
	Context      SessionContext
	Admission    Admission
	Claim        Claim
}

// Refused says that something told through a handle was not accepted, and changed nothing. It wraps the condition it is one of, with its code.
type Refused struct {
	Of     string // who refuses: operation, registry, toolset, toolserver, toolservers, model, routing, peer, peer/bridge, peer/request, peer/drain, peer/stream
	ID     string // operation, server, peer, request or interaction it is about; empty: none is to blame
	Status string // how that stands
	Action string // what was attempted
	Why    string // a stable text; those that callers tell apart are the constants below
	Cause  string // of a command of the bridge: not_bound, already_bound, stale_supervisor, sender_mismatch, invalid_supervisor_spec
	Limit  int    // WhyTooMany: how many operations may be at work
	Active int    // WhyTooMany: how many are
	Err    error
}

// Error says all of it.
func (r *Refused) Error() string { return r.Err.Error() }

// Unwrap returns the condition.
func (r *Refused) Unwrap() error { return r.Err }

// Reasons for which something is refused.
const (
	WhyUnknown     = "operation is not registered"
	WhyDuplicate   = "operation is already registered"
	WhyEnded       = "operation has ended"
	WhyTooMany     = "another operation may be at work"
	WhyWaiting     = "a wait is active already"
	WhyDraining    = "surface_draining"    // of a call: its server is being removed
	WhyUnavailable = "surface_unavailable" // of a call: there is no such server, or it is not connected
	WhyMobOwned    = "a mob owns the ingress"
	WhyLate        = "timed out" // of a stream: its subscriber came too late
)

// Work says what kind of work an operation of the background is.
type Work string

// The kinds of work.
const (
	BackgroundTool Work = "background_tool_op" // goes on after its call was answered; its end is news for the conversation
	MemberChild    Work = "mob_member_child"   // another session at work for this one; it tells its end itself
)

// OperationSpec is what an operation is registered as.
type OperationSpec struct {
	Work        Work   // empty: BackgroundTool
	Name        string // shown; cut after 256 bytes
	Source      string // what began it; cut like the name
	Child       id.Session
	ExpectsPeer bool // MemberChild: it will say once that it can be spoken to
	Durable     bool // it is kept outside this process and outlives it
	Yields      bool // it only waits, and gives way to new input
}

// OperationStatus is how an operation stands: provisioning, running, retiring, or one of the ends.
type OperationStatus string

// The statuses.
const (
	Provisioning OperationStatus = "provisioning"
	Running      OperationStatus = "running"
	Retiring     OperationStatus = "retiring"
	Completed    OperationStatus = "completed"
	Failed       OperationStatus = "failed"
	Aborted      OperationStatus = "aborted"
	Cancelled    OperationStatus = "cancelled"
	Retired      OperationStatus = "retired"
	Terminated   OperationStatus = "terminated"
)

// Terminal reports whether the status is an end.
func (s OperationStatus) Terminal() bool {
	switch s {
	case Completed, Failed, Aborted, Cancelled, Retired, Terminated:
		return true
	case Provisioning, Running, Retiring:
	}
	return false
}

// OperationResult is what a completed operation came to. Content is cut after 16 KiB, and says so.
type OperationResult struct {
	Content  string
	IsError  bool
	Duration time.Duration // of the work; 0: unknown
	Tokens   int
}

// OperationOutcome is how an operation ended.
type OperationOutcome struct {
	Status OperationStatus
	Result *OperationResult // Completed. Not to be changed
	Reason string           // Failed: the error. Aborted, Cancelled, Terminated: why, if it is known
}

// Operation is one operation as it stands.
type Operation struct {
	ID string
	OperationSpec
	Status    OperationStatus
	PeerReady bool
	Progress  int // how often it reported any
	Watchers  int // in this process
	Created   time.Time
	Started   time.Time // zero: not yet
	Completed time.Time // zero: not yet
	Elapsed   time.Duration
	Seq       uint64           // its place among all that ended; 0: it has not
	Outcome   OperationOutcome // once it has ended
}

// Awaited is how one operation of a wait ended.
type Awaited struct {
	ID      string
	Outcome OperationOutcome
}

// Completion is one entry of the feed of ended operations.
type Completion struct {
	Seq     uint64
	ID      string
	Work    Work
	Name    string
	Outcome OperationOutcome
	At      time.Time
}

// CompletionPage is the feed behind a cursor.
type CompletionPage struct {
	Entries   []Completion
	Watermark uint64 // of the same instant: the cursor to go on from
	Missed    int    // completions behind the cursor that are not kept any more
}

// Operations are the session's background operations. Ids are minted by whoever begins the work, and are never used again. Reads answer from what
// is committed.
type Operations interface {
	Register(ctx context.Context, op string, spec OperationSpec) error
	Start(ctx context.Context, op string) error // it is set up and at work
	Progress(ctx context.Context, op string) error
	Complete(ctx context.Context, op string, r OperationResult) error
	Fail(ctx context.Context, op, reason string) error
	Cancel(ctx context.Context, op, reason string) error
	Abort(ctx context.Context, op, reason string) error // before it is at work
	Retire(ctx context.Context, op string) error        // let it finish and leave
	MarkRetired(ctx context.Context, op string) error   // it has left
	PeerReady(ctx context.Context, op string) error
	// TerminateOwner ends all that is at work: whoever it is for is gone.
	TerminateOwner(ctx context.Context, reason string) error
	// SetLimits bounds how many ended operations are listed (0: 256) and how many may be at work (0: any number). One too many is refused with
	// WhyTooMany.
	SetLimits(ctx context.Context, listed, active int) error

	// Get returns an operation that is at work, or has ended, however long ago. A *Refused with WhyUnknown: there never was one.
	Get(ctx context.Context, op string) (Operation, error)
	// List returns those at work, by id, then those that ended and are still listed, the oldest first.
	List(ctx context.Context) ([]Operation, error)
	// Watch returns a channel that receives the outcome exactly once and is then closed (R120): at once for an operation that has ended, and with
	// Terminated when the session leaves this process before. If ctx ends first the channel is closed without an outcome.
	Watch(ctx context.Context, op string) (<-chan OperationOutcome, error)
	// WaitAll blocks until all of the operations have ended, in whatever way, and returns their outcomes in the order asked for. One wait is active
	// at a time for a session: another one is refused with WhyWaiting. If ctx ends the wait is over and the operations go on. The token
	// names the wait for people. An operation that has long ended and is in the feed no more is refused as one that nobody knows.
	WaitAll(ctx context.Context, token string, ops []string) ([]Awaited, error)
	// Since returns what ended behind a cursor, in order.
	Since(ctx context.Context, cursor uint64) (CompletionPage, error)
	// WaitForAdvance blocks until something has ended behind the cursor and returns the watermark. What ends between a look and a wait is not missed.
	WaitForAdvance(ctx context.Context, cursor uint64) (uint64, error)
}

// CompletionCursors are numbers of ended operations. They count from the session's beginning, and none is given twice.
type CompletionCursors struct {
	Announced uint64 // up to here the conversation was told
	Watermark uint64 // of the last that ended
	Missed    int    // news that nobody was told of and that are not kept any more
}

// Completions is the session's place in the feed of ended operations. It moves by itself when the session tells its model; an executor
// that tells its own moves it.
type Completions interface {
	Cursors(ctx context.Context) (CompletionCursors, error)
	// News returns ended background tools that the conversation was not told of, in order.
	News(ctx context.Context) ([]Completion, error)
	// Announce says that all up to a number was told. It never moves back.
	Announce(ctx context.Context, upto uint64) error
}

// ToolserverConnect is a connect that is owed. It is answered once, by Connected or ConnectFailed with the same value.
type ToolserverConnect struct {
	Server    string
	Operation string // add, reload
	Task      uint64 // the connection has it as its generation
	Lineage   uint64
	Config    string // names what to connect with
}

// Toolserver is a server that the session knows.
type Toolserver struct {
	Name       string
	Base       string // absent, active, removing, removed
	Config     string // with which it was last connected
	Generation uint64 // of its connection; 0: none
	Staged     string // add, remove, reload; empty: nothing
	Connecting uint64 // task of the connect under way; 0: none
	Calls      int    // under way, on all of its connections
}

// Toolservers are servers outside that bring tools. Add, Remove and Reload are wishes: they take effect where a model is next called from a
// boundary, the last wish for a server counts. Whoever holds the connections starts what is Owed, closes what is not Wanted, and looks again
// after each step; Changed waits for one.
type Toolservers interface {
	Add(ctx context.Context, server, config string) error
	Remove(ctx context.Context, server string) error
	Reload(ctx context.Context, server string) error
	// SetTimeout is how long calls may go on when their server is removed or replaced.
	SetTimeout(ctx context.Context, d time.Duration) error
	// SetRetries allows so many reconnects without being asked; 0, the beginning: none.
	SetRetries(ctx context.Context, n int) error
	List(ctx context.Context) ([]Toolserver, error)

	Owed(ctx context.Context) ([]ToolserverConnect, error)
	Wanted(ctx context.Context, server string) ([]uint64, error) // generations that may be open
	Connected(ctx context.Context, c ToolserverConnect) error
	ConnectFailed(ctx context.Context, c ToolserverConnect, failure string) error
	Lost(ctx context.Context, server string, generation uint64, failure string) error
	Relisted(ctx context.Context, server string, generation uint64) error
	// Aligned says that the tool list of an epoch is published, whole.
	Aligned(ctx context.Context, epoch uint64) error
	// Changed blocks until the epoch is above the one given, and returns it.
	Changed(ctx context.Context, epoch uint64) (uint64, error)

	// CallStarted is told before a call is sent; it returns the generation to send it on. A *Refused with WhyDraining or WhyUnavailable: it is not sent.
	CallStarted(ctx context.Context, server string) (uint64, error)
	// CallFinished is told in any case, and is accepted in any case as long as the registration lasts, also if ctx has ended or the
	// executor is attached no more: it is for a deferred function.
	CallFinished(ctx context.Context, server string, generation uint64) error
}

// ServerStatus is the health of a server, as it is shown. Whether it takes calls is not decided by it.
type ServerStatus struct {
	Server string
	Health string // pending_connect, connected, failed, disconnected
	Usable bool   // its tools answer
	Error  string // failed, disconnected: of its last failure
}

// MCPStatus reads how tool servers are. It is derived, and there is nothing to set.
type MCPStatus interface {
	// All returns the servers that something was begun with, by name.
	All(ctx context.Context) ([]ServerStatus, error)
	// Connecting returns the servers that are being connected, sorted: those a model is told to expect.
	Connecting(ctx context.Context) ([]string, error)
}

// Peer describes somebody who can be written to. ID alone routes; Name is a label and may be shared.
type Peer struct {
	ID, Name, Address string
	Key               string // public key, as text
	Meta              string // shown beside the name, as canonical JSON
}

// TrustedPeer is a peer that the session's trust store is to hold. A private one is trusted and never listed.
type TrustedPeer struct {
	Peer
	Private bool
}

// Peers is who the session knows.
type Peers interface {
	SetLocal(ctx context.Context, p Peer) error // who the session itself is
	Add(ctx context.Context, p Peer) error
	Remove(ctx context.Context, peer string) error
	// ApplyOverlay replaces the whole wiring of the session's mob. Its epoch must be above the last one's.
	ApplyOverlay(ctx context.Context, epoch uint64, peers []Peer) error
	// List returns who the session may write to: those added and those wired, by id.
	List(ctx context.Context) ([]Peer, error)
	// Trust returns all that the trust store is to hold.
	Trust(ctx context.Context) ([]TrustedPeer, error)
}

// Supervisor is who commands the session. The zero value: nobody.
type Supervisor struct {
	Peer      Peer
	Epoch     uint64
	Published bool // the trust store holds it
}

// TrustOwed is something to be done in the trust store and then acknowledged, by Published or PublishFailed, or by Withdrawn.
type TrustOwed struct {
	Peer     string
	Epoch    uint64
	Withdraw bool
}

// Supervision is about who commands the session. That tokens, versions and signatures are good is decided before; why a command is not followed
// stands in Refused.Cause. Acknowledgements count for exactly one peer at one epoch, and are never refused for being late.
type Supervision interface {
	Current(ctx context.Context) (Supervisor, error)
	Bind(ctx context.Context, sender string, p Peer, epoch uint64) error
	Authorize(ctx context.Context, sender string, p Peer, epoch uint64) error
	Revoke(ctx context.Context, peer string, epoch uint64) error
	Owed(ctx context.Context) ([]TrustOwed, error)
	Published(ctx context.Context, peer string, epoch uint64) error
	PublishFailed(ctx context.Context, peer string, epoch uint64) error
	Withdrawn(ctx context.Context, peer string, epoch uint64) error
}

// PeerRequest is one question to a peer, or of a peer.
type PeerRequest struct {
	ID       string // of the envelope that asks
	Peer     string // whom it was sent to, or who asks
	Intent   string
	Handling input.Handling // of the last word, where that says nothing itself
	Patience time.Duration  // when it is told: how long the answer may take; 0: ten minutes. At most a day
	Inbound  bool           // the peer asks, and the session is to answer
	Accepted bool           // the peer said that it is at work
	Deadline time.Time
}

// Interactions are open questions, and streams of their outcomes.
type Interactions interface {
	// Sent is told before the request is handed to the transport; TimedOut also says that it could not be.
	Sent(ctx context.Context, r PeerRequest) error
	Progressed(ctx context.Context, request, peer string) error
	// Answered is the peer's last word; it returns what was open. Only the peer that was asked closes a request.
	Answered(ctx context.Context, request, peer string) (PeerRequest, error)
	TimedOut(ctx context.Context, request string) error
	Received(ctx context.Context, r PeerRequest) error
	// Replied is told after the transport has taken the last word, so that a reply which failed can be made again.
	Replied(ctx context.Context, request string) error
	Open(ctx context.Context) ([]PeerRequest, error) // those sent by id, then those received

	// Reserve lets one subscriber follow an interaction, by the id of an input or a request, if it comes within thirty seconds.
	Reserve(ctx context.Context, interaction string) error
	// Attach is the subscriber coming. A *Refused with WhyLate: it came too late, and a request it is about is given up.
	Attach(ctx context.Context, interaction string) error
	// Complete, Close and Expire end a stream: its outcome is there, its subscriber went away, nobody came. The first counts.
	Complete(ctx context.Context, interaction string) error
	Close(ctx context.Context, interaction string) error
	Expire(ctx context.Context, interaction string) error
}

// CommsRuntime is a comms runtime: who it is, and which object of it in this process. The zero value: none.
type CommsRuntime struct {
	ID       string
	Instance uint64
}

// IngressContext is what the host of a session knows about its comms.
type IngressContext struct {
	KeepAlive bool         // the session is to be reachable while it rests
	Runtime   CommsRuntime // zero: it has none
	Mob       string       // the mob whose runtime it is; empty: the session's own
}

// DrainExit is why nobody takes what comes in any more.
type DrainExit string

// The reasons.
const (
	ExitIdleTimeout     DrainExit = "idle_timeout"
	ExitDismissed       DrainExit = "dismissed"
	ExitFailed          DrainExit = "failed"
	ExitAborted         DrainExit = "aborted"
	ExitSessionShutdown DrainExit = "session_shutdown"
)

// DrainStatus is how the intake of a session stands.
type DrainStatus struct {
	Owner     string // unattached, session_owned, mob_owned
	Mob       string
	Phase     string // inactive, running, exited_respawnable, stopped
	Mode      string // timed, attached_session, persistent_host; empty: none
	Exit      DrainExit
	Runtime   CommsRuntime // that is to take what comes in
	Listening bool         // it is to
}

// Drain is the intake of what peers send. Nothing runs for it: that it is running means that whoever listens hands over what comes in.
type Drain interface {
	// SetContext brings owner and intake in line with what is known, in one step. True: somebody has to begin listening.
	SetContext(ctx context.Context, c IngressContext) (bool, error)
	// NotifyExited says that the listener of a comms runtime has ended; of another one than the present, or too late, it is nothing. The zero
	// runtime is the present one's.
	NotifyExited(ctx context.Context, of CommsRuntime, why DrainExit) error
	// Abort stops the intake. Where none runs there is nothing to do.
	Abort(ctx context.Context) error
	// Wait blocks until the intake does not run any more, for the host's grace time at most: what still runs then has failed (R121).
	Wait(ctx context.Context) error
	Status(ctx context.Context) (DrainStatus, error)
}

// SessionContext is what the session has taken up of its surroundings.
type SessionContext interface {
	// Advance says that the context was taken up to a watermark, which must be newer.
	Advance(ctx context.Context, watermark uint64) error
	Watermark(ctx context.Context) (uint64, error)
	// SetSilentIntents replaces the set of intents whose requests wait without waking anybody. A stopped session has none, and gets none.
	SetSilentIntents(ctx context.Context, intents []string) error
	SilentIntents(ctx context.Context) ([]string, error)
}

// Admitted is what became of an input.
type Admitted struct {
	Input     id.Input // of the first of that key, if it was given before
	Run       id.Run   // the run it is part of already; empty: it waits
	Duplicate bool
	Consumed  bool // it wanted nothing but to be told
}

// Admission gives the session something to do. The id is the input's own, so what failed with an outcome unknown may be repeated.
type Admission interface {
	Submit(ctx context.Context, in input.Input) (Admitted, error)
	// SubmitWithoutWake begins nothing: the input rides along with what does.
	SubmitWithoutWake(ctx context.Context, in input.Input) (Admitted, error)
}

// Claim is the registration a handle is of.
type Claim interface {
	// Held is nil while the registration is the session's current one, the executor the handle was given to is attached, and this process surely
	// owns the session. It asks nobody and never blocks.
	Held(ctx context.Context) error
}
