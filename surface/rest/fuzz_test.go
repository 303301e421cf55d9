package rest_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/surface/rest"
)

// FuzzRoutes asks every route for what nobody would ask for. Each answer is a success, a refusal, or the word that something is not there; never a defect,
// and always as documented.
func FuzzRoutes(f *testing.F) {
	w := newWorld(f, func(c *rest.Config) { c.Rate, c.Burst = 1e9, 1e9 })
	close(w.gate) // whatever a fuzzer says, no turn waits
	s := w.session()
	all := each(s, w.submit(s, "an input"))
	names := slices.Sorted(maps.Keys(all))
	for n, name := range names {
		r := all[name]
		_, query, _ := strings.Cut(r.path, "?")
		f.Add(n, query, "Idempotency-Key", "k", []byte(r.body))
		for _, body := range []string{"", "{", "null", "[]", `""`, "0", `{"prompt":null}`, `{"prompt":[]}`, `{"prompt":[1]}`, `{"prompt":"x","max_tokens":-1}`, `{"run_id":7}`,
			`{"message_index":-1}`, `{"message_index":1e99}`, `{"config":7,"expected_generation":-1}`, `{"kind":"x","event_type":"","payload":null}`, `{"text":" "}`,
			`{"prompt":"x","labels":{"":""}}`, `{"prompt":"x","output_schema":7,"provider":"none","budget_limits":{"max_duration":"x"}}`, `{"prompt":"x","lane":"fast"}`,
			`{"continue":true}`, `{"prompt":"x","tool_filter":{"Deny":[]},"flow_tool_overlay":[]}`} {
			f.Add(n, "limit=-1&offset=x&wait=NaN&after=1e3&from=9&before=-9&label=&archived=7&format=", "X-Meerkat-Request-Id", "\x00", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, n int, query, header, value string, body []byte) {
		if n < 0 {
			n = -(n + 1)
		}
		name := names[n%len(names)]
		r := all[name]
		path, _, _ := strings.Cut(r.path, "?")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if name == "streamEvents" || strings.Contains(query, "wait") {
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
		}
		req := httptest.NewRequest(r.method, "http://localhost"+path, strings.NewReader(string(body))).WithContext(ctx)
		req.URL.RawQuery = query
		req.Header.Set("Content-Type", "application/json")
		switch header {
		case "Idempotency-Key", "X-Meerkat-Request-Id", "Last-Event-ID", "Content-Type", "Authorization", "Origin", "Accept":
			req.Header.Set(header, value)
		}
		rec := httptest.NewRecorder()
		w.server.Config.Handler.ServeHTTP(rec, req)
		got := reply{rec.Code, rec.Header(), rec.Body.Bytes()}
		if got.status >= 500 && got.status != 501 && got.status != 503 && !strings.Contains(rec.Body.String(), "no mind to") {
			t.Fatalf("%s?%s %s: %d %s", name, query, body, got.status, got.body)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/") {
			return
		}
		if !json.Valid(got.body) {
			t.Fatalf("%s: %q is no JSON", name, got.body)
		}
		if _, err := url.ParseQuery(query); err != nil || got.status < 400 {
			return // a query that is none is not held against the document
		}
		if err := breach(t.Context(), request{method: r.method, path: path, body: string(body)}, got); err != nil {
			t.Fatalf("%s?%s %s: %v", name, query, body, err)
		}
	})
}
