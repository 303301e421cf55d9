package interop

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// reply is what both sides must agree on.
type reply struct {
	Text       string
	Thoughts   []string
	Calls      []call
	Stop       transcript.StopReason
	Input      int
	Output     int
	CacheRead  int
	CacheWrite int
}

type call struct{ ID, Name, Args string }

// serve answers every request with a recorded stream.
func serve(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if _, err := w.Write(data); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(h.Close)
	return h.URL
}

func ask() llm.Request {
	return llm.Request{Model: "m", Rows: []transcript.Row{{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks("hi")}}}}
}

func ofOurs(t *testing.T, a transcript.Assistant) reply {
	t.Helper()
	out := reply{Text: a.Blocks.Plain(), Stop: a.Stop}
	if u := a.Usage; u != nil {
		out.Input, out.Output, out.CacheRead, out.CacheWrite = u.Input, u.Output, u.CacheRead, u.CacheWrite
	}
	for _, u := range a.Blocks.ToolUses() {
		out.Calls = append(out.Calls, call{string(u.ID), u.Name, canonical(t, u.Args)})
	}
	return out
}

// canonical writes JSON in one way, whatever way it came in; nothing at all means an object without members.
func canonical(t *testing.T, data []byte) string {
	t.Helper()
	if len(data) == 0 {
		return "{}"
	}
	out, err := json.Marshal(decode(t, data))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

// roundTrip decodes a request of ours into the vendor's type and encodes it again. Nothing may be lost but the field stream, which
// their clients add by themselves, and a content of null, which they leave out.
func roundTrip(t *testing.T, path string, params any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, params); err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	want, got := decode(t, data).(map[string]any), decode(t, back).(map[string]any)
	for _, v := range []map[string]any{want, got} {
		delete(v, "stream")
		for _, m := range v["messages"].([]any) {
			if m := m.(map[string]any); m["content"] == nil {
				delete(m, "content")
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ours (-) and what came back (+): %s", d)
	}
}
