package scope

import "encoding/json"

// Overlay restricts one run on top of everything durable. It is a value: compare with Equal. The zero value restricts nothing.
//
// In JSON it is {"allowed_tools": [names], "blocked_tools": [names]}. No allowed_tools, or null, is no restriction; an empty list lets
// nothing through but control tools.
type Overlay struct {
	Restricts bool  // Allowed counts, also when it is empty. Not set: Allowed must be empty
	Allowed   Names // only these
	Blocked   Names // none of these; a name that no tool has is fine
	// Dispatch is for the runtime that routes a continuation. It is in no written form, and a client cannot set it.
	Dispatch string
}

// overlayJSON is an overlay as it is written: what is for the runtime alone has no place in it.
type overlayJSON struct {
	Allowed *Names `json:"allowed_tools,omitempty"`
	Blocked Names  `json:"blocked_tools,omitzero"`
}

// IsZero reports whether o restricts nothing.
func (o Overlay) IsZero() bool { return !o.Restricts && o.Allowed.IsZero() && o.Blocked.IsZero() }

// Equal reports whether both restrict alike. Dispatch is not compared.
func (o Overlay) Equal(p Overlay) bool {
	return o.Restricts == p.Restricts && o.Allowed.Equal(p.Allowed) && o.Blocked.Equal(p.Blocked)
}

// Public returns o without what is for the runtime alone.
func (o Overlay) Public() Overlay {
	o.Dispatch = ""
	return o
}

// Filters returns what o means as filters.
func (o Overlay) Filters() []Filter {
	var out []Filter
	if o.Restricts {
		out = append(out, Filter{ModeAllow, o.Allowed})
	}
	if o.Blocked.Len() > 0 {
		out = append(out, Filter{ModeDeny, o.Blocked})
	}
	return out
}

// MarshalJSON encodes overlays that restrict alike as equal bytes, and leaves Dispatch out.
func (o Overlay) MarshalJSON() ([]byte, error) {
	out := overlayJSON{Blocked: o.Blocked}
	if o.Restricts {
		out.Allowed = &o.Allowed
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. What else is there is passed over, a dispatch context among it.
func (o *Overlay) UnmarshalJSON(data []byte) error {
	var in overlayJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*o = Overlay{Blocked: in.Blocked}
	if in.Allowed != nil {
		o.Restricts, o.Allowed = true, *in.Allowed
	}
	return nil
}
