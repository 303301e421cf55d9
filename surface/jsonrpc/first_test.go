package jsonrpc

import (
	"slices"
	"testing"
)

func TestEvery_method_that_is_listed_is_there_and_every_one_that_is_there_is_listed(t *testing.T) {
	t.Parallel()
	for name := range methods {
		if name != "tools/register" && !slices.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
	}
	for _, name := range listed {
		if methods[name] == nil && name != "initialize" && name != "initialized" {
			t.Errorf("%s is listed and not there", name)
		}
	}
}

func TestA_client_shakes_hands_and_makes_a_session(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.connect()
	p.send(request1(1, "initialize", "{}"))
	if hello := read(t, p.next()).ok(t); hello["contract_version"] != "0.6.29" {
		t.Error(hello)
	}
	made := p.call(2, "session/create", `{"prompt":"hello","model":"claude-opus-4-8"}`).ok(t)
	if made["text"] != "ok" {
		t.Error(made)
	}
	p.call(3, "mob/create", `{}`).refused(t, -32601, "Method not found: mob/create")
}
