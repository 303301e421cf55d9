// Package input holds the words of what a session may be given: who it comes from, what it says, and what it asks of the run that it
// becomes part of.
//
// An input is a value with a header and one of six bodies. Validate says whether it may be admitted at all; Entries, Context and Reply
// say what it adds to a transcript. What follows from it (when it runs, with what, whom it replaces) is decided by machine/inbox.
//
//	failure                              error                 what follows
//	the JSON is of no known variant      *UnknownError         nothing is admitted; a newer writer is told by name
//	it breaks a rule of admission        *Rejection            nothing is recorded; the code says which rule (R100)
//	inputs of one run contradict         *Conflict             no run is made of them; the field is named (R109)
package input
