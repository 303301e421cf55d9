package machine

import (
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
)

// sees: what may be seen follows from the model, and an overlay is of the bound run.
func (f *findings) sees(s State) {
	m, t := get(s.Model), get(s.Toolset)
	if m.Phase != model.Unknown {
		f.want(t.Capability.Equal(toolset.CapabilityBaseFilter(m.Surface.ImageToolResults)), "R80", "filter %v of a model that can do %+v", t.Capability, m.Surface)
	}
	f.want(t.Run == "" || t.Run == s.Lifecycle.Run, "R66", "an overlay of run %q while %q is bound", t.Run, s.Lifecycle.Run)
	for key, d := range s.Open.All() {
		f.want(d.Model == nil || d.Kind != run.RunTool && d.Kind != run.Deliver && d.Model.Model != "", "R122", "entry %s of kind %s is made with %+v", key, d.Kind, d.Model)
	}
}

// offers: the set of a round changes where a model call is entered, and no call outside it is handed out.
func (f *findings) offers(prev State, c Commit) {
	was, is := get(prev.Toolset).Round, get(c.Next.Toolset).Round
	entered := c.Next.Toolset == nil
	for _, d := range c.Opened {
		_, again := prev.Open.Get(d.ID)
		entered = entered || !again && (d.Kind == run.CallModel || d.Kind == run.ApplyRun)
		if d.Kind == run.RunTool && !again && was.Visible != nil {
			f.want(was.Visible.Allows(d.Call.Name), "R67", "%s calls %q, which was not offered", d.ID, d.Call.Name)
		}
	}
	f.want(was == is || entered, "R61", "the set of the round has changed, and no model is called")
	for _, d := range c.Opened {
		old, again := prev.Open.Get(d.ID)
		f.want(!again || sameModel(old.Model, d.Model) || c.Regions&ModelRegion != 0, "R122", "%s was for %+v and is issued again for %+v", d.ID, old.Model, d.Model)
	}
}

func sameModel(a, b *identity.Identity) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
