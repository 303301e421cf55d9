package offline

import (
	"slices"
	"strings"
)

// rule is a request that was understood. Its answer asks for the calls it needs through talk.call; what it returns counts only
// when nothing is pending.
type rule interface {
	answer(t *talk) string
}

// answer says what comes next: with pending calls, those; else, what was returned.
func (t *talk) answer() string {
	r, rest := parse(t.prompt, t.piped)
	text := r.answer(t)
	if rest != "" {
		text += "\n\nYou also asked: “" + rest + "”. I do one thing at a time; ask me that next."
	}
	if t.earlier > 0 {
		text += "\n\n(You sent several messages at once. I have answered the last one only.)"
	}
	return text
}

// parse finds the rule of a prompt, and what of the prompt is another request after it.
func parse(prompt string, piped bool) (rule, string) {
	ws := plain(split(prompt))
	first, rest := ws, ""
	if i := nextRequest(ws); i > 0 {
		first, rest = ws[:i], sentence(plain(ws[i:]))
		if len(rest) > 0 && (readAndSummarise(first, ws[i:])) {
			first, rest = append([]word{{text: "summarise", low: "summarise"}}, first[1:]...), ""
		}
	}
	if len(first) == 0 {
		if piped {
			return summarise{}, ""
		}
		return help{}, ""
	}
	for _, p := range []func([]word, bool) rule{parseHelp, parseWrite, parseReplace, parseRun, parseCount, parseCompare, parseSummary,
		parseRead, parseFolder, parseFind, parseTime} {
		if r := p(first, piped); r != nil {
			return r, rest
		}
	}
	return unknown{}, ""
}

// verbs begin a request.
var verbs = []string{"read", "show", "cat", "print", "display", "open", "summarise", "summarize", "find", "search", "grep", "count", "compare",
	"diff", "write", "create", "save", "run", "execute", "list", "replace", "tell", "explain", "delete", "remove", "fix", "add", "rename",
	"move", "copy", "commit", "push", "install", "build", "test", "make", "change", "update"}

// nextRequest returns where a second request begins: after "and then", or after "and" or "then" before a verb. 0: nowhere.
func nextRequest(ws []word) int {
	for i := 1; i+1 < len(ws); i++ {
		joint := ws[i].low == "and" || ws[i].low == "then"
		next := ws[i+1].low
		if joint && (next == "then" && i+2 < len(ws) || slices.Contains(verbs, next)) {
			return i
		}
	}
	return 0
}

// readAndSummarise reports whether two requests are one: "read X and summarise it", "read X and tell me what it says".
func readAndSummarise(first, second []word) bool {
	_, reads := oneOf(first, "read", "open", "look")
	return reads && (has(second, "summarise", "summarize", "explain") || has(second, "tell") && has(second, "it", "says", "about"))
}

func parseHelp(ws []word, _ bool) rule {
	all := joined(ws)
	low := strings.ToLower(all)
	switch low {
	case "help", "hi", "hello", "hello there", "hi there", "good morning", "good evening", "what can you do", "what can i ask", "usage", "what are you", "who are you",
		"what do you understand", "what can i do", "commands", "?", "thanks", "thank you", "test", "me":
		return help{}
	}
	return nil
}

func parseTime(ws []word, _ bool) rule {
	low := strings.ToLower(joined(ws))
	for _, p := range []string{"what time is it", "what is the time", "what's the time", "what is the date", "what's the date", "what day is it",
		"what is today's date", "what's today's date", "date", "time"} {
		if low == p || strings.HasPrefix(low, p+" ") && len(p) > 4 {
			return clock{}
		}
	}
	return nil
}

func parseWrite(ws []word, piped bool) rule {
	if rest, ok := oneOf(ws, "write", "save", "put", "store"); ok {
		if r := parseWriteTo(rest, piped); r != nil {
			return r
		}
		if has(ws[:1], "write") && !has(ws, "summary") {
			return compose{}
		}
		return nil
	}
	rest, ok := oneOf(ws, "create", "make", "add")
	if !ok {
		return nil
	}
	rest = trimLeft(rest, "a", "an", "new", "the", "empty", "text", "file", "called", "named", "me")
	if len(rest) == 0 || !rest[0].isPath() || has(ws[:len(ws)-len(rest)], "folder", "directory") {
		return nil
	}
	content, given := parseContent(rest[1:])
	if !given && len(rest) > 1 {
		return nil
	}
	return write{path: rest[0].text, content: content}
}

// parseContent reads "with the content 'x'", "containing x", "that says x". Quoted content is taken as it is.
func parseContent(ws []word) (string, bool) {
	ws, ok := oneOf(ws, "with", "containing", "that says", "that contains", "saying", "which says", "which contains", "holding", "and put", "reading")
	if !ok {
		return "", false
	}
	if _, q := firstQuoted(ws); q != nil {
		return q.text, true
	}
	ws = trimLeft(ws, "the", "content", "contents", "text", "line", "word", "words", "following")
	return joined(ws), len(ws) > 0
}

// parseWriteTo reads "'x' to F", "'x' in a file called F", "a file F with 'x'", "it to F".
func parseWriteTo(ws []word, piped bool) rule {
	at := lastIndex(ws, "to", "into", "in", "as", "under")
	if at < 0 || at == len(ws)-1 {
		ws = trimLeft(ws, "a", "an", "new", "the", "empty", "text", "file", "called", "named")
		if len(ws) > 1 && ws[0].isPath() {
			if content, ok := parseContent(ws[1:]); ok {
				return write{path: ws[0].text, content: content}
			}
		}
		return nil
	}
	target := trimLeft(ws[at+1:], "a", "an", "new", "the", "file", "text", "called", "named")
	if len(target) != 1 {
		return nil
	}
	what := ws[:at]
	if _, q := firstQuoted(what); q != nil {
		return write{path: target[0].text, content: q.text}
	}
	what = trimLeft(what, "the", "text", "word", "words", "line", "content", "down")
	if piped && (len(what) == 0 || isThis(what)) {
		return write{path: target[0].text, stdin: true}
	}
	if len(what) == 0 || isThis(what) {
		return nil
	}
	if has(ws[:1], "a", "an", "some", "my", "your", "the", "new") { // a description of a text, not the text
		return compose{}
	}
	return write{path: target[0].text, content: joined(what)}
}

// isThis reports whether ws means what was said before, or standard input.
func isThis(ws []word) bool {
	return len(without(ws, "it", "this", "that", "these", "the", "text", "input", "stdin", "standard", "above", "following", "here", "them", "file", "document", "data")) == 0
}

func parseReplace(ws []word, _ bool) rule {
	rest, ok := oneOf(ws, "replace", "change", "substitute")
	if !ok {
		return nil
	}
	by, in := index(rest, "with", "by", "to"), lastIndex(rest, "in", "of")
	if by < 1 || in < by+2 || in+1 >= len(rest) {
		return nil
	}
	target := trimLeft(rest[in+1:], "the", "file")
	if len(target) != 1 {
		return nil
	}
	return replace{path: target[0].text, old: content(rest[:by]), new: content(rest[by+1 : in])}
}

// content is what is quoted in ws, or all of it.
func content(ws []word) string {
	if _, q := firstQuoted(ws); q != nil {
		return q.text
	}
	return joined(trimLeft(ws, "the", "word", "text", "string", "line"))
}

func parseRun(ws []word, _ bool) rule {
	rest, ok := oneOf(ws, "run", "execute", "exec", "$", "shell")
	if !ok {
		return nil
	}
	rest = trimLeft(rest, "the", "command", "shell", "following", "this")
	if _, q := firstQuoted(rest); q != nil && len(rest) == 1 {
		return command{line: q.text}
	}
	if len(rest) == 0 || has(ws, "the", "this", "my", "all") || has(rest[:1], "tests", "it", "a", "an") {
		return command{}
	}
	return command{line: unparsed(rest)}
}

// unparsed writes words as a command line again; a quoted word gets quotes that a shell understands.
func unparsed(ws []word) string {
	s := make([]string, len(ws))
	for i, w := range ws {
		s[i] = w.text
		if w.quoted {
			s[i] = "'" + strings.ReplaceAll(w.text, "'", `'\''`) + "'"
		}
	}
	return strings.Join(s, " ")
}

func parseCompare(ws []word, _ bool) rule {
	rest, ok := oneOf(ws, "compare", "diff", "what is the difference between", "what's the difference between", "what are the differences between",
		"show the difference between", "show the differences between", "difference between", "differences between", "show me the difference between",
		"are", "is", "how do", "how does")
	if !ok {
		return nil
	}
	asked := len(ws)-len(rest) > 1 || has(ws[:1], "compare", "diff") || has(rest, "same", "identical", "equal", "different", "differ")
	var paths []string
	for _, w := range without(rest, "the", "files", "file", "and", "with", "to", "from", "against", "same", "identical", "equal", "different", "differ", "as", "between", "contents", "of") {
		if !w.isPath() && !has(ws[:1], "compare", "diff") {
			return nil
		}
		paths = append(paths, w.text)
	}
	if !asked || len(paths) != 2 {
		return nil
	}
	return compare{a: paths[0], b: paths[1]}
}

func parseSummary(ws []word, piped bool) rule {
	rest, ok := oneOf(ws, "summarise", "summarize", "give me a summary of", "give a summary of", "write a summary of", "sum up", "tl;dr", "tldr", "a summary of",
		"summary of", "summary", "what is the gist of", "explain", "describe", "tell me about", "what is this about", "what's this about",
		"what does this say", "give me a summary", "the gist of", "what is this text about", "what does it say")
	if i := index(ws, "summary"); !ok && i >= 0 {
		if rest, ok = ws[i+1:], true; len(rest) > 0 && rest[0].low != "of" && !piped {
			return nil
		}
	}
	if !ok {
		return nil
	}
	rest = without(rest, "the", "file", "for", "me", "in", "a", "an", "few", "words", "sentences", "short", "briefly", "up", "shortly", "one", "two", "three",
		"paragraph", "sentence", "about", "content", "contents", "of", "text")
	if piped && isThis(rest) {
		return summarise{}
	}
	if isHere(rest) && (len(rest) > 0 || !has(ws[:1], "summarise", "summarize", "summary", "tldr")) {
		return folder{path: "."}
	}
	if len(rest) == 0 {
		return summarise{}
	}
	if len(rest) == 1 && (rest[0].isPath() || has(ws[:1], "summarise", "summarize", "summary")) {
		return summarise{path: rest[0].text}
	}
	return nil
}

func parseRead(ws []word, piped bool) rule {
	rest, ok := oneOf(ws, "read", "show me", "show", "cat", "print", "display", "open", "view", "output", "what does", "what is in", "what's in", "whats in",
		"what is inside", "let me see", "look at", "look into", "see", "type", "head", "tail", "give me", "what is the content of", "what are the contents of")
	if !ok {
		return nil
	}
	if has(rest, "files", "folders", "entries") && !has(rest, "and") {
		return nil
	}
	asks := has(ws[:1], "what", "what's", "whats", "give")
	rest = without(rest, "the", "file", "files", "me", "and", "say", "contain", "contents", "content", "of", "a", "an", "to", "from", "look", "like", "out", "please", "in", "called", "named", "whole", "full", "document")
	if piped && isThis(rest) && !asks {
		return read{stdin: true}
	}
	var paths []string
	for _, w := range rest {
		path := w.isPath()
		if !path && (asks || len(rest) > 1 || isHere([]word{w})) {
			return nil
		}
		if w.text == "." || w.text == ".." || strings.HasSuffix(w.text, "/") {
			return folder{path: w.text}
		}
		paths = append(paths, w.text)
	}
	if len(paths) == 0 {
		return nil
	}
	return read{paths: paths}
}

func parseFolder(ws []word, piped bool) rule {
	rest, ok := oneOf(ws, "what is in", "what's in", "whats in", "whats", "what is inside", "what's inside", "what do you see in", "what do you see", "what files are in",
		"what files are", "which files are in", "which files are", "what files do you see in", "what files do you see", "list all", "list", "ls", "dir", "show me", "show", "what is", "what's", "what does", "look at",
		"look around", "give me an overview of", "overview of", "overview", "explore", "inspect", "tree", "what are the files in", "what kind of", "what sort of", "read")
	if !ok {
		return nil
	}
	if has(rest, "files") && slices.ContainsFunc(rest, func(w word) bool { return w.kind() != nil }) {
		return nil // files of a kind are looked for
	}
	if piped && isThis(rest) && has(ws[:1], "what", "what's") {
		return summarise{}
	}
	rest = without(rest, "the", "files", "file", "folders", "all", "in", "inside", "of", "me", "everything", "there", "contents", "content", "is", "are", "do", "for", "about", "at", "names", "overview", "an", "a", "entries")
	if isHere(rest) {
		return folder{path: "."}
	}
	rest = without(rest, "folder", "directory", "dir", "this")
	if len(rest) == 1 && (rest[0].isPath() || has(ws[:1], "list", "ls", "dir", "tree") || has(ws, "folder", "directory", "inside", "in")) {
		return folder{path: rest[0].text}
	}
	return nil
}

// trimLeft takes words off the beginning of ws while they are among low.
func trimLeft(ws []word, low ...string) []word {
	for len(ws) > 0 && !ws[0].quoted && slices.Contains(low, ws[0].low) {
		ws = ws[1:]
	}
	return ws
}

func firstQuoted(ws []word) (int, *word) {
	for i := range ws {
		if ws[i].quoted {
			return i, &ws[i]
		}
	}
	return -1, nil
}
