// Package meerkat is a runtime control-plane and harness for AI agents: sessions that survive crashes, in one process or many.
//
// Open wires the parts and returns a Runtime; all that can be done with it goes through its Plane:
//
//	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: dir})
//	s, err := rt.Plane().CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "offline", Workspace: folder, Tools: "safe"}})
//	r, err := rt.Plane().Submit(ctx, control.Submit{Session: s.ID, Content: transcript.TextBlocks("what is in this folder?")})
//	out, err := rt.Plane().Wait(ctx, s.ID, r.Input)
//
// Runtime.Ask is the three of them in one, for programs that have one question. A loop of one's own takes the place of our agent as
// Config.Executor.
//
// An input is durable once Submit has returned. If the process dies, the next one that opens the session finishes the run.
package meerkat
