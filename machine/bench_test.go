package machine_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// What a step costs: BenchmarkStep has an event or more of each region, BenchmarkPast the same events behind 1, 100 and 10,000 of all that a
// session leaves behind it, BenchmarkWaiting those that look at what waits, BenchmarkState what a state takes. Three tests hold without a
// clock what must not grow.

// must steps a state, for setting a scene.
func must(tb testing.TB, s machine.State, evs ...machine.Event) machine.State {
	tb.Helper()
	for _, ev := range evs {
		c, err := machine.Step(s, newWorld().at, ev)
		if err != nil {
			tb.Fatal(err)
		}
		s = c.Next
	}
	return s
}

// after is a session, attached, with a number of inputs behind it and a number that wait while a run is bound.
func after(tb testing.TB, past, waiting int) machine.State {
	s := must(tb, machine.State{Session: session}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 1}})
	for n := range past {
		s = must(tb, s, input(fmt.Sprintf("past-%d", n)))
		s = must(tb, s, machine.Reported{Report: answer(first(s))})
	}
	if waiting > 0 {
		s = must(tb, s, input("running"))
		for n := range waiting {
			s = must(tb, s, input(fmt.Sprintf("waiting-%d", n)))
		}
	}
	return s
}

func input(name string) machine.Submit {
	return prompt(id.Input(name), "what is in this folder?", inbox.Queue)
}

// prompt is what the operator says.
func prompt(in id.Input, text string, lane inbox.Lane) machine.Submit {
	body := given.Prompt{Text: text}
	if lane == inbox.Steer {
		body.Run.Handling = given.HandlingSteer
	}
	return machine.Submit{Input: given.Input{ID: in, Body: body}}
}

func first(s machine.State) run.Directive {
	_, d, _ := s.Open.First()
	return d
}

// replies answers the open model call with calls of these classes.
func replies(s machine.State, classes ...string) machine.Reported {
	return machine.Reported{Report: (&world{}).replyWithCalls(first(s).ID, classes)}
}

// answered answers whatever is open first.
func answered(s machine.State) machine.Reported { return machine.Reported{Report: answer(first(s))} }

func step(b *testing.B, s machine.State, ev machine.Event, refused bool) {
	b.Helper()
	at := newWorld().at
	b.ReportAllocs()
	for b.Loop() {
		if _, err := machine.Step(s, at, ev); (err != nil) != refused {
			b.Fatal(err)
		}
	}
}

// scene is one event told to one state.
type scene struct {
	name    string
	s       machine.State
	ev      machine.Event
	refused bool
}

func BenchmarkStep(b *testing.B) {
	for _, region := range []struct {
		name   string
		scenes func(testing.TB, machine.State) []scene
	}{
		{"lifecycle", ofLifecycle}, {"inbox", ofInbox}, {"turn", ofTurn}, {"operation", ofOperation}, {"work", ofWork},
		{"toolserver", ofServers}, {"toolset", ofToolset}, {"peer", ofPeers}, {"model", ofModel},
	} {
		for _, c := range region.scenes(b, after(b, 10, 0)) {
			b.Run(region.name+"/"+c.name, func(b *testing.B) { step(b, c.s, c.ev, c.refused) })
		}
	}
}

func ofLifecycle(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	stopped := must(tb, idle, machine.Stop{})
	retired := must(tb, idle, machine.Retire{})
	one := machine.Attachment{ID: 2}
	return []scene{
		{"register", machine.State{Session: session}, machine.Register{Profile: &run.Profile{Model: "m"}, System: "Answer."}, false},
		{"revive", stopped, machine.Register{}, false},
		{"attach", must(tb, idle, machine.Detach{ID: 1}), machine.Attach{Attachment: one}, false},
		{"bind", idle, machine.Bind{Placement: machine.Placement{Runtime: "here"}}, false},
		{"opened with a run", calling, machine.Opened{Attachment: one, Reason: "killed"}, false},
		{"interrupt", calling, machine.Interrupt{Run: calling.Run(), Reason: "enough"}, false},
		{"cancel after boundary", calling, machine.CancelAfterBoundary{Run: calling.Run()}, false},
		{"executor lost", calling, machine.ExecutorLost{Run: calling.Run(), Reason: "it panicked"}, false},
		{"stop at rest", idle, machine.Stop{Reason: "enough"}, false},
		{"stop with a run", calling, machine.Stop{Reason: "enough"}, false},
		{"retire", idle, machine.Retire{}, false},
		{"reset of a retired one", retired, machine.Reset{}, false},
		{"recycle of a retired one", retired, machine.Recycle{}, false},
		{"recover", idle, machine.Recover{}, false},
		{"destroy", idle, machine.Destroy{}, false},
		{"archive", idle, machine.Archive{}, false},
		{"published", idle, machine.Published{Kind: "noticed", Body: `{"n":1}`}, false},
		{"through a handle", calling, machine.Handled{Epoch: calling.Lifecycle.Epoch, Attachment: 1,
			Event: machine.CancelAfterBoundary{Run: calling.Run()}}, false},
		{"refusal", calling, machine.Interrupt{Run: "another"}, true},
	}
}

// says is what a peer, or the system, gives the session.
func says(name, key string, from given.SourceKind, b given.Body) machine.Submit {
	in := given.Input{ID: id.Input(name), Supersession: key, Source: given.Source{Kind: from}, Body: b}
	switch from {
	case given.SourcePeer:
		in.Source.Peer = peerID
	case given.SourceSystem:
		in.Durability = given.Derived
	}
	return machine.Submit{Input: in}
}

func message(name string) machine.Submit {
	return says(name, "", given.SourcePeer, given.Peer{Convention: given.Message{}, Body: name})
}

func goOn(name string) machine.Submit {
	return says(name, "the only one", given.SourceSystem, given.Continuation{Reason: "something happened"})
}

// crowd submits n inputs.
func crowd(tb testing.TB, s machine.State, n int, what func(name string) machine.Submit) machine.State {
	for i := range n {
		s = must(tb, s, what(fmt.Sprintf("crowd-%d", i)))
	}
	return s
}

func steer(name string) machine.Submit { return prompt(id.Input(name), "look here, too", inbox.Steer) }

func ofInbox(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	out := must(tb, calling, replies(calling, "once"))
	ended := must(tb, idle, input("before"))
	c, err := machine.Step(ended, newWorld().at, answered(ended))
	if err != nil {
		tb.Fatal(err)
	}
	again := input("before")
	again.Prior = &machine.Prior{Item: c.Inputs[0].Item, Ended: c.Inputs[0].Ended}
	required := input("next")
	required.RequireIdle = true
	batch, steers := crowd(tb, calling, 16, message), crowd(tb, out, 16, steer)
	return []scene{
		{"prompt that starts a run", idle, input("now"), false},
		{"prompt that waits", calling, input("next"), false},
		{"steer that waits", calling, steer("next"), false},
		{"message of a peer that waits", calling, message("next"), false},
		{"continuation that supersedes one", must(tb, calling, goOn("older")), goOn("newer"), false},
		{"duplicate of a live one", calling, input("now"), false},
		{"duplicate of an ended one", idle, again, false},
		{"run that takes a batch of 16", batch, answered(batch), false},
		{"boundary that takes 16 steers", steers, answered(steers), false},
		{"refusal", calling, required, true},
	}
}

func ofTurn(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	one := must(tb, calling, replies(calling, "read_only"))
	next := must(tb, calling, input("next"))
	patient := must(tb, machine.State{Session: session}, machine.Register{Profile: &run.Profile{Retry: run.RetryPolicy{Max: 3}}},
		machine.Attach{Attachment: machine.Attachment{ID: 1}}, input("now"))
	failure := run.Failure{Kind: "network", Message: "reset by peer", Retryable: true}
	caller := input("now")
	caller.Caller = true
	mine := must(tb, idle, caller)
	return []scene{
		{"reply with three calls", calling, replies(calling, "once", "read_only", "idempotent"), false},
		{"boundary", one, answered(one), false},
		{"final reply", calling, answered(calling), false},
		{"final reply, and the next run", next, answered(next), false},
		{"failed attempt, another follows", patient, machine.Reported{Report: run.ModelFailed{ID: first(patient).ID, Attempt: 1, Failure: failure}}, false},
		{"run of a caller", idle, caller, false},
		{"end of a caller's run", mine, answered(mine), false},
		{"tick", calling, machine.Tick{}, false},
		{"stale report", calling, machine.Reported{Report: run.ToolSettled{}}, true},
	}
}

func ofOperation(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	three := must(tb, calling, replies(calling, "once", "read_only", "idempotent"))
	many := must(tb, calling, replies(calling, repeated("read_only", 64)...))
	last := openOf(three)[2]
	return []scene{
		{"first of three settled", three, answered(three), false},
		{"last of three settled first, and held", three, machine.Reported{Report: answer(last)}, false},
		{"first of 64 settled", many, answered(many), false},
		{"64 asked for", calling, replies(calling, repeated("read_only", 64)...), false},
		{"three lost with their executor", three, machine.ExecutorLost{Run: three.Run(), Reason: "it panicked"}, false},
	}
}

func repeated[V any](v V, n int) []V {
	out := make([]V, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func work(k registry.Kind, name string) machine.Work {
	return machine.Work{Event: registry.Event{Kind: k, ID: registry.ID(name), Spec: registry.Spec{Name: name, Source: "shell"},
		Result: registry.Result{Content: "built"}}}
}

// working has n operations of the background at work.
func working(tb testing.TB, s machine.State, n int) machine.State {
	for i := range n {
		name := fmt.Sprintf("op-%d", i)
		s = must(tb, s, work(registry.Register, name), work(registry.Start, name))
	}
	return s
}

func ofWork(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	busy, alone := working(tb, calling, 10), working(tb, idle, 10)
	news := must(tb, busy, work(registry.Complete, "op-3"))
	wait := machine.Work{Event: registry.Event{Kind: registry.RequestWaitAll, Token: "w", IDs: []registry.ID{"op-1", "op-2"}}}
	awaited := must(tb, busy, wait, work(registry.Complete, "op-1"))
	return []scene{
		{"register", busy, work(registry.Register, "new"), false},
		{"start", must(tb, busy, work(registry.Register, "new")), work(registry.Start, "new"), false},
		{"progress", busy, work(registry.Progress, "op-3"), false},
		{"complete during a run", busy, work(registry.Complete, "op-3"), false},
		{"complete at rest, and go on", alone, work(registry.Complete, "op-3"), false},
		{"model call that tells the news", news, replies(news, "read_only"), false},
		{"wait for two", busy, wait, false},
		{"last of a wait", awaited, work(registry.Complete, "op-2"), false},
		{"refusal", busy, work(registry.Start, "unknown"), true},
	}
}

// connected has n tool servers, connected.
func connected(tb testing.TB, s machine.State, n int) machine.State {
	for i := range n {
		s = must(tb, s, machine.Servers{Event: toolserver.Event{Kind: toolserver.StageAdd, Server: fmt.Sprintf("server-%d", i), Config: "c"}})
	}
	s = must(tb, s, input("connecting"))
	for i := range n {
		name := fmt.Sprintf("server-%d", i)
		s = must(tb, s, server(s, toolserver.PendingSucceeded, name))
	}
	return must(tb, s, answered(s))
}

// server is an event about one tool server, as whoever connects tells it.
func server(s machine.State, k toolserver.Kind, name string) machine.Servers {
	ev := toolserver.Event{Kind: k, Server: name, Config: "c", Error: "broken pipe"}
	if s.Servers != nil {
		v := s.Servers.Get(name)
		ev.Task, ev.Lineage, ev.Generation = v.Pending.Task, v.Pending.Lineage, v.Generation
	}
	return machine.Servers{Event: ev}
}

func ofServers(tb testing.TB, idle machine.State) []scene {
	ten := connected(tb, idle, 10)
	staged := must(tb, ten, server(ten, toolserver.StageAdd, "new"))
	pending := must(tb, staged, input("now"))
	used := must(tb, ten, server(ten, toolserver.CallStarted, "server-3"))
	calling := must(tb, ten, input("now"))
	one := must(tb, calling, replies(calling, "read_only"))
	return []scene{
		{"stage", ten, server(ten, toolserver.StageAdd, "new"), false},
		{"run that begins to connect one", staged, input("now"), false},
		{"connected", pending, server(pending, toolserver.PendingSucceeded, "new"), false},
		{"call started", ten, server(ten, toolserver.CallStarted, "server-3"), false},
		{"call finished", used, server(used, toolserver.CallFinished, "server-3"), false},
		{"connection lost", ten, server(ten, toolserver.Lost, "server-3"), false},
		{"boundary beside ten servers", one, answered(one), false},
		{"opened by another process", ten, machine.Opened{Attachment: machine.Attachment{ID: 2}}, false},
		{"refusal", ten, server(ten, toolserver.CallStarted, "unknown"), true},
	}
}

func known(name string) peer.Peer { return peer.Peer{ID: name, Name: name, Key: "ed25519:" + name} }

// acquainted knows n peers.
func acquainted(tb testing.TB, s machine.State, n int) machine.State {
	for i := range n {
		s = must(tb, s, machine.Peers{Event: peer.Event{Kind: peer.AddDirect, Peer: known(fmt.Sprintf("peer-%d", i))}})
	}
	return s
}

func ask(k peer.RequestKind, name string) machine.Asked {
	return machine.Asked{RequestEvent: peer.RequestEvent{Kind: k, ID: name, Peer: "peer-3", Intent: "look", Patience: time.Minute}}
}

func ofPeers(tb testing.TB, idle machine.State) []scene {
	ten := acquainted(tb, idle, 10)
	at := peer.Runtime{ID: "comms", Instance: 1}
	asked := must(tb, ten, ask(peer.RequestSent, "q"))
	streaming := must(tb, asked, machine.Streamed{StreamEvent: peer.StreamEvent{Kind: peer.StreamReserve, ID: "q"}})
	silent := []string{"ping", "status"}
	return []scene{
		{"peer added", ten, machine.Peers{Event: peer.Event{Kind: peer.AddDirect, Peer: known("new")}}, false},
		{"silent intents set", ten, machine.Peers{Event: peer.Event{Kind: peer.SetSilent, Intents: silent}}, false},
		{"comms told", ten, machine.Comms{Context: peer.Context{KeepAlive: true, Runtime: at}}, false},
		{"request sent", ten, ask(peer.RequestSent, "q"), false},
		{"request answered", asked, ask(peer.Answered, "q"), false},
		{"stream reserved", asked, machine.Streamed{StreamEvent: peer.StreamEvent{Kind: peer.StreamReserve, ID: "q"}}, false},
		{"stream attached", streaming, machine.Streamed{StreamEvent: peer.StreamEvent{Kind: peer.StreamAttach, ID: "q"}}, false},
		{"refusal", ten, machine.Peers{Event: peer.Event{Kind: peer.AddDirect}}, true},
	}
}

var (
	opus  = identity.Target{Identity: identity.Identity{Model: "opus", Provider: identity.Anthropic}, Surface: identity.Surface{ImageToolResults: true}}
	haiku = identity.Target{Identity: identity.Identity{Model: "haiku", Provider: identity.Anthropic}, Surface: identity.Surface{ImageToolResults: true}}
)

// named has a model, and a baseline.
func named(tb testing.TB, s machine.State) machine.State {
	return must(tb, s, machine.Identity{Event: model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Resolved}},
		machine.Routing{RoutingEvent: model.RoutingEvent{Kind: model.SetBaseline, Target: identity.Route{Model: "opus"}}})
}

func ofModel(tb testing.TB, idle machine.State) []scene {
	s := named(tb, idle)
	begin := machine.Identity{Event: model.Event{Kind: model.Begin, Token: "t", Previous: s.Model.Current(), Target: haiku}}
	begun := must(tb, s, begin)
	finite := machine.Routing{RoutingEvent: model.RoutingEvent{Kind: model.RequestFinite, Request: "r", Target: identity.Route{Model: "haiku"}, Runs: 2,
		Approval: identity.ApprovalNotRequired}}
	waits := must(tb, s, finite)
	return []scene{
		{"hydrate", idle, machine.Identity{Event: model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Resolved}}, false},
		{"change begun", s, begin, false},
		{"change committed", begun, machine.Identity{Event: model.Event{Kind: model.Commit, Token: "t"}}, false},
		{"switch for two runs", s, finite, false},
		{"run that begins with a switch", waits, input("now"), false},
		{"refusal", s, machine.Identity{Event: model.Event{Kind: model.Commit, Token: "another"}}, true},
	}
}

// tools are n tools of ten servers.
func tools(tb testing.TB, n int) *scope.Catalogue {
	var entries []scope.Entry
	for i := range n {
		entries = append(entries, scope.Entry{Name: fmt.Sprintf("tool%04d", i), Description: "does something",
			Witness: scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: fmt.Sprint("server", i%10)})})
	}
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// offered is a session whose model was called with the tools.
func offered(tb testing.TB, s machine.State, c *scope.Catalogue) machine.State {
	s = must(tb, s, machine.Offered{Catalogue: c}, input("looking"))
	return must(tb, s, answered(s))
}

// hide stages a filter that hides one tool.
func hide(c *scope.Catalogue) machine.Toolset {
	return machine.Toolset{Event: toolset.Event{Kind: toolset.StageFilter, Filter: scope.Deny("tool0007"),
		Witnesses: c.Witnesses(scope.NamesOf("tool0007"))}}
}

// calledOf are events of a session whose model was called with these tools, and asked for one of them.
func calledOf(tb testing.TB, idle machine.State, c *scope.Catalogue) []scene {
	n, s := c.Len(), offered(tb, idle, c)
	calling := must(tb, s, input("now"))
	call := run.Intent{Call: transcript.ToolUse{ID: "call", Name: "tool0001", Args: []byte("{}")}, Class: run.ReadOnly}
	asks := machine.Reported{Report: run.ModelReplied{ID: first(calling).ID, Calls: []run.Intent{call},
		Reply: transcript.Assistant{Blocks: transcript.Blocks{call.Call}, Stop: transcript.StopToolUse}}}
	out := must(tb, calling, asks)
	return []scene{
		{fmt.Sprint("prompt that starts a run, tools=", n), s, input("now"), false},
		{fmt.Sprint("reply with a call, tools=", n), calling, asks, false},
		{fmt.Sprint("boundary, tools=", n), out, answered(out), false},
	}
}

func ofToolset(tb testing.TB, idle machine.State) []scene {
	var out []scene
	for _, n := range []int{10, 100, 1_000} {
		c := tools(tb, n)
		called := calledOf(tb, idle, c)
		boundary, filter := called[2].s, hide(c)
		staged := must(tb, boundary, filter)
		out = append(append(out, called...), scene{fmt.Sprint("filter staged, tools=", n), boundary, filter, false},
			scene{fmt.Sprint("boundary that hides one, tools=", n), staged, answered(staged), false})
	}
	return out
}

// BenchmarkState tells what a state takes, with what is used of it. It is no matter of time.
func BenchmarkState(b *testing.B) {
	ten := tools(b, 10) // which sessions share
	for _, c := range []struct {
		name string
		make func(machine.State) machine.State
	}{
		{"at rest", func(s machine.State) machine.State { return s }},
		{"with a model", func(s machine.State) machine.State { return named(b, s) }},
		{"with two tool servers", func(s machine.State) machine.State { return connected(b, s, 2) }},
		{"with four peers", func(s machine.State) machine.State { return acquainted(b, s, 4) }},
		{"with two operations at work", func(s machine.State) machine.State { return working(b, s, 2) }},
		{"with ten tools and a filter", func(s machine.State) machine.State {
			return offered(b, must(b, s, machine.Offered{Catalogue: ten}, hide(ten)), ten)
		}},
		{"with a run", func(s machine.State) machine.State { return must(b, s, input("now")) }},
		{"with a run and ten inputs that wait", func(s machine.State) machine.State { return crowd(b, must(b, s, input("now")), 10, input) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			const n = 1_000
			states := make([]*machine.State, n)
			before := live()
			for i := range states {
				s := c.make(after(b, 1, 0))
				states[i] = &s
			}
			b.ReportMetric(float64(live()-before)/n, "bytes/state")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(states)
		})
	}
}

// live is what is on the heap and used.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// pasts are what a session can have behind it, n of each.
var pasts = []struct {
	of  string
	who func(tb testing.TB, n int) machine.State
}{{"inputs", pastInputs}, {"messages", pastMessages}, {"calls", pastCalls}, {"operations", pastOperations}}

func pastInputs(tb testing.TB, n int) machine.State { return after(tb, n, 0) }

// pastMessages are of one run, which its caller carried out.
func pastMessages(tb testing.TB, n int) machine.State {
	caller := input("past")
	caller.Caller = true
	s := must(tb, after(tb, 0, 0), caller)
	r := run.RunApplied{ID: first(s).ID}
	for range n {
		r.Appends = append(r.Appends, transcript.Assistant{Blocks: transcript.TextBlocks("done"), Stop: transcript.StopEndTurn})
	}
	return must(tb, s, machine.Reported{Report: r})
}

// pastCalls are of one run, one after the other.
func pastCalls(tb testing.TB, n int) machine.State {
	s := must(tb, machine.State{Session: session}, machine.Register{Profile: &run.Profile{MaxRounds: n + 2}},
		machine.Attach{Attachment: machine.Attachment{ID: 1}}, input("past"))
	for range n {
		s = must(tb, s, replies(s, "once"))
		s = must(tb, s, answered(s))
	}
	return must(tb, s, answered(s))
}

// pastOperations are of the background, ended and told.
func pastOperations(tb testing.TB, n int) machine.State {
	s := must(tb, after(tb, 0, 0), input("past"))
	for i := range n {
		name := fmt.Sprintf("past-%d", i)
		s = must(tb, s, work(registry.Register, name), work(registry.Start, name), work(registry.Complete, name))
	}
	s = must(tb, s, replies(s, "once"))
	s = must(tb, s, answered(s))
	return must(tb, s, answered(s))
}

// steady are events whose cost must not depend on what has been.
func steady(tb testing.TB, idle machine.State) []scene {
	calling := must(tb, idle, input("now"))
	one := must(tb, calling, replies(calling, "read_only"))
	return []scene{
		{"prompt that starts a run", idle, input("now"), false},
		{"prompt that waits", calling, input("next"), false},
		{"reply with three calls", calling, replies(calling, "once", "read_only", "idempotent"), false},
		{"boundary", one, answered(one), false},
		{"final reply", calling, answered(calling), false},
		{"interrupt", calling, machine.Interrupt{Run: calling.Run()}, false},
		{"stop at rest", idle, machine.Stop{}, false},
		{"published", idle, machine.Published{Kind: "noticed"}, false},
		{"opened", calling, machine.Opened{Attachment: machine.Attachment{ID: 2}}, false},
		{"tick", calling, machine.Tick{}, false},
	}
}

// beside are events about work in the background, of a session that has some at work.
func beside(tb testing.TB, idle machine.State) []scene {
	s := working(tb, must(tb, idle, input("now")), 4)
	return []scene{
		{"work registered", s, work(registry.Register, "new"), false},
		{"work completed", s, work(registry.Complete, "op-1"), false},
	}
}

func BenchmarkPast(b *testing.B) {
	for _, past := range pasts {
		for _, n := range []int{1, 100, 10_000} {
			s := past.who(b, n)
			for _, c := range append(steady(b, s), beside(b, s)...) {
				b.Run(fmt.Sprintf("%s/past %s=%d", c.name, past.of, n), func(b *testing.B) { step(b, c.s, c.ev, c.refused) })
			}
		}
	}
}

// crowded are events that look at what waits, where n prompts do.
func crowded(tb testing.TB, n int) []scene {
	s := after(tb, 0, n)
	out := must(tb, s, replies(s, "read_only"))
	steered := must(tb, out, steer("steer"))
	return []scene{
		{"prompt that waits", s, input("next"), false},
		{"continuation that supersedes one", must(tb, s, goOn("older")), goOn("newer"), false},
		{"reply with a call", s, replies(s, "read_only"), false},
		{"boundary", out, answered(out), false},
		{"boundary that takes a steer", steered, answered(steered), false},
		{"final reply, and the next run", s, answered(s), false},
		{"interrupt, and the next run", s, machine.Interrupt{Run: s.Run()}, false},
		{"duplicate of one that waits", s, input("waiting-1"), false},
		{"recover", must(tb, s, machine.Detach{ID: 1}, machine.Interrupt{Run: s.Run()}), machine.Recover{}, false},
	}
}

func BenchmarkWaiting(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		for _, c := range crowded(b, n) {
			b.Run(fmt.Sprintf("%s/waiting=%d", c.name, n), func(b *testing.B) { step(b, c.s, c.ev, c.refused) })
		}
	}
}

// cost is what a step allocates.
type cost struct{ allocs, bytes float64 }

func costOf(t *testing.T, c scene) cost {
	t.Helper()
	const runs = 50
	var before, after runtime.MemStats
	at := newWorld().at
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := machine.Step(c.s, at, c.ev); (err != nil) != c.refused {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	runtime.ReadMemStats(&after)
	return cost{float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs}
}

// compare holds what steps cost in a small world against what the same steps cost in a large one, which may be so much more.
func compare(t *testing.T, where string, small, large []scene, more func(name string) cost) {
	t.Helper()
	for n, c := range small {
		few, many, may := costOf(t, c), costOf(t, large[n]), more(c.name)
		if many.allocs > few.allocs+may.allocs+1 || many.bytes > few.bytes+may.bytes+64 { // the test itself may allocate meanwhile
			t.Errorf("%s: %s costs %v, and %v where there is much", where, c.name, few, many)
		}
	}
}

// No test runs beside these three, since they count what is allocated: they do not call t.Parallel.
func TestR95_R106_what_a_step_costs_does_not_grow_with_what_has_been(t *testing.T) {
	for _, past := range pasts {
		few, many := past.who(t, 1), past.who(t, 10_000)
		compare(t, "past "+past.of, steady(t, few), steady(t, many), func(string) cost { return cost{} })
		// The last 1,024 operations that ended are kept, in trees by number and by id: ten levels of each.
		compare(t, "past "+past.of, beside(t, few), beside(t, many), func(string) cost { return cost{40, 3_000} })
	}
}

func TestWhat_a_boundary_allocates_does_not_grow_with_the_tools_that_are_offered(t *testing.T) {
	s := after(t, 0, 0)
	few, many := calledOf(t, s, tools(t, 10)), calledOf(t, s, tools(t, 1_000))
	compare(t, "tools", few, many, func(string) cost { return cost{} })
}

func TestR106_what_a_step_costs_grows_with_the_depth_of_a_tree_of_what_waits(t *testing.T) {
	compare(t, "waiting", crowded(t, 10), crowded(t, 10_000), func(name string) cost {
		switch name {
		case "boundary", "reply with a call", "duplicate of one that waits":
			return cost{} // they look, and change nothing there
		}
		return cost{100, 8_000} // ten levels more, in up to five trees
	})
}
