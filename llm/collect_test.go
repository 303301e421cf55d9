package llm_test

import (
	"encoding/json"
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// stream yields parts, and then err if there is one.
func stream(err error, parts ...llm.Part) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		for _, p := range parts {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func text(s string) llm.Part { return llm.TextPart{Text: s} }
func think(s string) llm.Part {
	return llm.ReasoningPart{Text: s}
}

var end = llm.Done{Stop: transcript.StopEndTurn}

func use(call, name, args string) transcript.ToolUse {
	return transcript.ToolUse{ID: id.Call(call), Name: name, Args: json.RawMessage(args)}
}

func TestCollect_puts_blocks_in_the_order_of_their_arrival(t *testing.T) {
	t.Parallel()
	signed := &transcript.Meta{Provider: "p", Data: json.RawMessage(`{"signature":"s"}`)}
	for _, c := range []struct {
		name  string
		parts []llm.Part
		want  transcript.Blocks
	}{
		{"adjacent text is one block", []llm.Part{text("a"), text(""), text("b")}, transcript.Blocks{transcript.Text{Text: "ab"}}},
		{"text goes on in a new block behind a call", []llm.Part{text("a"), llm.CallPart{ID: "1", Name: "f"}, text("b")},
			transcript.Blocks{transcript.Text{Text: "a"}, use("1", "f", "{}"), transcript.Text{Text: "b"}}},
		{"meta closes a block of reasoning", []llm.Part{think("a"), think("b"), llm.ReasoningPart{Meta: signed}, think("c"), text("x")},
			transcript.Blocks{transcript.Reasoning{Text: "ab", Meta: signed}, transcript.Reasoning{Text: "c"}, transcript.Text{Text: "x"}}},
		{"another part closes a block of reasoning", []llm.Part{think("a"), text("x"), think("b")},
			transcript.Blocks{transcript.Reasoning{Text: "a"}, transcript.Text{Text: "x"}, transcript.Reasoning{Text: "b"}}},
		{"opaque reasoning has no text", []llm.Part{llm.ReasoningPart{Meta: signed}, llm.ReasoningPart{Meta: signed}},
			transcript.Blocks{transcript.Reasoning{Meta: signed}, transcript.Reasoning{Meta: signed}}},
		{"calls are told apart by index", []llm.Part{llm.CallPart{Index: 3, ID: "1", Name: "f", Args: `{"a"`}, llm.CallPart{Index: 1, ID: "2", Name: "g"},
			llm.CallPart{Index: 3, Args: `:1}`}, llm.CallPart{Index: 1, Args: ` {} `}}, transcript.Blocks{use("1", "f", `{"a":1}`), use("2", "g", `{}`)}},
		{"a call's id may come late", []llm.Part{llm.CallPart{Name: "f"}, llm.CallPart{Args: "{}"}, llm.CallPart{ID: "9"}}, transcript.Blocks{use("9", "f", "{}")}},
		{"a call keeps its meta", []llm.Part{llm.CallPart{ID: "1", Name: "f", Meta: signed}},
			transcript.Blocks{transcript.ToolUse{ID: "1", Name: "f", Args: json.RawMessage("{}"), Meta: signed}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var shown []llm.Part
			got, err := llm.Collect(stream(nil, append(c.parts, end, text("ignored"))...), func(p llm.Part) { shown = append(shown, p) })
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(transcript.Assistant{Blocks: c.want, Stop: transcript.StopEndTurn}, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.parts, shown); d != "" {
				t.Errorf("not every part was shown, or the end was: %s", d)
			}
		})
	}
}

func TestCollect_refuses_what_is_no_reply(t *testing.T) {
	t.Parallel()
	broken := &llm.Error{Kind: llm.ServerError}
	for _, c := range []struct {
		name string
		seq  iter.Seq2[llm.Part, error]
		want llm.Kind
	}{
		{"a stream without its end", stream(nil, text("all of it")), llm.Truncated},
		{"a stream of nothing", stream(nil), llm.Truncated},
		{"a stream that fails", stream(broken, text("a")), llm.ServerError},
		{"a reply of nothing", stream(nil, end), llm.Empty},
		{"a reply of usage alone", stream(nil, llm.UsagePart{}, end), llm.Empty},
		{"a reply of blank thoughts", stream(nil, think(" "), end), llm.Empty},
		{"a withheld reply", stream(nil, llm.Done{Stop: transcript.StopFiltered}), llm.ContentFiltered},
		{"arguments that are a list", stream(nil, llm.CallPart{ID: "1", Name: "f", Args: "[]"}, end), llm.InvalidArguments},
		{"arguments that are null", stream(nil, llm.CallPart{ID: "1", Name: "f", Args: "null"}, end), llm.InvalidArguments},
		{"arguments that are cut", stream(nil, llm.CallPart{ID: "1", Name: "f", Args: `{"a":`}, llm.Done{Stop: transcript.StopMaxTokens}), llm.InvalidArguments},
		{"arguments with a tail", stream(nil, llm.CallPart{ID: "1", Name: "f", Args: `{}{}`}, end), llm.InvalidArguments},
		{"a call without name", stream(nil, llm.CallPart{ID: "1"}, end), llm.Garbled},
		{"a call without id", stream(nil, llm.CallPart{Name: "f"}, end), llm.Garbled},
		{"two calls of one id", stream(nil, llm.CallPart{Index: 0, ID: "1", Name: "f"}, llm.CallPart{Index: 1, ID: "1", Name: "f"}, end), llm.Garbled},
		{"a call that changes its name", stream(nil, llm.CallPart{ID: "1", Name: "f"}, llm.CallPart{Name: "g"}, end), llm.Garbled},
		{"a part that is none", stream(nil, nil, end), llm.Garbled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := llm.Collect(c.seq, nil)
			var e *llm.Error
			if !errors.As(err, &e) || e.Kind != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if got.Blocks != nil || got.Stop != "" {
				t.Errorf("a void reply holds %v", got)
			}
		})
	}
}

func TestCollect_takes_reasoning_alone_for_a_reply(t *testing.T) {
	t.Parallel()
	if _, err := llm.Collect(stream(nil, think("hmm"), end), nil); err != nil {
		t.Error(err)
	}
}

func TestCollect_merges_usage_field_by_field(t *testing.T) {
	t.Parallel()
	got, err := llm.Collect(stream(nil, llm.UsagePart{Usage: transcript.Usage{Input: 9, Output: 1, CacheRead: 4}}, text("a"),
		llm.UsagePart{Usage: transcript.Usage{Output: 7}}, end), nil)
	if err != nil || *got.Usage != (transcript.Usage{Input: 9, Output: 7, CacheRead: 4}) {
		t.Errorf("got %v, %v", got.Usage, err)
	}
	got, err = llm.Collect(stream(nil, text("a"), end), nil)
	if err != nil || got.Usage != nil {
		t.Errorf("usage that nobody reported: %v, %v", got.Usage, err)
	}
}

func TestCollect_tells_the_usage_of_a_failed_reply(t *testing.T) {
	t.Parallel()
	got, err := llm.Collect(stream(nil, llm.UsagePart{Usage: transcript.Usage{Input: 9}}, text("a")), nil)
	if err == nil || got.Usage == nil || got.Usage.Input != 9 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCollect_stops_the_stream_at_its_end(t *testing.T) {
	t.Parallel()
	stopped := false
	_, err := llm.Collect(func(yield func(llm.Part, error) bool) {
		yield(text("a"), nil)
		stopped = !yield(end, nil)
	}, nil)
	if err != nil || !stopped {
		t.Errorf("stopped %v, %v", stopped, err)
	}
}

func TestCollect_depends_on_the_text_and_not_on_how_it_is_cut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cut := func(label, s string) []string {
			var out []string
			for r := []rune(s); len(r) > 0; {
				n := rapid.IntRange(1, len(r)).Draw(t, label)
				out = append(out, string(r[:n]))
				r = r[n:]
			}
			return out
		}
		words := rapid.StringN(1, 20, -1).Filter(func(s string) bool { return cmp.Equal(s, string([]rune(s))) && s[0] > ' ' }).Draw(t, "words")
		args := `{"k":"` + rapid.StringMatching(`[a-z ]{0,9}`).Draw(t, "args") + `"}`
		var parts []llm.Part
		for _, s := range cut("text", words) {
			parts = append(parts, text(s))
		}
		parts = append(parts, llm.CallPart{ID: "1", Name: "f"})
		for _, s := range cut("args", args) {
			parts = append(parts, llm.CallPart{Args: s})
		}
		got, err := llm.Collect(stream(nil, append(parts, end)...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(transcript.Blocks{transcript.Text{Text: words}, use("1", "f", args)}, got.Blocks); d != "" {
			t.Fatal(d)
		}
	})
}
