package scope

// VisibleSet is what a model is offered in one round: the very object that the request to the provider is made from and that the
// round's calls are held against. It is never changed: pointers to it are shared. A nil set offers nothing.
type VisibleSet struct {
	Tools    Witnesses `json:"tools,omitzero"`    // what is offered, control tools included, and whose it is
	Deferred Names     `json:"deferred,omitzero"` // not offered, and would be if it were asked for
	Pending  Names     `json:"pending,omitzero"`  // sources whose tools were not there yet
	Dormant  Names     `json:"dormant,omitzero"`  // was granted as a deferred tool, and the name is another's now
	Foreign  Names     `json:"foreign,omitzero"`  // a durable filter mentions it, and means the tool of another
	Base     string    `json:"base,omitempty"`    // Catalogue.Base of the catalogue it was taken from
}

// Allows reports whether a tool of that name was offered.
func (v *VisibleSet) Allows(name string) bool {
	if v == nil {
		return false
	}
	_, ok := v.Tools.Get(name)
	return ok
}

// Offers reports whether exactly this tool was offered: a name that became another's since then is not the one the model chose.
func (v *VisibleSet) Offers(name string, now Witness) bool {
	if v == nil {
		return false
	}
	w, ok := v.Tools.Get(name)
	return ok && w == now
}

// Len returns how many tools are offered.
func (v *VisibleSet) Len() int {
	if v == nil {
		return 0
	}
	return v.Tools.Len()
}

// Equal reports whether both say the same.
func (v *VisibleSet) Equal(o *VisibleSet) bool {
	if v == nil || o == nil || v == o {
		return v == o
	}
	return v.Base == o.Base && v.Tools.Equal(o.Tools) && v.Deferred.Equal(o.Deferred) && v.Pending.Equal(o.Pending) &&
		v.Dormant.Equal(o.Dormant) && v.Foreign.Equal(o.Foreign)
}

// ID is the same for sets that offer the same tools, and for no others.
func (v *VisibleSet) ID() string {
	if v == nil {
		return ""
	}
	return digest(v.Tools)
}

// Access is the answer to a call.
type Access uint8

// The answers. The names of the refusals are the codes of the call's error result.
const (
	Granted  Access = iota
	Denied          // there is such a tool, and it was not offered
	NotFound        // there is none
)

var accesses = []string{"granted", "access_denied", "tool_not_found"}

// String returns the public name.
func (a Access) String() string { return accesses[a] }

// Access says what comes of a call of a tool; known: whoever would run it knows such a tool. A call that is not granted is never run (R67).
func (v *VisibleSet) Access(name string, known bool) Access {
	switch {
	case v.Allows(name):
		return Granted
	case known:
		return Denied
	}
	return NotFound
}
