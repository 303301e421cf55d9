// Package peer is the region of what a session has to do with others: who they are, who owns the door by which they come in, which
// supervisor may command it, which questions are open, and whether somebody listens.
//
// # Two states
//
// State is durable. Link is what a crash loses: the comms runtime that holds the door, the drain, reserved streams. The zero Link is what
// every load begins with; nothing of it is missed, since State says who owns the door and which questions are still open until when.
//
//	Table     State     peers, overlay, owner of the ingress, context        unattached, session_owned, mob_owned
//	Bridge    Supervisor  who may command the session                        unbound, bound
//	Calls     Request   one question to a peer, or of a peer                 sent, accepted_progress, received
//	Drain     Link      whether what comes in is taken                       inactive, running, exited_respawnable, stopped
//	Streams   Stream    one reader of the outcome of one interaction         reserved, attached
//
// Nobody sleeps for a session: the drain is a fact that whoever listens for it compares itself with. What is owed is derived from the
// states (Trust, Owed, Due, Listening), never remembered beside them.
//
// # What follows a failure
//
//	failure                                  event                        what follows
//	the process ends                         none: Link is zero           the owner stays; its runtime attaches again; requests go on
//	a request cannot be sent, or time is up  TimedOut                     it is closed; a later answer is refused, its content is context
//	a reply cannot be sent                   none                         the request stays open and can be answered again
//	the drain fails                          NotifyExited{ExitFailed}     persistent: to be run again; otherwise inactive
//	an exit is told of another runtime       NotifyExited                 nothing
//	trust in a supervisor is not published   PublishFailed                the one it replaced is back, or none
//	an acknowledgement comes late            Published, Withdrawn         nothing
//	a subscriber comes too late              StreamAttach                 the reservation is over; the outcome still reaches the session
//
// docs/machine/peer.md has the tables row by row.
package peer
