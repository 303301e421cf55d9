package offline

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	keySentences = 4
	maxSentence  = 300 // bytes of a sentence that is shown
)

// summary tells what a text is about in its own words: measures, headings, and the sentences whose words come most often.
func summary(title, name, text string) string {
	all := lines(text)
	words := strings.Fields(text)
	if len(words) == 0 {
		return title + " is empty."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %s, %s and %s.\n", title, number(len(all), "line", "lines"), number(len(words), "word", "words"),
		number(utf8.RuneCountInString(text), "character", "characters"))
	if isCode(name) {
		return b.String() + outline(all)
	}
	heads, sentences := sections(all)
	if len(heads) > 0 {
		fmt.Fprintf(&b, "\nIts title is **%s**", heads[0])
		if len(heads) > 1 {
			b.WriteString(", and its parts are: " + several(heads[1:], 8))
		}
		b.WriteString(".\n")
	}
	if picked := key(sentences); len(picked) > 0 {
		b.WriteString("\nKey sentences, in its own words:\n\n")
		for _, s := range picked {
			b.WriteString("- " + clipped(s) + "\n")
		}
	}
	b.WriteString("\n(This is an extract by rules, picked by how often words occur; it is not an understanding of the text.)")
	return b.String()
}

// isCode reports whether a file is a program by its name.
func isCode(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".go", ".py", ".js", ".mjs", ".ts", ".tsx", ".rs", ".java", ".c", ".h", ".rb", ".php", ".sh", ".sql", ".css", ".json", ".yaml", ".yml", ".toml", ".xml", ".html", ".proto":
		return true
	}
	return false
}

// declares begins the lines that declare something in the languages above.
var declares = []string{"package ", "func ", "type ", "class ", "def ", "async def ", "function ", "export ", "pub ", "fn ", "struct ", "enum ", "trait ", "impl ", "mod ",
	"interface ", "public ", "message ", "service ", "CREATE ", "create ", "module "}

// outline tells what a program says of itself first, and what it declares.
func outline(all []string) string {
	var comment, declared []string
	for _, line := range all {
		text := strings.TrimSpace(line)
		if declared == nil && len(comment) < 6 && (strings.HasPrefix(text, "// ") || strings.HasPrefix(text, "# ") || strings.HasPrefix(text, "* ")) {
			comment = append(comment, strings.TrimSpace(strings.TrimLeft(text, "/#*")))
			continue
		}
		for _, d := range declares {
			if strings.HasPrefix(line, d) {
				declared = append(declared, code(clipped(strings.TrimRight(line, " {"))))
				break
			}
		}
	}
	var b strings.Builder
	if len(comment) > 0 {
		b.WriteString("\nIts first comment says: " + strings.Join(comment, " ") + "\n")
	}
	if len(declared) > 0 {
		fmt.Fprintf(&b, "\nIt declares %s:\n", number(len(declared), "thing", "things"))
		for _, d := range declared[:min(len(declared), 40)] {
			b.WriteString("\n- " + d)
		}
		if len(declared) > 40 {
			fmt.Fprintf(&b, "\n- and %s more", thousands(len(declared)-40))
		}
		b.WriteString("\n")
	}
	return b.String() + "\n(These are rules that pick lines; they do not understand the program.)"
}

// clipped shortens a sentence for display, and shows that it did.
func clipped(s string) string {
	if len(s) <= maxSentence {
		return s
	}
	cut := maxSentence
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + " […]"
}

// sections parts Markdown or plain text into headings and sentences. Code blocks, badges and tables say nothing here.
func sections(all []string) (heads, sentences []string) {
	var paragraph []string
	flush := func() {
		sentences = append(sentences, cutSentences(strings.Join(paragraph, " "))...)
		paragraph = nil
	}
	inCode := false
	for _, line := range all {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~"):
			inCode = !inCode
			flush()
		case inCode:
		case heading(line) != "":
			flush()
			heads = append(heads, heading(line))
		case line == "", strings.HasPrefix(line, "|"), strings.HasPrefix(line, "[!["), strings.HasPrefix(line, "!["), strings.HasPrefix(line, "<"):
			flush()
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "), strings.HasPrefix(line, "+ "):
			flush()
			paragraph = append(paragraph, line[2:])
		default:
			paragraph = append(paragraph, line)
		}
	}
	flush()
	return heads, sentences
}

// heading returns the text of a Markdown heading; empty: the line is none.
func heading(line string) string {
	rest := strings.TrimLeft(line, "#")
	if n := len(line) - len(rest); n == 0 || n > 6 || !strings.HasPrefix(rest, " ") {
		return ""
	}
	return strings.TrimSpace(strings.TrimRight(rest, "# "))
}

// cutSentences ends a sentence after . ! or ? that is followed by a space.
func cutSentences(text string) []string {
	var out []string
	start := 0
	for i := 0; i+1 < len(text); i++ {
		if strings.IndexByte(".!?", text[i]) >= 0 && text[i+1] == ' ' {
			out = append(out, strings.TrimSpace(text[start:i+1]))
			start = i + 1
		}
	}
	if s := strings.TrimSpace(text[start:]); s != "" {
		out = append(out, s)
	}
	return out
}

// common words weigh nothing.
var common = strings.Fields(`about after again also and any are because been before being between both but can could did does doing each for from
	had has have having here how into its itself just may more most must not now of off once one only other our out over own same she should so some such
	than that the their them then there these they this those through too under until up upon very was were what when where which while who whom why will
	with would you your it is in on to as at by be an or if no we he his her`)

// key returns the sentences that say most, in the order of the text.
func key(sentences []string) []string {
	if len(sentences) <= keySentences {
		return sentences
	}
	weight := map[string]int{}
	for _, s := range sentences {
		for _, w := range contentWords(s) {
			weight[w]++
		}
	}
	type scored struct {
		at    int
		score float64
	}
	var all []scored
	for i, s := range sentences {
		words := contentWords(s)
		if len(words) < 3 && i > 0 {
			continue
		}
		sum := 0
		for _, w := range words {
			sum += weight[w]
		}
		score := float64(sum) / float64(len(words)+4) // a little for length: a short sentence of frequent words says less
		if i == 0 {
			score *= 2 // texts say first what they are about
		}
		all = append(all, scored{i, score})
	}
	slices.SortStableFunc(all, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return a.at - b.at
	})
	all = all[:min(len(all), keySentences)]
	slices.SortFunc(all, func(a, b scored) int { return a.at - b.at })
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = sentences[s.at]
	}
	return out
}

func contentWords(s string) []string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(words, func(w string) bool { return len(w) < 3 || slices.Contains(common, w) })
}

// about says in a line what a telling file says of its folder.
func about(name string, d document) string {
	low := strings.ToLower(name)
	switch {
	case strings.HasPrefix(low, "readme"):
		return aboutReadme(d)
	case low == "makefile":
		return aboutMakefile(d)
	case low == "go.mod":
		return aboutFields(d, "a Go module", map[string]string{"module": "named", "go": "for Go"})
	case low == "package.json":
		return aboutFields(d, "a Node.js package", map[string]string{`"name":`: "named", `"description":`: "described as", `"version":`: "version"})
	case low == "cargo.toml":
		return aboutFields(d, "a Rust crate", map[string]string{"name =": "named", "description =": "described as"})
	case low == "pyproject.toml":
		return aboutFields(d, "a Python project", map[string]string{"name =": "named", "description =": "described as"})
	}
	if n := len(d.lines()); n > 0 {
		return number(n, "line", "lines")
	}
	return d.note
}

func aboutReadme(d document) string {
	heads, sentences := sections(d.lines())
	var out []string
	if len(heads) > 0 {
		out = append(out, "**"+heads[0]+"**")
	}
	for _, s := range sentences[:min(2, len(sentences))] {
		out = append(out, clipped(s))
	}
	if len(out) == 0 {
		return d.note
	}
	return strings.Join(out, " — ")
}

func aboutMakefile(d document) string {
	var targets []string
	for _, line := range d.lines() {
		name, rest, ok := strings.Cut(line, ":")
		if ok && name != "" && !strings.HasPrefix(rest, "=") && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' }) < 0 {
			targets = append(targets, code(name))
		}
	}
	if len(targets) == 0 {
		return number(len(d.lines()), "line", "lines")
	}
	return "make targets " + several(targets, 12)
}

// aboutFields tells the first value of each field of a simple file.
func aboutFields(d document, what string, fields map[string]string) string {
	seen := map[string]bool{}
	for _, line := range d.lines() {
		line = strings.TrimSpace(line)
		for field, word := range fields {
			rest, ok := strings.CutPrefix(line, field)
			if ok && !seen[field] && (rest == "" || strings.HasPrefix(rest, " ")) {
				seen[field] = true
				if v := strings.Trim(strings.TrimSpace(rest), `",`); v != "" {
					what += " " + word + " " + code(v) + ","
				}
			}
		}
	}
	return strings.TrimSuffix(what, ",")
}
