package peer

// Context is what the host of a session knows about its comms: the command that sets it brings the owner of the ingress and the drain in
// line, in one step.
type Context struct {
	KeepAlive bool    // the session is to be reachable while it rests
	Runtime   Runtime // zero: it has none
	Mob       string  // the mob whose runtime it is; empty: the session's own
	MaySpawn  bool    // a fact: the session is attached or running
}

// SetContext returns both states after c, and whether somebody has to begin listening: for a session nobody listened for, or for another
// comms runtime than before. A refusal comes from Table, says who owns or holds the ingress, and changes neither. That a drain may not
// begin is no refusal.
//
//	runtime given                     AttachMob or AttachSession; Hold
//	none, and not to be kept alive    Detach; Release
//	not to be kept alive              Stop
//	running                           a persistent drain went with Hold already; another stays as it is
//	resting, and it may               Spawn persistent_host
func SetContext(s State, l Link, c Context) (State, Link, bool, error) {
	given := c.Runtime != Runtime{}
	e, events := Event{Runtime: c.Runtime.ID, Mob: c.Mob, Held: l.Ingress}, []LinkEvent{{Kind: Hold, Runtime: c.Runtime}}
	switch {
	case given && c.Mob != "":
		e.Kind = AttachMob
	case given:
		e.Kind = AttachSession
	case c.KeepAlive:
		return s, l, false, nil
	default:
		e.Kind, events[0] = Detach, LinkEvent{Kind: Release}
	}
	next, err := Table.Step(s, e)
	if err != nil {
		return s, l, false, err
	}
	switch {
	case !c.KeepAlive:
		events = append(events, LinkEvent{Kind: Stop})
	case l.Phase != Running && c.MaySpawn:
		events = append(events, LinkEvent{Kind: Spawn, Mode: PersistentHost, Runtime: c.Runtime})
	}
	link := l
	for _, e := range events {
		if link, err = Drain.Step(link, e); err != nil {
			return s, l, false, err
		}
	}
	now, listens := Listening(link)
	was, listened := Listening(l)
	return next, link, listens && !(listened && now == was), nil
}
