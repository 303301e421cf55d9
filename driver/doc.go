// Package driver makes decisions durable: it stages steps of the machine, writes them as one batch, and only then lets them count.
//
//	          Stage                Step, Step, …                  Commit
//	current ─────────▶ staged ─────────────────────▶ staged ───────────────▶ current
//	                     │                              │ any error
//	                     └────────── dropped ◀──────────┘
//
// What Commit returned, and what the driver's state is afterwards:
//
//	nil            the batch is durable, and current is what was staged
//	ErrUnknown     it may be durable: current is still the old state. Confirm looks which; if it is not, stage the same events again
//	ErrConflict    the stored version is another one. Confirm says whose
//	ErrFenced      somebody else owns the session. The driver is of no more use
//	other          it is not durable. Commit may be called again
//
// Open and Reload look at every row of what a session resumes from, and then at the rules that join them (machine.Check), before anything is
// decided on it. What is wrong is *Damage: every finding, each with the row and a digest of its bytes; nothing is written and nothing kept. A row of
// a newer version is store.ErrFuture. Reading one row, by Reader, depends on no other.
//
// A driver belongs to one goroutine at a time, the drainer of the session's mailbox. Only Transcript may be called beside it.
package driver
