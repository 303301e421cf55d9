// Package toolserver is the region of a session's tool servers: processes and addresses outside that bring tools of their own.
//
// What a client asks for is staged, and applied where a model call is entered from a boundary. Connecting takes its time and is
// answered by an event; a server that is removed takes no new call and lets those under way finish. docs/machine/toolserver.md has
// every row of the two tables: Servers decides about one server, Table about what all of them share. Step asks both.
//
// # Two parts of the state
//
// Durable is written with the session: which servers there are, in which order they came, what is staged, being connected or
// drained, and what was last told of each. Transient belongs to the process that holds the connections: calls under way, and which
// epoch its tool list has reached. A step that changes Transient alone writes nothing. Opened is how a new process begins: it
// trusts nothing of the former one's connections.
//
// # What is owed
//
// There is no list of effects. Owed says which connects to start, Wanted which connections may stay open, Deadline when to send the
// next Tick, Told what to tell clients. A host makes the world follow: it starts what is owed and not under way, closes what is not
// wanted, and does both again after every step.
//
// # What follows a failure
//
//	failure                            event             what is decided
//	a connect fails                    PendingFailed     an added server stays absent, a reloaded one keeps its old connection
//	an answer comes for an old connect PendingSucceeded  refused as stale; its connection is not wanted
//	a connection dies                  Lost              shown as disconnected, its tools stay; reloaded if so configured
//	a call hangs on a removed server   Tick              after the removal timeout its connection is not wanted any more
//	a caller goes away                 CallFinished      counted off like any other end
//	the process dies                   Opened            connected again: what was active or being connected
package toolserver
