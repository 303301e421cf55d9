package offline

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is a word of a prompt, or all of what was put in quotes.
type word struct {
	text   string // without quotes, and without the punctuation of the sentence
	low    string // the same in lower case; empty for a quoted word, which is no word of the request
	quoted bool
}

var closers = map[rune]rune{'"': '"', '\'': '\'', '`': '`', '“': '”', '‘': '’', '«': '»', '„': '“'}

// split cuts a prompt into words. A quote opens at the beginning of a word only, so that "what's" is one word, and one that is
// never closed is a character like any other.
func split(prompt string) []word {
	var out []word
	for {
		prompt = strings.TrimLeftFunc(prompt, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' })
		if prompt == "" {
			return out
		}
		first, size := utf8.DecodeRuneInString(prompt)
		if closer, ok := closers[first]; ok {
			if inside, rest, closed := closing(prompt[size:], closer); closed {
				out = append(out, word{text: inside, quoted: true})
				prompt = rest
				continue
			}
		}
		end := strings.IndexFunc(prompt, unicode.IsSpace)
		if end < 0 {
			end = len(prompt)
		}
		if text := sentenceWord(prompt[:end]); text != "" {
			out = append(out, word{text: text, low: strings.ToLower(text)})
		}
		prompt = prompt[end:]
	}
}

// closing finds the quote that ends a quotation: one that is followed by the end of the text, a space or punctuation.
func closing(text string, closer rune) (inside, rest string, ok bool) {
	for i, r := range text {
		if r != closer {
			continue
		}
		rest = text[i+utf8.RuneLen(r):]
		next, _ := utf8.DecodeRuneInString(rest)
		if rest == "" || unicode.IsSpace(next) || strings.ContainsRune(".,;:!?)", next) {
			return text[:i], rest, true
		}
	}
	return "", "", false
}

// sentenceWord takes the punctuation of a sentence off a word. The dots that begin a path and the star of a pattern stay.
func sentenceWord(s string) string {
	if s == "." || s == ".." || strings.HasSuffix(s, "/.") || strings.HasSuffix(s, "/..") {
		return s
	}
	return strings.TrimRight(strings.TrimLeft(s, ",;:!"), ".,;:!?")
}

// courtesies open a request and say nothing of it.
var courtesies = [][]string{
	{"please"}, {"pls"}, {"kindly"}, {"hey"}, {"ok"}, {"okay"}, {"so"}, {"well"}, {"now"}, {"then"}, {"and"}, {"also"}, {"just"},
	{"can", "you"}, {"could", "you"}, {"would", "you"}, {"will", "you"}, {"can", "i"}, {"could", "i"},
	{"i", "want", "you", "to"}, {"i", "want", "to"}, {"i", "would", "like", "you", "to"}, {"i", "would", "like", "to"},
	{"i'd", "like", "you", "to"}, {"i'd", "like", "to"}, {"i", "need", "you", "to"}, {"i", "need", "to"}, {"let", "us"}, {"let's"},
	{"help", "me", "to"}, {"help", "me"}, {"let", "me"}, {"do"}, {"quickly"},
}

// plain takes courtesies off both ends of a request.
func plain(ws []word) []word {
	for again := true; again; {
		again = false
		if (starts(ws, "show", "me") || starts(ws, "tell", "me")) && len(ws) > 3 &&
			slices.Contains([]string{"what", "what's", "where", "where's", "how", "which"}, ws[2].low) {
			ws, again = ws[2:], true
		}
		for _, c := range courtesies {
			if len(ws) > len(c) && starts(ws, c...) {
				ws, again = ws[len(c):], true
			}
		}
		if n := len(ws); n > 1 && slices.Contains([]string{"please", "pls", "thanks", "now"}, ws[n-1].low) {
			ws, again = ws[:n-1], true
		} else if n > 2 && ws[n-2].low == "for" && ws[n-1].low == "me" {
			ws, again = ws[:n-2], true
		} else if n > 2 && ws[n-2].low == "thank" && ws[n-1].low == "you" {
			ws, again = ws[:n-2], true
		}
	}
	return ws
}

// starts reports whether ws begins with these words of the request.
func starts(ws []word, low ...string) bool {
	if len(ws) < len(low) {
		return false
	}
	for i, l := range low {
		if ws[i].low != l {
			return false
		}
	}
	return true
}

// oneOf returns what is left of ws after the first of the phrases it begins with; phrases are words joined by spaces.
func oneOf(ws []word, phrases ...string) ([]word, bool) {
	for _, p := range phrases {
		if f := strings.Fields(p); starts(ws, f...) {
			return ws[len(f):], true
		}
	}
	return ws, false
}

// has reports whether any of the words is in ws, outside of quotes.
func has(ws []word, low ...string) bool {
	return slices.ContainsFunc(ws, func(w word) bool { return !w.quoted && slices.Contains(low, w.low) })
}

// index returns where the first, or the last, of the words is in ws outside of quotes; -1: nowhere.
func index(ws []word, low ...string) int {
	return slices.IndexFunc(ws, func(w word) bool { return !w.quoted && slices.Contains(low, w.low) })
}

func lastIndex(ws []word, low ...string) int {
	for i := len(ws) - 1; i >= 0; i-- {
		if !ws[i].quoted && slices.Contains(low, ws[i].low) {
			return i
		}
	}
	return -1
}

// without returns ws without the words, outside of quotes.
func without(ws []word, low ...string) []word {
	return slices.DeleteFunc(slices.Clone(ws), func(w word) bool { return !w.quoted && slices.Contains(low, w.low) })
}

// sentence joins words again.
func sentence(ws []word) string {
	s := make([]string, len(ws))
	for i, w := range ws {
		s[i] = w.text
		if w.quoted {
			s[i] = `"` + w.text + `"`
		}
	}
	return strings.Join(s, " ")
}

// joined joins words without their quotes.
func joined(ws []word) string {
	s := make([]string, len(ws))
	for i, w := range ws {
		s[i] = w.text
	}
	return strings.Join(s, " ")
}

// bareNames are files that people name without an ending.
var bareNames = []string{"readme", "license", "licence", "makefile", "dockerfile", "changelog", "contributing",
	"copying", "gemfile", "rakefile", "procfile", "jenkinsfile", "vagrantfile", "codeowners"}

// isPath reports whether a word names a file or folder by its look.
func (w word) isPath() bool {
	if w.text == "" || strings.Contains(w.text, "://") {
		return false
	}
	return w.quoted || strings.ContainsAny(w.text, `/\.`) || strings.HasPrefix(w.text, "~") || w.isBareName()
}

func (w word) isBareName() bool { return slices.Contains(bareNames, w.low) }

// here are the words for the workspace itself, said after "this", "the", "my" or nothing.
var here = []string{"folder", "directory", "dir", "project", "repo", "repository", "workspace", "codebase", "tree", "package", "code",
	"module", "program", "application", "app", "place", "checkout"}

// isHere reports whether ws says no more than "this folder".
func isHere(ws []word) bool {
	ws = without(ws, "the", "this", "my", "our", "that", "current", "whole", "entire", "working", "of", "in", "inside", "all", "about", "contents", "content", "here", "it")
	return len(ws) == 0 || len(ws) == 1 && (slices.Contains(here, ws[0].low) || ws[0].text == "." || ws[0].text == "./")
}
