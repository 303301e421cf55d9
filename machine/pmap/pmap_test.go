package pmap

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type number int

func (n number) Compare(m number) int { return cmp.Compare(n, m) }

func Test_a_map_agrees_with_the_built_in_one_and_older_versions_stay_as_they_were(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			m    Map[number, int]
			want map[number]int
		}
		versions := []version{{want: map[number]int{}}}
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			last := versions[len(versions)-1]
			k, next := number(rapid.IntRange(0, 60).Draw(t, "key")), maps.Clone(last.want)
			if rapid.Bool().Draw(t, "delete") {
				delete(next, k)
				versions = append(versions, version{last.m.Delete(k), next})
			} else {
				next[k] = i
				versions = append(versions, version{last.m.Set(k, i), next})
			}
		}
		for _, v := range versions {
			if v.m.Len() != len(v.want) {
				t.Fatalf("len %d, want %d", v.m.Len(), len(v.want))
			}
			var keys []number
			for k, x := range v.m.All() {
				if got, ok := v.m.Get(k); !ok || got != x || v.want[k] != x {
					t.Fatalf("at %d: %d %v, want %d", k, got, ok, v.want[k])
				}
				keys = append(keys, k)
			}
			if !slices.IsSorted(keys) {
				t.Fatalf("order %v", keys)
			}
			if k, _, ok := v.m.First(); ok != (len(keys) > 0) || ok && k != keys[0] {
				t.Fatalf("first %d of %v", k, keys)
			}
		}
	})
}

func Test_depth_stays_logarithmic_whatever_the_order(t *testing.T) {
	t.Parallel()
	var m Map[number, int]
	for i := range 10_000 {
		m = m.Set(number(i), i)
	}
	for i := 0; i < 10_000; i += 3 {
		m = m.Delete(number(i))
	}
	if d, limit := depth(m.root), 2*bits.Len(uint(m.Len())); d > limit {
		t.Fatalf("depth %d of %d entries, limit %d", d, m.Len(), limit)
	}
}

func depth(n *node[number, int]) int {
	if n == nil {
		return 0
	}
	return 1 + max(depth(n.left), depth(n.right))
}

func TestR22_a_map_comes_back_from_its_encoding_whatever_its_shape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m, other Map[Name, int]
		keys := rapid.SliceOfDistinct(rapid.StringN(0, 4, 8), func(s string) string { return s }).Draw(t, "keys")
		for n, k := range keys {
			m = m.Set(Name(k), n)
		}
		for n, k := range slices.Backward(keys) {
			other = other.Set(Name(k), n)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := json.Marshal(other); err != nil || string(same) != string(data) {
			t.Fatalf("%s and %s, %v", data, same, err)
		}
		var back Map[Name, int]
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(data) {
			t.Fatalf("%s came back as %s, %v", data, again, err)
		}
	})
	for _, bad := range []string{`[["b",1],["a",2]]`, `[["a",1],["a",2]]`, `{}`, `[["a"]]`, `[[1,1]]`, `[["a",null]]`, `[null]`} {
		var m Map[Name, int]
		if err := json.Unmarshal([]byte(bad), &m); err == nil {
			t.Errorf("%s was read as a map of %d", bad, m.Len())
		}
	}
}
