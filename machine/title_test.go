package machine

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func Test_a_title_is_the_first_line_that_says_something(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		" \n\t\n  hello  \nworld":           "hello",
		"<stdin>\na\nb\n</stdin>\n\nsum up": "sum up",
		"<stdin>\na\n</stdin>\n\n ":         "<stdin>",
		"<b>\nnot closed":                   "<b>",
		"a < b\n> c":                        "a < b",
		strings.Repeat("x", 80):             strings.Repeat("x", 80),
		strings.Repeat("é", 81):             strings.Repeat("é", 79) + "…",
		strings.Repeat("🦫", 500):            strings.Repeat("🦫", 79) + "…",
	} {
		if got := title(text); got != want || !utf8.ValidString(got) {
			t.Errorf("title of %q is %q, want %q", text, got, want)
		}
	}
}
