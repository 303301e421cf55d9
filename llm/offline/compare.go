package offline

import (
	"fmt"
	"strings"
)

const (
	maxDiffCells = 4 << 20 // of the table of a comparison, after equal lines at both ends are set aside
	maxDiffLines = 60      // in an answer
)

// compare asks how two files differ.
type compare struct{ a, b string }

func (r compare) answer(t *talk) string {
	nameA, docA, problemA := t.open(r.a)
	nameB, docB, problemB := t.open(r.b)
	if len(t.pending) > 0 {
		return ""
	}
	if problemA != "" || problemB != "" {
		if problemA == "" || problemA == problemB {
			return problemB
		}
		return strings.TrimSpace(problemA + "\n\n" + problemB)
	}
	notes := []string{}
	for _, d := range []struct {
		name string
		doc  document
	}{{nameA, docA}, {nameB, docB}} {
		if d.doc.note != "" {
			notes = append(notes, code(d.name)+": "+d.doc.note)
		}
	}
	if docA.text == "" && docA.note != "" && docA.cut || docB.text == "" && docB.note != "" && docB.cut {
		return remarks("I compare text, line by line, and cannot compare these.", notes)
	}
	part := ""
	if docA.cut || docB.cut {
		part = " in the parts I was given"
	}
	if docA.text == docB.text {
		return remarks(fmt.Sprintf("%s and %s are the same%s: %s.", code(nameA), code(nameB), part, number(len(docA.lines()), "line", "lines")), notes)
	}
	return remarks(tellDiff(nameA, nameB, part, docA.lines(), docB.lines()), notes)
}

func tellDiff(nameA, nameB, part string, a, b []string) string {
	head := fmt.Sprintf("%s has %s, %s has %s.", code(nameA), number(len(a), "line", "lines"), code(nameB), number(len(b), "line", "lines"))
	diff, ok := diffLines(a, b)
	if !ok {
		return head + " They differ" + part + "; they are too long for me to show line by line where."
	}
	minus, plus := 0, 0
	for _, d := range diff {
		switch d[0] {
		case '-':
			minus++
		case '+':
			plus++
		}
	}
	if minus == 0 && plus == 0 {
		return head + " Their lines are the same" + part + "; they differ in how lines end."
	}
	head += fmt.Sprintf(" They differ%s: %s only in %s, %s only in %s.", part, number(minus, "line is", "lines are"), code(nameA),
		number(plus, "line is", "lines are"), code(nameB))
	var changes []string
	for _, d := range diff {
		if d[0] != ' ' {
			changes = append(changes, d)
		}
	}
	text := head + "\n\n" + fence("diff", strings.Join(changes[:min(len(changes), maxDiffLines)], "\n"))
	if len(changes) > maxDiffLines {
		text += fmt.Sprintf("\n\nThese are the first %d of %s changed lines.", maxDiffLines, thousands(len(changes)))
	}
	return text
}

// diffLines returns the lines of a and b, marked with " ", "-" or "+". It gives up where the table would be too large.
func diffLines(a, b []string) ([]string, bool) {
	var head, tail []string
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, " "+a[0])
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, " "+a[len(a)-1])
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > maxDiffCells {
		return nil, false
	}
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	out := head
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	for k := len(tail) - 1; k >= 0; k-- {
		out = append(out, tail[k])
	}
	return out, true
}
