package scope

// Exposure says how the deferrable tools of a catalogue are shown.
type Exposure uint8

// The exposures.
const (
	Inline   Exposure = iota // all at once, like every tool
	Deferred                 // hidden until they are asked for
)

var exposures = []string{"inline", "deferred"}

// String returns the public name.
func (e Exposure) String() string { return exposures[e] }

// Status is where a deferrable tool stands.
type Status string

// The statuses of a tool that was found.
const (
	StatusLoaded      Status = "loaded"                  // offered in this round
	StatusBlocked     Status = "blocked_by_filter"       // filters hide it, asked for or not
	StatusUnavailable Status = "temporarily_unavailable" // its source cannot be called
	StatusDeferred    Status = "deferred"                // may be loaded
)

// StatusPendingSource is the status of a whole answer: nothing was found, and sources are still being connected.
const StatusPendingSource Status = "pending_source"

// Hit is a tool that was found.
type Hit struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Status      Status `json:"status"`
}

// Found answers a search of the deferrable tools.
type Found struct {
	Hits    []Hit  `json:"tools"`                    // in byte order of the names, at most as many as were asked for
	Total   int    `json:"total"`                    // how many matched
	Exact   bool   `json:"catalog_exact"`            // not: some source cannot list what it has, and nothing was looked for
	Pending Names  `json:"pending_sources,omitzero"` // sources that are still being connected
	Status  Status `json:"status,omitempty"`         // StatusPendingSource or empty
}

// Reply is the answer to one name of a wish to load tools.
type Reply string

// The replies. All but the first two are rejections.
const (
	Accepted         Reply = "accepted"                // offered from the next round on
	AlreadyLoaded    Reply = "accepted_noop"           // it is offered, or was asked for before
	RejectUnknown    Reply = "unknown_key"             // no such tool, or not known because the catalogue is not exact
	RejectInline     Reply = "not_deferred_eligible"   // it is never hidden
	RejectFiltered   Reply = "not_filterable"          // filters hide it
	RejectNotCurrent Reply = "temporarily_unavailable" // its source cannot be called, or the grant of its name is another's
)

// Loaded is the reply to one name.
type Loaded struct {
	Name  string `json:"name"`
	Reply Reply  `json:"status"`
}
