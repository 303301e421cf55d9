// Package registry is the region of a session's background work: what goes on beside the conversation and outlives the run, or the tool
// call, that began it. A shell command that was left running is such an operation, and so is the member of a team that works for the
// session.
//
// Each operation walks its own table (Operations) from its registration to one of six ends and stays there. The register as a whole has
// another (Table): at most one wait for several operations, and what happens to all of them at once. A tool call that a run waits for is
// no business of this package; it has a table of its own, one folder up.
//
// # What is kept
//
// Operations at work are kept by id. One that ends takes the next completion number and goes into the feed, which keeps the last
// State.Capacity of them; the newest State.Retention of those are listed as well. Beyond the feed they are gone from the state, and only
// rows remember them. So a step costs the same after ten thousand ended operations and after ten million.
//
// # What is owed
//
// Nothing is listed. A finished background tool is news as long as Unannounced has it, and a wait is over as soon as WaitSatisfied says
// so; both are levels, read from the state again and again, until Announced and SatisfyWaitAll put an end to them.
//
// # What follows a failure
//
//	failure                              event                what becomes of it
//	the process is gone                  ProcessLost          what lived in it ends as terminated, which is news; what is durable and
//	                                                          what is another session's goes on; the wait had a waiter there and is over
//	the owner is gone                    TerminateOwner       everything at work ends as terminated
//	it never came to life                Fail, Abort          an end like any other
//	whoever waits lost interest          CancelWaitAll        the wait is over, the operations go on
//	an end is told twice                 any                  refused: the first stays
//	news pile up while nobody reads      none                 the oldest leave the feed and are counted, and the count is news
package registry
