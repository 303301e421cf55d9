package tool_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/tooltest"
	"github.com/meerkat-go/meerkat/transcript"
)

const everySchema = `{
	"type": "object",
	"properties": {
		"path": {"type": "string", "minLength": 1, "description": "file to read"},
		"limit": {"type": "integer", "minimum": 1, "maximum": 10},
		"mode": {"enum": ["fast", "slow"]},
		"tags": {"type": "array", "items": {"type": "string"}},
		"at": {"$ref": "#/$defs/point"},
		"either": {"oneOf": [{"type": "string"}, {"type": "integer"}]}
	},
	"required": ["path"],
	"additionalProperties": false,
	"$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"]}}
}`

func check(t *testing.T, schema, args string) []string {
	t.Helper()
	r := registry(t, tool.Limits{}, tooltest.Func{Is: tool.Spec{Name: "t", Schema: json.RawMessage(schema)}})
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	_, refusal := r.Check("t", json.RawMessage(args))
	if refusal == nil {
		return nil
	}
	if refusal.Code != transcript.ResultInvalid {
		t.Errorf("code %s", refusal.Code)
	}
	_, list, _ := strings.Cut(refusal.Message, "\n- ")
	if list == "" {
		return []string{refusal.Message}
	}
	return strings.Split(list, "\n- ")
}

func Test_every_error_of_the_arguments_is_told_with_property_and_expectation(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]string{
		`{"path": "a", "limit": 3.0, "mode": "fast", "tags": ["x"], "at": {"x": 1, "y": 2.5}, "either": 7}`: nil,
		`{}`: {`"path": missing; expected string, at least 1 characters (file to read)`},
		`{"pth": "a", "limit": 0, "mode": "medium"}`: {
			`"path": missing; expected string, at least 1 characters (file to read)`,
			`"limit": expected integer, at least 1, at most 10, got integer 0`,
			`"mode": expected one of "fast", "slow", got string "medium"`,
			`"pth": unknown property; did you mean "path"? Known: "at", "either", "limit", "mode", "path", "tags"`},
		`{"path": "", "limit": "3", "tags": ["a", 1, null], "at": {"x": "1"}}`: {
			`"at.y": missing; expected number`,
			`"at.x": expected number, got string "1"`,
			`"limit": expected integer, at least 1, at most 10, got string "3"`,
			`"path": expected string, at least 1 characters, got string ""`,
			`"tags[1]": expected string, got integer 1`,
			`"tags[2]": expected string, got null`},
		`{"path": null, "limit": 2.5}`: {
			`"limit": expected integer, at least 1, at most 10, got number 2.5`,
			`"path": expected string, at least 1 characters, got null`},
	} {
		if diff := cmp.Diff(want, check(t, everySchema, args)); diff != "" {
			t.Errorf("%s:\n%s", args, diff)
		}
	}
}

func Test_a_rule_beyond_the_common_ones_is_told_in_the_words_of_the_library(t *testing.T) {
	t.Parallel()
	got := check(t, everySchema, `{"path": "a", "either": true}`)
	if len(got) != 1 || !strings.HasPrefix(got[0], `"either": oneOf`) || !strings.HasSuffix(got[0], "(got boolean true)") {
		t.Errorf("%q", got)
	}
	got = check(t, `{"type":"object","properties":{"a":{"type":"string"},"b":{}},"minProperties":2}`, `{"a": 1}`)
	if len(got) != 2 || !strings.HasPrefix(got[0], `"a": expected string`) || !strings.Contains(got[1], "minProperties") {
		t.Errorf("%q", got)
	}
}

func Test_arguments_that_are_no_object_are_refused(t *testing.T) {
	t.Parallel()
	for _, args := range []string{`[]`, `"x"`, `null`, `3`, ``, `{`, `{} {}`, `{"path": "a"`, `{"path": "a",}`} {
		got := check(t, everySchema, args)
		if len(got) != 1 || !strings.Contains(got[0], "JSON") {
			t.Errorf("%s: %q", args, got)
		}
	}
}

func Test_a_flood_of_errors_is_cut(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, `,"x%d": "%s"`, i, strings.Repeat("long", 200))
	}
	got := check(t, everySchema, `{"path": "a"`+b.String()+`}`)
	if len(got) != 21 || got[20] != "and 180 more" {
		t.Errorf("%d findings, the last is %q", len(got), got[len(got)-1])
	}
}

func Test_a_schema_that_cannot_be_read_is_told_by_verify_and_does_not_stop_calls(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{`{`, `{"type":"string"}`, `{"type":"object","properties":{"a":{"$ref":"http://elsewhere.example/x"}}}`,
		`{"type":"object","properties":{"a":{"pattern":"("}}}`, `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object"}`} {
		r := registry(t, tool.Limits{}, tooltest.Func{Is: tool.Spec{Name: "t", Schema: json.RawMessage(schema)}})
		if err := r.Verify(); err == nil || !strings.Contains(err.Error(), `"t"`) {
			t.Errorf("%s: verify says %v", schema, err)
		}
		if _, refusal := r.Check("t", json.RawMessage(`{"a": 1}`)); refusal != nil {
			t.Errorf("%s: %+v", schema, refusal)
		}
		if _, refusal := r.Check("t", json.RawMessage(`1`)); refusal == nil {
			t.Errorf("%s: arguments that are no object were taken", schema)
		}
	}
}

func Test_near_names(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"raed_file": "read_file", "read": "read_file", "SHELL": "shell", "shell": "", "nothing_like_it": "", "x": ""} {
		if got := strings.Join(tool.Near(name, []string{"read_file", "shell", "glob"}), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzCheck_never_takes_what_the_schema_refuses_and_never_panics(f *testing.F) {
	for _, args := range []string{`{}`, `{"path":"a"}`, `{"path":1,"at":{"x":[]},"tags":[{}]}`, `[`, `{"either":{}}`} {
		f.Add(args)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tooltest.Func{Is: tool.Spec{Name: "t", Schema: json.RawMessage(everySchema)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, args string) {
		_, refusal := r.Check("t", json.RawMessage(args))
		var v struct {
			Path *string
		}
		if refusal == nil && (json.Unmarshal([]byte(args), &v) != nil || v.Path == nil || *v.Path == "") {
			// encoding/json matches names without case; only exact ones count here.
			var exact map[string]any
			if json.Unmarshal([]byte(args), &exact) != nil || exact["path"] == nil {
				t.Errorf("%s was taken", args)
			}
		}
		if refusal != nil && refusal.Message == "" {
			t.Error("a refusal without words")
		}
	})
}
