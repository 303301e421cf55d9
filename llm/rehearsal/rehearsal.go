package rehearsal

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// Model plays a script. It implements llm.Model.
type Model struct {
	steps []step

	mu       sync.Mutex
	attempts map[[sha256.Size]byte]int // failed attempts at a point of a conversation; forgotten when its reply has been given
}

// step is a Step that is ready to be played.
type step struct {
	Step
	user     string // When.User in lower case
	userExpr *regexp.Regexp
	textExpr *regexp.Regexp
}

// New returns a model that plays s. A script that cannot be played is a *ScriptError. The script is not to be changed afterwards.
func New(s Script) (*Model, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := &Model{attempts: map[[sha256.Size]byte]int{}}
	for _, st := range s.Steps {
		ready := step{Step: st, user: strings.ToLower(st.When.User)}
		var err error
		if ready.userExpr, err = compile(st.When.UserMatches); err != nil {
			return nil, err
		}
		if r := st.When.Result; r != nil {
			if ready.textExpr, err = compile(r.Matches); err != nil {
				return nil, err
			}
		}
		m.steps = append(m.steps, ready)
	}
	return m, nil
}

// Open returns a model that plays the script in a file.
func Open(path string) (llm.Model, error) {
	s, err := Load(path)
	if err != nil {
		return nil, err
	}
	m, err := New(s)
	if err != nil {
		return nil, err // not m: a nil *Model is no nil llm.Model
	}
	return m, nil
}

//go:embed demo.json
var demo []byte

// Demo returns the script of a run of three steps, made by a tool called step with the argument name: fetch, build, publish. Its
// last reply says what became of each, and which outcome is not known.
func Demo() Script {
	s, err := Parse(demo)
	if err != nil {
		panic(fmt.Sprintf("rehearsal: the embedded demo: %v", err)) // a defect of this package, held by its tests
	}
	return s
}

func compile(expr string) (*regexp.Regexp, error) {
	if expr == "" {
		return nil, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("compile %q: %w", expr, err)
	}
	return re, nil
}

// Stream plays the step the conversation is waiting for. A conversation no step is for is an *llm.Error of kind InvalidRequest,
// which says where the conversation stands and why each step does not fit.
func (m *Model) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		var c conversation
		i, err := m.choose(&c, req)
		if err != nil {
			yield(nil, err)
			return
		}
		s := m.steps[i]
		var parts []llm.Part
		if s.Reply != nil {
			if parts, err = c.render(*s.Reply); err != nil {
				yield(nil, &llm.Error{Kind: llm.InvalidRequest, Provider: Provider, Message: fmt.Sprintf("%s cannot be played: %v", s.title(i), err)})
				return
			}
		}
		p := player{ctx: ctx, yield: yield}
		key := c.key("attempt", i)
		if f, fails := m.failure(key, s); fails {
			p.fail(f, s, parts)
			return
		}
		if p.play(*s.Reply, parts) && p.end(*s.Reply) {
			m.forget(key)
		}
	}
}

// choose plays the script again along the conversation and returns the step that is next.
func (m *Model) choose(c *conversation, req llm.Request) (int, error) {
	tools := map[string]bool{}
	for _, t := range req.Tools {
		tools[t.Name] = true
	}
	used := make([]int, len(m.steps))
	for _, row := range req.Rows {
		if _, ok := row.Entry.(transcript.Assistant); ok {
			if i := m.next(c, tools, used); i >= 0 {
				used[i]++
			}
		}
		c.add(row)
	}
	if i := m.next(c, tools, used); i >= 0 {
		return i, nil
	}
	var why []string
	for i := range m.steps {
		why = append(why, m.steps[i].title(i)+": "+m.steps[i].mismatch(c, tools, used[i]))
	}
	return -1, &llm.Error{Kind: llm.InvalidRequest, Provider: Provider,
		Message: fmt.Sprintf("no step for %s (%s)", c.describe(), strings.Join(why, "; "))}
}

func (m *Model) next(c *conversation, tools map[string]bool, used []int) int {
	for i := range m.steps {
		if m.steps[i].mismatch(c, tools, used[i]) == "" {
			return i
		}
	}
	return -1
}

// failure returns what the next attempt at this point comes to, if it is to fail, and counts it.
func (m *Model) failure(key [sha256.Size]byte, s step) (Failure, bool) {
	if len(s.Failures) == 0 {
		return Failure{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.attempts[key]
	for _, f := range s.Failures {
		if n -= max(1, f.Times); n < 0 {
			m.attempts[key]++
			return f, true
		}
	}
	return s.Failures[len(s.Failures)-1], s.Reply == nil
}

func (m *Model) forget(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.attempts, key)
}

// title names a step in messages.
func (s step) title(i int) string {
	if s.Name == "" {
		return fmt.Sprintf("steps[%d]", i)
	}
	return fmt.Sprintf("steps[%d] %q", i, s.Name)
}

// mismatch says why the step is not for this point of the conversation; empty: it is.
func (s step) mismatch(c *conversation, tools map[string]bool, used int) string {
	w := s.When
	switch {
	case !s.Always && used >= max(1, s.Times):
		return "used up"
	case w.Turn != nil && *w.Turn != c.turn():
		return fmt.Sprintf("is for turn %d", *w.Turn)
	case w.Round != nil && *w.Round != c.round:
		return fmt.Sprintf("is for round %d", *w.Round)
	case w.Reply != nil && *w.Reply != c.reply:
		return fmt.Sprintf("is for reply %d", *w.Reply)
	case !strings.Contains(c.lower, s.user):
		return fmt.Sprintf("user does not contain %q", w.User)
	case s.userExpr != nil && !s.userExpr.MatchString(c.user):
		return fmt.Sprintf("user does not match %q", w.UserMatches)
	}
	for _, t := range w.Tools {
		if !tools[t] {
			return "tool " + t + " is not offered"
		}
	}
	if w.Result == nil {
		return ""
	}
	for _, r := range c.since(w.Result.Since) {
		if s.fits(r) {
			return ""
		}
	}
	return "no such tool result"
}

func (s step) fits(r result) bool {
	w := s.When.Result
	return (w.Tool == "" || w.Tool == r.tool) && strings.Contains(r.text, w.Contains) && (s.textExpr == nil || s.textExpr.MatchString(r.text)) &&
		(w.Error == nil || *w.Error == r.failed) && (w.Code == "" || w.Code == r.code)
}

// render returns the parts of a reply up to its usage and end.
func (c *conversation) render(r Reply) ([]llm.Part, error) {
	reasoning, err := c.fill(r.Reasoning)
	if err != nil {
		return nil, err
	}
	var parts []llm.Part
	for _, w := range words(reasoning) {
		parts = append(parts, llm.ReasoningPart{Text: w})
	}
	text, err := c.fill(r.Text)
	if err != nil {
		return nil, err
	}
	for _, w := range words(text) {
		parts = append(parts, llm.TextPart{Text: w})
	}
	for _, p := range r.Pieces {
		if p, err = c.fill(p); err != nil {
			return nil, err
		}
		parts = append(parts, llm.TextPart{Text: p})
	}
	for i, call := range r.Calls {
		args := call.ArgsText
		if args == "" {
			if args, err = c.fillArgs(call.Args); err != nil {
				return nil, err
			}
		}
		callID := call.ID
		if callID == "" {
			callID = c.callID(call.Tool, i)
		}
		parts = append(parts, llm.CallPart{Index: i, ID: callID, Name: call.Tool}, llm.CallPart{Index: i, Args: args})
	}
	return parts, nil
}

// words splits text after each run of white space. Joined, they are the text again.
func words(text string) []string {
	var out []string
	start, space := 0, false
	for i, c := range text {
		isSpace := c == ' ' || c == '\n' || c == '\t' || c == '\r'
		if space && !isSpace {
			out = append(out, text[start:i])
			start = i
		}
		space = isSpace
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

// player yields parts at their pace. Each method returns false when the stream is over.
type player struct {
	ctx   context.Context
	yield func(llm.Part, error) bool
}

func (p player) play(r Reply, parts []llm.Part) bool {
	wait := r.Wait
	for _, part := range parts {
		if !p.pause(wait) || !p.yield(part, nil) {
			return false
		}
		wait = r.Delay
	}
	return true
}

func (p player) end(r Reply) bool {
	if !p.pause(0) {
		return false
	}
	if r.Usage != nil && !p.yield(llm.UsagePart{Usage: *r.Usage}, nil) {
		return false
	}
	stop := r.Stop
	switch {
	case stop != "":
	case len(r.Calls) > 0:
		stop = transcript.StopToolUse
	default:
		stop = transcript.StopEndTurn
	}
	return p.yield(llm.Done{Stop: stop}, nil)
}

func (p player) fail(f Failure, s step, parts []llm.Part) {
	if f.After > 0 && !p.play(*s.Reply, parts[:min(f.After, len(parts))]) {
		return
	}
	if !p.pause(f.Wait) {
		return
	}
	switch f.Kind {
	case Cut:
		return
	case Hang:
		<-p.ctx.Done()
		p.pause(0)
		return
	}
	kind := llm.Kind(f.Kind)
	if kind == "" {
		kind = llm.KindOfStatus(f.Status)
	}
	message := f.Message
	if message == "" {
		message = "the script says that this attempt fails"
	}
	p.yield(nil, &llm.Error{Kind: kind, Provider: Provider, Status: f.Status, RetryAfter: f.RetryAfter, Message: message})
}

// pause waits for d, and yields an error if ctx ends first.
func (p player) pause(d time.Duration) bool {
	if d > 0 && p.ctx.Err() == nil {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.ctx.Done():
		}
	}
	err := p.ctx.Err()
	if err == nil {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &llm.Error{Kind: llm.CallTimeout, Provider: Provider, Message: "the time for the call has run out", Err: context.Cause(p.ctx)}
	} else {
		err = fmt.Errorf("%s: model call abandoned: %w", Provider, err)
	}
	p.yield(nil, err)
	return false
}
