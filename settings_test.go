package meerkat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// chat answers as a server that speaks Chat Completions, with the name of the model it was asked for.
func chat(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Model     string `json:"model"`
			MaxTokens int    `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		text, _ := json.Marshal(fmt.Sprintf("%s %d", req.Model, req.MaxTokens))
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%s},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestSettings_count_for_the_next_session_without_a_restart(t *testing.T) {
	t.Parallel()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{StateDir: t.TempDir(), Models: map[string]llm.Model{"echo": echo{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close() })
	p := rt.Plane()
	if _, err := p.CreateSession(t.Context(), control.CreateSession{}); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "agent.model") {
		t.Error("no model is named anywhere:", err)
	}
	change := func(patch string) {
		t.Helper()
		if _, err := p.PatchConfig(t.Context(), json.RawMessage(patch), nil); err != nil {
			t.Fatal(err)
		}
	}
	change(`{"agent":{"model":"echo"},"max_tokens":123}`)
	s, err := p.CreateSession(t.Context(), control.CreateSession{})
	if err != nil || s.Model != "echo" {
		t.Fatalf("%+v %v", s, err)
	}
	change(fmt.Sprintf(`{"agent":{"model":"local"},"self_hosted":{"servers":{"box":{"base_url":%q}},"models":{"local":{"server":"box","remote_model":"org/big","display_name":"Big"}}}}`, chat(t)))
	if s, err = p.CreateSession(t.Context(), control.CreateSession{}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Turn(t.Context(), say(s.ID, "hello"), nil, nil); err != nil || r.Text != "org/big 123" {
		t.Errorf("%+v %v", r, err)
	}
	all, err := p.Models(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	if last := all[len(all)-1]; last.ID != "local" || last.Provider != "self_hosted" || last.Server != "box" || last.Display != "Big" || !last.Configured {
		t.Errorf("%+v", last)
	}
	swap := control.Submit{Session: s.ID, Content: transcript.TextBlocks("hello"), Asks: control.Asks{Model: "echo"}}
	if r, err := p.Turn(t.Context(), swap, nil, nil); err != nil || r.Text != "echo: hello" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{Provider: "self_hosted", Profile: run.Profile{Model: "nope"}}); err == nil {
		t.Error("there is no such model")
	}
	change(`{"limits":{"budget":1000,"max_duration":"1m"},"budget":{"max_tokens":5000}}`)
	if _, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Budget: run.Budget{Tokens: 1001}}}); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "at most 1000") {
		t.Error("more than the realm's limit:", err)
	}
	bounded, err := p.CreateSession(t.Context(), control.CreateSession{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := rt.Host().ReadStatus(t.Context(), bounded.ID)
	if err != nil || st.Profile.Budget != (run.Budget{Tokens: 1000, Duration: time.Minute}) {
		t.Errorf("%+v %v", st.Profile.Budget, err)
	}
	if err := p.Archive(t.Context(), bounded.ID); err != nil {
		t.Fatal(err)
	}
	change(`{"limits":{"max_sessions":2}}`)
	if _, err := p.CreateSession(t.Context(), control.CreateSession{}); fault.CodeOf(err) != fault.Overloaded || !strings.Contains(err.Error(), "Max sessions reached (2/2)") {
		t.Error(err)
	}
	if err := p.Archive(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{}); err != nil {
		t.Error("a record takes no place:", err)
	}
}
