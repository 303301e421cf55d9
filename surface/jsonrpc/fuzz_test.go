package jsonrpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParams sends any params to any method: each request is answered once, under its id, and the connection goes on.
func FuzzParams(f *testing.F) {
	names := append(slices.Sorted(maps.Keys(methods)), "initialize", "cancel", "no/method")
	seeds := []string{``, `null`, `{}`, `[]`, `7`, `{"session_id":"$"}`, `{"session_id":"$","prompt":"hi"}`, `{"session_id":"test:$","prompt":[{"type":"text","text":"x"}],"model":"m"}`,
		`{"prompt":"hi","initial_turn":"deferred"}`, `{"prompt":"hi","output_schema":{"type":"object"},"labels":{"a":"b"},"budget_limits":{"max_tokens":1}}`,
		`{"session_id":"$","message_index":1}`, `{"session_id":"$","message_index":0,"replacement":{"type":"message","message":{"role":"user","content":"x"}}}`,
		`{"session_id":"$","message_index":1,"replacement":{"type":"assistant_block","block_index":0,"block":{"block_type":"text","data":{"text":"x"}}}}`,
		`{"session_id":"$","text":"x","source":"y","idempotency_key":"z"}`, `{"session_id":"$","kind":"generic_json","event_type":"x","payload":{"a":[1]}}`,
		`{"stream_id":"$"}`, `{"tools":[{"name":"t","description":"","input_schema":{"type":"object"}}]}`, `{"scope":{"type":"session","session_id":"$"},"limit":3}`,
		`{"scope":{"type":"session","session_id":"$"},"cursor":{"scope":{"type":"session","session_id":"$"},"sequence":1}}`,
		`{"session_id":"$","input_id":"$"}`, `{"config":{"max_tokens":5},"expected_generation":1}`, `{"patch":{"max_tokens":null}}`, `{"request_id":1}`, `{"limit":0,"offset":1,"labels":{}}`}
	for n := range names {
		for _, s := range seeds {
			f.Add(uint8(n), s)
		}
	}
	w := newWorld(f)
	p := w.connect()
	s := p.create(-1, "hello")
	next := 0
	f.Fuzz(func(t *testing.T, method uint8, params string) {
		p.t = t
		params = strings.ReplaceAll(strings.ReplaceAll(params, "$", s), "\n", " ")
		name := names[int(method)%len(names)]
		if name == "session/archive" || name == "input/wait" || strings.Contains(params, "essay") || strings.Contains(params, "k1") || strings.Contains(params, "both") {
			return // it ends what the others need, or waits for what nobody gives
		}
		next++
		line := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q`, next, name)
		valid := params == "" || json.Valid([]byte(params)) && utf8.ValidString(params)
		if params != "" {
			line += `,"params":` + params
		}
		p.send(line+`}`, fmt.Sprintf(`{"jsonrpc":"2.0","id":"end of %d","method":"runtime/health"}`, next))
		answers, fenced := 0, false
		for answers == 0 || !fenced {
			got := p.next()
			var m struct {
				ID     json.RawMessage
				Method string
				Result json.RawMessage
				Error  *struct {
					Code    int
					Message string
				}
			}
			if err := json.Unmarshal([]byte(got), &m); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			switch string(m.ID) {
			case fmt.Sprint(next):
				answers++
				if (m.Result == nil) == (m.Error == nil) {
					t.Errorf("neither or both: %s", got)
				}
				if m.Error != nil && (m.Error.Code == -32603 && m.Error.Message != "skills not enabled" || m.Error.Message == "") {
					t.Errorf("%s\nis answered %s", line, got)
				}
			case fmt.Sprintf(`"end of %d"`, next):
				fenced = true
			case "null":
				if valid {
					t.Errorf("%s\nis answered %s", line, got)
				}
				answers++
			}
		}
	})
}
