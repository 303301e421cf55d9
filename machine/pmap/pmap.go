// Package pmap is a persistent ordered map: a change makes a new map that shares all but a path with the old one.
//
// It is a weight-balanced tree. There is no randomness in it, so equal histories give equal shapes; two maps with equal contents
// may still differ in shape, so compare and encode them in key order.
package pmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Key orders itself.
type Key[K any] interface{ Compare(K) int }

// Map maps keys to values, in key order. The zero value is empty. A Map is a value: it is never changed, and may be read from
// many goroutines.
type Map[K Key[K], V any] struct{ root *node[K, V] }

type node[K Key[K], V any] struct {
	left, right *node[K, V]
	size        int
	key         K
	value       V
}

func size[K Key[K], V any](n *node[K, V]) int {
	if n == nil {
		return 0
	}
	return n.size
}

// Len returns how many entries there are, in constant time.
func (m Map[K, V]) Len() int { return size(m.root) }

// Get returns the value at k, and whether there is one.
func (m Map[K, V]) Get(k K) (V, bool) {
	for n := m.root; n != nil; {
		switch c := k.Compare(n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	var zero V
	return zero, false
}

// Set returns m with v at k.
func (m Map[K, V]) Set(k K, v V) Map[K, V] { return Map[K, V]{set(m.root, k, v)} }

// Delete returns m without k.
func (m Map[K, V]) Delete(k K) Map[K, V] {
	if _, ok := m.Get(k); !ok {
		return m
	}
	return Map[K, V]{remove(m.root, k)}
}

// First returns the entry with the lowest key, and whether there is one.
func (m Map[K, V]) First() (K, V, bool) {
	n := m.root
	if n == nil {
		var k K
		var v V
		return k, v, false
	}
	for n.left != nil {
		n = n.left
	}
	return n.key, n.value, true
}

// All yields the entries in key order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { walk(m.root, yield) }
}

func walk[K Key[K], V any](n *node[K, V], yield func(K, V) bool) bool {
	return n == nil || walk(n.left, yield) && yield(n.key, n.value) && walk(n.right, yield)
}

func set[K Key[K], V any](n *node[K, V], k K, v V) *node[K, V] {
	if n == nil {
		return &node[K, V]{size: 1, key: k, value: v}
	}
	switch c := k.Compare(n.key); {
	case c < 0:
		return balance(n.key, n.value, set(n.left, k, v), n.right)
	case c > 0:
		return balance(n.key, n.value, n.left, set(n.right, k, v))
	}
	return join(k, v, n.left, n.right)
}

func remove[K Key[K], V any](n *node[K, V], k K) *node[K, V] {
	switch c := k.Compare(n.key); {
	case c < 0:
		return balance(n.key, n.value, remove(n.left, k), n.right)
	case c > 0:
		return balance(n.key, n.value, n.left, remove(n.right, k))
	case n.left == nil:
		return n.right
	case n.right == nil:
		return n.left
	}
	next := n.right
	for next.left != nil {
		next = next.left
	}
	return balance(next.key, next.value, n.left, remove(n.right, next.key))
}

func join[K Key[K], V any](k K, v V, l, r *node[K, V]) *node[K, V] {
	return &node[K, V]{left: l, right: r, size: size(l) + size(r) + 1, key: k, value: v}
}

// A subtree may weigh three times its sibling; beyond that it is rotated. With these constants (3, 2) every insertion and
// deletion leaves a balanced tree.
func balance[K Key[K], V any](k K, v V, l, r *node[K, V]) *node[K, V] {
	ls, rs := size(l), size(r)
	switch {
	case ls+rs < 2:
	case rs > 3*ls:
		if size(r.left) < 2*size(r.right) {
			return join(r.key, r.value, join(k, v, l, r.left), r.right)
		}
		m := r.left
		return join(m.key, m.value, join(k, v, l, m.left), join(r.key, r.value, m.right, r.right))
	case ls > 3*rs:
		if size(l.right) < 2*size(l.left) {
			return join(l.key, l.value, l.left, join(k, v, l.right, r))
		}
		m := l.right
		return join(m.key, m.value, join(l.key, l.value, l.left, m.left), join(k, v, m.right, r))
	}
	return join(k, v, l, r)
}

// pair is an entry as it is encoded: a list of two.
type pair[K, V any] struct {
	Key   K
	Value V
}

func (p pair[K, V]) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{p.Key, p.Value}) }

func (p *pair[K, V]) UnmarshalJSON(data []byte) error {
	var raw [2]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if string(raw[1]) == "null" { // no value is encoded so, and a pointer that is nil is none
		return errors.New("an entry without a value")
	}
	if err := json.Unmarshal(raw[0], &p.Key); err != nil {
		return err
	}
	return json.Unmarshal(raw[1], &p.Value)
}

// MarshalJSON encodes the entries as a list of [key, value], in key order, so that equal contents give equal bytes.
func (m Map[K, V]) MarshalJSON() ([]byte, error) {
	out := make([]pair[K, V], 0, m.Len())
	for k, v := range m.All() {
		out = append(out, pair[K, V]{k, v})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote. Keys out of order, or twice, are an error.
func (m *Map[K, V]) UnmarshalJSON(data []byte) error {
	var in []pair[K, V]
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	var out Map[K, V]
	for n, p := range in {
		if n > 0 && in[n-1].Key.Compare(p.Key) >= 0 {
			return fmt.Errorf("entry %d of %d is out of order", n, len(in))
		}
		out = out.Set(p.Key, p.Value)
	}
	*m = out
	return nil
}

// IsZero reports whether m is empty: for encoders that leave empty things out.
func (m Map[K, V]) IsZero() bool { return m.root == nil }

// Name is a key made of a string.
type Name string

// Compare orders names by their bytes.
func (n Name) Compare(o Name) int { return strings.Compare(string(n), string(o)) }
