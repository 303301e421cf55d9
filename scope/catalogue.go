package scope

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Entry is one tool there is.
type Entry struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Witness     Witness `json:"witness,omitzero"`     // a tool that is not for control needs one that is identified
	Control     bool    `json:"control,omitempty"`    // serves the tool set itself, such as looking for tools: no filter applies to it
	Deferrable  bool    `json:"deferrable,omitempty"` // may be hidden until it is asked for; needs a proven witness
	Offline     bool    `json:"offline,omitempty"`    // its source cannot be called at this moment
	Volume      int     `json:"volume,omitempty"`     // what it costs to show: see VolumeOf
}

// VolumeOf counts the characters a tool costs to show: of its name, its description and its schema.
func VolumeOf(name, description, schema string) int {
	return utf8.RuneCountInString(name) + utf8.RuneCountInString(description) + utf8.RuneCountInString(schema)
}

// Catalogue is all the tools there are for a session at one moment, in order of their names. It is never changed: pointers to it are
// shared. A nil catalogue has no tools.
type Catalogue struct {
	entries  []Entry
	all      Witnesses // of all entries
	pending  Names
	inexact  bool
	id, base string
}

// NewCatalogue makes a catalogue of tools in any order; it keeps nothing of entries. Pending names the sources that are still being
// connected; exact says that every source can list what it has. A tool without a name, or two of one name, are an *AmbiguousTools.
func NewCatalogue(entries []Entry, pending Names, exact bool) (*Catalogue, error) {
	list := slices.Clone(entries)
	slices.SortStableFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	var bad []string
	for i, e := range list {
		if e.Name == "" || i > 0 && list[i-1].Name == e.Name {
			bad = append(bad, e.Name)
		}
	}
	if len(bad) > 0 {
		return nil, &AmbiguousTools{NamesOf(bad...)}
	}
	c := &Catalogue{entries: list, pending: pending, inexact: !exact}
	c.id = digest(struct {
		Entries []Entry
		Pending Names
		Inexact bool
	}{list, pending, c.inexact})
	claims := c.claims()
	c.base, c.all = digest(claims), claimed(claims)
	return c, nil
}

func (c *Catalogue) claims() []Claim {
	var out []Claim
	for e := range c.All() {
		out = append(out, Claim{e.Name, e.Witness})
	}
	return out
}

// digest is the address of a value that always encodes.
func digest(v any) string {
	b, _ := json.Marshal(v) // strings, numbers and lists of them
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Where returns the catalogue of those tools for which keep holds: c itself if it holds for all.
func (c *Catalogue) Where(keep func(Entry) bool) *Catalogue {
	var rest []Entry
	for e := range c.All() {
		if keep(e) {
			rest = append(rest, e)
		}
	}
	if len(rest) == c.Len() {
		return c
	}
	out, _ := NewCatalogue(rest, c.pending, !c.inexact) // names that are one each stay so
	return out
}

// ID is the same for catalogues with the same content, and for no others.
func (c *Catalogue) ID() string {
	if c == nil {
		return ""
	}
	return c.id
}

// Base is the same for catalogues with the same tools behind the same names, whatever is said about them. Empty: no catalogue.
func (c *Catalogue) Base() string {
	if c == nil {
		return ""
	}
	return c.base
}

// Len returns how many tools there are.
func (c *Catalogue) Len() int {
	if c == nil {
		return 0
	}
	return len(c.entries)
}

// All yields the tools in byte order of their names.
func (c *Catalogue) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range c.Len() {
			if !yield(c.entries[i]) {
				return
			}
		}
	}
}

// Get returns the tool of a name, and whether there is one.
func (c *Catalogue) Get(name string) (Entry, bool) {
	if c == nil {
		return Entry{}, false
	}
	i, ok := slices.BinarySearchFunc(c.entries, name, func(e Entry, n string) int { return strings.Compare(e.Name, n) })
	if !ok {
		return Entry{}, false
	}
	return c.entries[i], true
}

// Pending names the sources that are still being connected.
func (c *Catalogue) Pending() Names {
	if c == nil {
		return Names{}
	}
	return c.pending
}

// Exact reports whether every source can list what it has.
func (c *Catalogue) Exact() bool { return c != nil && !c.inexact }

// Pick returns the witnesses of the tools for which want holds; it is asked in byte order of the names. Where that is all of them no tool costs
// anything else, and what is returned is the same object each time.
func (c *Catalogue) Pick(want func(Entry) bool) Witnesses {
	if c == nil {
		return Witnesses{}
	}
	var some []Claim
	left := false // one was left out
	for i, e := range c.entries {
		switch ok := want(e); {
		case !ok && !left:
			some, left = append(make([]Claim, 0, len(c.entries)-1), c.all.list()[:i]...), true
		case ok && left:
			some = append(some, c.all.list()[i])
		}
	}
	if !left {
		return c.all
	}
	return claimed(some)
}

// Witnesses returns the witnesses of some names, for a caller that means the tools that have these names now. What is unknown or is
// for control is left out.
func (c *Catalogue) Witnesses(names Names) Witnesses {
	var out []Claim
	for name := range names.All() {
		if e, ok := c.Get(name); ok && !e.Control {
			out = append(out, Claim{name, e.Witness})
		}
	}
	return claimed(out)
}
