package near_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/near"
)

func TestNames_that_somebody_may_have_meant_are_found(t *testing.T) {
	t.Parallel()
	tools := "read_file shell glob"
	commands := "sessions resume run models"
	models := "claude-opus-5 claude-haiku-4-5 gpt-5.6-sol gpt-5.5-pro gpt-5.5"
	for _, c := range []struct{ says, name, among, want string }{
		{"two letters are swapped", "raed_file", tools, "read_file"},
		{"a beginning", "read", tools, "read_file"},
		{"another case", "SHELL", tools, "shell"},
		{"nothing is like it", "nothing_like_it", tools, ""},
		{"one letter is the beginning of nothing", "s", tools, ""},
		{"one letter may be another", "x", "y z ab", "y z"},
		{"a letter is missing", "sesions", commands, "sessions"},
		{"the last letter is missing", "resum", commands, "resume"},
		{"the letters are swapped in a short name", "modles", commands, "models"},
		{"a word of no meaning", "xyzzy", commands, ""},
		{"a short name takes one edit", "rnu", commands, ""},
		{"a family", "opus", models, "claude-opus-5"},
		{"a wrong number", "claude-opus-6", models, "claude-opus-5"},
		{"more than the name", "anthropic-claude-opus-5", models, "claude-opus-5"},
		{"a whole name is nearer than a beginning", "gpt-5.5x", models, "gpt-5.5 gpt-5.5-pro"},
		{"the name in another case is nearer than what begins with it", "GPT-5.5", models, "gpt-5.5 gpt-5.5-pro gpt-5.6-sol"},
		{"a beginning with a slip", "019a8c2f", "019a8c2e-41f0 029b8d2e-41f0", "019a8c2e-41f0"},
		{"letters are not bytes", "größ", "grösse größe größt große", "größe größt"},
		{"the name itself comes first", "run", "Run rum run", "run Run rum"},
		{"equals stay in their order", "abc", "abz abx aby", "abz abx aby"},
		{"no more than asked for", "abc", "abz abx aby abw", "abz abx aby"},
		{"an empty name", "", "a b", ""},
		{"a very long name", strings.Repeat("m", 201), strings.Repeat("m", 200), ""},
		{"a name that is just not too long", strings.Repeat("m", 200), strings.Repeat("m", 201), strings.Repeat("m", 201)},
	} {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(near.Names(c.name, strings.Fields(c.among), 3), " "); got != c.want {
				t.Errorf("%.40q: %.100q, want %.100q", c.name, got, c.want)
			}
		})
	}
}
