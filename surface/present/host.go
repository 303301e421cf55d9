package present

import (
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/wire"
)

// Config tells the settings.
func Config(c control.Config) wire.ConfigEnvelope {
	out := wire.ConfigEnvelope{Config: c.Config, Generation: c.Generation, Realm: c.Realm, Instance: c.Instance, Backend: c.Backend}
	if len(out.Config) == 0 {
		out.Config = json.RawMessage("{}")
	}
	if c.Paths != nil {
		p := wire.Paths(*c.Paths)
		out.Paths = &p
	}
	return out
}

// Models tells the catalogue, in the order of control.
func Models(models []control.Model) wire.ModelsCatalog {
	out := wire.ModelsCatalog{Version: wire.Version(), Providers: []wire.ProviderModels{}}
	at := map[string]int{}
	for _, m := range models {
		n, ok := at[m.Provider]
		if !ok {
			n = len(out.Providers)
			at[m.Provider] = n
			out.Providers = append(out.Providers, wire.ProviderModels{Provider: m.Provider, Default: m.ID})
		}
		p := &out.Providers[n]
		if m.Default {
			p.Default = m.ID
		}
		p.Models = append(p.Models, modelEntry(m))
	}
	return out
}

func modelEntry(m control.Model) wire.Model {
	out := wire.Model{ID: m.ID, Display: m.Display, Tier: "supported", Context: m.Context, MaxOutput: m.MaxOutput, Server: m.Server, Configured: m.Configured}
	if m.Display == "" {
		out.Display = m.ID
	}
	if m.Tier == "recommended" {
		out.Tier = m.Tier
	}
	if m.Surface != nil {
		out.Profile = modelProfile(m.Provider, *m.Surface)
	}
	return out
}

func modelProfile(family string, s identity.Surface) *wire.ModelProfile {
	return &wire.ModelProfile{Family: family, Temperature: s.Temperature, Thinking: s.Thinking, Reasoning: s.Reasoning, WebSearch: s.WebSearch, Vision: s.Vision,
		ImageInput: s.ImageInput, ImageToolResults: s.ImageToolResults, InlineVideo: s.InlineVideo, Realtime: s.Realtime, ImageGeneration: s.ImageGeneration,
		ParamsSchema: json.RawMessage(`{"type":"object"}`)}
}

// Capabilities tells what this version can do, in the contract's order.
func Capabilities() wire.Capabilities {
	gone := func(id, description string) wire.Capability {
		return wire.Capability{ID: id, Description: description, Status: wire.CapabilityStatus{NotCompiled: id}}
	}
	there := func(id, description string) wire.Capability { return wire.Capability{ID: id, Description: description} }
	return wire.Capabilities{Version: wire.Version(), Capabilities: []wire.Capability{
		there("sessions", "Sessions that outlive the process: made, listed, read, forked and archived"),
		there("streaming", "Events of a session while it works, and again from a cursor"),
		there("structured_output", "Replies that fit a JSON Schema"),
		gone("hooks", "Programs that are asked at certain points of a run"),
		there("builtins", "Tools for files, for sessions that ask for them"),
		there("shell", "A tool that runs commands, for sessions that ask for it"),
		gone("comms", "Messages between sessions"),
		gone("memory_store", "What sessions remember of each other"),
		gone("schedule", "Work that begins at a time"),
		gone("work_graph", "Goals and work items"),
		there("session_store", "Sessions are kept in a store, and found again after a restart"),
		gone("session_compaction", "Long transcripts made shorter"),
		gone("skills", "Instructions that are loaded when they are needed"),
		gone("mcp_live", "Tool servers added to a session while it works"),
	}}
}

// HostCapabilities tells which families of methods there are.
func HostCapabilities() wire.HostCapabilities {
	return wire.HostCapabilities{Version: wire.Version(), Features: wire.Features{RuntimeBackedSessions: true, SessionEvents: true, SessionStreams: true,
		EventReplay: true}}
}

// HostHealth tells whether the server can work, from what control.Plane.Ready said.
func HostHealth(ready error) wire.HostHealth {
	out := wire.HostHealth{Version: wire.Version(), Status: wire.HealthOK, Checks: map[string]string{"session_store": wire.HealthOK}}
	if ready != nil {
		out.Status, out.Checks["session_store"] = wire.HealthUnhealthy, wire.HealthUnhealthy
	}
	return out
}

// HostInfo tells what process serves, and what. paths nil: where it keeps things is not told.
func HostInfo(in control.Info, backend string, paths *control.Paths, ready error, at wire.Endpoints) wire.HostInfo {
	out := wire.HostInfo{Version: wire.Version(), Host: fmt.Sprintf("process:%d", in.PID), Scope: "process", ProcessName: in.Process, ProcessVersion: in.Version,
		Capabilities: HostCapabilities(), Health: HostHealth(ready), Realm: wire.HostRealm{Realm: in.Realm, Instance: in.Instance, Backend: backend}, Endpoints: at}
	if in.Realm != "" && in.Instance != "" {
		out.Host, out.Scope = "realm-instance:"+in.Realm+":"+in.Instance, "realm_instance"
	}
	if paths != nil {
		out.Realm.Root = paths.Root
	}
	return out
}

// LatestCursor tells where the events of a session end.
func LatestCursor(s control.Session) wire.LatestCursor {
	return wire.LatestCursor{Version: wire.Version(), Cursor: wire.EventCursor{Scope: wire.ScopeOf(s.ID), Sequence: s.Cursor}}
}

// EventList tells a page of durable events, additive ones among them: a reader who passes over those still gets on.
func EventList(page control.EventPage, s control.Session) wire.EventList {
	scope := wire.ScopeOf(s.ID)
	return wire.EventList{Version: wire.Version(), Scope: scope, From: wire.EventCursor{Scope: scope, Sequence: page.From},
		Latest: wire.EventCursor{Scope: scope, Sequence: page.Latest}, Events: EventRows(page), More: page.More}
}

// EventRows tells durable events bare.
func EventRows(page control.EventPage) []wire.EventRow {
	var out []wire.EventRow
	for _, e := range page.Events {
		scope := wire.ScopeOf(e.Session)
		at := wire.EventCursor{Scope: scope, Sequence: e.Cursor}
		for _, told := range wire.Project(e) {
			out = append(out, wire.EventRow{ID: at, Cursor: at, Timestamp: e.Time.UnixMilli(), Source: scope, Session: e.Session, Run: e.Run, Event: told.JSON})
		}
	}
	return out
}

// EventSnapshot tells the state of a session at the cursor it has.
func EventSnapshot(info wire.SessionInfo, cursor uint64) wire.EventSnapshot {
	scope := wire.ScopeOf(info.Session)
	return wire.EventSnapshot{Version: wire.Version(), Scope: scope, Cursor: wire.EventCursor{Scope: scope, Sequence: cursor},
		Snapshot: wire.SessionSnapshot{Type: "session", Session: info}}
}
