package sdk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func strs(v any) []string {
	var out []string
	l, _ := v.([]any)
	for _, e := range l {
		out = append(out, fmt.Sprint(e))
	}
	return out
}

func TestThe_first_line_answers_the_first_request_at_once(t *testing.T) {
	t.Parallel()
	w := world(t)
	began := time.Now()
	c := spawn(t, w)
	r := c.do("initialize", nil)
	t.Logf("from the start to the first answer: %v", time.Since(began))
	methods := strs(r["methods"])
	if len(methods) == 0 || methods[0] != "initialized" {
		t.Errorf("methods: %v", methods)
	}
	for _, m := range methods {
		if strings.HasPrefix(m, "mob/") || m == "tools/register" {
			t.Errorf("%s is listed", m)
		}
	}
	for _, m := range []string{"initialize", "session/create", "session/list", "session/read", "session/history", "session/archive", "session/fork_at",
		"session/inject_context", "turn/start", "turn/interrupt", "session/stream_open", "session/stream_close", "config/get", "config/set", "config/patch",
		"models/catalog", "skills/list", "capabilities/get"} {
		if !slices.Contains(methods, m) {
			t.Errorf("%s is not listed", m)
		}
	}
}

func TestCapabilities_come_in_their_order_and_sessions_are_there(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t))
	r := c.do("initialize", nil)
	listed := strs(r["methods"])
	var got []string
	for _, e := range c.do("capabilities/get", nil)["capabilities"].([]any) {
		e := e.(map[string]any)
		got = append(got, fmt.Sprint(e["id"]))
		if e["id"] == "sessions" && e["status"] != "Available" {
			t.Errorf("sessions: %v", e["status"])
		}
		if e["id"] == "skills" && e["status"] == "Available" && c.ask("skills/list", nil).get().err != nil {
			t.Error("skills are said to be there and are not")
		}
	}
	want := []string{"sessions", "streaming", "structured_output", "hooks", "builtins", "shell", "comms", "memory_store", "schedule", "work_graph",
		"session_store", "session_compaction", "skills", "mcp_live"}
	if !slices.Equal(got, want) {
		t.Errorf("capabilities: %v", got)
	}
	for _, m := range listed[1:] {
		if e := c.ask(m, nil).get().err; e != nil && e.code == "-32601" {
			t.Errorf("%s is listed and not there", m)
		}
	}
	for _, m := range []string{"mob/create", "mob/list", "mob/stream_open", "skills/inspect", "schedule/list", "approval/list", "blob/get", "live/open", "comms/send",
		"workgraph/list", "nothing/such"} {
		if slices.Contains(listed, m) {
			continue
		}
		if e := c.fails("-32601", m, nil); e.message != "Method not found: "+m {
			t.Errorf("%s: %s", m, e.message)
		}
	}
}

func TestMethods_without_params_take_nothing_and_null(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	for i, m := range []string{"initialize", "capabilities/get", "config/get", "models/catalog", "runtime/host_info", "runtime/capabilities", "runtime/health",
		"session/list"} {
		for j, params := range []string{``, `,"params":null`, `,"params":{}`} {
			id := 1000 + 10*i + j
			a := c.expect(fmt.Sprint(id), m)
			c.line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q%s}`+"\n", id, m, params))
			a.good()
		}
	}
	for i, m := range []string{"session/read", "session/create", "turn/start", "session/history", "turn/interrupt", "session/archive", "session/stream_open",
		"session/inject_context", "session/external_event", "events/list_since", "session/fork_at"} {
		id := 2000 + i
		a := c.expect(fmt.Sprint(id), m)
		c.line(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q}`+"\n", id, m))
		if e := a.bad("-32602"); e.message != "Missing params" {
			t.Errorf("%s: %s", m, e.message)
		}
		e := c.fails("-32602", m, object{"session_id": 5, "prompt": 5})
		if !strings.HasPrefix(e.message, "Invalid params: ") {
			t.Errorf("%s: %s", m, e.message)
		}
	}
}

func TestWhat_cannot_be_read_is_answered_and_reading_goes_on(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	for _, l := range []string{"garbage\n", "[]\n", `[{"jsonrpc":"2.0","id":5,"method":"session/list"}]` + "\n", "{\n", "\"a\"\n", "\xff\xfe{}\n"} {
		a := c.expect("null", "")
		c.line(l)
		if e := a.bad("-32700"); !strings.HasPrefix(e.message, "Parse error: ") {
			t.Errorf("%q: %s", l, e.message)
		}
	}
	c.line("\n\r\n  \n")
	c.line(`{"jsonrpc":"2.0","method":"initialized","params":{}}` + "\r\n")
	c.line(`{"jsonrpc":"2.0","method":"nothing/such","params":{}}` + "\n")
	c.line(`{"jsonrpc":"2.0","method":"cancel","params":{"request_id":4711}}` + "\n")
	c.line(`{"jsonrpc":"2.0","method":"cancel","params":5}` + "\n")
	c.line(`{"jsonrpc":"2.0","id":"srv-7","result":{"content":"late","is_error":false}}` + "\n")
	a := c.expect(`"a string"`, "session/list")
	c.line(`{"jsonrpc":"2.0","id":"a string","method":"session/list","params":{}}` + "\r\n")
	a.good()
	b := c.expect(`"1"`, "session/list")
	c.line(`{"jsonrpc":"2.0","id":"1","method":"session/list","params":{}}` + "\n")
	b.good()
}

func TestNo_text_of_a_client_breaks_a_line(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	prompt := "a\nb\r\n\u2028\u2029\x00\x1b\"\\ \U0001F43E"
	r := c.do("session/create", object{"prompt": prompt})
	h := c.do("session/history", object{"session_id": r["session_id"]})
	for _, m := range h["messages"].([]any) {
		m := m.(map[string]any)
		if m["role"] != "user" {
			continue
		}
		if got := words(m["content"]); got != prompt {
			t.Errorf("it came back as %q", got)
		}
	}
}

// words is the text of content.
func words(v any) string {
	if s, is := v.(string); is {
		return s
	}
	var out strings.Builder
	l, _ := v.([]any)
	for _, b := range l {
		b := b.(map[string]any)
		if s, is := b["text"].(string); is {
			out.WriteString(s)
		}
		if d, is := b["data"].(map[string]any); is && b["block_type"] == "text" {
			out.WriteString(fmt.Sprint(d["text"]))
		}
	}
	return out.String()
}

func n(i int) json.Number { return json.Number(fmt.Sprint(i)) }
