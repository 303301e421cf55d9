// Package inbox is the region of one input, from admission to its one terminal state, and the order in which inputs are taken
// (docs/machine/inbox.md).
//
// Judge stamps an input that arrives with a policy, from a table of data. Table moves one input from phase to phase. Box holds all that
// are live, in their lanes, and says what the next run is made of and what a boundary takes in. None of them knows of runs, turns or
// sessions: what they must know of those comes with the call.
//
//	failure                               event            what becomes of the input
//	its run was refused or not begun      Rollback         waits again; the third time it is given up (R105)
//	it cannot be part of a run            Refuse           waits again, behind all; the third time it is given up, alone
//	its executor was lost                 none             stays part of its run, which goes on
//	another one says it anew              Coalesce         ended, while it waits; not any more once it is staged (R104)
//	its row has lost its stamp            none             it is taken alone, and fails aloud (R106)
package inbox
