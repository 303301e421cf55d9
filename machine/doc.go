// Package machine is the only authority over a session: one pure function, Step, decides everything that can become of it.
//
// Step takes a state and an event and returns a commit: the next state, and the rows, events and open directives that must become
// durable together with it. It reads no clock, starts nothing, logs nothing and never changes its arguments, so that a replay of
// the same events is equal byte for byte, and so that undoing a decision is dropping a value.
//
// # Regions
//
// The state is made of regions, each a table of its own that knows nothing of the others (docs/machine has each in words and as a
// diagram, generated from the tables):
//
//	lifecycle   does the session exist, is a run bound, who may still speak
//	inbox       each input: judged when it comes, queued, staged, ended; lanes, batches, passengers
//	turn        the run: call the model, wait for calls, cross the boundary, finish
//	operation   each tool call: held, running, one terminal outcome
//	registry    background work that outlives the call or the run that began it
//	toolset     which tools the model is offered: layers of filters, what is staged, the set of the round
//	toolserver  external tool servers: staged, connecting, serving, draining
//	model       which model answers: identity, switches, overrides
//	peer        who the session knows, who may command it, which questions are open, whether somebody listens
//
// The first four every session has. The others are nil until they are used, and written when they change (Regions, Commit.Regions).
//
// What reads more than one region stands in this package: whether a region may be told something in a phase of the session's life
// (cross.go), beginning the next run, crossing a boundary, closing a run, recovering, ending.
//
// # The ledger
//
// What is to be done is what is open in State.Open. An entry is a directive with an id of its own, opened and closed by commits.
// There is no list of things to do beside it: whoever carries runs out is given what is open and was not given to it yet. So a
// crash, a lost commit or a lost executor leaves nothing to remember, only the ledger to look at.
//
// # What follows a failure
//
//	failure                            event            what Step decides
//	the process has ended              Opened           what belonged to it is gone; then as for a lost executor
//	whoever ran it is gone             ExecutorLost     repeatable calls are counted and issued again, others closed as unknown
//	a model attempt fails              ModelFailed      the next attempt, not before a time; or the run fails
//	nothing of a run was done          RunRefused       its inputs wait again, and are given up at the third try
//	an answer comes too late           Reported         refused as stale: the directive is not open
//	the same input is submitted again  Submit           duplicate, naming the first
//	the run kills every executor       ExecutorLost     after MaxResumes without an answer the run fails
//	a deadline has passed              Tick             what is due is ended
//	a handle is of an earlier life     Handled          refused: of another registration, or of an executor that was detached
package machine
