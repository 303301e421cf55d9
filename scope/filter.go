package scope

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Mode is the sort of a filter.
type Mode uint8

// The modes. Their names are what a filter is written with in JSON.
const (
	ModeAll   Mode = iota // no restriction
	ModeAllow             // only the names
	ModeDeny              // all but the names
)

var modes = []string{"All", "Allow", "Deny"}

// String returns the public name.
func (m Mode) String() string { return modes[m] }

// Filter restricts which names may be seen. It is a value; the zero value restricts nothing. Allow without names lets nothing
// through. Deny without names lets all through and is still another filter than All: compare with Equal.
//
// In JSON it is "All", {"Allow": [names]} or {"Deny": [names]}, the names sorted.
type Filter struct {
	mode  Mode
	names Names // empty for ModeAll
}

// All restricts nothing.
func All() Filter { return Filter{} }

// Allow lets only these names through.
func Allow(names ...string) Filter { return Filter{ModeAllow, NamesOf(names...)} }

// Deny lets all but these names through.
func Deny(names ...string) Filter { return Filter{ModeDeny, NamesOf(names...)} }

// Mode returns the filter's sort.
func (f Filter) Mode() Mode { return f.mode }

// Names returns what the filter mentions: nothing for All.
func (f Filter) Names() Names { return f.names }

// IsZero reports whether f is All.
func (f Filter) IsZero() bool { return f.mode == ModeAll }

// Equal reports whether both are of one mode and mention the same names. What they let through may be the same without that.
func (f Filter) Equal(o Filter) bool { return f.mode == o.mode && f.names.Equal(o.names) }

// Lets reports whether a tool of this name gets through.
func (f Filter) Lets(name string) bool {
	switch f.mode {
	case ModeAllow:
		return f.names.Has(name)
	case ModeDeny:
		return !f.names.Has(name)
	case ModeAll:
	}
	return true
}

// Granting returns f with those of its Allow names for which grants holds. An Allow that loses all its names lets nothing through.
// A Deny stays as it is: who is behind a name may take a permission away, and never a prohibition (R63).
func (f Filter) Granting(grants func(name string) bool) Filter {
	if f.mode == ModeAllow {
		f.names = f.names.Where(grants)
	}
	return f
}

// String shows the filter as its JSON does.
func (f Filter) String() string {
	b, _ := f.MarshalJSON() // names always encode
	return string(b)
}

// MarshalJSON encodes equal filters as equal bytes.
func (f Filter) MarshalJSON() ([]byte, error) {
	if f.mode == ModeAll {
		return json.Marshal(modes[ModeAll])
	}
	return json.Marshal(map[string]Names{modes[f.mode]: f.names})
}

// UnmarshalJSON reads what MarshalJSON writes, the names in any order. Anything else is an error: a filter that is half understood
// would let through what it was meant to hide.
func (f *Filter) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"`)) {
		var all string
		if err := json.Unmarshal(data, &all); err != nil {
			return err
		}
		if all != modes[ModeAll] {
			return fmt.Errorf("%q is not a tool filter: it is \"All\", {\"Allow\": [names]} or {\"Deny\": [names]}", all)
		}
		*f = Filter{}
		return nil
	}
	var in map[string]*Names
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("tool filter: %w", err)
	}
	for _, m := range []Mode{ModeAllow, ModeDeny} {
		if names := in[modes[m]]; names != nil && len(in) == 1 {
			*f = Filter{m, *names}
			return nil
		}
	}
	return fmt.Errorf("%s is not a tool filter: it is \"All\", {\"Allow\": [names]} or {\"Deny\": [names]}", data)
}

// Composed is what several filters let through together: what each of them does. The zero value restricts nothing.
type Composed struct {
	bounded         bool // an Allow was among them
	allowed, denied Names
}

// Compose joins filters. Any number of them, in any order: allowed is what all the Allows have in common, denied is what any Deny
// mentions, and denied beats allowed (R60).
func Compose(filters ...Filter) Composed {
	var c Composed
	for _, f := range filters {
		switch f.mode {
		case ModeAll:
		case ModeAllow:
			if c.bounded {
				c.allowed = c.allowed.Within(f.names)
			} else {
				c.bounded, c.allowed = true, f.names
			}
		case ModeDeny:
			c.denied = c.denied.With(f.names)
		}
	}
	return c
}

// Permits reports whether a name passes.
func (c Composed) Permits(name string) bool {
	return (!c.bounded || c.allowed.Has(name)) && !c.denied.Has(name)
}
