package inbox

import (
	"slices"

	"github.com/meerkat-go/meerkat/input"
)

// The public names of the enumerations, by their values.
var (
	applies      = []string{"stage_run_start", "stage_run_boundary", "inject_now", "ignore"}
	wakes        = []string{"none", "wake_if_idle", "interrupt_yielding"}
	queueModes   = []string{"none", "fifo", "coalesce", "supersede", "priority"}
	consumptions = []string{"on_run_complete", "on_accept", "on_apply", "on_run_start", "explicit_ack"}
	drains       = []string{"queue_next_turn", "steer_batch", "immediate", "ignore"}
	routings     = []string{"queue", "steer", "immediate", "drop"}
	boundaries   = []string{"run_start", "run_checkpoint", "immediate"}
	executions   = []string{"content_turn", "resume_pending"}
	reasons      = []string{"none", "retired", "reset", "stopped", "destroyed", "cancelled", "max_attempts_exhausted", "outcome_unknown",
		"never_executed"}
	signalNames = []string{"none", "wake", "yield", "immediate"}
	planNames   = []string{"queue_back", "queue_front", "coalesce", "supersede", "consume_on_accept", "record"}
)

func (a Apply) String() string       { return applies[a] }
func (w Wake) String() string        { return wakes[w] }
func (q QueueMode) String() string   { return queueModes[q] }
func (c Consumption) String() string { return consumptions[c] }
func (d Drain) String() string       { return drains[d] }
func (r Routing) String() string     { return routings[r] }
func (b Boundary) String() string    { return boundaries[b] }
func (e Execution) String() string   { return executions[e] }
func (r Reason) String() string      { return reasons[r] }
func (s Signal) String() string      { return signalNames[s] }
func (p Plan) String() string        { return planNames[p] }

func (a Apply) MarshalText() ([]byte, error)       { return []byte(a.String()), nil }
func (w Wake) MarshalText() ([]byte, error)        { return []byte(w.String()), nil }
func (q QueueMode) MarshalText() ([]byte, error)   { return []byte(q.String()), nil }
func (c Consumption) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (d Drain) MarshalText() ([]byte, error)       { return []byte(d.String()), nil }
func (r Routing) MarshalText() ([]byte, error)     { return []byte(r.String()), nil }
func (b Boundary) MarshalText() ([]byte, error)    { return []byte(b.String()), nil }
func (e Execution) MarshalText() ([]byte, error)   { return []byte(e.String()), nil }
func (r Reason) MarshalText() ([]byte, error)      { return []byte(r.String()), nil }

func (a *Apply) UnmarshalText(b []byte) error       { return read(a, "way to apply an input", applies, b) }
func (w *Wake) UnmarshalText(b []byte) error        { return read(w, "wake", wakes, b) }
func (q *QueueMode) UnmarshalText(b []byte) error   { return read(q, "queue mode", queueModes, b) }
func (c *Consumption) UnmarshalText(b []byte) error { return read(c, "consumption", consumptions, b) }
func (d *Drain) UnmarshalText(b []byte) error       { return read(d, "drain", drains, b) }
func (r *Routing) UnmarshalText(b []byte) error     { return read(r, "routing", routings, b) }
func (x *Boundary) UnmarshalText(b []byte) error    { return read(x, "boundary", boundaries, b) }
func (e *Execution) UnmarshalText(b []byte) error   { return read(e, "execution", executions, b) }
func (r *Reason) UnmarshalText(b []byte) error {
	return read(r, "reason to abandon an input", reasons, b)
}

// read finds a name among those of an enumeration. One that is not there was written by a newer program, or is damage.
func read[E ~uint8](to *E, what string, names []string, name []byte) error {
	v := slices.Index(names, string(name))
	if v < 0 {
		return &input.UnknownError{What: what, Name: string(name)}
	}
	*to = E(v)
	return nil
}
