// Package store is the contract for where sessions are kept: rows, leases and one atomic batch per commit.
//
// A store knows rows, not their meaning. Encoding and decoding are the driver's. Every implementation passes storetest.Run.
// Times are kept to the microsecond and come back in UTC. Nil and empty byte slices are the same.
//
// # Writing
//
// A session has one writer at a time, the holder of its lease. Each lease has a term, higher than every earlier one of the same
// session; each batch carries the term and the version it starts from. A batch is applied whole or not at all, and when Commit
// returns nil it is durable: it survives the death of the process and of the machine.
//
//	Commit returns     the batch        what the caller does
//	nil                is durable       goes on
//	ErrConflict        is not written   somebody else wrote: reload
//	ErrFenced          is not written   the lease is lost: drop the session from memory
//	ErrUnknown         may be written   reload and look: Load waits until it is decided
//	any other error    is not written   try again, or give up and say so
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

// The conditions a store reports. They are wrapped with what was being attempted: compare with errors.Is.
var (
	ErrNotFound = fault.New(fault.NotFound, "not found")
	ErrConflict = fault.New(fault.OwnedElsewhere, "version conflict")
	ErrFenced   = fault.New(fault.OwnedElsewhere, "lease lost")
	ErrUnknown  = fault.New(fault.OutcomeUnknown, "commit outcome unknown")
	ErrFull     = fault.New(fault.Storage, "no space left for the store")
	ErrReadOnly = fault.New(fault.Storage, "store is not writable")
	ErrCorrupt  = fault.New(fault.Corrupt, "store is corrupt")
	ErrFuture   = fault.New(fault.Corrupt, "store was written by a newer version")
	ErrClosed   = fault.New(fault.NotReady, "store is closed")
	ErrBusy     = fault.New(fault.Storage, "store is locked by another process")
	ErrFailed   = fault.New(fault.Storage, "store failed") // I/O and whatever has no name of its own
	ErrExists   = fault.New(fault.Internal, "row exists already")
	ErrInvalid  = fault.New(fault.Internal, "batch breaks the contract")
)

// Owner is a process that may hold leases. Machine, Boot, PID and Started let another process on the same machine find out that
// a holder is gone without waiting for its lease to expire.
type Owner struct {
	ID      string `json:"id"`      // minted by the process, unique
	Machine string `json:"machine"` // empty: unknown
	Boot    string `json:"boot"`
	PID     int    `json:"pid"`
	Started string `json:"started"` // start time of the process as the kernel tells it, opaque
	Address string `json:"address,omitempty"`
}

// Lease is the right to write one session, until it expires or a higher term is handed out.
type Lease struct {
	Session id.Session
	Term    uint64
	Owner   Owner
	Expires time.Time
}

// Claim asks for a lease.
type Claim struct {
	Session id.Session
	Owner   Owner
	Now     time.Time
	TTL     time.Duration
	Break   uint64 // take the lease even from a living one of this term, whose holder is known to be gone; 0: never
	Create  bool   // the session may be new: keep a place for it, which Load and Sessions do not see before the first commit
}

// HeldError says that another owner holds the lease.
type HeldError struct{ Lease Lease }

// Error names the holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("session %s is in use by process %d until %s", e.Lease.Session, e.Lease.Owner.PID, e.Lease.Expires.Format(time.RFC3339))
}

// FaultCode is OwnedElsewhere.
func (e *HeldError) FaultCode() fault.Code { return fault.OwnedElsewhere }

// Batch is what one commit makes durable. Nil and empty parts are left as they are; only changed rows are in it. Rows are applied
// in the order in which they stand, so an input that gives up its key stands before the one that takes it.
type Batch struct {
	Session    id.Session
	Term       uint64
	From, To   uint64 // From must be the stored version; To becomes it. To > From
	Control    []byte // the control column: small, rewritten by every commit
	Head       Head   // what a listing shows; rewritten by every commit
	Values     []Value
	Inputs     []InputRow     // inserted, or replaced by (session, id)
	Effects    []EffectRow    // inserted, or replaced by (session, version, ordinal)
	Operations []OperationRow // inserted, or replaced by (session, id)
	Messages   []MessageRow   // inserted; a row that is there already fails the whole batch with ErrExists, as does a key in use
	Events     []EventRow     // inserted; likewise
	Receipts   []ReceiptRow   // inserted; likewise
}

// Head is what a listing shows of a session without decoding anything.
type Head struct {
	Created, Updated time.Time
	Phase            string
	Title            string
	Model            string
	Workspace        string
	Messages         int // 0: nothing was said in it yet
	Tokens           int
	Unfinished       bool      // a run is bound, or a signal owed: somebody has to go on with it
	Wake             time.Time // when the session wants to be told the time; zero: never. Else after 1970
	Away             bool      // it is not registered: nobody goes on with it, and nobody tells it the time
	Past             bool      // it is a record: nothing will be said in it any more
	Labels           map[string]string
}

// Active reports whether it is neither a record nor away.
func (h Head) Active() bool { return !h.Past && !h.Away }

// Value is one slowly changing part of a session, replaced whole.
type Value struct {
	Name string
	Data []byte
}

// InputRow is one input. A live one is part of Load; an ended one stays for look-ups.
type InputRow struct {
	ID   id.Input
	Key  string // idempotency key, unique in the session; empty: none
	Seq  id.Seq
	Live bool
	Body []byte
}

// EffectRow is one tool call or delivery: its intent, and once closed its outcome.
type EffectRow struct {
	ID   id.Effect
	Open bool
	Kind string
	Run  id.Run
	Body []byte
}

// OperationRow is one operation of the background. A kept one is part of Load; one that is not stays for look-ups.
type OperationRow struct {
	ID   string
	Kept bool
	Seq  uint64 // its place among all that ended; 0: it is at work
	Body []byte
}

// MessageRow is one row of the transcript.
type MessageRow struct {
	Message, Ordinal int
	Role             string
	Body             []byte
}

// EventRow is one durable event; cursors of a session are dense and start at 1.
type EventRow struct {
	Cursor uint64
	Body   []byte
}

// ReceiptRow proves that content was applied at a boundary of a run; sequences count from 1 per run.
type ReceiptRow struct {
	Run      id.Run
	Sequence int
	Body     []byte
}

// Loaded is what a session resumes from: no history.
type Loaded struct {
	Version    uint64
	Control    []byte
	Head       Head
	Values     []Value
	Inputs     []InputRow     // the live ones, by Seq
	Effects    []EffectRow    // the open ones, by ID
	Operations []OperationRow // the kept ones, by ID
}

// SessionRow is one line of a listing.
type SessionRow struct {
	Session id.Session
	Version uint64
	Head    Head
}

// Query selects sessions, most recently updated first; of those updated together, the highest id first.
//
// With DueBefore or DueAfter it selects those that want to be told the time, the earliest first; of those that want it together, the lowest
// id first. An index answers: the next Wake of all sessions is in the one row of Query{DueAfter: now, Limit: 1}, however many there are.
type Query struct {
	Limit      int // 0: 50; below: no limit
	Offset     int
	Prefix     string            // of the session id; empty: all
	Unfinished bool              // only those that somebody has to go on with, and that are not Away
	Workspace  string            // only those of this folder; empty: all
	DueBefore  time.Time         // only those with a Wake not after it that are not Away; zero: no filter
	DueAfter   time.Time         // only those with a Wake after it that are not Away; zero: no filter
	Active     bool              // only those that are neither Past nor Away
	Labels     map[string]string // only those that have all of them; nil: no filter
	// Fresh puts those in which nothing was said yet before all others, each part in its own order. It does not count beside DueBefore or DueAfter.
	Fresh bool
}

// All reports whether q selects every session, or with Active every active one.
func (q Query) All() bool {
	return q.Prefix == "" && !q.Unfinished && q.Workspace == "" && !q.Due() && len(q.Labels) == 0
}

// Due reports whether q selects by Wake.
func (q Query) Due() bool { return !q.DueBefore.IsZero() || !q.DueAfter.IsZero() }

// Store keeps sessions. All methods may be called concurrently. A returned slice or byte slice belongs to the caller; an argument
// is not kept after the call returns. Methods block on I/O and honour ctx, but a write (a commit, a lease) that has been handed to
// the writer is carried through even if ctx ends; the caller then hears ErrUnknown. Listings of a session that does not exist are
// empty.
type Store interface {
	// Acquire takes the lease of a session under a new term. *HeldError: another owner holds it, and it has not expired at c.Now.
	// ErrNotFound: no such session, or nothing was ever committed to it, and not Create. The same owner may acquire again and gets
	// a higher term. A term never comes back, not even after Release.
	Acquire(ctx context.Context, c Claim) (Lease, error)
	// Renew moves the expiry of all the leases, in one statement, to now + ttl, and returns the sessions whose lease was lost: a
	// higher term was handed out, or it was released. One that has only expired is renewed.
	Renew(ctx context.Context, owner Owner, now time.Time, ttl time.Duration, held []Lease) (lost []id.Session, err error)
	// Release gives a lease up. One that was lost already is no error.
	Release(ctx context.Context, l Lease) error

	// Load reads what a session resumes from, all of it as of one commit. ErrNotFound: no such session, or nothing was ever
	// committed to it. This and every other read of a session waits for the writes to it that this store was handed and whose
	// caller has left with ErrUnknown: what is read is decided.
	Load(ctx context.Context, s id.Session) (Loaded, error)
	// Commit applies a batch; see the package comment for its errors. ErrFenced goes before ErrConflict, and both before anything
	// that is wrong with the rows. A lease that has expired and that nobody has taken still commits.
	Commit(ctx context.Context, b *Batch) error

	// Input finds an input, live or ended, by its key. ErrNotFound if there is none; there is none for an empty key.
	Input(ctx context.Context, s id.Session, key string) (InputRow, error)
	// InputByID finds an input, live or ended, by its id.
	InputByID(ctx context.Context, s id.Session, in id.Input) (InputRow, error)
	// Operation finds an operation, kept or not, by its id. ErrNotFound if there is none.
	Operation(ctx context.Context, s id.Session, operation string) (OperationRow, error)
	// Messages reads the transcript rows with from <= message < before, in order. before 0: to the end.
	Messages(ctx context.Context, s id.Session, from, before int) ([]MessageRow, error)
	// Events reads up to limit events with a cursor above after, in order. limit 0 or below: all of them.
	Events(ctx context.Context, s id.Session, after uint64, limit int) ([]EventRow, error)
	// Effects reads the effect rows, open and closed, of the session, in order.
	Effects(ctx context.Context, s id.Session) ([]EffectRow, error)
	// Receipt reads one boundary receipt.
	Receipt(ctx context.Context, s id.Session, r id.Run, sequence int) (ReceiptRow, error)
	// Sessions lists sessions to which something was committed.
	Sessions(ctx context.Context, q Query) ([]SessionRow, error)
	// Count returns how many sessions q selects, whatever its Limit and Offset. How many are Active, of all, is answered in the same time however many
	// there are.
	Count(ctx context.Context, q Query) (int, error)

	// Close waits for what was handed to the writer, then frees everything. Later calls return ErrClosed.
	Close() error
}
