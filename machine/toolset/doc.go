// Package toolset is the region of which tools the model is offered: filters in layers, what is staged and what is in force, grants of
// deferred tools, and the set of the current round. docs/machine/toolset.md has the table row by row.
//
// What may be seen is decided at one moment: in the step that enters a model call (CommitBoundary, or Boundary, which cannot fail).
// There what was staged comes into force, the tools there are at that moment arrive as a value, and the set of the round is put
// together. It is offered to the model and gates the calls of the reply; nothing else changes it. Between two boundaries a session only
// remembers what is to be: a filter, a grant, each under a revision that names one content for ever.
//
// The region does not keep the catalogue of tools. It keeps names, and for each name whose tool was meant, so that a tool that takes
// over a name does not take over a permission (R63).
//
// # What follows a failure
//
//	failure                               event            what is decided
//	the catalogue cannot be had           FailClosed       the model is offered nothing, control tools included, until a boundary succeeds
//	the catalogue is not sound            CommitBoundary   refused; Boundary makes a FailClosed of it
//	a server takes over a tool's name     CommitBoundary   the boundary succeeds; what was allowed or granted by that name is dormant
//	a server goes away                    CommitBoundary   filters and grants stay and wait; names of the run's overlay are dropped
//	a stage is older than what is published Publish        the stage is superseded: nothing is pending, the next stage begins from what is in force
//	a session is loaded                   (none)           the state is complete; a run that goes on keeps its overlay and its round's set
package toolset
