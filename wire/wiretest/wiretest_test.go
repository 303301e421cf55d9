package wiretest

import (
	"testing"
)

func TestEvery_shape_of_the_contract_can_be_read(t *testing.T) {
	t.Parallel()
	names, err := Shapes()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Errorf("only %d shapes: %v", len(names), names)
	}
}

func TestA_break_of_the_contract_is_noticed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, shape, data string }{
		{"a required number is missing", "run_result", `{"session_id":"s","text":"","turns":1,"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`},
		{"a number is a text", "run_result", `{"session_id":"s","text":"","turns":"1","tool_calls":0,"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}`},
		{"a count below nothing", "session_summary", `{"session_id":"s","created_at":-1,"updated_at":0,"message_count":0,"total_tokens":0,"is_active":false}`},
		{"an event without a field", Event, `{"type":"run_started","session_id":"s"}`},
		{"an event that nobody knows", Event, `{"type":"input_accepted","input_id":"x","lane":"queue"}`},
		{"a word that is no class", Event, `{"type":"run_failed","session_id":"s","error_class":"skill","error":"x"}`},
		{"an envelope without a seq", "envelope", `{"event_id":"e","source":{"type":"session","session_id":"s"},"source_id":"x","timestamp_ms":1,"payload":{"type":"text_delta","delta":""}}`},
		{"an unknown field of strict params", "fork_at_params", `{"session_id":"s","message_index":1,"more":1}`},
		{"something that is no JSON", "run_result", `{`},
		{"a shape that is not there", "nothing", `{}`},
	} {
		if err := Fits(c.shape, []byte(c.data)); err == nil {
			t.Errorf("%s: nobody noticed", c.name)
		}
	}
}

func TestWhat_is_null_is_found_at_any_depth(t *testing.T) {
	t.Parallel()
	got, err := Nulls([]byte(`{"a":[1,{"b":null}],"c":"null"}`))
	if err != nil || len(got) != 1 || got[0] != "$.a[1].b" {
		t.Errorf("%v %v", got, err)
	}
}
