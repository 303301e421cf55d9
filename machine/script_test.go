package machine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// The scripts in testdata tell what comes of every word said to a session: one command a line, and below it the whole commit.
// testdata/README.md says how to read and write them; go test ./machine -update writes what comes below the commands.
//
// They show R53, R54, R55, R56, R57, R58, R59 (retire, destroy, reset, unregister, caller) and R110, R111, R112, R113, R114 (extraction, budget), R118 (servers, work, peers), R136 (deferred), R137 (seed), each where a comment in them says so.
func TestR31_R32_R37_scripts_come_out_as_written(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(text), false)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			golden.Equal(t, file, []byte(got))
		})
	}
}

// play runs the commands of a script and returns the script with what came of them.
func play(text string, quick bool) (string, error) {
	begin := func() player {
		p := player{w: newWorld(), runs: map[id.Run]string{}, calls: map[string]id.Effect{}}
		p.w.quick = quick
		return p
	}
	p := begin()
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "    "):
			continue // what came of it the last time
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
			continue
		case line == "session":
			p = begin()
			out.WriteString(line + "\n")
			continue
		}
		command, quiet := strings.CutPrefix(line, "- ")
		ev, err := p.parse(command)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", n+1, err)
		}
		prev := p.w.s
		c, refusal, breach := p.w.tell(ev)
		if breach != nil {
			return "", fmt.Errorf("line %d: %s: %w", n+1, line, breach)
		}
		p.note(c)
		out.WriteString(line + "\n")
		for _, l := range p.trace(prev, c, refusal) {
			if quiet && refusal == nil {
				continue
			}
			out.WriteString(strings.TrimRight("    "+l, " ") + "\n")
		}
	}
	return out.String(), nil
}

type player struct {
	w      *world
	runs   map[id.Run]string // r1, r2, ... in order of appearance
	calls  map[string]id.Effect
	model  id.Effect // last asked for
	whole  id.Effect
	sent   id.Effect
	epochs int
}

func (p *player) note(c machine.Commit) {
	for _, d := range c.Opened {
		switch d.Kind {
		case run.CallModel, run.Extract:
			p.model = d.ID
		case run.RunTool:
			p.calls[string(d.Call.ID)] = d.ID
		case run.ApplyRun:
			p.whole = d.ID
		case run.Deliver:
			p.sent = d.ID
		}
	}
}

// words are the arguments of a command: key=value, key="a value", or a bare key.
type words map[string]string

func (w words) has(key string) bool { _, ok := w[key]; return ok }

func (w words) number(key string) int {
	n, err := strconv.Atoi(w[key])
	if err != nil {
		return 0
	}
	return n
}

func (w words) text(fallback string) transcript.Blocks {
	if !w.has("text") {
		w["text"] = fallback
	}
	if w["text"] == "" {
		return nil
	}
	return transcript.TextBlocks(w["text"])
}

// profile is what the arguments of register ask for; nil: nothing.
func (w words) profile() *run.Profile {
	d, _ := time.ParseDuration(w["duration"])
	p := &run.Profile{Model: w["model"], MaxRounds: w.number("rounds"), MaxOutput: w.number("output"), Retry: run.RetryPolicy{Max: w.number("retries")},
		Budget: run.Budget{Tokens: w.number("tokens"), Calls: w.number("calls"), Duration: d}, SchemaRetries: w.number("tries"), System: w["later"]}
	if w.has("schema") {
		p.Schema = []byte(`{"type":"object"}`)
	}
	if reflect.ValueOf(*p).IsZero() {
		return nil
	}
	return p
}

// seed reads what a session begins with: s, n, u and a are a system prompt, a notice, a user's message and a reply; a:x,y asks for calls, r:x is the
// result of one, and ? is nothing.
func seed(text string) (rows []transcript.Row) {
	for n, word := range strings.Fields(text) {
		kind, calls, _ := strings.Cut(word, ":")
		r := transcript.Row{At: transcript.Position{Message: 2*n + 7}, Run: "another", Time: time.Date(2025, 1, 1, 0, 0, n, 0, time.FixedZone("east", 3600))}
		switch kind {
		case "s":
			r.Entry = transcript.System{Text: "be kind"}
		case "n":
			r.Entry = transcript.Notice{Kind: "context", Text: "it rains"}
		case "u":
			r.Entry = transcript.User{Content: transcript.TextBlocks(fmt.Sprintf("question %d", n))}
		case "a":
			reply := transcript.Assistant{Blocks: transcript.TextBlocks("reply"), Stop: transcript.StopEndTurn}
			for _, c := range strings.Split(calls, ",") {
				if c != "" {
					reply.Blocks = append(reply.Blocks, transcript.ToolUse{ID: id.Call(c), Name: "tool_" + c, Args: []byte("{}")})
				}
			}
			r.Entry = reply
		case "r":
			r.Entry = transcript.ToolResult{Call: id.Call(calls), Content: transcript.TextBlocks("result")}
		}
		rows = append(rows, r)
	}
	return rows
}

func split(line string) (string, words, error) {
	command, rest, _ := strings.Cut(line, " ")
	w := words{}
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end := strings.IndexAny(rest, " =")
		if end < 0 || rest[end] == ' ' {
			word, more, _ := strings.Cut(rest, " ")
			w[word], rest = "", more
			continue
		}
		key := rest[:end]
		if rest = rest[end+1:]; !strings.HasPrefix(rest, `"`) {
			w[key], rest, _ = strings.Cut(rest, " ")
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", nil, fmt.Errorf("%q: %w", line, err)
		}
		if w[key], err = strconv.Unquote(quoted); err != nil {
			return "", nil, fmt.Errorf("%q: %w", line, err)
		}
		rest = rest[len(quoted):]
	}
	return command, w, nil
}

func (p *player) parse(line string) (machine.Event, error) {
	command, w, err := split(line)
	if err != nil {
		return nil, err
	}
	switch command {
	case "register":
		ev := machine.Register{System: w["system"], Seed: seed(w["seed"])}
		ev.Profile = w.profile()
		if w.has("is") {
			ev.Model, ev.Status = target(words{"model": w["is"]}), identity.Resolved
		}
		if w.has("attach") {
			ev.Attachment = machine.Attachment{ID: 3}
		}
		return ev, nil
	case "amend":
		ev := machine.Amend{Profile: run.Profile{}, Attachment: uint64(w.number("executor")), Catalogue: catalogue(w["tools"])}
		if p := w.profile(); p != nil {
			ev.Profile = *p
		}
		if w.has("is") {
			ev.Model, ev.Status = target(words{"model": w["is"]}), identity.Resolved
		}
		return ev, nil
	case "bind":
		return machine.Bind{Placement: machine.Placement{Runtime: w["runtime"], Fence: uint64(w.number("fence"))}}, nil
	case "attach":
		a := machine.Attachment{ID: 1, Catalogue: catalogue(w["tools"])}
		if w.has("whole") {
			a.Grain, a.Class = run.Whole, classOf(w["whole"])
		}
		return machine.Attach{Attachment: a}, nil
	case "opened":
		ev := machine.Opened{Reason: w["reason"]}
		if w.has("attach") {
			ev.Attachment = machine.Attachment{ID: 2, Catalogue: catalogue(w["tools"])}
		}
		return ev, nil
	case "handled":
		h := machine.Handled{Epoch: p.w.s.Lifecycle.Epoch, Attachment: uint64(w.number("executor")), Event: machine.Retire{}}
		if w.has("epoch") {
			h.Epoch = id.Epoch(w["epoch"])
		}
		return h, nil
	case "detach":
		return machine.Detach{ID: uint64(max(w.number("id"), 1))}, nil
	case "submit":
		lane := inbox.Queue
		if w["lane"] == "steer" {
			lane = inbox.Steer
		}
		if !w.has("text") {
			w["text"] = "say " + w["id"]
		}
		ev := prompt(id.Input(w["id"]), w["text"], lane)
		if w.has("kind") {
			ev.Input = p.given(w)
		}
		if body, ok := ev.Input.Body.(given.Prompt); ok {
			body.Run.Overlay = w.overlay()
			ev.Input.Body = body
		}
		if w.has("ephemeral") {
			ev.Input.Durability = given.Ephemeral
		}
		ev.Input.Key, ev.Input.Supersession = w["key"], w["scope"]
		ev.Caller, ev.RequireIdle, ev.WithoutWake, ev.Continue = w.has("caller"), w.has("idle"), w.has("quiet"), w.has("continue")
		if ev.Continue {
			ev.Input.Body = nil
		}
		ev.Prior = p.w.prior(ev.Input)
		return ev, nil
	case "interrupt":
		return machine.Interrupt{Run: p.run(w), Reason: w["reason"]}, nil
	case "cancel":
		return machine.CancelAfterBoundary{Run: p.run(w)}, nil
	case "stop":
		return machine.Stop{Reason: w["reason"]}, nil
	case "lost":
		return p.lost(w), nil
	case "published":
		return machine.Published{Kind: w["kind"], Body: w["body"]}, nil
	case "unbind":
		return machine.Unbind{Placement: machine.Placement{Runtime: w["runtime"], Fence: uint64(w.number("fence"))}}, nil
	}
	if ev, err := p.regional(command, w); ev != nil || err != nil {
		return ev, err
	}
	if ev, err := p.sighted(command, w); ev != nil || err != nil {
		return ev, err
	}
	if ev := p.word(command, w); ev != nil {
		return ev, nil
	}
	if ev, ok := plain[command]; ok {
		return ev, nil
	}
	r, err := p.report(command, w)
	return machine.Reported{Report: r}, err
}

// plain are the events that say all by their name.
var plain = map[string]machine.Event{
	"drain": machine.Drain{}, "drained": machine.Drain{Over: true}, "unregister": machine.Unregister{}, "retire": machine.Retire{},
	"abandon": machine.AbandonRetired{}, "archive": machine.Archive{}, "reset": machine.Reset{}, "recycle": machine.Recycle{},
	"recover": machine.Recover{}, "destroy": machine.Destroy{}, "serve": machine.Serve{}, "tick": machine.Tick{},
}

const peerID = "01890000-0000-7000-8000-0000000000aa"

// given is an input of another kind than a prompt.
func (p *player) given(w words) given.Input {
	in := given.Input{ID: id.Input(w["id"])}
	var mode given.Handling
	switch w["mode"] {
	case "queue":
		mode = given.HandlingQueue
	case "steer":
		mode = given.HandlingSteer
	}
	in.Source = given.Source{Kind: given.SourcePeer, Peer: peerID, Display: "ann"}
	switch w["kind"] {
	case "message":
		in.Body = given.Peer{Convention: given.Message{}, Body: w["text"], Handling: mode}
	case "request":
		in.Body = given.Peer{Convention: given.Request{ID: "01890000-0000-7000-8000-0000000000bb", Intent: w["intent"]}, Body: w["text"], Handling: mode}
	case "progress":
		in.Body = given.Peer{Convention: given.Progress{Request: "01890000-0000-7000-8000-0000000000bb", Phase: "halfway"}, Body: w["text"]}
	case "answer":
		in.Body = given.Peer{Convention: given.Terminal{Request: "01890000-0000-7000-8000-0000000000bb"}, Body: w["text"], Handling: mode}
	case "event":
		in.Source = given.Source{Kind: given.SourceExternal, Name: "ci"}
		in.Body = given.ExternalEvent{Type: "build", Payload: []byte(`{"body":"` + w["text"] + `"}`), Handling: mode}
	case "go_on":
		in.Source = given.Source{Kind: given.SourceSystem}
		in.Durability = given.Derived
		c := given.Continuation{Reason: w["reason"], Handling: mode}
		if w["text"] != "" && w["text"] != "say "+w["id"] {
			c.Turn = given.Entries{transcript.Notice{Kind: "context", Text: w["text"]}}
		}
		in.Body = c
	case "operation":
		in.Source = given.Source{Kind: given.SourceSystem}
		in.Body = given.Operation{Operation: "op", Event: "done"}
	case "step":
		in.Source = given.Source{Kind: given.SourceFlow, Flow: "f"}
		in.Body = given.FlowStep{Step: "s", Instructions: w["text"], Run: given.Options{Handling: mode}}
	}
	return in
}

// run is the bound run, unless another is named.
func (p *player) run(w words) id.Run {
	if !w.has("run") {
		return p.w.s.Run()
	}
	for r, name := range p.runs {
		if name == w["run"] {
			return r
		}
	}
	return id.Run(w["run"])
}

func (p *player) lost(w words) machine.Event {
	ev := machine.ExecutorLost{Run: p.run(w), Reason: w["reason"]}
	if w.has("given") {
		ev.Given = map[id.Effect]bool{}
		for _, name := range strings.Split(w["given"], ",") {
			if e, ok := p.calls[name]; ok {
				ev.Given[e] = true
			} else if name == "model" {
				ev.Given[p.model] = true
			}
		}
	}
	return ev
}

func (p *player) report(command string, w words) (run.Report, error) {
	switch command {
	case "reply":
		reply := transcript.Assistant{Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 10, Output: 1}}
		if w.has("text") || !w.has("calls") {
			reply.Blocks = w.text("done")
		}
		var intents []run.Intent
		if w.has("calls") {
			reply.Stop = transcript.StopToolUse
			for _, c := range strings.Split(w["calls"], ",") {
				i := intent(c)
				intents, reply.Blocks = append(intents, i), append(reply.Blocks, i.Call)
			}
		}
		if w.has("short") {
			intents = intents[1:]
		}
		return run.ModelReplied{ID: p.model, Reply: reply, Calls: intents}, nil
	case "fail":
		attempt := p.w.asked[p.model].Attempt
		if w.has("attempt") {
			attempt = w.number("attempt")
		}
		after, _ := time.ParseDuration(w["after"])
		return run.ModelFailed{ID: p.model, Attempt: attempt, Failure: run.Failure{Kind: w["kind"], Message: w["kind"] + " happened",
			Retryable: w.has("retry"), RetryAfter: after}}, nil
	case "output":
		return p.output(w), nil
	case "settle":
		return run.ToolSettled{ID: p.calls[w["call"]], Duration: 5 * time.Millisecond, Result: transcript.ToolResult{
			Content: w.text("result of " + w["call"]), IsError: w.has("error"), Code: w["code"]}}, nil
	case "boundary":
		return run.BoundaryReached{ID: p.whole}, nil
	case "delivered":
		return run.Delivered{ID: p.sent}, nil
	case "refuse":
		attempt := p.w.asked[p.whole].Attempt
		if w.has("attempt") {
			attempt = w.number("attempt")
		}
		return run.RunRefused{ID: p.whole, Attempt: attempt, Failure: run.Failure{Kind: "internal", Message: "not now"}}, nil
	case "applied":
		r := run.RunApplied{ID: p.whole, Usage: transcript.Usage{Input: 20, Output: 2}}
		if w.has("inputs") {
			for _, in := range strings.Split(w["inputs"], ",") {
				r.Inputs = append(r.Inputs, id.Input(in))
			}
		}
		r.Cause = w["cause"]
		if w.has("failed") {
			r.Failed = &run.Failure{Kind: "internal", Message: w["failed"]}
		}
		if w.has("text") || r.Failed == nil {
			r.Appends = []transcript.Entry{transcript.Assistant{Blocks: w.text("done"), Stop: transcript.StopEndTurn}}
		}
		if w.has("calls") {
			r.Appends = append(r.Appends, transcript.Assistant{Blocks: transcript.Blocks{intent(w["calls"]).Call}})
		}
		return r, nil
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

// output answers a try at an output: a value, what does not fit and why, or why there is none.
func (p *player) output(w words) run.Extracted {
	r := run.Extracted{ID: p.model, Attempt: max(p.w.asked[p.model].Attempt, 1), Text: w["text"], Error: w["error"], Usage: transcript.Usage{Input: 5, Output: 2}}
	switch {
	case w.has("json"):
		r.Verdict, r.Output = run.OutputValid, []byte(w["json"])
	case w.has("misfit"):
		r.Verdict = run.OutputInvalid
	}
	if w.has("attempt") {
		r.Attempt = w.number("attempt")
	}
	return r
}

// intent reads a call: a name and a class, or why it must not run; and what it waits for.
func intent(spec string) run.Intent {
	name, class, _ := strings.Cut(spec, ":")
	class, hold, _ := strings.Cut(class, ":")
	i := run.Intent{Call: transcript.ToolUse{ID: id.Call(name), Name: "tool_" + name, Args: []byte("{}")}, Class: classOf(class), Hold: holdOf(hold)}
	if code := map[string]string{"unknown": transcript.ResultNotFound, "invalid": transcript.ResultInvalid}[class]; code != "" {
		i.Refusal = &run.Refusal{Code: code, Message: "it must not run"}
	}
	return i
}

func classOf(name string) run.Class {
	for _, c := range []run.Class{run.ReadOnly, run.Idempotent} {
		if c.String() == name {
			return c
		}
	}
	return run.Once
}

// named returns r1, r2, ... for a run.
func (p *player) named(r id.Run) string {
	if r == "" {
		return "-"
	}
	if _, ok := p.runs[r]; !ok {
		p.runs[r] = "r" + strconv.Itoa(len(p.runs)+1)
	}
	return p.runs[r]
}

// trace tells all of a commit, a line for each thing.
func (p *player) trace(prev machine.State, c machine.Commit, refusal error) []string {
	if refusal != nil {
		return []string{"refused by " + refusal.Error()}
	}
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, x := range c.Inputs {
		p.named(x.Item.Run) // a run is named in the order in which it begins
	}
	if v := c.Verdict; v.Input != "" {
		say("told     %s run %s%s", v.Input, p.named(v.Run), map[bool]string{true: " duplicate"}[v.Duplicate])
	}
	if v := c.Verdict; v.Abandoned > 0 || v.Pending > 0 {
		say("told     %d abandoned, %d pending", v.Abandoned, v.Pending)
	}
	if v := c.Verdict.Boundary; v != nil {
		say("told     boundary cancel=%t steers=%d", v.Cancel, len(v.Steers))
	}
	for _, x := range c.Inputs {
		line := fmt.Sprintf("input    %s %s %s run %s", x.Item.ID, x.Item.Lane, x.Item.Phase, p.named(x.Item.Run))
		if e := x.Ended; e != nil {
			line += fmt.Sprintf(": %s reply=%d rounds=%d calls=%d %s %s", e.Status, e.Reply, e.Rounds, e.Calls, e.Cause, e.Error)
			if e.Output != nil {
				line += "output " + string(e.Output)
			}
			if e.NoOutput != nil {
				line += "no output " + encode(e.NoOutput)
			}
		}
		say("%s", line)
	}
	for _, r := range c.Rows {
		say("row      %s %s %s %s", position(r.At), p.named(r.Run), transcript.Role(r.Entry), encode(r.Entry))
	}
	for _, x := range c.Closed {
		say("closed   %s: %s", directive(x.Directive, p.w.at), x.Outcome)
	}
	for _, d := range c.Opened {
		say("opened   %s", directive(d, p.w.at))
	}
	for _, r := range c.Receipts {
		say("receipt  %s #%d %s %v messages=%d", p.named(r.Run), r.Sequence, r.Boundary, r.Inputs, r.Messages)
	}
	for _, e := range c.Facts {
		at := ""
		if !e.At.IsZero() {
			at = " at " + position(e.At)
		}
		say("event    %d %s/%d %s%s %s", e.Cursor, p.named(e.Run), e.Round, e.Payload.Type(), at, encode(e.Payload))
	}
	out = append(out, regionLines(prev, c)...)
	out = append(out, sightLines(prev, c)...)
	if was, is := prev.Lifecycle, c.Next.Lifecycle; was.Epoch != is.Epoch {
		p.epochs++
		say("epoch    %d", p.epochs)
	}
	if c.Next.Version == c.From {
		say("written  nothing")
	}
	if line := p.summary(c.Next); line != p.summary(prev) || c.Next.Version != c.From {
		say("%s", line)
	}
	return out
}

func (p *player) summary(s machine.State) string {
	line := fmt.Sprintf("now      version %d, %s, turn %s", s.Version, s.Phase(), s.Turn.Phase)
	if s.Lifecycle.Run != "" {
		line += fmt.Sprintf(", run %s, %d open", p.named(s.Lifecycle.Run), s.Open.Len())
	}
	var waits []string
	for i := range s.Inbox.All() {
		if i.Phase == inbox.Queued {
			waits = append(waits, string(i.ID))
		}
	}
	if s.Lifecycle.Stopping {
		line += ", stopping"
	}
	if s.Lifecycle.Reason != "" {
		line += ", because: " + s.Lifecycle.Reason
	}
	if s.Lifecycle.Archived {
		line += ", archived"
	}
	if s.Transient.Draining {
		line += ", draining"
	}
	if s.Turn.Cancel {
		line += ", cancel asked"
	}
	if len(waits) > 0 {
		line += ", waiting " + strings.Join(waits, " ")
	}
	if s.Turn.Resumes > 0 && s.Lifecycle.Run != "" {
		line += fmt.Sprintf(", resumed %d times", s.Turn.Resumes)
	}
	if n := len(s.Held); n > 0 {
		line += fmt.Sprintf(", %d outcomes held", n)
	}
	if s.Transient.Placement.Runtime != "" {
		line += ", placed at " + s.Transient.Placement.Runtime
	}
	return line
}

func position(at transcript.Position) string { return fmt.Sprintf("%d.%d", at.Message, at.Ordinal) }

func directive(d run.Directive, now time.Time) string {
	line := fmt.Sprintf("%s %s attempt=%d round=%d", d.ID, d.Kind, d.Attempt, d.Round)
	switch d.Kind {
	case run.RunTool:
		line += fmt.Sprintf(" call=%s:%s result goes to %s%s", d.Call.ID, d.Class, position(d.At), waits(d))
	case run.CallModel, run.Extract:
		line += fmt.Sprintf(" upto=%d", d.Upto)
		if d.MaxOutput > 0 {
			line += fmt.Sprintf(" at most %d tokens", d.MaxOutput)
		}
		if d.Misfit != nil {
			line += fmt.Sprintf(" after %q: %s", d.Misfit.Text, d.Misfit.Error)
		}
		if d.NotBefore.After(now) {
			line += fmt.Sprintf(" not before %v from now", d.NotBefore.Sub(now))
		}
	case run.ApplyRun:
		line += fmt.Sprintf(" %s upto=%d inputs=%v", d.Class, d.Upto, d.Inputs)
		if d.Caller {
			line += " by the caller"
		}
	case run.Deliver:
		line += fmt.Sprintf(" %s to %s/%d", d.Signal.Kind, d.Signal.Runtime, d.Signal.Fence)
	}
	if d.Model != nil {
		line += " by " + d.Model.Model
	}
	return line
}

func TestA_script_that_cannot_be_read_says_which_line(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"jump high", `submit id="i1`} {
		if _, err := play("# fine\n"+line, false); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", line, err)
		}
	}
	if _, w, err := split(`submit id=i1 text="a b" idle`); err != nil || w["text"] != "a b" || !w.has("idle") || len(w) != 3 {
		t.Errorf("words %v, %v", w, err)
	}
	if !slices.Equal([]string{intent("a:read_only").Class.String(), intent("a").Class.String()}, []string{"read_only", "once"}) {
		t.Error("classes are misread")
	}
}
