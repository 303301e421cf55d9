package scope

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Kind says what sort of source a tool comes from.
type Kind string

// The kinds of source.
const (
	Builtin   Kind = "builtin"
	Shell     Kind = "shell"
	Comms     Kind = "comms"
	Memory    Kind = "memory"
	Schedule  Kind = "schedule"
	Workgraph Kind = "workgraph"
	Mob       Kind = "mob"
	Callback  Kind = "callback" // run by a client
	MCP       Kind = "mcp"
	Bundle    Kind = "bundle" // linked in by whoever embeds the library
)

var kinds = []Kind{Builtin, Shell, Comms, Memory, Schedule, Workgraph, Mob, Callback, MCP, Bundle}

// oldBundle is how Bundle was once written.
const oldBundle = "rust_bundle"

// Known reports whether k is one of the kinds.
func (k Kind) Known() bool { return slices.Contains(kinds, k) }

// UnmarshalText accepts the kinds, and an old name of Bundle.
func (k *Kind) UnmarshalText(text []byte) error {
	read := Kind(text)
	if read == oldBundle {
		read = Bundle
	}
	if !read.Known() {
		return &UnknownKind{string(text)}
	}
	*k = read
	return nil
}

// Provenance says where a tool comes from. The zero value says nothing. Two tools of one provenance and one name are one tool.
type Provenance struct {
	Kind   Kind   `json:"kind"`
	Source string `json:"source_id"` // such as the name of a tool server
}

// IsZero reports whether p says nothing.
func (p Provenance) IsZero() bool { return p == Provenance{} }

// Key returns the stable owner key, kind:source; nothing for the zero value.
func (p Provenance) Key() string {
	if p.IsZero() {
		return ""
	}
	return string(p.Kind) + ":" + p.Source
}

// Witness says whose tool a name stands for, as far as it is known. It is a value: compare with ==.
type Witness struct {
	Owner      string     `json:"stable_owner_key,omitempty"`
	Provenance Provenance `json:"last_seen_provenance,omitzero"`
}

// WitnessOf returns the full witness of a tool of that provenance.
func WitnessOf(p Provenance) Witness { return Witness{p.Key(), p} }

// Identified reports whether w says anything about who is meant. A provenance of a kind that does not exist says nothing and spoils
// the rest.
func (w Witness) Identified() bool {
	return w.Proven() || w.Owner != "" && w.Provenance.IsZero()
}

// Proven reports whether w names a provenance: what a grant of a deferred tool needs.
func (w Witness) Proven() bool { return w.Provenance.Kind.Known() }

// Matches reports whether a tool whose present witness is now may be the one that w was given for: every part w has is equal. One
// that is not identified matches nothing.
func (w Witness) Matches(now Witness) bool {
	return w.Identified() && (w.Owner == "" || w.Owner == now.Owner) && (w.Provenance.IsZero() || w.Provenance == now.Provenance)
}

// Claim is a name with the witness of the tool that is meant.
type Claim struct {
	Name    string
	Witness Witness
}

// Witnesses maps names to witnesses. It is a value and never changed; the zero value is empty. Compare with Equal. In JSON it is an
// object, its keys sorted.
type Witnesses struct{ sorted *[]Claim } // nil: empty

// Collect makes a map of claims in any order. The same name twice with different witnesses is an *InvalidWitnesses.
func Collect(claims ...Claim) (Witnesses, error) {
	list := slices.Clone(claims)
	slices.SortStableFunc(list, byName)
	list = slices.Compact(list)
	var twice []string
	for i := 1; i < len(list); i++ {
		if list[i-1].Name == list[i].Name {
			twice = append(twice, list[i].Name)
		}
	}
	if len(twice) > 0 {
		return Witnesses{}, &InvalidWitnesses{NamesOf(twice...)}
	}
	return claimed(list), nil
}

func byName(a, b Claim) int { return strings.Compare(a.Name, b.Name) }

// claimed takes over a list that is sorted and names nothing twice.
func claimed(list []Claim) Witnesses {
	if len(list) == 0 {
		return Witnesses{}
	}
	return Witnesses{&list}
}

func (w Witnesses) list() []Claim {
	if w.sorted == nil {
		return nil
	}
	return *w.sorted
}

// Len returns how many names there are.
func (w Witnesses) Len() int { return len(w.list()) }

// IsZero reports whether there are none.
func (w Witnesses) IsZero() bool { return w.sorted == nil }

// Get returns the witness of a name, and whether there is one.
func (w Witnesses) Get(name string) (Witness, bool) {
	i, ok := slices.BinarySearchFunc(w.list(), name, func(c Claim, n string) int { return strings.Compare(c.Name, n) })
	if !ok {
		return Witness{}, false
	}
	return w.list()[i].Witness, true
}

// All yields names and witnesses in byte order of the names.
func (w Witnesses) All() iter.Seq2[string, Witness] {
	return func(yield func(string, Witness) bool) {
		for _, c := range w.list() {
			if !yield(c.Name, c.Witness) {
				return
			}
		}
	}
}

// Names returns the names.
func (w Witnesses) Names() Names {
	out := make([]string, 0, w.Len())
	for name := range w.All() {
		out = append(out, name)
	}
	return sorted(out)
}

// Equal reports whether both map the same names to the same witnesses.
func (w Witnesses) Equal(o Witnesses) bool {
	return w.sorted == o.sorted || slices.Equal(w.list(), o.list())
}

// With returns w with what o says in its place: w itself if that changes nothing.
func (w Witnesses) With(o Witnesses) Witnesses {
	rest := w.Where(func(name string, _ Witness) bool { _, said := o.Get(name); return !said })
	out := slices.Concat(rest.list(), o.list())
	slices.SortFunc(out, byName)
	if slices.Equal(out, w.list()) {
		return w
	}
	return claimed(out)
}

// Where returns the entries for which keep holds: w itself if it holds for all.
func (w Witnesses) Where(keep func(string, Witness) bool) Witnesses {
	var out []Claim
	for _, c := range w.list() {
		if keep(c.Name, c.Witness) {
			out = append(out, c)
		}
	}
	if len(out) == w.Len() {
		return w
	}
	return claimed(out)
}

// Of returns the entries of some names: w itself if those are all.
func (w Witnesses) Of(names Names) Witnesses {
	return w.Where(func(name string, _ Witness) bool { return names.Has(name) })
}

// String shows names and witnesses in order of the names.
func (w Witnesses) String() string { return fmt.Sprint(w.list()) }

// MarshalJSON encodes equal maps as equal bytes.
func (w Witnesses) MarshalJSON() ([]byte, error) {
	out := make(map[string]Witness, w.Len())
	for name, witness := range w.All() {
		out[name] = witness
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads an object of witnesses by name.
func (w *Witnesses) UnmarshalJSON(data []byte) error {
	var in map[string]Witness
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	list := make([]Claim, 0, len(in))
	for name, witness := range in {
		list = append(list, Claim{name, witness})
	}
	slices.SortFunc(list, byName)
	*w = claimed(list)
	return nil
}
