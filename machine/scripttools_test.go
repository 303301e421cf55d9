package machine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/scope"
)

// catalogue reads a list of tools: name@source, with * for one that can be hidden and ! for one that serves the tools themselves. Empty: nobody
// knows which there are.
func catalogue(text string) *scope.Catalogue {
	if text == "" {
		return nil
	}
	var entries []scope.Entry
	for _, t := range list(text) {
		e := scope.Entry{}
		if e.Name, e.Control = strings.CutSuffix(t, "!"); !e.Control {
			e.Name, e.Deferrable = strings.CutSuffix(t, "*")
		}
		var source string
		if e.Name, source, _ = strings.Cut(e.Name, "@"); source != "" {
			e.Witness = of(source)
		}
		e.Volume = toolset.DeferVolume
		entries = append(entries, e)
	}
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		panic(err)
	}
	return c
}

func of(source string) scope.Witness {
	return scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: source})
}

// filter reads allow=a,b, deny=a or neither.
func (w words) filter() scope.Filter {
	switch {
	case w.has("allow"):
		return scope.Allow(list(w["allow"])...)
	case w.has("deny"):
		return scope.Deny(list(w["deny"])...)
	}
	return scope.All()
}

func (w words) overlay() scope.Overlay {
	return scope.Overlay{Restricts: w.has("allow"), Allowed: scope.NamesOf(list(w["allow"])...), Blocked: scope.NamesOf(list(w["block"])...)}
}

// witnesses are those of the tools there are, unless of= says whose, or nobody that it is not said.
func (p *player) witnesses(w words, names scope.Names) scope.Witnesses {
	switch {
	case w.has("nobody"):
		return scope.Witnesses{}
	case !w.has("of"):
		return p.w.s.Transient.Attachment.Catalogue.Witnesses(names)
	}
	var claims []scope.Claim
	for name := range names.All() {
		claims = append(claims, scope.Claim{Name: name, Witness: of(w["of"])})
	}
	all, err := scope.Collect(claims...)
	if err != nil {
		panic(err)
	}
	return all
}

// target is a model that can do everything, or cannot look at pictures in results.
func target(w words) identity.Target {
	return identity.Target{Identity: identity.Identity{Model: w["model"], Provider: identity.Other}, Surface: identity.Surface{ImageToolResults: !w.has("blind")}}
}

// nth returns which of some names a word means.
func nth(names []string, word string) (int, error) {
	for n, name := range names {
		if name == word {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no event is called %q", word)
}

// sighted reads a command that is about tools or models; nil: it is not.
func (p *player) sighted(command string, w words) (machine.Event, error) {
	switch command {
	case "offered":
		return machine.Offered{Catalogue: catalogue(w["tools"])}, nil
	case "toolset":
		n, err := nth(toolset.Table.Events, w["do"])
		ev := toolset.Event{Kind: toolset.Kind(n), Filter: w.filter()}
		switch ev.Kind {
		case toolset.RequestDeferred:
			ev.Witnesses = p.witnesses(w, scope.NamesOf(list(w["names"])...))
		case toolset.Publish:
			side := toolset.Published{Filter: w.filter(), Revision: uint64(w.number("revision"))}
			ev.Active, ev.Staged, ev.Witnesses = side, side, p.witnesses(w, ev.Filter.Names())
		default:
			ev.Witnesses = p.witnesses(w, ev.Filter.Names())
		}
		return machine.Toolset{Event: ev}, err
	case "identity":
		n, err := nth(model.IdentityTable.Events, w["do"])
		return machine.Identity{Event: p.change(model.Kind(n), w)}, err
	case "routing":
		n, err := nth(model.RoutingTable.Events, w["do"])
		ev := model.RoutingEvent{Kind: model.RoutingKind(n), Request: w["id"], Operation: w["id"], Target: identity.Route{Model: w["model"]},
			Runs: w.number("runs"), Approval: identity.ApprovalNotRequired, Scoped: w.has("scoped"), Terminal: identity.Generated,
			Payload: identity.Payload(w["payload"]), Denial: identity.Denial(w["denial"]), Failed: w.has("failed")}
		if w.has("approval") {
			ev.Approval = identity.Approval(w["approval"])
		}
		if ev.Kind == model.CancelRouting {
			ev.Cause = map[string]model.Cause{"run": model.RunEnded, "session": model.SessionEnded}[w["cause"]]
		}
		return machine.Routing{RoutingEvent: ev}, err
	}
	return nil, nil
}

// change is an event about the identity, decided on what is current.
func (p *player) change(k model.Kind, w words) model.Event {
	var now model.State
	if m := p.w.s.Model; m != nil {
		now = *m
	}
	ev := model.Event{Kind: k, Token: identity.Token(w["token"]), Request: w["for"], Previous: now.Current(), Target: target(w), Status: identity.Resolved}
	if w.has("unresolved") {
		ev.Status = identity.Unresolved
	}
	if w.has("stale") {
		ev.Previous.Identity.Model = w["stale"]
	}
	ev.Profile, ev.Route, ev.Attempt = ev.Target.Identity, identity.Route{Model: w["model"]}, w.number("attempt")
	if t := p.w.s.Toolset; t != nil {
		ev.Seen = model.Revisions{Active: t.Active.Revision, Staged: t.Staged.Revision}
	}
	return ev
}

// sightLines tell what became of tools and models.
func sightLines(prev machine.State, c machine.Commit) (out []string) {
	if r := c.Verdict.Identity; r != nil {
		out = append(out, fmt.Sprintf("report   %s to %s, unchanged=%t visible=%t", r.Previous.Model, r.New.Model, r.Unchanged, r.Tools.VisibleSetChanged))
	}
	if c.Next.Toolset != prev.Toolset && c.Next.Toolset != nil {
		t := c.Next.Toolset
		out = append(out, fmt.Sprintf("tools    active %d %s, staged %d, %s, offered %s", t.Active.Revision, t.Active.Filter, t.Staged.Revision, t.Phase, offeredIn(t)))
	}
	if c.Next.Model != prev.Model && c.Next.Model != nil {
		m := c.Next.Model
		route, _ := m.Effective()
		out = append(out, fmt.Sprintf("model    %s %s, %s, answers %q, topology %d", m.Identity.Model, m.Phase, m.Routing.Phase, route.Model, m.Routing.Topology))
	}
	return out
}

func offeredIn(t *toolset.State) string {
	if t.Round.Visible == nil {
		return "unknown"
	}
	return t.Round.Visible.Tools.Names().String()
}

// sight draws an event about tools or models: mostly one that fits, sometimes nonsense.
func (w *world) sight(choose chooser) machine.Event {
	p := &player{w: w}
	models := []string{"m1", "m2", ""}
	said := words{"model": models[choose(3, "model")], "token": []string{"t1", "t2"}[choose(2, "token")], "id": []string{"q1", "q2"}[choose(2, "request")]}
	for _, flag := range []string{"blind", "unresolved", "scoped", "failed"} {
		if choose(3, flag) == 0 {
			said[flag] = ""
		}
	}
	switch choose(8, "sight") {
	case 0:
		return machine.Offered{Catalogue: catalogue(catalogues[choose(len(catalogues), "catalogue")])}
	case 1, 2:
		said["do"] = toolset.Table.Events[choose(len(toolset.Table.Events), "toolset")]
		switch choose(3, "filter") {
		case 0:
			said["allow"] = []string{"", "tool_a", "tool_a,view_image", "nowhere"}[choose(4, "allowed")]
		case 1:
			said["deny"] = []string{"tool_a", "view_image", "find"}[choose(3, "denied")]
		}
		said["names"], said["revision"] = []string{"tool_x", "tool_a"}[choose(2, "names")], fmt.Sprint(choose(4, "revision"))
		if choose(4, "whose") == 0 {
			said["of"] = "s2"
		}
		ev, _ := p.sighted("toolset", said)
		return ev
	case 3, 4, 5:
		kinds := model.IdentityTable.Events
		said["do"], said["attempt"] = kinds[choose(len(kinds), "identity")], fmt.Sprint(w.s.Turn.Attempt-choose(2, "late"))
		if m := w.s.Model; m != nil && m.Routing.Switch != nil && choose(2, "for") == 0 {
			said["for"], said["model"] = m.Routing.Switch.Request, m.Routing.Switch.Target.Model
		}
		ev, _ := p.sighted("identity", said)
		return ev
	}
	kinds := model.RoutingTable.Events
	said["do"], said["runs"], said["cause"] = kinds[choose(len(kinds), "routing")], fmt.Sprint(choose(3, "runs")), []string{"run", "session"}[choose(2, "cause")]
	said["approval"] = string([]identity.Approval{identity.ApprovalNotRequired, identity.Approved, identity.DeniedByUser, identity.RequiredButUnavailable}[choose(4, "approval")])
	said["denial"] = string(identity.CapabilityPolicy)
	ev, _ := p.sighted("routing", said)
	return ev
}

var catalogues = []string{"", "tool_a@s1,tool_b@s1,view_image@s1", "tool_a@s2,tool_x@s1*,find!", "tool_a,find!", "tool_b@s1"}

// A call keeps the model that it began with, through failures and lost executors, whatever answers from then on; the search for an output asks
// whoever gave the answer.
func TestR122_a_call_that_is_out_keeps_the_model_it_began_with(t *testing.T) {
	t.Parallel()
	w := newWorld()
	p := &player{w: w}
	tell := func(line string) machine.Commit {
		t.Helper()
		ev, err := p.parse(line)
		if err != nil {
			t.Fatal(err)
		}
		c, refusal, breach := w.tell(ev)
		if refusal != nil || breach != nil {
			t.Fatalf("%s: %v, %v", line, refusal, breach)
		}
		p.note(c)
		return c
	}
	answers := func(c machine.Commit, want string) {
		t.Helper()
		if len(c.Opened) != 1 || c.Opened[0].Model == nil || c.Opened[0].Model.Model != want {
			t.Fatalf("opened %+v, and not for %s", c.Opened, want)
		}
	}
	tell(`register is=m1 schema`)
	tell("attach")
	answers(tell("submit id=i1"), "m1")
	tell("identity do=begin token=t model=m2")
	tell("identity do=commit token=t")
	answers(tell("fail kind=overloaded retry"), "m1")
	answers(tell("lost"), "m1")
	answers(tell("reply"), "m1") // for the output
	tell("interrupt")
	answers(tell("submit id=i2"), "m2")
}

// Where nobody knows which tools there are nothing changes, unless somebody has restricted them (see testdata/toolset.txt).
func TestR123_tools_that_nobody_knows_are_offered_unless_something_restricts_them(t *testing.T) {
	t.Parallel()
	for _, script := range []struct{ said, want string }{
		{"", "unknown"},
		{"toolset do=stage_filter deny=tool_a\noffered", "[]"},
		{"identity do=hydrate model=m1 blind\noffered", "unknown"},
	} {
		out, err := play("register\nattach tools=tool_a@s1,tool_b@s1\n"+script.said+"\ndetach\nattach\nsubmit id=i1\nlost", false)
		if err != nil {
			t.Fatal(err)
		}
		if offered := strings.Contains(out, "failed_closed, offered []"); offered != (script.want == "[]") {
			t.Errorf("%q: %s", script.said, out)
		}
	}
}
