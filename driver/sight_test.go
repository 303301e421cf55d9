package driver_test

import (
	"reflect"
	"testing"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// What was said about tools and models outlives the process in the middle of a call and of a change, and goes on from there.
//
// Scenario: V22
func TestR22_what_was_said_about_tools_and_models_is_loaded_as_it_was(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mcp := scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "files"})
	c, err := scope.NewCatalogue([]scope.Entry{{Name: "read", Witness: mcp}, {Name: "find", Control: true},
		{Name: "hidden", Witness: mcp, Deferrable: true, Volume: 200}}, scope.Names{}, true)
	w.ok(err)
	seeing := identity.Surface{ImageToolResults: true}
	m1 := identity.Target{Identity: identity.Identity{Model: "m1", Provider: identity.Other, Params: `{"a":1}`}, Surface: seeing}
	m2 := identity.Target{Identity: identity.Identity{Model: "m2", Provider: identity.OpenAI}}
	fine := machine.Attach{Attachment: machine.Attachment{ID: 1, Grain: run.Fine, Catalogue: c}}
	filter := scope.Deny("read")
	w.tell(machine.Register{Profile: &run.Profile{Model: "m1"}, Model: m1, Status: identity.Resolved}, fine,
		machine.Toolset{Event: toolset.Event{Kind: toolset.RequestDeferred, Witnesses: c.Witnesses(scope.NamesOf("hidden"))}},
		machine.Routing{RoutingEvent: model.RoutingEvent{Kind: model.SetBaseline, Target: identity.Route{Model: "m1"}}}, submit("a", "hello"),
		machine.Toolset{Event: toolset.Event{Kind: toolset.StageFilter, Filter: filter, Witnesses: c.Witnesses(filter.Names())}})
	w.tell(machine.Identity{Event: model.Event{Kind: model.Begin, Token: "t", Previous: w.d.State().Model.Current(), Target: m2}})
	was := w.d.State()
	is := w.open("b").State()
	if !reflect.DeepEqual(was.Toolset, is.Toolset) || !reflect.DeepEqual(was.Model, is.Model) || !reflect.DeepEqual(openOf(was), openOf(is)) {
		t.Errorf("tools\n%+v\n%+v\nmodel\n%+v\n%+v\nopen\n%+v\n%+v", was.Toolset, is.Toolset, was.Model, is.Model, openOf(was), openOf(is))
	}
	if d := openOf(is)[0]; d.Model == nil || *d.Model != m1.Identity || !is.Toolset.Round.Visible.Allows("hidden") || !is.Toolset.Pending() {
		t.Errorf("the call is for %+v, with %+v", d.Model, is.Toolset.Round.Visible)
	}
	if p, owed := is.Model.OwedPrepare(); !owed || p.Token != "t" || p.Target != m2 {
		t.Errorf("owed is %+v, %t", p, owed)
	}
}

func openOf(s machine.State) (out []run.Directive) {
	for _, d := range s.Open.All() {
		out = append(out, d)
	}
	return out
}
