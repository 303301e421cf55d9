package wire_test

import (
	"encoding/json"
	"errors"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/wire"
)

// codesUntilUnknown goes through all codes: the first name that comes again is that of a code that is not there.
func codesUntilUnknown() iter.Seq[fault.Code] {
	return func(yield func(fault.Code) bool) {
		for c := fault.Internal; c == fault.Internal || c.String() != fault.Internal.String(); c++ {
			if !yield(c) {
				return
			}
		}
	}
}

func TestCodes_are_told_as_the_contract_tells_them(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code      fault.Code
		rpc, http int
		name      string
	}{
		{fault.NotFound, -32001, 404, "NOT_FOUND"}, {fault.Busy, -32002, 409, "CONFLICT"}, {fault.NotReady, -32003, 409, "CONFLICT"},
		{fault.Invalid, -32602, 400, "BAD_REQUEST"}, {fault.Cancelled, -32005, 499, "REQUEST_CANCELLED"}, {fault.Provider, -32010, 502, "PROVIDER_ERROR"},
		{fault.Budget, -32011, 429, "BUDGET_EXHAUSTED"}, {fault.Unavailable, -32020, 501, "CAPABILITY_UNAVAILABLE"},
		{fault.Storage, -32603, 503, "SERVICE_UNAVAILABLE"}, {fault.OutcomeUnknown, -32603, 500, "INTERNAL_ERROR"},
		{fault.Unidentified, -32600, 401, "UNAUTHORIZED"}, {fault.Forbidden, -32600, 403, "FORBIDDEN"}, {fault.Code(250), -32603, 500, "INTERNAL_ERROR"},
	} {
		if rpc, http, name := wire.Code(c.code); rpc != c.rpc || http != c.http || name != c.name {
			t.Errorf("%s is told as %d, %d, %s", c.code, rpc, http, name)
		}
	}
}

func TestOnly_what_waiting_mends_says_when_to_try_again(t *testing.T) {
	t.Parallel()
	if r, ok := wire.RetryOf(fault.Overloaded, 0); !ok || r.Reason != "overloaded" || r.RetryAfterMS != 1000 {
		t.Errorf("%v %v", r, ok)
	}
	if r, ok := wire.RetryOf(fault.Storage, 3*time.Second); !ok || r.RetryAfterMS != 3000 {
		t.Errorf("%v %v", r, ok)
	}
	if _, ok := wire.RetryOf(fault.Busy, time.Second); ok {
		t.Error("busy is not told like this")
	}
}

func TestParams_are_an_object_with_what_must_be_there(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string
		into             any
	}{
		{"nothing", "", "Missing params", &wire.TurnParams{}},
		{"null", "null", "Missing params", &wire.TurnParams{}},
		{"a list", "[]", "Invalid params: they are an object", &wire.TurnParams{}},
		{"no session", `{"prompt":"x"}`, "Invalid params: missing field `session_id`", &wire.TurnParams{}},
		{"a prompt that is null", `{"session_id":"s","prompt":null}`, "Invalid params: missing field `prompt`", &wire.TurnParams{}},
		{"a number below nothing", `{"prompt":"x","max_tokens":-1}`, "Invalid params: max_tokens cannot be a number -1", &wire.CreateParams{}},
		{"a label that is a number", `{"prompt":"x","labels":{"a":1}}`, "Invalid params: labels cannot be a number", &wire.CreateParams{}},
		{"two values", `{"session_id":"s"} {}`, "Invalid params: something follows the object", &wire.SessionParams{}},
		{"an index that is missing", `{"session_id":"s"}`, "Invalid params: missing field `message_index`", &wire.ForkParams{}},
		{"a replacement that is missing", `{"session_id":"s","message_index":0}`, "Invalid params: missing field `replacement`", &wire.ForkReplaceParams{}},
	} {
		err := wire.Decode(json.RawMessage(c.text), c.into)
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != fault.Invalid || e.Error() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	more := json.RawMessage(`{"session_id":"s","more":1}`)
	if err := wire.Decode(more, &wire.StreamOpenParams{}); err != nil {
		t.Errorf("an unknown field is passed over: %v", err)
	}
	if err := wire.DecodeStrict(more, &wire.StreamOpenParams{}); fault.CodeOf(err) != fault.Invalid || err == nil {
		t.Errorf("an unknown field of strict params: %v", err)
	}
	if err := wire.DecodeStrict(json.RawMessage(`{"session_id":"s","message_index":0,"replacement":{}}`), &wire.ForkReplaceParams{}); err != nil {
		t.Error(err)
	}
}

func TestParams_of_very_many_values_are_refused_and_long_ones_of_few_are_not(t *testing.T) {
	t.Parallel()
	many := `{"prompt":[` + strings.Repeat("{},", wire.MaxValues) + `{}]}`
	if err := wire.Decode(json.RawMessage(many), &wire.CreateParams{}); err == nil || fault.CodeOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
	long := `{"prompt":"` + strings.Repeat(`a,\",\\`, wire.MaxValues) + `","model":"m"}`
	var p wire.CreateParams
	if err := wire.Decode(json.RawMessage(long), &p); err != nil || p.Model != "m" {
		t.Errorf("%v", err)
	}
}

// rowOfErrors finds the code and the two numbers in a row of docs/errors.md.
var rowOfErrors = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*\\| (-[0-9]+) \\| ([0-9]+) \\|$")

func TestThe_tables_of_errors_say_what_is_told(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, m := range rowOfErrors.FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[2:]
	}
	for c := range codesUntilUnknown() {
		rpc, status, _ := wire.Code(c)
		row := rows[c.String()]
		if len(row) != 2 || row[0] != strconv.Itoa(rpc) || row[1] != strconv.Itoa(status) {
			t.Errorf("docs/errors.md says of %s: %v; it is told as %d and %d", c, row, rpc, status)
		}
		delete(rows, c.String())
	}
	if len(rows) > 0 {
		t.Errorf("docs/errors.md has rows of codes that are not there: %v", rows)
	}
}
