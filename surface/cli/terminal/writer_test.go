package terminal

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// show renders s in one piece, with style escapes replaced by tags that can be read.
func show(t testing.TB, s string, opt Options) string {
	t.Helper()
	var b strings.Builder
	w := NewWriter(&b, opt)
	if err := errors.Join(w.WriteString(s), w.End()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var tags = strings.NewReplacer(off, "</>", bold.on(), "<b>", italic.on(), "<i>", code.on(), "<code>", dim.on(), "<dim>", underline.on(), "<u>",
	strike.on(), "<s>", (bold | underline).on(), "<h>", (bold | code).on(), "<b code>", (bold | italic).on(), "<bi>")

func TestMarkdown_is_made_readable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"a heading is bold", "# Top\n### Low\n", "<h>Top</>\n<b>Low</>\n"},
		{"strong and emphasis", "a **b c** and *d*, _e_.\n", "a <b>b</> <b>c</> and <i>d</>, <i>e</>.\n"},
		{"both at once", "***x***\n", "<bi>x</>\n"},
		{"code keeps its marks inside", "use `a*b*c` here\n", "use <code>a*b*c</> here\n"},
		{"code in strong", "**a `b`**\n", "<b>a</> <b code>b</>\n"},
		{"a star alone is a star", "2 * 3 ** 4\n", "2 * 3 ** 4\n"},
		{"an opener that nothing closes is text", "a **b c\n", "a **b c\n"},
		{"names with underscores are names", "snake_case_name and __init__ \n", "snake_case_name and <b>init</>\n"},
		{"an escaped mark is text", `\*not\* emphasis` + "\n", "*not* emphasis\n"},
		{"a list has bullets and keeps its depth", "- a\n  - b **c**\n* d\n", "• a\n  • b <b>c</>\n• d\n"},
		{"a numbered list", "1. one\n2) two\n", "1. one\n2) two\n"},
		{"a year is no list", "1984.5 is a number\n", "1984.5 is a number\n"},
		{"a quote", "> said\n", "<dim>│ </>said\n"},
		{"a code block is untouched", "```go\na := **b\n\n  c\n```\nafter\n", "<dim>```go</>\n<code>a := **b</>\n\n<code>  c</>\n<dim>```</>\nafter\n"},
		{"a code block that never ends", "```\nabc", "<dim>```</>\n<code>abc</>\n"},
		{"a link shows where it leads", "see [the docs](http://x.y/z)\n", "see <u>the</> <u>docs</> <dim>(http://x.y/z)</>\n"},
		{"a bracket is a bracket", "a[1] and [ ] open\n", "a[1] and [ ] open\n"},
		{"a rule", "---\n", "<dim>────────────────────────────────────────</>\n"},
		{"a table is aligned", "| a | bbb |\n|---|:-:|\n| cc | **d** |\n\nend", "<b>a</>   <b>bbb</>\n<dim>───────</>\ncc  d\n\nend\n"},
		{"paragraphs stay apart", "a\n\nb\nc\n", "a\n\nb\nc\n"},
		{"no line end at the end", "abc", "abc\n"},
		{"windows line ends", "a\r\n**b**\r\n", "a\n<b>b</>\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, tags.Replace(show(t, c.in, Options{Markdown: true, Width: 80}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLines_wrap_at_words_and_hang(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"a paragraph", "aaa bbb ccc ddd\n", "aaa bbb\nccc ddd\n"},
		{"a list item hangs", "- aaa bbbb c\n", "• aaa\n  bbbb c\n"},
		{"a long word is not cut", "a bcdefghijklmn o\n", "a\nbcdefghijklmn\no\n"},
		{"a mark sticks to its word", "aaaa **bbbb**, c\n", "aaaa\n<b>bbbb</>, c\n"},
		{"wide characters break anywhere", "猫猫猫猫猫\n", "猫猫猫猫\n猫\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, tags.Replace(show(t, c.in, Options{Markdown: true, Width: 9}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWords_are_shown_as_soon_as_they_are_known(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	w := NewWriter(&b, Options{Markdown: true, Width: 80})
	for _, c := range []struct{ in, shown string }{
		{"Hel", ""}, {"lo wor", "Hello"}, {"ld **bo", "Hello world"}, {"ld** ", "Hello world \x1b[1mbold\x1b[0m"}, {"# no", "Hello world \x1b[1mbold\x1b[0m #"},
	} {
		if err := w.WriteString(c.in); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.shown {
			t.Errorf("after %q: shown %q, want %q", c.in, b.String(), c.shown)
		}
	}
}

func TestHow_text_is_cut_into_pieces_does_not_change_what_is_shown(t *testing.T) {
	t.Parallel()
	pieces := []string{"# ", "**", "*", "_", "`", "```", "\n", " ", "word", "- ", "1. ", "> ", "| a | b |\n", "|--|--|\n", "[x](y)", "é", "猫", "\x1b[31m", "\\", "~~", "\r\n", "---"}
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 30).Draw(rt, "parts")
		text := strings.Join(parts, "")
		whole := show(t, text, Options{Markdown: true, Width: 20})
		var b strings.Builder
		w := NewWriter(&b, Options{Markdown: true, Width: 20})
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "cut")
			_ = w.WriteString(rest[:n])
			rest = rest[n:]
		}
		_ = w.End()
		if b.String() != whole {
			rt.Fatalf("%q\nwhole  %q\npieces %q", text, whole, b.String())
		}
	})
}

func TestNothing_a_model_says_is_obeyed_by_the_terminal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("\x1b[]0;\a\b\r\n\t *`#|->1.a\u009b\u202e\x7f\x00"))).Draw(rt, "text")
		for _, opt := range []Options{{}, {Markdown: true, Width: 30}} {
			shown := show(t, text, opt)
			for _, s := range sgr { // what the Writer itself says
				shown = strings.ReplaceAll(shown, "\x1b["+s.code+"m", "")
			}
			for s := range style(64) {
				shown = strings.ReplaceAll(shown, s.on(), "")
			}
			shown = strings.ReplaceAll(shown, off, "")
			if strings.ContainsFunc(shown, obeyed) || !utf8.ValidString(shown) {
				rt.Fatalf("%q shows %q", text, shown)
			}
		}
	})
}

func TestControl_characters_become_visible(t *testing.T) {
	t.Parallel()
	if got, want := Clean("a\x1b[2Jb\x07\u009b\r\nc\td\xff"), "a␛[2Jb␇\ufffd\nc\td\ufffd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Line("  a\n b\x00 "), "a b␀"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestText_is_clipped_to_columns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"猫猫猫", 5, "猫猫…"}, {"é\u0301x", 2, "é\u0301x"}, {"abc", 0, ""}} {
		if got := Clip(c.in, c.width); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}
