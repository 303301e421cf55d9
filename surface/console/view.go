package console

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// How much of a text stands on a page. All of it is behind a link.
const (
	textShown  = 40_000
	argsShown  = 8_000
	briefShown = 100
	detailLine = 240
)

// stateView is what a session does, in words, for pages and for the script.
type stateView struct {
	Word     string `json:"word"`
	Tone     string `json:"tone"` // run, idle, wait, over
	Detail   string `json:"detail"`
	Run      string `json:"run,omitempty"`
	Busy     bool   `json:"busy"` // a run is bound
	Stopping bool   `json:"stopping"`
	Pending  bool   `json:"pending"`
	Closed   bool   `json:"closed"` // takes no input
	Messages int    `json:"messages"`
	Tokens   string `json:"tokens"`
	Waiting  int    `json:"waiting"`
}

var steps = map[string]string{"calling_llm": "the model is answering", "waiting_for_ops": "tools are at work", "error_recovery": "a call failed and is tried again",
	"applying_primitive": "the input is being taken in", "extracting": "the answer is put into its form"}

// describe says what a session does.
func describe(s control.Session) stateView {
	v := stateView{Messages: s.Messages, Tokens: thousands(s.Tokens), Waiting: s.Waiting, Pending: s.Pending && s.Run == nil}
	switch {
	case s.Run != nil:
		v.Word, v.Tone, v.Busy, v.Run, v.Stopping = "running", "run", true, string(s.Run.ID), s.Run.Stopping
		step, ok := steps[s.Run.Phase]
		if !ok {
			step = strings.ReplaceAll(s.Run.Phase, "_", " ")
		}
		v.Detail = fmt.Sprintf("round %d: %s", s.Run.Round+1, step)
		if s.Run.Phase == "waiting_for_ops" && s.Run.Open > 0 {
			v.Detail = fmt.Sprintf("round %d: %s at work", s.Run.Round+1, count(s.Run.Open, "tool call"))
		}
		if s.Run.Stopping {
			v.Word, v.Tone = "stopping", "wait"
		}
	case s.Unfinished: // a listing does not tell more
		v.Word, v.Tone = "running", "run"
	case s.Phase == "idle" || s.Phase == "attached" || s.Phase == "":
		v.Word, v.Tone = "idle", "idle"
		switch {
		case s.Deferred:
			v.Word, v.Detail = "not begun", "nothing has been said yet"
		case s.Pending:
			v.Word, v.Tone, v.Detail = "waits for a reply", "wait", "the last message has no answer"
		}
	default:
		v.Word, v.Tone, v.Closed = strings.ReplaceAll(s.Phase, "_", " "), "over", true
	}
	if s.Waiting > 0 {
		if v.Detail != "" {
			v.Detail += "; "
		}
		v.Detail += count(s.Waiting, "input") + " waiting"
	}
	return v
}

// piece is a part of a text: prose with marked names in it, or a block of code.
type piece struct {
	Code  bool
	Lang  string
	Text  string
	Spans []span
}

type span struct {
	Code bool
	Text string
}

// textView is a text as it is shown, and how much of it is not.
type textView struct {
	Pieces []piece
	More   int
	Raw    string
}

// prose cuts a text at its fences of code. Nothing else is made of what it holds: no links, no markup.
func prose(text, raw string, most int) textView {
	shown := clip(text, most)
	v := textView{Raw: raw}
	if len(text) > most {
		v.More = len(text) - len(strings.TrimSuffix(shown, "…"))
	}
	var buf []string
	var code *piece
	flush := func() {
		if t := strings.Trim(strings.Join(buf, "\n"), "\n"); t != "" {
			v.Pieces = append(v.Pieces, piece{Text: t, Spans: spans(t)})
		}
		buf = nil
	}
	for line := range strings.SplitSeq(shown, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case code == nil && isFence && !strings.Contains(fence, "`"):
			flush()
			code = &piece{Code: true, Lang: clip(strings.TrimSpace(fence), 30)}
		case code != nil && isFence && fence == "":
			code.Text, buf = strings.Join(buf, "\n"), nil
			v.Pieces, code = append(v.Pieces, *code), nil
		default:
			buf = append(buf, line)
		}
	}
	if code != nil { // never closed
		code.Text = strings.Join(buf, "\n")
		v.Pieces = append(v.Pieces, *code)
		return v
	}
	flush()
	return v
}

// spans finds what stands between backticks on one line.
func spans(text string) []span {
	var out []span
	for text != "" {
		from := strings.IndexByte(text, '`')
		if from < 0 {
			break
		}
		n := strings.IndexAny(text[from+1:], "`\n")
		if n <= 0 || text[from+1+n] != '`' {
			out = append(out, span{Text: text[:from+1]})
			text = text[from+1:]
			continue
		}
		if from > 0 {
			out = append(out, span{Text: text[:from]})
		}
		out = append(out, span{Code: true, Text: text[from+1 : from+1+n]})
		text = text[from+n+2:]
	}
	if text != "" {
		out = append(out, span{Text: text})
	}
	return out
}

// rowView is a row of the transcript as it is shown.
type rowView struct {
	Key    string // of its element
	Order  int    // by which elements are sorted
	Kind   string // user, assistant, result, system, notice
	Number int    // of its message
	Time   time.Time
	Blocks []blockView
	Call   string
	Name   string
	Brief  string
	Bad    bool
	Code   string
	Size   string
	Model  string
	Stop   string // why a reply ended, where it is not the usual
	Nested bool   // a result that stands in its call
}

type blockView struct {
	Kind   string // text, reasoning, call, media
	Text   textView
	Call   string
	Name   string
	Brief  string
	Word   string   // what became of a call
	Result *rowView // of a call; nil: it stands on its own, or there is none
}

// rowViews shows rows. busy: a run is bound, so a call without a result may still be at work.
func rowViews(s id.Session, rows []transcript.Row, busy bool) []rowView {
	ended := map[id.Call]string{}
	for _, r := range rows {
		if t, ok := r.Entry.(transcript.ToolResult); ok {
			ended[t.Call] = resultWord(t)
		}
	}
	out := make([]rowView, len(rows))
	for n, r := range rows {
		out[n] = rowOf(s, r, func(c id.Call) string {
			if w, ok := ended[c]; ok {
				return w
			}
			if busy {
				return "at work"
			}
			return "no result"
		})
	}
	return out
}

// nest puts results into their calls, for a page that is made at once. In a stream each comes on its own, and the script puts it there.
func nest(rows []rowView) []rowView {
	calls := map[string]*blockView{}
	var out []rowView
	for _, r := range rows {
		if b, ok := calls[r.Call]; ok && r.Kind == "result" && b.Result == nil {
			r.Nested = true
			b.Result = &r
			continue
		}
		for n := range r.Blocks {
			if r.Blocks[n].Kind == "call" {
				calls[r.Blocks[n].Call] = &r.Blocks[n]
			}
		}
		out = append(out, r)
	}
	return out
}

func resultWord(t transcript.ToolResult) string {
	switch {
	case t.Code != "":
		return strings.ReplaceAll(t.Code, "_", " ")
	case t.IsError:
		return "failed"
	}
	return "done"
}

func rowOf(s id.Session, r transcript.Row, word func(id.Call) string) rowView {
	raw := fmt.Sprintf("/console/sessions/%s/rows/%d/%d", s, r.At.Message, r.At.Ordinal)
	v := rowView{Key: fmt.Sprintf("row-%d-%d", r.At.Message, r.At.Ordinal), Order: r.At.Message*100_000 + r.At.Ordinal, Number: r.At.Message, Time: r.Time}
	switch e := r.Entry.(type) {
	case transcript.System:
		v.Kind, v.Blocks, v.Size = "system", []blockView{{Kind: "text", Text: prose(e.Text, raw, textShown)}}, size(len(e.Text))
	case transcript.Notice:
		v.Kind, v.Name = "notice", strings.ReplaceAll(e.Kind, "_", " ")
		if e.Text != "" {
			v.Blocks = []blockView{{Kind: "text", Text: prose(e.Text, raw, textShown)}}
		}
	case transcript.User:
		v.Kind, v.Blocks = "user", blocks(e.Content, raw, word)
	case transcript.Assistant:
		v.Kind, v.Blocks, v.Model = "assistant", blocks(e.Blocks, raw, word), e.Model
		if e.Stop != transcript.StopEndTurn && e.Stop != transcript.StopToolUse {
			v.Stop = strings.ReplaceAll(string(e.Stop), "_", " ")
		}
	case transcript.ToolResult:
		text := e.Content.Plain()
		v.Kind, v.Call, v.Name, v.Bad, v.Code = "result", string(e.Call), e.Name, e.IsError, resultWord(e)
		v.Brief, v.Size = brief(text), size(len(text))
		v.Blocks = []blockView{{Kind: "result", Text: textView{Pieces: []piece{{Code: true, Text: clip(text, textShown)}}, Raw: raw, More: max(0, len(text)-textShown)}}}
	}
	return v
}

func blocks(in transcript.Blocks, raw string, word func(id.Call) string) []blockView {
	var out []blockView
	for _, b := range in {
		switch b := b.(type) {
		case transcript.Text:
			if strings.TrimSpace(b.Text) != "" {
				out = append(out, blockView{Kind: "text", Text: prose(b.Text, raw, textShown)})
			}
		case transcript.Reasoning:
			v := blockView{Kind: "reasoning", Text: prose(b.Text, raw, textShown), Brief: brief(b.Text)}
			if b.Text == "" {
				v.Brief = "kept by the provider, not readable"
			}
			out = append(out, v)
		case transcript.ToolUse:
			args := pretty(b.Args)
			out = append(out, blockView{Kind: "call", Call: string(b.ID), Name: b.Name, Brief: arguments(b.Args), Word: word(b.ID),
				Text: textView{Pieces: []piece{{Code: true, Text: clip(args, argsShown)}}, Raw: raw, More: max(0, len(args)-argsShown)}})
		case transcript.Media:
			out = append(out, blockView{Kind: "media", Name: b.MediaType, Brief: size(len(b.Data))})
		}
	}
	return out
}

// plain is all of the text of a row.
func plain(e transcript.Entry) string {
	switch e := e.(type) {
	case transcript.System:
		return e.Text
	case transcript.Notice:
		return e.Text
	case transcript.User:
		return e.Content.Plain()
	case transcript.ToolResult:
		return e.Content.Plain()
	case transcript.Assistant:
		var parts []string
		for _, b := range e.Blocks {
			switch b := b.(type) {
			case transcript.Text:
				parts = append(parts, b.Text)
			case transcript.Reasoning:
				parts = append(parts, "[reasoning]\n"+b.Text)
			case transcript.ToolUse:
				parts = append(parts, "[call "+b.Name+"]\n"+pretty(b.Args))
			case transcript.Media:
				parts = append(parts, "["+b.MediaType+"]")
			}
		}
		return strings.Join(parts, "\n\n")
	}
	return ""
}

// arguments are a call's in a line: names and values, without the braces.
func arguments(raw json.RawMessage) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return brief(string(raw))
	}
	var parts []string
	for k, v := range m {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		parts = append(parts, k+": "+s)
	}
	sortStrings(parts)
	return brief(strings.Join(parts, ", "))
}

func pretty(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// brief is the beginning of a text in a line.
func brief(s string) string {
	return clip(strings.Join(strings.Fields(clip(s, 4*briefShown)), " "), briefShown)
}

// clip cuts a text to at most n bytes, at a character, and marks that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// logLine is a durable event as it is shown.
type logLine struct {
	Key    string
	Cursor uint64
	Time   time.Time
	Type   string
	Tone   string
	Detail string
}

func logOf(e event.Event) logLine {
	l := logLine{Key: fmt.Sprintf("event-%d", e.Cursor), Cursor: e.Cursor, Time: e.Time, Type: e.Payload.Type()}
	switch p := e.Payload.(type) {
	case event.RunFailed, event.ExtractionFailed, event.ModelChangeAborted, event.BudgetWarning:
		l.Tone = "bad"
	case event.ToolExecutionCompleted:
		if p.IsError {
			l.Tone = "bad"
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the template does, and people read it
	if enc.Encode(e.Payload) == nil && b.String() != "{}\n" {
		l.Detail = clip(strings.TrimSpace(b.String()), detailLine)
	}
	return l
}

// failure says how a run ended that failed; ok: the event says something about it.
func failure(e event.Event) (text string, ok bool) {
	switch p := e.Payload.(type) {
	case event.RunFailed:
		if p.Class == "cancelled" {
			return "The last run was cancelled.", true
		}
		return sentence(fmt.Sprintf("the last run failed (%s): %s", strings.ReplaceAll(p.Class, "_", " "), clip(p.Error, 2000))), true
	case event.RunStarted:
		return "", true
	}
	return "", false
}

func labels(m map[string]string) []string {
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	sortStrings(out)
	return out
}

func sortStrings(s []string) { slices.Sort(s) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func size(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1_000_000)
}

// nonce is what makes two sendings of one form one.
func nonce() string { return rand.Text() }

// funcs are what templates call.
func (c *console) funcs(names map[string]string) template.FuncMap {
	return template.FuncMap{
		"asset":     func(name string) string { return names[name] },
		"ago":       func(t time.Time) string { return ago(c.Now(), t) },
		"absolute":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"clock":     func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"size":      size,
		"thousands": thousands,
		"short":     func(s string) string { return clip(s, 13) },
		"model": func(s string) string {
			return s[strings.LastIndexByte(s, '/')+1:]
		},
	}
}
