package scope

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// Names is a set of tool names. It is a value and never changed; the zero value is empty. Compare with Equal.
type Names struct{ sorted *[]string } // nil: empty

// NamesOf makes a set. Order and repetition mean nothing; it keeps nothing of names.
func NamesOf(names ...string) Names {
	return sorted(slices.Compact(slices.Sorted(slices.Values(names))))
}

// sorted takes over a list that is sorted and without repetition.
func sorted(list []string) Names {
	if len(list) == 0 {
		return Names{}
	}
	return Names{&list}
}

func (n Names) list() []string {
	if n.sorted == nil {
		return nil
	}
	return *n.sorted
}

// Len returns how many there are.
func (n Names) Len() int { return len(n.list()) }

// IsZero reports whether the set is empty: for encoders that leave empty things out.
func (n Names) IsZero() bool { return n.sorted == nil }

// Has reports whether name is one of them.
func (n Names) Has(name string) bool {
	_, ok := slices.BinarySearch(n.list(), name)
	return ok
}

// All yields them in byte order.
func (n Names) All() iter.Seq[string] { return slices.Values(n.list()) }

// Equal reports whether both have the same names.
func (n Names) Equal(o Names) bool { return n.sorted == o.sorted || slices.Equal(n.list(), o.list()) }

// Where returns those for which keep holds: n itself if it holds for all.
func (n Names) Where(keep func(string) bool) Names {
	var out []string
	for _, name := range n.list() {
		if keep(name) {
			out = append(out, name)
		}
	}
	if len(out) == n.Len() {
		return n
	}
	return sorted(out)
}

// With returns the names of both: n itself if it has all of o.
func (n Names) With(o Names) Names {
	if missing := o.Without(n); missing.Len() > 0 {
		return NamesOf(slices.Concat(n.list(), missing.list())...)
	}
	return n
}

// Without returns the names of n that o does not have.
func (n Names) Without(o Names) Names { return n.Where(func(name string) bool { return !o.Has(name) }) }

// Within returns the names that both have.
func (n Names) Within(o Names) Names { return n.Where(o.Has) }

// String shows the names in order.
func (n Names) String() string { return fmt.Sprint(n.list()) }

// MarshalJSON encodes the names as a sorted list.
func (n Names) MarshalJSON() ([]byte, error) { return json.Marshal(append([]string{}, n.list()...)) }

// UnmarshalJSON reads a list in any order. Null is the empty set.
func (n *Names) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*n = NamesOf(list...)
	return nil
}
