package driver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/identity"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

func server(k toolserver.Kind, name string) machine.Servers {
	return machine.Servers{Event: toolserver.Event{Kind: k, Server: name, Config: "config of " + name, Turn: 1}}
}

// boundary applies what is staged for a server, and answers the connect that follows, unless the answer is another boundary.
func (w *world) boundary(name string, answer toolserver.Kind) {
	w.Helper()
	e := server(toolserver.ApplyBoundary, name)
	e.Seq = w.d.State().Servers.Get(name).Staged.Seq
	w.tell(e)
	for _, c := range toolserver.Owed(*w.d.State().Servers) {
		if answer != toolserver.ApplyBoundary && c.Server == name {
			w.tell(machine.Servers{Event: toolserver.Event{Kind: answer, Server: name, Task: c.Task, Lineage: c.Lineage, Error: "no route"}})
		}
	}
}

func op(k registry.Kind, name registry.ID) machine.Work {
	return machine.Work{Event: registry.Event{Kind: k, ID: name, Reason: "why not", Result: registry.Result{Content: "a <result>", Tokens: 3}}}
}

func begun(name registry.ID, spec registry.Spec) []machine.Event {
	r := op(registry.Register, name)
	r.Spec = spec
	return []machine.Event{r, op(registry.Start, name)}
}

func peerOf(name string) peer.Peer {
	return peer.Peer{ID: "id of " + name, Name: name, Address: "unix:" + name, Key: "key of " + name, Meta: `{"x":"<&>"}`}
}

func routing(e model.RoutingEvent) machine.Routing { return machine.Routing{RoutingEvent: e} }

func asks(id string, patience time.Duration) machine.Asked {
	return machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.RequestSent, ID: id, Peer: "id of berta", Intent: "ask", Handling: given.HandlingSteer, Patience: patience}}
}

var (
	opus  = identity.Target{Identity: identity.Identity{Model: "opus", Provider: identity.Anthropic}, Surface: identity.Surface{ImageToolResults: true, Thinking: true}}
	haiku = identity.Target{Identity: identity.Identity{Model: "haiku", Provider: identity.Anthropic, Params: `{"effort":"low"}`}, Surface: opus.Surface}
)

// regional is a session that uses all its regions, each field filled in somewhere.
func regional(t testing.TB) *world {
	w := registered(t)
	w.says()
	w.servers()
	w.models()
	w.peers()
	w.works()
	return w
}

// tooled is a session that also has tools, filters over them, and a call of its model that was offered some.
func tooled(t testing.TB) *world {
	w := regional(t)
	mcp := scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "files"})
	c, err := scope.NewCatalogue([]scope.Entry{{Name: "read", Witness: mcp}, {Name: "find", Control: true}, {Name: "write", Witness: mcp},
		{Name: "hidden", Witness: mcp, Deferrable: true, Volume: 200}}, scope.Names{}, true)
	w.ok(err)
	stage := func(f scope.Filter) machine.Toolset {
		return machine.Toolset{Event: toolset.Event{Kind: toolset.StageFilter, Filter: f, Witnesses: c.Witnesses(f.Names())}}
	}
	hydrate := stage(scope.Deny("write"))
	hydrate.Kind = toolset.HydrateInherited
	w.tell(machine.Interrupt{Run: w.d.State().Run()}, machine.Detach{ID: 1})
	w.tell(machine.Attach{Attachment: machine.Attachment{ID: 2, Grain: run.Fine, Catalogue: c}}, hydrate, stage(scope.Deny("read")),
		machine.Toolset{Event: toolset.Event{Kind: toolset.RequestDeferred, Witnesses: c.Witnesses(scope.NamesOf("hidden"))}})
	if w.d.State().Run() == "" {
		w.tell(submit("a", "hello"))
	}
	w.tell(reply(w.model(), "", "ro"))
	w.tell(settle(w.tool("ro"), "what it says")) // the next call is offered what was staged
	w.tell(stage(scope.All()))
	return w
}

// says brings context into the transcript that has a key.
func (w *world) says() {
	line := given.Context{Key: "rule 1", Entry: transcript.Notice{Kind: "rule", Text: "be kind"}}
	w.tell(machine.Submit{Input: given.Input{ID: "go on", Body: given.Continuation{Reason: "flow", Context: &line}}})
	w.tell(reply(w.model(), "so be it"))
}

func (w *world) servers() {
	timeout, retries := server(toolserver.SetTimeout, ""), server(toolserver.SetRetries, "")
	timeout.Timeout, retries.Retries = time.Minute, 2
	w.tell(timeout, retries, server(toolserver.StageAdd, "files"), server(toolserver.StageAdd, "web"), server(toolserver.StageAdd, "db"))
	w.boundary("files", toolserver.PendingSucceeded)
	w.boundary("web", toolserver.PendingSucceeded)
	w.boundary("db", toolserver.PendingFailed)
	w.tell(server(toolserver.CallStarted, "web"), server(toolserver.StageRemove, "web"))
	w.boundary("web", toolserver.ApplyBoundary)
	w.tell(server(toolserver.StageAdd, "later"), server(toolserver.StageReload, "files"))
	w.boundary("files", toolserver.ApplyBoundary)
}

func (w *world) models() {
	hydrate := model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Resolved}
	hydrate.Tools.Filter = model.State{}.NextFilter(hydrate)
	w.tell(machine.Identity{Event: hydrate})
	painter := identity.Route{Model: "painter"}
	w.tell(routing(model.RoutingEvent{Kind: model.SetBaseline, Target: identity.Route{Model: "opus"}}),
		routing(model.RoutingEvent{Kind: model.RequestUntilChanged, Request: "switch", Target: identity.Route{Model: "haiku"}, Approval: identity.Approved}),
		routing(model.RoutingEvent{Kind: model.BeginImage, Operation: "picture", Target: painter, Approval: identity.Approved, Scoped: true}),
		routing(model.RoutingEvent{Kind: model.ActivateImage, Operation: "picture"}),
		routing(model.RoutingEvent{Kind: model.BeginImage, Operation: "no", Target: painter, Approval: identity.DeniedByUser}),
		routing(model.RoutingEvent{Kind: model.RequestFinite, Request: "denied", Target: identity.Route{Model: "x"}, Runs: 1, Approval: identity.DeniedByUser}))
	begin := model.Event{Kind: model.Begin, Token: "change", Request: "switch", Previous: w.d.State().Model.Current(), Target: haiku}
	begin.Tools.Filter = begin.Previous.Filter
	w.tell(machine.Identity{Event: begin})
}

func (w *world) peers() {
	tell := func(e peer.Event) machine.Peers { return machine.Peers{Event: e} }
	boss := func(e peer.BridgeEvent) machine.Supervised { return machine.Supervised{BridgeEvent: e} }
	w.tell(tell(peer.Event{Kind: peer.SetLocal, Peer: peerOf("self")}), tell(peer.Event{Kind: peer.AddDirect, Peer: peerOf("berta")}),
		tell(peer.Event{Kind: peer.ApplyOverlay, Peers: []peer.Peer{peerOf("carl"), peerOf("dora")}, Epoch: 4}),
		machine.Comms{Context: peer.Context{Runtime: peer.Runtime{ID: "r", Instance: 1}, Mob: "mob"}}, tell(peer.Event{Kind: peer.Advance, Watermark: 9}),
		tell(peer.Event{Kind: peer.SetSilent, Intents: []string{"ping", "log"}}),
		machine.Bind{Placement: machine.Placement{Runtime: "r", Fence: 1, Generation: 1}},
		boss(peer.BridgeEvent{Kind: peer.Bind, Sender: "id of boss", Peer: peerOf("boss"), Epoch: 1}),
		boss(peer.BridgeEvent{Kind: peer.Published, Peer: peerOf("boss"), Epoch: 1}),
		boss(peer.BridgeEvent{Kind: peer.Authorize, Sender: "id of boss", Peer: peerOf("heir"), Epoch: 2}),
		asks("q1", time.Hour), machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.Progressed, ID: "q1", Peer: "id of berta"}},
		machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.RequestReceived, ID: "q2", Peer: "id of carl", Patience: 90 * time.Minute}})
}

func (w *world) works() {
	w.tell(begun("build", registry.Spec{Name: "make", Source: "call", Yields: true, Durable: true})...)
	w.tell(begun("child", registry.Spec{Work: registry.MemberChild, Child: "s", ExpectsPeer: true})...)
	w.tell(begun("done", registry.Spec{Name: "ls"})...)
	w.tell(begun("failed", registry.Spec{})...)
	w.tell(op(registry.PeerReady, "child"), op(registry.Progress, "build"), op(registry.Complete, "done"), op(registry.Fail, "failed"), op(registry.Register, "set up"))
	wait, bounds, told := op(registry.RequestWaitAll, ""), op(registry.Configure, ""), op(registry.Announced, "")
	wait.Token, wait.IDs = "w", []registry.ID{"done", "build"}
	bounds.Keep, bounds.Limit = 7, 30
	told.Upto = 1
	w.tell(wait, bounds, told)
}

// regions is what is stored of the regions, as text.
func regions(t testing.TB, s machine.State) map[string]string {
	t.Helper()
	out := map[string]string{}
	put := func(name string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	if s.Servers != nil {
		put("toolservers", s.Servers.Durable)
	}
	if s.Model != nil {
		put("model", s.Model)
	}
	if s.Peer != nil {
		put("peer", s.Peer)
	}
	if s.Work != nil {
		put("work", s.Work)
	}
	if s.Said != nil {
		put("said", s.Said)
	}
	if s.Toolset != nil {
		put("toolset", s.Toolset)
	}
	return out
}

// used is a state without regions of which nothing is to be stored.
func used(s machine.State) machine.State {
	if s.Servers != nil && s.Servers.Durable == (toolserver.Durable{}) {
		s.Servers = nil
	}
	return s
}

// anywhere draws something to say to a region of a session as it is.
func anywhere(t *rapid.T, s machine.State) machine.Event {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	switch rapid.IntRange(0, 8).Draw(t, "region") {
	case 0, 1, 2:
		o := op(registry.Kind(rapid.IntRange(0, int(registry.Configure)).Draw(t, "work")), registry.ID(name))
		o.Token, o.IDs, o.Upto, o.Spec.Work = "w", []registry.ID{"a", "b"}, 1, registry.Work(len(name+string(s.Run()))%2)
		return o
	case 3, 4:
		e := server(toolserver.Kind(rapid.IntRange(0, int(toolserver.Revive)).Draw(t, "server")), name)
		if s.Servers != nil {
			v := s.Servers.Get(name)
			e.Seq, e.Task, e.Lineage, e.Generation = v.Staged.Seq, v.Pending.Task, v.Pending.Lineage, v.Generation
		}
		return e
	case 5:
		return routing(model.RoutingEvent{Kind: model.RoutingKind(rapid.IntRange(0, int(model.CancelRouting)).Draw(t, "routing")), Request: name, Operation: name,
			Target: identity.Route{Model: name}, Runs: 1, Approval: identity.Approved, Scoped: true, Cause: model.RunEnded})
	case 6:
		return machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.RequestKind(rapid.IntRange(0, int(peer.Lapsed)).Draw(t, "request")), ID: name, Peer: name, Patience: 5 * time.Second}}
	case 7:
		return machine.Peers{Event: peer.Event{Kind: peer.Kind(rapid.IntRange(0, int(peer.ClearSilent)).Draw(t, "peer")), Peer: peerOf(name), Peers: []peer.Peer{peerOf(name)},
			Epoch: s.Version, Runtime: "r", Mob: "m", Watermark: s.Version, Intents: []string{name}}}
	}
	return machine.Tick{}
}

// valueNames lists the values of a batch.
func valueNames(b *store.Batch) (out []string) {
	for _, v := range b.Values {
		out = append(out, v.Name)
	}
	return out
}

func TestR29_regions_come_back_as_they_were_and_what_belongs_to_the_process_does_not(t *testing.T) {
	t.Parallel()
	w := tooled(t)
	was := w.d.State()
	loaded, err := w.reader().State(t.Context(), sid)
	w.ok(err)
	same(t, regions(t, loaded), regions(t, was))
	if len(regions(t, was)) != 6 {
		t.Fatalf("a region is not used: %v", regions(t, was))
	}
	w.ok(machine.Check(loaded))
	if was.Servers.Transient == (toolserver.Transient{}) || loaded.Servers.Transient != (toolserver.Transient{}) {
		t.Fatalf("the process had %+v, stored is %+v", was.Servers.Transient, loaded.Servers.Transient)
	}
}

func TestR23_a_region_is_written_with_the_step_that_changes_it_and_not_otherwise(t *testing.T) {
	t.Parallel()
	w := regional(t)
	advance := func(to uint64) machine.Peers {
		return machine.Peers{Event: peer.Event{Kind: peer.Advance, Watermark: to}}
	}
	for _, c := range []struct {
		events []machine.Event
		values []string
		rows   string
	}{
		{[]machine.Event{submit("a", "hello")}, nil, ""},
		{[]machine.Event{server(toolserver.StageAdd, "web2")}, []string{"toolservers"}, ""},
		{[]machine.Event{advance(10), advance(11)}, []string{"peer"}, ""},
		{[]machine.Event{op(registry.Progress, "build"), op(registry.Progress, "build")}, []string{"work"}, "build kept 0"},
		{[]machine.Event{op(registry.Complete, "build"), op(registry.Abort, "set up")}, []string{"work"}, "build kept 3, set up kept 4"},
		{[]machine.Event{routing(model.RoutingEvent{Kind: model.CancelRouting, Cause: model.RunEnded}), op(registry.Progress, "child")}, []string{"model", "work"}, "child kept 0"},
	} {
		w.tell(c.events...)
		same(t, valueNames(w.store.last), c.values)
		var rows []string
		for _, o := range w.store.last.Operations {
			rows = append(rows, fmt.Sprint(o.ID, " ", map[bool]string{true: "kept", false: "remembered"}[o.Kept], " ", o.Seq))
		}
		if got := strings.Join(rows, ", "); got != c.rows {
			t.Fatalf("after %+v rows %q, want %q", c.events, got, c.rows)
		}
		loaded, err := w.reader().State(t.Context(), sid)
		w.ok(err)
		same(t, regions(t, loaded), regions(t, w.d.State()))
	}
	// A call that begins is the process's own.
	before := w.store.commits
	was := w.d.State().Servers.Transient
	w.tell(server(toolserver.CallStarted, "files"))
	if w.store.commits != before || w.d.State().Servers.Transient == was {
		t.Fatalf("%d commits, %+v", w.store.commits-before, w.d.State().Servers.Transient)
	}
}

func TestR115_an_operation_is_found_while_it_is_at_work_after_its_end_and_when_the_session_keeps_it_no_more(t *testing.T) {
	t.Parallel()
	w := regional(t)
	status := func(name registry.ID) string {
		o, err := w.reader().Operation(t.Context(), sid, name)
		if errors.Is(err, store.ErrNotFound) {
			return "none"
		}
		w.ok(err)
		return o.Status.String()
	}
	for name, want := range map[registry.ID]string{"build": "running", "done": "completed", "set up": "provisioning", "x": "none"} {
		if got := status(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for n := range registry.LeastCapacity { // what ended before leaves the feed
		name := registry.ID(fmt.Sprint(n))
		w.tell(op(registry.Register, name), op(registry.Abort, name))
	}
	l, err := w.memory.Load(t.Context(), sid)
	w.ok(err)
	if got := w.d.State().Work; len(l.Operations) != got.Live.Len()+got.Feed.Len() || got.Feed.Len() != registry.LeastCapacity {
		t.Fatalf("%d rows are kept of %d at work and %d that ended", len(l.Operations), got.Live.Len(), got.Feed.Len())
	}
	if got := status("done"); got != "completed" {
		t.Fatalf("what left the feed is %s", got)
	}
	// What is known only by its row has ended, for good: also when the row is not written yet.
	_, err = w.d.Stage().Step(t.Context(), w.at, op(registry.Register, "done"), false)
	var no *registry.Refusal
	if !errors.As(err, &no) || no.Guard != registry.WhyDuplicate || no.Phase != "completed" {
		t.Fatalf("got %v", err)
	}
	staged := w.stage(op(registry.Register, "pushes"), op(registry.Abort, "pushes")) // the oldest leaves
	_, err = staged.Step(t.Context(), w.at, op(registry.Progress, "0"), false)
	if !errors.As(err, &no) || no.Guard != registry.WhyEnded || no.Phase != "aborted" {
		t.Fatalf("got %v", err)
	}
}

func TestR115_the_operations_of_a_destroyed_session_have_ended(t *testing.T) {
	t.Parallel()
	w := regional(t)
	w.tell(machine.Retire{}, machine.Archive{})
	w.tell(machine.Destroy{})
	if w.d.State().Regions != (machine.Regions{}) {
		t.Fatalf("it has %+v", w.d.State().Regions)
	}
	names := valueNames(w.store.last)
	slices.Sort(names)
	same(t, names, []string{"model", "peer", "said", "toolservers", "work"})
	loaded, err := w.reader().State(t.Context(), sid)
	w.ok(err)
	if loaded.Regions != (machine.Regions{}) {
		t.Fatalf("loaded is %+v", loaded.Regions)
	}
	for name, want := range map[registry.ID]registry.Status{"build": registry.Terminated, "done": registry.Completed, "set up": registry.Terminated} {
		if o, err := w.reader().Operation(t.Context(), sid, name); err != nil || o.Status != want || o.Seq == 0 {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func TestR115_a_row_at_work_that_the_state_does_not_know_is_of_somebody_else(t *testing.T) {
	t.Parallel()
	w := regional(t)
	theirs := w.d
	version := theirs.State().Version
	w.d = w.open("b")
	w.tell(op(registry.Register, "new"))
	if _, err := theirs.Stage().Step(t.Context(), w.at, op(registry.Start, "new"), false); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	if theirs.State().Version != version {
		t.Fatal("a failed look-up changed the state")
	}
}

func TestR116_the_head_says_when_the_session_wants_to_be_told_the_time_and_whether_it_is_registered(t *testing.T) {
	t.Parallel()
	w := registered(t)
	head := func() store.Head {
		l, err := w.memory.Load(t.Context(), sid)
		w.ok(err)
		return l.Head
	}
	if got := head(); !got.Wake.IsZero() || got.Away {
		t.Fatalf("%+v", got)
	}
	w.tell(asks("q", time.Hour))
	deadline, ok := w.d.State().Wake()
	if got := head().Wake; !ok || got.Before(deadline) || got.Sub(deadline) >= time.Microsecond {
		t.Fatalf("stored is %v, the deadline is %v", got, deadline)
	}
	w.tell(machine.Drain{}, machine.Unregister{})
	if got := head(); !got.Wake.IsZero() || !got.Away {
		t.Fatalf("unregistered: %+v", got)
	}
	w.tell(machine.Register{})
	if got := head(); got.Wake.Before(deadline) || got.Away {
		t.Fatalf("back: %+v", got)
	}
	w.at = deadline.Add(-time.Second)
	before := w.store.commits
	w.tell(machine.Tick{}) // at its deadline
	if got := head(); w.store.commits != before+1 || !got.Wake.IsZero() {
		t.Fatalf("%d commits; %+v", w.store.commits-before, got)
	}
}

func TestR116_a_wake_before_there_were_clocks_is_as_soon_as_there_can_be_one(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.at = time.Unix(-1_000_000, 0)
	w.tell(asks("q", time.Hour))
	got, err := w.memory.Sessions(t.Context(), store.Query{DueBefore: time.Unix(1, 0)})
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
}

// spoiled replaces a text in one value, or in one row, of what was loaded.
func spoiled(t *testing.T, l store.Loaded, place, from, to string) store.Loaded {
	t.Helper()
	l.Values, l.Operations = slices.Clone(l.Values), slices.Clone(l.Operations)
	bodies := map[string]*[]byte{}
	for n := range l.Values {
		bodies[l.Values[n].Name] = &l.Values[n].Data
	}
	for n := range l.Operations {
		bodies[l.Operations[n].ID] = &l.Operations[n].Body
	}
	body := bodies[place]
	spoiled := strings.Replace(string(*body), from, to, 1)
	if spoiled == string(*body) {
		t.Fatalf("%s is not in %s", from, *body)
	}
	*body = []byte(spoiled)
	return l
}

func TestR29_a_region_that_breaks_its_own_rules_is_refused(t *testing.T) {
	t.Parallel()
	w := tooled(t)
	good, err := w.memory.Load(t.Context(), sid)
	w.ok(err)
	for what, c := range map[string]struct{ place, from, to string }{
		"a phase that is none":              {"toolservers", `"base":1`, `"base":77`},
		"a server that is null":             {"toolservers", `["later",{`, `["later",null],["m",{`},
		"a switch without a baseline":       {"model", `"baseline":{"model":"opus"}`, `"baseline":{"model":""}`},
		"a phase of the model that is none": {"model", `"phase":3`, `"phase":77`},
		"a peer without a name":             {"peer", `"name":"carl"`, `"name":""`},
		"a supervisor in no phase":          {"peer", `"supervisor":{"phase":1`, `"supervisor":{"phase":9`},
		"a request that is over":            {"peer", `"phase":2,"deadline"`, `"phase":4,"deadline"`},
		"a cursor beyond the end":           {"work", `"announced":2`, `"announced":9`},
		"a completion that is missing":      {"work", `"watermark":2`, `"watermark":3`},
		"a line that was said twice":        {"said", `"keys":[["rule 1",1]]`, `"keys":[["rule 1",2]]`},
		"a revision beyond the counter":     {"toolset", `"next":`, `"next":0,"x":`},
		"a phase of tools that is none":     {"toolset", `"next":`, `"phase":77,"next":`},
		"a state that is none":              {"work", `"s":{`, `"s":7,"x":{`},
		"an operation of no status":         {"build", `"status":2`, `"status":77`},
		"an operation that ended early":     {"build", `"status":2`, `"status":4`},
		"an operation of another name":      {"build", `"id":"build"`, `"id":"x"`},
		"an operation of a later end":       {"done", `"seq":1`, `"seq":3`},
	} {
		_, err := driver.DecodeState(sid, spoiled(t, good, c.place, c.from, c.to))
		names := strings.Contains(fmt.Sprint(err), c.place) || c.place == "build" && strings.Contains(fmt.Sprint(err), "work")
		if !errors.Is(err, store.ErrCorrupt) || !names {
			t.Errorf("%s: %v", what, err)
		}
	}
	rowless, headless, strange := good, good, good
	rowless.Operations = good.Operations[1:]
	headless.Values = slices.DeleteFunc(slices.Clone(good.Values), func(v store.Value) bool { return v.Name == "work" })
	strange.Values = append(slices.Clone(good.Values), store.Value{Name: "dreams", Data: []byte(`{"f":1}`)})
	for _, c := range []struct {
		l    store.Loaded
		want error
	}{{rowless, store.ErrCorrupt}, {headless, store.ErrCorrupt}, {strange, store.ErrFuture}} {
		if _, err := driver.DecodeState(sid, c.l); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
	}
}

func TestR25_what_became_of_a_commit_of_operations_is_looked_up(t *testing.T) {
	t.Parallel()
	for _, hide := range []storetest.Hiding{storetest.HideWritten, storetest.HideLost} {
		w := regional(t)
		staged := w.stage(op(registry.Complete, "build"), op(registry.Register, "new"))
		w.store.Decide = func(*store.Batch) storetest.Fault { return storetest.Fault{Hide: hide} }
		_, err := staged.Commit(t.Context())
		w.is(err, store.ErrUnknown)
		_, written, err := staged.Confirm(t.Context())
		w.ok(err)
		_, err = w.reader().Operation(t.Context(), sid, "new")
		if want := hide == storetest.HideWritten; written != want || (err == nil) != want {
			t.Fatalf("written %t: %t; %v", want, written, err)
		}
		loaded, err := w.reader().State(t.Context(), sid)
		w.ok(err)
		same(t, regions(t, loaded), regions(t, w.d.State()))
	}
}

// Whatever a store hands back for the regions, it is a state that keeps their rules and decides, or an error.
func FuzzDecodeRegions(f *testing.F) {
	w := tooled(f)
	l, err := w.memory.Load(f.Context(), sid)
	w.ok(err)
	of := map[string][]byte{}
	for _, v := range l.Values {
		of[v.Name] = v.Data
	}
	f.Add(of["toolservers"], of["toolset"], of["model"], of["peer"], of["work"], of["said"], l.Operations[0].Body, l.Operations[2].Body)
	none := []byte(`{"f":1}`)
	f.Add(none, none, none, none, none, none, none, none)
	f.Fuzz(func(t *testing.T, servers, tools, model, peers, work, said, o1, o2 []byte) {
		in := store.Loaded{Version: l.Version, Control: l.Control, Values: []store.Value{{Name: "model", Data: model}, {Name: "peer", Data: peers},
			{Name: "said", Data: said}, {Name: "toolservers", Data: servers}, {Name: "toolset", Data: tools}, {Name: "work", Data: work}}}
		for n, body := range [][]byte{o1, o2} {
			if len(body) > 0 {
				in.Operations = append(in.Operations, store.OperationRow{ID: l.Operations[2*n].ID, Kept: true, Seq: l.Operations[2*n].Seq, Body: body})
			}
		}
		st, err := driver.DecodeState(sid, in)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFuture) {
				t.Fatalf("an error without a condition: %v", err)
			}
			return
		}
		if err := machine.Check(st); err != nil {
			t.Fatal(err)
		}
		out := l
		out.Values, out.Operations = driver.EncodeRegions(st)
		again, err := driver.DecodeState(sid, out)
		if err != nil {
			t.Fatalf("what was encoded is not read: %v", err)
		}
		same(t, regions(t, again), regions(t, st))
		_, _ = st.Wake()
		for k := range registry.Configure + 1 {
			decides(t, st, op(k, "build"))
		}
		for k := range toolserver.Revive + 1 {
			decides(t, st, server(k, "files"))
		}
		for k := range toolset.FailClosed + 1 {
			decides(t, st, machine.Toolset{Event: toolset.Event{Kind: k, Run: "r"}})
		}
		decides(t, st, machine.Tick{}, machine.Opened{}, machine.Stop{}, machine.Destroy{}, machine.Reset{})
	})
}

// decides lets a state step, and stores what comes of it.
func decides(t *testing.T, st machine.State, events ...machine.Event) {
	for _, ev := range events {
		if c, err := machine.Step(st, epoch, ev); err == nil {
			driver.EncodeRegions(c.Next)
		}
	}
}
