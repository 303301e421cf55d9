// Package machine is the only authority over a session: one pure function, Step, decides everything that can become of it.
//
// Step takes a state and an event and returns a commit: the next state, and the rows, events and open directives that must become
// durable together with it. It reads no clock, starts nothing, logs nothing and never changes its arguments, so that a replay of
// the same events is equal byte for byte, and so that undoing a decision is dropping a value.
//
// # Regions
//
// The state is made of regions, each a table of its own that knows nothing of the others (docs/machine holds their diagrams,
// generated from the tables):
//
//	lifecycle   does the session exist, is a run bound, who may still speak
//	inbox       each input: queued, staged, ended; lanes and their order
//	turn        the run: call the model, wait for calls, cross the boundary, finish
//	operation   each tool call: running, one terminal outcome
//
// What reads more than one region stands in this package: starting the next run, crossing a boundary, closing a run, recovering.
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
//	whoever ran it is gone             ExecutorLost     repeatable calls are counted and issued again, others closed as unknown
//	a model attempt fails              ModelFailed      the next attempt, not before a time; or the run fails
//	an answer comes too late           Reported         refused as stale: the directive is not open
//	the same input is submitted again  Submit           duplicate, naming the first
//	the run kills every executor       ExecutorLost     after MaxResumes without an answer the run fails
package machine
