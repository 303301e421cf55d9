package siege

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// raw sends what is no request that a client would make, and returns all that is answered until the server closes.
func (s *server) raw(said string) string {
	s.t.Helper()
	nc := connect(s.t, s.http, said)
	if nc == nil {
		return "closed"
	}
	defer func() { _ = nc.Close() }() // the server has closed it
	if err := nc.SetDeadline(time.Now().Add(programs.Limit)); err != nil {
		s.t.Fatal(err)
	}
	data, err := io.ReadAll(nc)
	if err != nil && len(data) == 0 {
		return "closed"
	}
	return string(data)
}

func TestRequests_that_nobody_should_send_are_refused_and_change_nothing(t *testing.T) {
	t.Parallel()
	s, session := steady(t)
	before := s.must("", "GET", "/sessions/"+session+"/detail", "")
	const host, end = "\r\nHost: localhost\r\nConnection: close\r\n", "\r\n"
	submit := "POST /sessions/" + session + "/inputs HTTP/1.1" + host + "Content-Type: application/json\r\n"
	for what, said := range map[string]string{
		"two lengths":         submit + "Content-Length: 14\r\nContent-Length: 13\r\n" + end + `{"prompt":"x"}`,
		"length and chunks":   submit + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" + end + "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"chunks twice":        submit + "Transfer-Encoding: chunked, chunked\r\n" + end + "0\r\n\r\n",
		"odd chunks":          submit + "Transfer-Encoding: xchunked\r\n" + end + "0\r\n\r\n",
		"a bad chunk":         submit + "Transfer-Encoding: chunked\r\n" + end + "zz\r\n{}\r\n0\r\n\r\n",
		"a negative length":   submit + "Content-Length: -1\r\n" + end,
		"a space in a header": submit + "Content-Length : 14\r\n" + end + `{"prompt":"x"}`,
		"no host":             "POST /sessions/" + session + "/inputs HTTP/1.1\r\nConnection: close\r\nContent-Length: 14\r\n\r\n" + `{"prompt":"x"}`,
		"CONNECT":             "CONNECT localhost:22 HTTP/1.1" + host + end,
		"TRACE":               "TRACE / HTTP/1.1" + host + end,
		"a made up method":    "BREW /sessions HTTP/1.1" + host + end,
		"OPTIONS of all":      "OPTIONS * HTTP/1.1" + host + end,
		"HTTP/2 by force":     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"nonsense":            strings.Repeat("\x00\xff", 500) + "\r\n\r\n",
		"many headers":        "GET /sessions HTTP/1.1" + host + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 200) + end,
		"a long address":      "GET /sessions/" + strings.Repeat("a", 100_000) + " HTTP/1.1" + host + end,
		"another's name":      "GET /sessions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		"another's console":   "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		"another's scheme":    "GET http://evil.example/sessions HTTP/1.1" + host + end,
		"up and away":         "GET /console/static/..%2f..%2fkeys.json HTTP/1.1" + host + end,
		"up":                  "GET /sessions/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1" + host + end,
		"a null":              "GET /sessions/%00 HTTP/1.1" + host + end,
		"another site":        submit + "Origin: http://evil.example\r\nContent-Length: 14\r\n" + end + `{"prompt":"x"}`,
		"a page of another":   submit + "Sec-Fetch-Site: cross-site\r\nContent-Length: 14\r\n" + end + `{"prompt":"x"}`,
		"another's form": "POST /console/sessions/" + session + "/inputs HTTP/1.1" + host + "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://evil.example\r\n" +
			"Content-Length: 6\r\n" + end + "text=x",
		"no origin at all": "POST /console/sessions/" + session + "/archive HTTP/1.1" + host + "Origin: null\r\nContent-Length: 0\r\n" + end,
	} {
		answer := s.raw(said)
		status := "closed"
		if answer != "closed" {
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
			if err != nil {
				t.Errorf("%s: %q: %v", what, answer, err)
				continue
			}
			status = resp.Status
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if resp.StatusCode < 400 && what != "OPTIONS of all" || resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusHTTPVersionNotSupported {
				t.Errorf("%s: %s", what, resp.Status)
			}
			if strings.Contains(answer, "root:") {
				t.Errorf("%s: %s", what, answer)
			}
		}
		if strings.Contains(answer, "Access-Control-Allow") {
			t.Errorf("%s is let in from elsewhere (%s): %s", what, status, answer)
		}
	}
	upgrade := s.raw("GET /sessions HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
	if strings.Contains(upgrade, " 101 ") {
		t.Error("it speaks something else")
	}
	if now := s.must("", "GET", "/sessions/"+session+"/detail", ""); now != before {
		t.Errorf("the session was\n%s\nand is\n%s", before, now)
	}
	if r := s.finish(); strings.Contains(r.Stderr, "panic") {
		t.Error(r)
	}
}

func TestWhat_sessions_say_of_themselves_is_text_at_the_console(t *testing.T) {
	t.Parallel()
	w := world(t)
	const evil = `<script>alert(1)</script><img src=x onerror=alert(2)>"'` + "`"
	w.Model(fmt.Sprintf(`{"rules": [{"when": {"results_since_user": 0}, "reply": {"text": %q, "tool_calls": [{"id": "<script>c", "name": "<script>n</script>", "args": {"a": %q}}]}},
		{"when": {}, "reply": {"text": %q}}]}`, evil, evil, evil))
	s := start(t, w)
	id := field(t, s.must("", "POST", "/sessions", fmt.Sprintf(`{"prompt":%q,"model":"openai/<script>m</script>","labels":{"<script>k":%q,"title":%q}}`, evil, evil, evil)), "session_id")
	for _, path := range []string{"/", "/console/sessions/" + id, "/console/sessions/" + id + "/log", "/console/sessions/" + id + "?said=<script>", "/console/sessions/<script>x", "/console/login?next=javascript:alert(1)"} {
		_, body, err := s.ask("", "GET", strings.ReplaceAll(strings.ReplaceAll(path, "<", "%3C"), ">", "%3E"), "", "Accept", "text/html")
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<script>", "<img src=x", "onerror=alert(2)>", "href=\"javascript:"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
	s.finish()
}

func TestKeys_and_settings_that_cannot_be_read_let_nobody_in_and_say_so(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Env["RKAT_TEST_CLIENT"] = "1"
	_, k := key(t, w, "r", "admin")
	s := start(t, w)
	s.must(k, "GET", "/sessions", "")
	file := filepath.Join(w.State, "keys.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, data := range map[string]string{"cut": string(good[:len(good)/2]), "empty": "", "no keys": `{"version":1,"keys":[]}`, "nonsense": "\x00\x01", "of another version": `{"version":9}`} {
		write(file, []byte(data))
		for _, shown := range []string{k, ""} {
			for _, path := range []string{"/sessions", "/metrics", "/"} {
				if status, body, err := s.ask(shown, "GET", path, ""); err != nil || status == 200 || strings.Contains(body, w.State) {
					t.Errorf("keys %s: %s: %d %s %v", what, path, status, body, err)
				}
			}
		}
		if out, err := s.dial("").call("session/list", "{}"); err != nil || out["error"] == nil || strings.Contains(fmt.Sprint(out), w.State) {
			t.Errorf("keys %s: %v %v", what, out, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if status, _, err := s.ask("", "GET", "/sessions", ""); err != nil || status == 200 {
		t.Errorf("without the file: %d %v", status, err)
	}
	write(file, good)
	s.must(k, "GET", "/sessions", "")
	settings := filepath.Join(w.State, "r", "config.toml")
	write(settings, []byte("[[["))
	if status, body, err := s.ask(k, "POST", "/sessions", `{"prompt":"x","model":"test"}`); err != nil || status < 400 {
		t.Errorf("settings that cannot be read: %d %s %v", status, body, err)
	}
	if err := os.Remove(settings); err != nil {
		t.Fatal(err)
	}
	s.must(k, "POST", "/sessions", `{"prompt":"x","model":"test"}`)
	if r := s.finish(); !strings.Contains(r.Stderr, file) {
		t.Errorf("whoever runs the server is not told why: %v", r)
	}
}
