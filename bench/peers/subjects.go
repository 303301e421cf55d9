package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// subject is something that holds conversations: one of those compared. session makes one; the turns of different sessions may run at
// the same time.
type subject interface {
	session(ctx context.Context) (session, error)
	close() error
}

// session is one conversation. turn says something and returns when the answer is there, as durable as the subject makes it.
type session interface {
	turn(ctx context.Context, prompt string) error
}

type kind struct {
	title, durability string
	open              func(ctx context.Context, url, dir string) (subject, error)
}

// kinds are the subjects by name. Names sort into the order of the tables.
var kinds = map[string]kind{
	"0-floor":          {"no framework: a loop over `net/http`", "none: memory", openFloor},
	"1-meerkat-memory": {"Meerkat", "none: memory", openMeerkatMemory},
	"2-eino":           {"Eino 0.7.36", "none: memory", openEino},
	"3-meerkat":        {"Meerkat", "SQLite WAL, synchronous=FULL", openMeerkat},
	"4-dbos-full":      {"DBOS 1.8.0", "SQLite WAL, synchronous=FULL", openDBOSFull},
	"5-dbos-normal":    {"DBOS 1.8.0", "SQLite WAL, synchronous=NORMAL (its default)", openDBOSNormal},
}

func names() []string { return slices.Sorted(maps.Keys(kinds)) }

// floor is the least that can be done: a conversation in memory, an HTTP request a round. What others need beyond it is their own.
type floor struct{ client client }

func openFloor(_ context.Context, url, _ string) (subject, error) {
	return floor{client{url, newHTTP()}}, nil
}

func (f floor) session(context.Context) (session, error) {
	return &floorSession{client: f.client, said: []message{{Role: "system", Content: system}}}, nil
}

func (f floor) close() error { f.client.http.CloseIdleConnections(); return nil }

type floorSession struct {
	client client
	said   []message
}

func (s *floorSession) turn(ctx context.Context, prompt string) error {
	s.said = append(s.said, message{Role: "user", Content: prompt})
	for {
		reply, err := s.client.ask(ctx, s.said)
		if err != nil {
			return err
		}
		s.said = append(s.said, reply)
		if len(reply.ToolCalls) == 0 {
			return answered(reply.Content)
		}
		for _, c := range reply.ToolCalls {
			out, err := callTool()
			if err != nil {
				return err
			}
			s.said = append(s.said, message{Role: "tool", Content: out, ToolCallID: c.ID})
		}
	}
}

// answered says whether a turn came to its end.
func answered(text string) error {
	if text != "here" {
		return fmt.Errorf("the turn ended with %q", text)
	}
	return nil
}
