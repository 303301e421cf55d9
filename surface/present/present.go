// Package present puts what control answers into the shapes of wire, and what clients ask for into control's words: once, for every surface.
//
// It owns no default: what a client does not say is not said to control either.
package present

import (
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// Result tells what a turn came to.
func Result(realm string, r control.Result) wire.RunResult {
	return wire.RunResult{Session: r.Session, Ref: wire.Ref(realm, r.Session), Text: r.Text, Turns: max(r.Rounds, 0), Calls: max(r.Calls, 0),
		Usage: wire.UsageOf(r.Total), Cause: wire.CauseKind(r.Cause), Output: r.Output, NoOutput: wire.NoOutputOf(r.NoOutput), Input: r.Input, Run: r.Run}
}

// Deferred tells that a session was made that is to run later.
func Deferred(realm string, s control.Session) wire.DeferredResult {
	return wire.DeferredResult{Session: s.ID, Ref: wire.Ref(realm, s.ID)}
}

// Created names a session whose first run did not complete, as the data of the error that says so.
func Created(realm string, s control.Session) wire.CreatedData {
	return wire.CreatedData{Session: s.ID, Ref: wire.Ref(realm, s.ID), Created: true, Resumable: true}
}

// active reports whether something runs in a session.
func active(s control.Session) bool {
	return s.Run != nil || s.Unfinished || s.Phase == "running"
}

// Summary tells a session of a list.
func Summary(realm string, s control.Session) wire.SessionSummary {
	return wire.SessionSummary{Session: s.ID, Ref: wire.Ref(realm, s.ID), Created: seconds(s.Created), Updated: seconds(s.Updated), Messages: s.Messages,
		Tokens: s.Tokens, Active: active(s), Labels: s.Labels}
}

// List tells sessions in the order the contract wants: those in which nothing was said yet first, otherwise as they come.
func List(realm string, sessions []control.Session) wire.SessionList {
	out := wire.SessionList{Sessions: make([]wire.SessionSummary, 0, len(sessions))}
	for _, deferred := range []bool{true, false} {
		for _, s := range sessions {
			if s.Deferred == deferred {
				out.Sessions = append(out.Sessions, Summary(realm, s))
			}
		}
	}
	return out
}

// seconds is a time of the contract: never before 1970, which it cannot say.
func seconds(t time.Time) int64 { return max(t.Unix(), 0) }

// SessionInfo tells a session on its own. What it said at last and what its model can do are told by whoever knows: see LastText and Abilities.
func SessionInfo(realm string, s control.Session) wire.SessionInfo {
	provider, model := modelOf(s.Model)
	return wire.SessionInfo{Session: s.ID, Ref: wire.Ref(realm, s.ID), Created: seconds(s.Created), Updated: seconds(s.Updated), Messages: s.Messages,
		Active: active(s), Model: model, Provider: provider, Labels: s.Labels}
}

// Details tells a session as the HTTP surface does.
func Details(realm string, s control.Session) wire.SessionDetails {
	return wire.SessionDetails{Session: s.ID, Ref: wire.Ref(realm, s.ID), Created: s.Created.UTC(), Updated: s.Updated.UTC(), Messages: s.Messages,
		Tokens: s.Tokens, Labels: s.Labels, Phase: s.Phase}
}

// modelOf takes the provider off a model's name. A name without one says its provider by how it begins, as the contract's clients expect; other is the
// contract's word for any that it does not list.
func modelOf(name string) (provider, model string) {
	if p, m, ok := strings.Cut(name, "/"); ok {
		if p == "self-hosted" {
			p = string(identity.SelfHosted)
		}
		return p, m
	}
	switch {
	case strings.HasPrefix(name, "claude"):
		return string(identity.Anthropic), name
	case strings.HasPrefix(name, "gpt"), strings.HasPrefix(name, "chatgpt"), strings.HasPrefix(name, "o1"), strings.HasPrefix(name, "o3"), strings.HasPrefix(name, "o4"):
		return string(identity.OpenAI), name
	case strings.HasPrefix(name, "gemini"):
		return string(identity.Gemini), name
	}
	return string(identity.Other), name
}

// LastText is the text of the last reply among rows; empty: there is none.
func LastText(rows []transcript.Row) string {
	for n := len(rows) - 1; n >= 0; n-- {
		if a, ok := rows[n].Entry.(transcript.Assistant); ok {
			if text := a.Blocks.Plain(); text != "" {
				return text
			}
		}
	}
	return ""
}

// Abilities tells what a model can do; nil: it is not known.
func Abilities(s *identity.Surface) *wire.ModelAbilities {
	if s == nil {
		return nil
	}
	return &wire.ModelAbilities{Vision: s.Vision, ImageInput: s.ImageInput, ImageToolResults: s.ImageToolResults, InlineVideo: s.InlineVideo,
		Realtime: s.Realtime, WebSearch: s.WebSearch, ImageGeneration: s.ImageGeneration}
}

// History tells a page of a transcript.
func History(realm string, h control.History) wire.SessionHistory {
	out := wire.SessionHistory{Session: h.Session, Ref: wire.Ref(realm, h.Session), Total: h.Total, Offset: h.Offset, More: h.More, Messages: wire.Messages(h.Rows)}
	if h.Limit > 0 {
		out.Limit = &h.Limit
	}
	return out
}

// Fork tells of a fork and what it came from.
func Fork(realm string, source control.Session, fork control.Session) wire.ForkResult {
	return wire.ForkResult{Source: source.ID, Session: fork.ID, Ref: wire.Ref(realm, fork.ID), Messages: fork.Messages}
}

// State is the contract's name of a session's phase.
func State(s control.Session) wire.RuntimeState {
	switch s.Phase {
	case "idle", "attached", "running", "retired", "stopped", "destroyed", "initializing":
		return wire.RuntimeState{State: s.Phase}
	case "archived":
		return wire.RuntimeState{State: "retired"}
	}
	return wire.RuntimeState{State: "idle"}
}

// Accepted tells what became of an input that was taken.
func Accepted(r control.Receipt) wire.AcceptResult {
	if r.Duplicate {
		return wire.AcceptResult{Outcome: wire.Deduplicated, Existing: r.Input}
	}
	return wire.AcceptResult{Outcome: wire.Accepted, Input: r.Input}
}
