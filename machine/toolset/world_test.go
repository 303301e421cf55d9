package toolset

import (
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/scope"
)

// A small world: a tool that is always there unless its server is gone, one that may be hidden, the picture tool, and a control tool.

func source(name string) scope.Witness {
	return scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: name})
}

func owner(name string) scope.Witness { return scope.Witness{Owner: "mcp:" + name} }

func claims(pairs ...any) scope.Witnesses {
	var list []scope.Claim
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, scope.Claim{Name: pairs[i].(string), Witness: pairs[i+1].(scope.Witness)})
	}
	w, err := scope.Collect(list...)
	if err != nil {
		panic(err)
	}
	return w
}

func set(names ...string) scope.Names { return scope.NamesOf(names...) }

func plain(name, src string) scope.Entry { return scope.Entry{Name: name, Witness: source(src)} }

func hidden(name, src string) scope.Entry {
	return scope.Entry{Name: name, Description: "does " + name, Witness: source(src), Deferrable: true, Volume: DeferVolume}
}

var finder = scope.Entry{Name: "find", Control: true}

func catalogueOf(entries ...scope.Entry) *scope.Catalogue {
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		panic(err)
	}
	return c
}

func pendingCatalogue(exact bool, pending []string, entries ...scope.Entry) *scope.Catalogue {
	c, err := scope.NewCatalogue(entries, set(pending...), exact)
	if err != nil {
		panic(err)
	}
	return c
}

var catalogues = []*scope.Catalogue{
	catalogueOf(plain("a", "s1"), hidden("x", "s1"), finder, plain(ImageTool, "s1")),
	catalogueOf(plain("a", "s2"), hidden("x", "s2"), finder),                            // another server has the names
	catalogueOf(hidden("x", "s1"), finder, plain(ImageTool, "s1")),                      // a is gone
	catalogueOf(plain("a", "s1"), hidden("x", "s1")),                                    // nothing to ask with: x is shown
	pendingCatalogue(false, []string{"s3"}, plain("a", "s1"), finder),                   // a source cannot list
	catalogueOf(scope.Entry{Name: "a"}, finder),                                         // not sound: nobody stands behind a
	catalogueOf(scope.Entry{Name: "x", Witness: owner("s1"), Deferrable: true}, finder), // not sound: no provenance
	nil,
}

// choose picks one of n; the label is for whoever reads a failure.
type choose func(n int, label string) int

func pick[V any](c choose, label string, of ...V) V { return of[c(len(of), label)] }

func drawFilter(c choose) scope.Filter {
	return pick(c, "filter", scope.All(), scope.Allow("a"), scope.Deny("a"), scope.Allow("x"), scope.Allow("a", "x"), scope.Allow(), scope.Deny("find"), scope.Allow("zzz"), scope.Deny("x"))
}

func drawWitness(c choose) scope.Witness {
	return pick(c, "witness", source("s1"), source("s1"), source("s2"), owner("s1"), scope.Witness{})
}

func drawWitnesses(c choose, names ...string) scope.Witnesses {
	var list []scope.Claim
	for _, n := range names {
		if c(4, "said of "+n) > 0 {
			list = append(list, scope.Claim{Name: n, Witness: drawWitness(c)})
		}
	}
	w, _ := scope.Collect(list...)
	return w
}

// drawSides draws what is published: often what may be, and then one thing about it changed.
func drawSides(c choose, s State) (active, staged Published) {
	near := pick(c, "near", s.Active, s.Staged)
	p := Published{near.Filter, near.Granted.Names(), near.Granted, s.Next + uint64(c(2, "new"))}
	if c(2, "granted") == 0 {
		p.Authorities = pick(c, "authorities", claims("x", source("s1")), claims("x", owner("s1")), claims())
		p.Names = p.Authorities.Names()
	}
	active, staged = p, p
	switch c(9, "change") {
	case 0:
		active.Filter = pick(c, "filters", scope.Deny("x"), scope.Deny("find"))
		staged.Filter = active.Filter
	case 1:
		active.Filter = drawFilter(c)
	case 2:
		staged.Names, staged.Authorities = set(), scope.Witnesses{}
	case 3:
		active.Names, staged.Names = set(), set()
	case 4:
		active.Names, active.Authorities = set(), scope.Witnesses{}
	case 5:
		staged.Authorities = scope.Witnesses{}
	case 6:
		staged = Published{s.Staged.Filter, s.Staged.Granted.Names(), s.Staged.Granted, s.Staged.Revision}
	case 7:
		staged.Revision = pick(c, "staged revision", 0, s.Staged.Revision, s.Next+2)
	}
	active.Revision += uint64(c(2, "ahead"))
	return active, staged
}

func drawEvent(c choose, s State) Event {
	e := Event{Catalogue: pick(c, "catalogue", catalogues...)}
	if k := c(len(kinds)+4, "kind"); k < len(kinds) {
		e.Kind = Kind(k)
	} else {
		e.Kind = pick(c, "more of", Publish, Restore) // they have the most to be refused for
	}
	switch e.Kind {
	case HydrateInherited, StageFilter:
		e.Filter, e.Witnesses = drawFilter(c), drawWitnesses(c, "a", "x", "zzz")
	case RequestDeferred:
		e.Witnesses = drawWitnesses(c, pick(c, "wish", "x", "x", "x", "a", "find"))
		if c(2, "as it is") == 0 {
			e.Witnesses = e.Catalogue.Witnesses(set("x"))
		}
	case Publish:
		e.Active, e.Staged = drawSides(c, s)
		e.Witnesses = drawWitnesses(c, pick(c, "of", "a", "x"))
	case Restore:
		e.Resolved, e.ImageResults = c(3, "resolved") > 0, c(2, "images") > 0
		e.Restored = drawDurable(c, s)
	case RebaseCapability:
		e.Resolved, e.ImageResults = c(4, "resolved") > 0, c(2, "images") > 0
	case SetOverlay:
		e.Overlay = scope.Overlay{Restricts: c(3, "restricts") > 0, Blocked: pick(c, "blocked", set(), set("a"), set("zzz")), Dispatch: pick(c, "dispatch", "", "d")}
		e.Overlay.Allowed = pick(c, "allowed", set(), set("a"), set("x"), set("a", "x"), set("find"))
		e.Run = pick[id.Run](c, "run", "r1", "r1", "r2", "")
	case FailClosed:
		e.Cause = pick(c, "cause", "down", "away")
	case ResetDeferred, CommitBoundary, ClearOverlay:
	}
	return e
}

func drawDurable(c choose, s State) *Durable {
	if c(10, "nothing") == 0 {
		return nil
	}
	d := s.Durable
	switch c(7, "change") {
	case 0:
		d.Active.Revision, d.Staged.Revision = s.Next+1, s.Next+1
		d.Active.Filter = drawFilter(c)
		d.Active.Witnesses = drawWitnesses(c, "a", "x")
		d.Staged = d.Active
	case 1:
		d.Staged.Granted, d.Staged.Revision = drawWitnesses(c, "x"), s.Next+1
	case 2:
		d.Inherited = Inherited{Restriction{drawFilter(c), drawWitnesses(c, "a", "x", "zzz")}, c(3, "set") > 0}
	case 3:
		d.Capability = CapabilityBaseFilter(c(2, "capability") > 0)
	case 4:
		d.Active.Revision = pick(c, "active revision", s.Next+2, 0)
	case 5:
		d.Staged.Filter, d.Staged.Witnesses = pick(c, "staged filter", drawFilter(c), scope.Deny("find")), scope.Witnesses{}
		d.Staged.Revision = max(d.Staged.Revision, s.Next+uint64(c(2, "staged is new")))
		if c(2, "new revision") == 0 {
			d.Active.Revision, d.Staged.Revision = s.Next+1, s.Next+1
		}
	}
	return &d
}

// shown lists what a set offers.
func shown(v *scope.VisibleSet) string {
	if v == nil {
		return "[]"
	}
	return listed(v.Tools.Names())
}

func listed(n scope.Names) string { return n.String() }

func written(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// again is a state, written and read.
func again(s State) (State, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	var out State
	if err := json.Unmarshal(b, &out); err != nil {
		return s, err
	}
	if twice := written(out); twice != string(b) {
		return s, fmt.Errorf("R22: written\n%s\nand, once read,\n%s", b, twice)
	}
	return out, nil
}
