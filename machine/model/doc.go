// Package model is the region that says which model answers: the session's identity, and switches to another model for some runs, until
// changed, or for one picture.
//
// It is two tables over one State. IdentityTable changes who the session talks to, in two steps: Begin writes down what is wanted and
// compared, somebody makes a client ready, Commit puts the target in force if all that was compared still holds. RoutingTable keeps the
// baseline and what overrides it. The tables share a state because they meet: a switch until changed is a change of identity, and the
// baseline goes with the identity it names. docs/machine/model.md has both, row by row.
//
// Nothing that was decided is ever taken back. A commit is durable before anybody acts on it, so there is no state in which a client
// has been swapped and the identity has not; a client that cannot be made is an Abort, before anything has changed.
//
//	failure                                  what is left                       what follows
//	the client cannot be made                Pending                            Abort: all as it was; a switch that waited for it is denied
//	the process dies while it is made        Pending, so it is owed             it is made again, under the same token
//	what was compared changes meanwhile      Pending                            Commit is refused, Abort, and whoever asked begins anew
//	the answer to Commit is lost             Done names the token               Commit again is accepted and changes nothing
//	the run ends with a picture in the works the override                       CancelRouting: the override goes, and the picture is cancelled
//	the session ends                         switch, override, pictures, Pending CancelRouting: each has its end
package model
