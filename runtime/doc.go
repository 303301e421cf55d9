// Package runtime keeps sessions going: it owns their mailboxes, carries decisions through, and puts executors to work.
//
// # One session
//
//	letters ──▶ mailbox ──▶ drainer: stage ─ commit ─ tell ─ reconcile ──▶ activation ──▶ executor
//	                ▲                                                          │ directives
//	                └────────────────────── reports ◀─────────────────────────-┘
//
// A session is a mailbox, not a goroutine. The drainer runs while there is mail: it takes all of it, in the order outcomes,
// control, rest, folds the machine's step over it, and commits once. Then, and only then, it publishes the new state, tells the
// events, answers the letters and reconciles. A session without mail and without a run has no goroutine.
//
// # Reconcile
//
// What is to be done is what is open in the state and was not given to the living activation yet, by id and attempt. Reconcile looks
// at levels, so it may run any number of times:
//
//	run over, or another one bound       cancel the activation; start the next when it has returned, or after Config.Grace
//	entries open, nobody on them         start an activation
//	entries open, not given yet          give them
//	nothing open but calls that wait     let the activation end: whoever allows one, or brings a result, makes the next begin
//	the lease may have run out           give nothing
//
// # Time
//
// A session says when it wants to be told the time: a run is to be over by then, a request answered. A host has one timer for all of that; it
// sleeps until the earliest such time and is armed anew by the commit that moves it. With Config.Tend it also wakes sessions at rest (R117).
//
// # Handles
//
// A handle is a session, a registration and perhaps an attachment, and nothing else. What it is told goes into the mailbox like any
// letter, so whether it still counts is decided where everything is decided. Whoever waits through one, for the end of an operation
// or for the intake to stop, waits on the session in memory, without a goroutine; when the session leaves memory everybody is told.
//
// # What a failure does
//
//	failure                              what becomes of it
//	a commit is refused by the store     tried again; if it still fails the letters are answered with the error. Reports are sent
//	                                     again, and the runtime's own letters go before all others when the store works again. After
//	                                     Config.StoreGrace of that the session is closed in memory
//	a commit's outcome is unknown        looked up before anything else is staged: told as written, or staged again
//	the lease is lost                    the session ends in memory at once: activation cancelled, everybody told
//	an executor returns early, panics    ExecutorLost for what it was given, committed before anything is given out again
//	an executor does not let go          given up after Config.Grace and counted; its reports are stale. Until then no other is put
//	                                     to work on the session, also when it was lost and came back to this process
//	rows are damaged, or break a rule    the session is not opened: ErrRepairBlocked with the evidence. Nothing is written or kept
//	rows cannot be read                  the session is not opened: ErrRecoveryBackoff. The next attempt looks anew
//	the store hangs while somebody looks the look is given up after Config.Glance: ErrUnread
//	the process dies                     the next owner loads the session; ExecutorLost for all that is open
//
// No lock is held while an executor, the store or a listener runs.
package runtime
