// Package near finds the names that somebody may have meant who wrote one that does not exist.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// tooLong is a length in letters at which a name is no slip of the pen; nothing is near to it.
const tooLong = 200

// Names returns those of the names that are near to name, at most so many, the nearest first and otherwise in the order given.
//
// A name is near if it can be reached by one edit for every three letters of what was written, and one at least. An edit inserts,
// deletes or changes a letter; case does not count. If both have three letters, what one has before or behind the other is one edit
// altogether, and so is what a longer name has behind the part that corresponds to what was written. Nothing is near to an empty
// name, or to one of more than 200 letters. A name that is there as written is the nearest.
func Names(name string, among []string, most int) []string {
	type scored struct {
		name string
		far  int
	}
	want := []rune(strings.ToLower(name))
	if len(want) == 0 || len(want) > tooLong {
		return nil
	}
	limit := max(1, len(want)/3)
	var near []scored
	for _, n := range among {
		if far := edits(want, []rune(strings.ToLower(n)), limit); n == name {
			near = append(near, scored{n, -1})
		} else if far <= limit {
			near = append(near, scored{n, far})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.far, b.far) })
	var out []string
	for _, s := range near[:min(most, len(near))] {
		out = append(out, s.name)
	}
	return out
}

// edits counts the edits between two names by the rule of Names. Above limit it may be any number above limit.
func edits(want, have []rune, limit int) int {
	far := limit + 1
	if d := len(want) - len(have); max(d, -d) <= limit {
		far = distance(want, have)
	}
	if len(want) < 3 || len(have) < 3 || far <= 1 {
		return far
	}
	if w, h := string(want), string(have); strings.Contains(h, w) || strings.Contains(w, h) {
		return 1
	}
	if len(have) > len(want) && limit > 1 {
		far = min(far, 1+distance(want, have[:len(want)]))
	}
	return far
}

// distance counts the letters to insert, delete or change to turn a into b.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
