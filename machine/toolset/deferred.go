package toolset

import (
	"strings"

	"github.com/meerkat-go/meerkat/scope"
)

// How many tools a search returns.
const (
	SearchDefault = 10 // if nothing is said
	SearchMost    = 50
)

// Search finds the deferrable tools whose name or description contains the query, in any case; an empty query is in all. A limit of 0 is
// SearchDefault; others are brought into 1..SearchMost.
func Search(s State, c *scope.Catalogue, query string, limit int) scope.Found {
	out := scope.Found{Exact: c.Exact(), Pending: c.Pending()}
	if limit == 0 {
		limit = SearchDefault
	}
	limit = min(max(limit, 1), SearchMost)
	query = strings.ToLower(query)
	permits := next(s, c)
	for t := range c.All() {
		if !out.Exact || !deferrable(t) || !strings.Contains(strings.ToLower(t.Name+" "+t.Description), query) {
			continue
		}
		if out.Total++; out.Total <= limit {
			out.Hits = append(out.Hits, scope.Hit{Name: t.Name, Description: t.Description, Status: status(s, permits, t)})
		}
	}
	if out.Total == 0 && out.Pending.Len() > 0 {
		out.Status = scope.StatusPendingSource
	}
	return out
}

// next is what the filters will let through from the next boundary on.
func next(s State, c *scope.Catalogue) scope.Composed {
	s = s.promoted()
	return scope.Compose(append(durable(s, c), s.Overlay.Filters()...)...)
}

func status(s State, permits scope.Composed, t scope.Entry) scope.Status {
	switch {
	case s.Round.Visible.Offers(t.Name, t.Witness):
		return scope.StatusLoaded
	case !permits.Permits(t.Name):
		return scope.StatusBlocked
	case t.Offline || !t.Witness.Proven():
		return scope.StatusUnavailable
	}
	return scope.StatusDeferred
}

// Load judges a wish to be offered tools: one reply for each name, in order, and what is to be told as RequestDeferred, if that is
// anything at all.
func Load(s State, c *scope.Catalogue, names []string) ([]scope.Loaded, scope.Witnesses) {
	permits := next(s, c)
	var wanted []scope.Claim
	asked := map[string]bool{}
	out := make([]scope.Loaded, 0, len(names))
	for _, name := range names {
		t, ok := c.Get(name)
		reply := scope.RejectUnknown
		if ok && c.Exact() {
			reply = judged(s, permits, t, asked[name])
		}
		if reply == scope.Accepted {
			asked[name] = true
			wanted = append(wanted, scope.Claim{Name: name, Witness: t.Witness})
		}
		out = append(out, scope.Loaded{Name: name, Reply: reply})
	}
	all, _ := scope.Collect(wanted...) // no name is accepted twice
	return out, all
}

// judged is the reply to a wish for a tool there is.
func judged(s State, permits scope.Composed, t scope.Entry, asked bool) scope.Reply {
	due, isDue := s.promoted().Active.Granted.Get(t.Name)
	staged, isStaged := s.Staged.Granted.Get(t.Name)
	switch {
	case !deferrable(t):
		return scope.RejectInline
	case !t.Witness.Proven():
		return scope.RejectNotCurrent
	case asked, isDue && due.Matches(t.Witness), s.Round.Visible.Offers(t.Name, t.Witness):
		return scope.AlreadyLoaded
	case !permits.Permits(t.Name):
		return scope.RejectFiltered
	case t.Offline, isStaged && staged != t.Witness: // RequestDeferred would be refused: the name was granted to another
		return scope.RejectNotCurrent
	}
	return scope.Accepted
}
