package tool_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/tool"
)

const person = `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0}},"required":["name","age"]}`

func form(t *testing.T, raw string) *tool.Form {
	t.Helper()
	f, err := tool.NewForm([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestR111_an_output_is_taken_from_what_a_model_says_if_it_fits(t *testing.T) {
	t.Parallel()
	good := `{"name":"Ada","age":36}`
	named := `{"schema":` + person + `,"name":"person"}`
	for what, c := range map[string]struct{ schema, text, want, wrong string }{
		"plain":                        {person, good, good, ""},
		"white space":                  {person, "\n " + good + " \n", good, ""},
		"a fence":                      {person, "```json\n" + good + "\n```", good, ""},
		"a fence without a language":   {person, "```\n" + good + "\n```\n", good, ""},
		"a fence on one line":          {person, "```" + good + "```", good, ""},
		"an open fence":                {person, "```json\n" + good, "", "not valid JSON"},
		"words before it":              {person, "Here it is: " + good, "", "not valid JSON"},
		"a list":                       {person, "[1]", "", "must be a JSON object, got array"},
		"nothing":                      {person, "", "", "not valid JSON"},
		"all that is wrong":            {person, `{"age":-1}`, "", `"name": missing; expected string|"age": expected integer, at least 0, got integer -1`},
		"in its name":                  {named, `{"person":` + good + `}`, good, ""},
		"in its name, and wrong":       {named, `{"person":{"name":"Ada"}}`, "", `"age": missing`},
		"in its name, and no better":   {named, `{"person":7}`, "", `"name": missing`},
		"in its name, among others":    {named, `{"person":` + good + `,"x":1}`, "", `"name": missing`},
		"a member that is declared":    {`{"schema":{"type":"object","properties":{"box":{"type":"object"}}},"name":"box"}`, `{"box":{}}`, `{"box":{}}`, ""},
		"in a name that nobody gave":   {person, `{"person":` + good + `}`, "", `"name": missing`},
		"a form that wants any object": {`{}`, `{"a":1}`, `{"a":1}`, ""},
	} {
		got, findings := form(t, c.schema).Read(c.text)
		if string(got) != c.want || (c.wrong == "") != (len(findings) == 0) {
			t.Errorf("%s: %s, %q", what, got, findings)
		}
		for _, w := range strings.Split(c.wrong, "|") {
			if !strings.Contains(strings.Join(findings, "\n"), w) {
				t.Errorf("%s: %q does not say %q", what, findings, w)
			}
		}
	}
}

func TestA_form_is_a_schema_or_a_wrapper_of_one(t *testing.T) {
	t.Parallel()
	plain := `{"type":"object","required":["schema"],"properties":{"schema":{},"format":{}}}`
	for raw, want := range map[string]string{
		person: person,
		`{"schema":{ "type": "object" },"name":null,"strict":true,"compat":"lossy","format":"meerkat_v1"}`: `{"type":"object"}`,
		`{"schema":{"type":"object"},"more":1,"format":"meerkat_v1"}`:                                      `{"type":"object"}`,
		plain: plain, // has a property of that name, and is none
	} {
		if got := string(form(t, raw).Schema()); got != want {
			t.Errorf("%s is read as %s", raw, got)
		}
	}
	for raw, want := range map[string]string{
		``: "no JSON object", `[]`: "no JSON object", `null`: "no JSON object", `{"type":"string"}`: "describes string, and an object is wanted",
		`{"schema":{"type":"array"}}`: "an object is wanted", `{"schema":1}`: "", `{"schema":{},"name":5}`: "is no text",
		`{"type":"object","properties":{"a":{"$ref":"#/nowhere"}}}`: "resolve", `{"schema":null}`: "",
	} {
		f, err := tool.NewForm([]byte(raw))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", raw, f, err)
		}
	}
}
