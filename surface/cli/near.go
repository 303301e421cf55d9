package cli

import (
	"cmp"
	"slices"
	"strings"
)

// nearest returns up to n of the names that are close to word, closest first: those that hold it or begin like it, and those a
// few letters away.
func nearest(word string, names []string, n int) []string {
	type scored struct {
		name string
		far  int
	}
	var out []scored
	w := strings.ToLower(word)
	for _, name := range names {
		l := strings.ToLower(name)
		far := min(distance(w, l), distance(w, l[:min(len(l), len(w))]))
		switch {
		case w != "" && strings.Contains(l, w):
			far = 0
		case far > max(2, len(w)/3):
			continue
		}
		out = append(out, scored{name, far})
	}
	slices.SortStableFunc(out, func(a, b scored) int { return cmp.Compare(a.far, b.far) })
	var near []string
	for _, s := range out[:min(n, len(out))] {
		near = append(near, s.name)
	}
	return near
}

// distance counts the letters to insert, delete or change to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := left
			if a[i] != b[j] {
				change++
			}
			left = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
