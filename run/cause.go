package run

// Causes of the end of a run that did not plainly complete. They are public names: events, stored inputs and handles tell them. An executor with
// a loop of its own names one in its receipt.
const (
	CauseLLMFailure     = "llm_failure"
	CauseToolFailure    = "tool_failure"
	CauseRetryExhausted = "retry_exhausted"
	CauseTurnLimit      = "turn_limit_reached"
	CauseBudget         = "budget_exhausted" // the only one that a completed run may have: what there was is its answer
	CauseTime           = "time_budget_exceeded"
	CauseRuntimeApply   = "runtime_apply_failure" // whoever carried the run out failed, and not what it called
	CauseFatal          = "fatal_failure"
)
