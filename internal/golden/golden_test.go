package golden

import (
	"strings"
	"testing"
)

func TestThe_first_difference_is_shown_with_its_line(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, test, want string }{
		{"equal texts have none", "a\nb\n", "a\nb\n", ""},
		{"a changed line", "a\nb\nc\n", "a\nx\nc\n", "line 2"},
		{"the file ends early", "a", "a\nb", "the file has ended"},
		{"the test's text ends early", "a\nb", "a", "the test's text has ended"},
		{"a missing final line feed", "a\n", "a", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := firstDifference([]byte(c.file), []byte(c.test))
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to tell %q", got, c.want)
			}
		})
	}
}
