package siege

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// estate is a server of two tenants. One of them has a session with something in it.
type estate struct {
	*server
	w                     *programs.World
	mine, look, admin     string // keys of the realm mine
	other                 string // an admin key of another realm
	session, input, token string // session and input of the realm mine; token is what is said there
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	w := world(t)
	w.Model(`{"rules": [{"when": {}, "reply": {"text": "the answer of mine"}}]}`)
	e := &estate{w: w, token: "pelican-42"}
	delete(w.Env, "RKAT_REALM")
	_, e.mine = key(t, w, "mine", "write")
	_, e.look = key(t, w, "mine", "read")
	_, e.admin = key(t, w, "mine", "admin")
	_, e.other = key(t, w, "other", "admin")
	e.server = start(t, w, "--log-level", "debug")
	e.session = field(t, e.must(e.mine, "POST", "/sessions", `{"prompt":"","initial_turn":"deferred","model":"openai/m","labels":{"secret":"pelican-42"}}`), "session_id")
	e.input = field(t, e.must(e.mine, "POST", "/sessions/"+e.session+"/inputs", `{"prompt":"pelican-42","idempotency_key":"k"}`), "input_id")
	e.must(e.mine, "GET", "/sessions/"+e.session+"/inputs/"+e.input+"?wait=30", "")
	return e
}

// routes are requests about a session and an input, each with the least that it needs.
func routes(session, input string) [][3]string {
	s := "/sessions/" + session
	return [][3]string{
		{"GET", s, ""}, {"GET", s + "/detail", ""}, {"GET", s + "/status", ""}, {"GET", s + "/history", ""}, {"GET", s + "/transcript", ""},
		{"GET", s + "/effects", ""}, {"GET", s + "/events?after=0", ""}, {"GET", s + "/inputs/" + input, ""}, {"GET", s + "/inputs/" + input + "?wait=1", ""},
		{"POST", s + "/inputs", `{"prompt":"x"}`}, {"POST", s + "/inputs", `{"prompt":"x","idempotency_key":"k"}`}, {"POST", s + "/messages", `{"prompt":"x"}`},
		{"POST", s + "/fork", `{}`}, {"POST", s + "/resume", `{}`}, {"POST", s + "/interrupt", `{}`}, {"POST", s + "/cancel", `{}`},
		{"POST", s + "/system_context", `{"text":"x"}`}, {"POST", s + "/external-events", `{"kind":"generic_json","event_type":"x","payload":{}}`},
		{"POST", s + "/destroy", ""}, {"DELETE", s, ""},
		{"GET", "/console/sessions/" + session, ""}, {"GET", "/console/sessions/" + session + "/events", ""},
	}
}

func TestNobody_reaches_a_session_of_another_tenant_by_any_route(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	const nobodys = "01890000-0000-7000-8000-000000000000"
	theirs, none := routes(e.session, e.input), routes(nobodys, e.input)
	for n, r := range theirs {
		status, body, err := e.ask(e.other, r[0], r[1], r[2])
		want, nothing, err2 := e.ask(e.other, none[n][0], none[n][1], none[n][2])
		if err != nil || err2 != nil {
			t.Fatal(r, err, err2)
		}
		console := strings.HasPrefix(r[1], "/console/")
		if status != want || !console && status != http.StatusNotFound || status < 300 || strings.Contains(body, e.token) {
			t.Errorf("%v: %d %s, and of a session that is not there: %d %s", r, status, body, want, nothing)
		}
		if status, body, err := e.ask("", r[0], r[1], r[2]); err != nil || !console && status != http.StatusUnauthorized || status < 300 {
			t.Errorf("%v without a key: %d %s %v", r, status, body, err)
		}
	}
	for _, locator := range []string{"mine:" + e.session, "mine/" + e.session, "..%2fmine%2f" + e.session, e.session[:8], "last", "~0", "%00", "..%2f..%2fkeys.json"} {
		for _, path := range []string{"", "/detail", "/history"} {
			status, body, err := e.ask(e.other, "GET", "/sessions/"+locator+path, "")
			if err != nil || status < 400 || status >= 500 || strings.Contains(body, e.token) {
				t.Errorf("%s%s: %d %s %v", locator, path, status, body, err)
			}
		}
	}
	if body := e.must(e.other, "GET", "/sessions?archived=true", ""); strings.Contains(body, e.session) {
		t.Errorf("listed: %s", body)
	}
	l := e.dial(e.other)
	for _, m := range [][2]string{
		{"session/read", `{"session_id":%q}`}, {"session/history", `{"session_id":%q}`}, {"session/archive", `{"session_id":%q}`},
		{"session/fork_at", `{"session_id":%q,"message_index":1}`}, {"turn/start", `{"session_id":%q,"prompt":"x"}`}, {"turn/interrupt", `{"session_id":%q}`},
		{"turn/cancel", `{"session_id":%q}`}, {"input/submit", `{"session_id":%q,"prompt":"x"}`}, {"session/inject_context", `{"session_id":%q,"text":"x"}`},
		{"session/external_event", `{"session_id":%q,"kind":"generic_json","event_type":"x","payload":{}}`}, {"session/stream_open", `{"session_id":%q}`},
		{"events/latest_cursor", `{"session_id":%q}`}, {"events/list_since", `{"session_id":%q,"cursor":0}`}, {"events/snapshot", `{"session_id":%q}`},
		{"input/get", `{"session_id":%q,"input_id":"` + e.input + `"}`}, {"input/wait", `{"session_id":%q,"input_id":"` + e.input + `"}`},
	} {
		for _, locator := range []string{e.session, "mine:" + e.session} {
			out, err := l.call(m[0], fmt.Sprintf(m[1], locator))
			if err != nil {
				t.Fatal(m, err)
			}
			if text := fmt.Sprint(out); out["error"] == nil || strings.Contains(text, e.token) {
				t.Errorf("%s of %s: %s", m[0], locator, text)
			}
		}
	}
	before := e.must(e.mine, "GET", "/sessions/"+e.session+"/history", "")
	if strings.Count(before, `"role"`) == 0 || strings.Contains(before, `"x"`) {
		t.Errorf("the session is not what it was: %s", before)
	}
	r := e.finish()
	for _, secret := range []string{programs.Key, e.mine, e.look, e.admin, e.other, e.token} {
		if strings.Contains(r.Stderr+r.Stdout, secret) {
			t.Errorf("the log has %s…", secret[:6])
		}
	}
	for _, secret := range []string{programs.Key, e.mine, e.other} {
		nowhere(t, secret, e.w.State)
	}
}

func TestA_key_for_reading_changes_nothing(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	before := e.must(e.admin, "GET", "/sessions/"+e.session+"/detail", "")
	for _, r := range append(routes(e.session, e.input), [3]string{"POST", "/sessions", `{"prompt":"x"}`}, [3]string{"PUT", "/config", `{}`},
		[3]string{"PATCH", "/config", `{}`}, [3]string{"POST", "/requests/x/cancel", ""}) {
		if r[0] == "GET" {
			continue
		}
		if status, body, err := e.ask(e.look, r[0], r[1], r[2]); err != nil || status != http.StatusForbidden {
			t.Errorf("%v: %d %s %v", r, status, body, err)
		}
	}
	for _, r := range [][3]string{{"PUT", "/config", `{}`}, {"PATCH", "/config", `{}`}, {"POST", "/sessions/" + e.session + "/destroy", ""}} {
		if status, body, err := e.ask(e.mine, r[0], r[1], r[2]); err != nil || status != http.StatusForbidden {
			t.Errorf("%v with a key for writing: %d %s %v", r, status, body, err)
		}
	}
	l := e.dial(e.look)
	for _, m := range []string{"session/create", "session/archive", "session/fork_at", "session/fork_replace", "turn/start", "turn/interrupt", "turn/cancel",
		"input/submit", "session/inject_context", "session/external_event", "config/set", "config/patch", "tools/register"} {
		out, err := l.call(m, fmt.Sprintf(`{"session_id":%q,"prompt":"x","text":"x","kind":"generic_json","event_type":"x","payload":{},"message_index":1,`+
			`"config":{},"patch":{},"tools":[]}`, e.session))
		if err != nil {
			t.Fatal(err)
		}
		if out["error"] == nil && m != "turn/cancel" { // it says that there is nothing to cancel
			t.Errorf("%s: %v", m, out)
		}
	}
	if now := e.must(e.admin, "GET", "/sessions/"+e.session+"/detail", ""); now != before {
		t.Errorf("the session was\n%s\nand is\n%s", before, now)
	}
	e.finish()
}

// Whoever has a key is not whoever runs the server.
func TestNo_key_opens_the_machine(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	link := filepath.Join(e.w.State, "mine", "workspace", "link")
	if err := os.Symlink(e.w.Workspace, link); err != nil {
		t.Fatal(err)
	}
	e.w.Write("plan.json", `{"steps":[{"always":true,"say":"played"}]}`)
	for _, c := range []string{
		`"enable_shell":true`, `"tools_preset":"full"`, `"workspace":"/"`, `"workspace":"/etc","tools_preset":"safe"`, `"workspace":"..","tools_preset":"safe"`,
		fmt.Sprintf(`"workspace":%q`, link), fmt.Sprintf(`"workspace":%q`, filepath.Join(e.w.State, "other")), fmt.Sprintf(`"workspace":%q`, e.w.State),
		`"model":"rehearsal:/etc/passwd"`, fmt.Sprintf(`"model":"rehearsal:%s/plan.json"`, e.w.Workspace), fmt.Sprintf(`"model":"rehearsal:%s/plan.json"`, link),
		`"model":"rehearsal:../keys.json"`,
	} {
		model := `"model":"openai/m",`
		if strings.Contains(c, `"model"`) {
			model = ""
		}
		for _, k := range []string{e.mine, e.admin} {
			status, body, err := e.ask(k, "POST", "/sessions", `{"prompt":"x",`+model+c+`}`)
			if err != nil || status < 400 || status >= 500 {
				t.Errorf("%s: %d %s %v", c, status, body, err)
			}
			if strings.Contains(body, "root:") {
				t.Errorf("%s: %s", c, body)
			}
		}
	}
	// Nor by the settings of a realm.
	e.must(e.admin, "PATCH", "/config", `{"tools":{"shell_enabled":true,"builtins_enabled":true}}`)
	if status, body, err := e.ask(e.mine, "POST", "/sessions", `{"prompt":"x","model":"openai/m"}`); err != nil || status != http.StatusForbidden {
		t.Errorf("with a shell by the settings: %d %s %v", status, body, err)
	}
	e.must(e.admin, "PATCH", "/config", `{"tools":null}`)
	e.finish()
}

func TestNo_settings_of_a_tenant_send_the_servers_secrets_anywhere(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	sent := make(chan string, 16)
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent <- fmt.Sprint(r.Header)
		http.Error(w, "no", http.StatusBadRequest)
	}))
	t.Cleanup(thief.Close)
	settings := `{"self_hosted":{"servers":{"s":{"base_url":%q,%s}},"models":{"m":{"server":"s"}}}}`
	if status, body, err := e.ask(e.admin, "PATCH", "/config", fmt.Sprintf(settings, thief.URL, `"bearer_token_env":"OPENAI_API_KEY"`)); err != nil || status != http.StatusBadRequest {
		t.Errorf("a variable of the server is named: %d %s %v", status, body, err)
	}
	e.must(e.admin, "PATCH", "/config", fmt.Sprintf(settings, thief.URL, `"bearer_token":"theirs"`))
	_, body, err := e.ask(e.mine, "POST", "/sessions", `{"prompt":"x","model":"self_hosted/m"}`)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case h := <-sent:
		if strings.Contains(h, programs.Key) {
			t.Errorf("the server's key was sent: %s", h)
		}
	default:
		t.Errorf("the model was not asked: %s", body)
	}
	if strings.Contains(body, programs.Key) {
		t.Error(body)
	}
	e.finish()
}

// A session that had a shell when nobody needed a key has none for those who come with one, and its folder is not theirs.
func TestWhat_sessions_were_allowed_before_there_were_keys_they_are_not_after(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Model(`{"rules": [{"when": {"results_since_user": 0}, "reply": {"tool_calls": [{"id": "c", "name": "shell", "args": {"command": "echo ran >> ran.log"}}]}},
		{"when": {}, "reply": {"text": "done"}}]}`)
	s := start(t, w)
	id := field(t, s.must("", "POST", "/sessions", `{"prompt":"go","model":"openai/m","tools_preset":"full"}`), "session_id")
	_, k := key(t, w, "r", "write")
	_, other := key(t, w, "other", "write")
	if status, body, err := s.ask(other, "GET", "/sessions", ""); err != nil || status != http.StatusForbidden {
		t.Errorf("another realm of a server that began without keys: %d %s %v", status, body, err)
	}
	s.finish()
	ran, err := os.ReadFile(filepath.Join(w.Workspace, "ran.log"))
	if err != nil || string(ran) != "ran\n" {
		t.Fatalf("without keys: %q %v", ran, err)
	}
	s = start(t, w)
	_, body, err := s.ask(k, "POST", "/sessions/"+id+"/messages", `{"prompt":"again"}`)
	if err != nil || !strings.Contains(body, "preset") {
		t.Errorf("%s %v", body, err)
	}
	s.finish()
	if ran, err := os.ReadFile(filepath.Join(w.Workspace, "ran.log")); err != nil || string(ran) != "ran\n" {
		t.Errorf("with keys: %q %v", ran, err)
	}
	s = start(t, w, "--tools", "full", "-C", w.Workspace)
	s.must(k, "POST", "/sessions/"+id+"/messages", `{"prompt":"again"}`)
	s.finish()
	if ran, err := os.ReadFile(filepath.Join(w.Workspace, "ran.log")); err != nil || string(ran) != "ran\nran\n" {
		t.Errorf("with keys, and --tools full: %q %v", ran, err)
	}
}
