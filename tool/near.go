package tool

import (
	"cmp"
	"slices"
	"strings"
)

// Near returns up to three of the names that somebody who wrote name may have meant, the likeliest first.
func Near(name string, among []string) []string {
	type scored struct {
		name string
		far  int
	}
	var near []scored
	want := strings.ToLower(name)
	for _, n := range among {
		have := strings.ToLower(n)
		far := distance(want, have)
		if len(want) >= 3 && len(have) >= 3 && (strings.Contains(have, want) || strings.Contains(want, have)) {
			far = min(far, 1)
		}
		if far <= max(1, len(name)/3) && n != name {
			near = append(near, scored{n, far})
		}
	}
	slices.SortFunc(near, func(a, b scored) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, s := range near[:min(3, len(near))] {
		out = append(out, s.name)
	}
	return out
}

// distance counts the edits that lead from a to b. Very long names are not compared: they are no slip of the pen.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 200 || len(y) > 200 {
		return max(len(x), len(y))
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		left := row[0]
		row[0] = i + 1
		for j := range y {
			sub := left
			if x[i] != y[j] {
				sub++
			}
			left = row[j+1]
			row[j+1] = min(sub, left+1, row[j]+1)
		}
	}
	return row[len(y)]
}
