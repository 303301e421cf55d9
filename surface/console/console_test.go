package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: status %d, want %d: %s", a.path, a.status, status, a.body)
	}
	for _, s := range texts {
		if !strings.Contains(a.body, s) {
			t.Fatalf("%s does not hold %q:\n%s", a.path, s, a.body)
		}
	}
}

func hidden(t *testing.T, body, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no field %s in:\n%s", name, body)
	}
	return m[1]
}

func TestA_session_is_made_read_and_spoken_to_without_javascript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/").want(t, 200, "There are no sessions yet", `value="test/scripted"`)
	a := b.post("/console/sessions", url.Values{"prompt": {"first\r\nsecond"}, "model": {"test/scripted"}, "tools": {""}})
	a.want(t, 200, "Sent.", "kitchen")
	page, _, _ := strings.Cut(a.path, "?")
	s := id.Session(page[strings.LastIndex(page, "/")+1:])
	w.talk(s, "again")
	b.get(page).want(t, 200, "You said: first\nsecond", "You said: again", "consumed", `<span class="word">idle</span>`, `id="interrupt" title="End the run now" disabled`)
	a = b.post(page+"/inputs", url.Values{"text": {"more"}, "lane": {"queue"}, "nonce": {hidden(t, b.get(page).body, "nonce")}})
	a.want(t, 200, "Sent.")
	w.talk(s, "last")
	b.get(page).want(t, 200, "You said: more")
	b.get("/").want(t, 200, "first", "idle", "just now", "test/scripted")
	b.get(page+"/log").want(t, 200, "session_registered", "run_completed")
	b.get(page+"/log?after=3").want(t, 200, "event-4")
}

func TestA_form_that_is_sent_twice_is_one_input_and_a_changed_one_another(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("")
	to := "/console/sessions/" + string(s) + "/inputs"
	f := url.Values{"text": {"once"}, "lane": {"queue"}, "nonce": {"n"}}
	b.post(to, f).want(t, 200, "Sent.")
	b.post(to, f).want(t, 200, "it was not sent twice")
	f.Set("text", "twice")
	b.post(to, f).want(t, 200, "Sent.")
	w.talk(s, "end")
	if page := b.get("/console/sessions/" + string(s)).body; strings.Count(page, `text">You said: once<`) != 1 || strings.Count(page, `text">You said: twice<`) != 1 {
		t.Fatalf("an input is missing or doubled:\n%s", page)
	}
}

func TestWhat_anybody_says_is_shown_as_text(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("", func(c *control.CreateSession) {
		c.System = "System " + nasty
		c.Profile.Labels = map[string]string{"team": "<script>window.broken=1</script>"}
		c.Profile.Workspace = "/tmp/<script>window.broken=1</script>"
	})
	w.talk(s, nasty+" look")
	w.talk(s, "```"+nasty+"\n"+nasty+"\n```\n`"+nasty+"`")
	for _, page := range []string{"/", "/console/sessions/" + string(s), "/console/sessions/" + string(s) + "/log", "/console/sessions/" + string(s) + "/archive",
		"/?q=" + url.QueryEscape(nasty), "/?q=" + url.QueryEscape("team=<script>window.broken=1</script>"), "/console/" + url.PathEscape("<script>window.broken")} {
		a := b.get(page)
		if strings.Contains(a.body, "<script>window") || strings.Contains(a.body, "<img") || strings.Contains(a.body, "{{.}}") && strings.Contains(a.body, "ZgotmplZ") {
			t.Fatalf("%s holds markup of somebody else:\n%s", page, a.body)
		}
		if p := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'self';") || strings.Contains(p, "unsafe") {
			t.Fatalf("%s has the policy %q", page, p)
		}
	}
	a := b.get("/console/sessions/" + string(s) + "/rows/1/0")
	a.want(t, 200, nasty)
	if a.header.Get("Content-Type") != "text/plain; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("a row is served as %v", a.header)
	}
	b.get("/console/sessions/"+string(s)+"/rows/99/0").want(t, 404)
	b.get("/console/sessions/"+string(s)+"/rows/x/0").want(t, 404)
}

func TestForms_of_other_sites_are_turned_away(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("")
	paths := []string{"/console/sessions", "/console/login", "/console/logout"}
	for _, act := range []string{"inputs", "interrupt", "cancel", "archive"} {
		paths = append(paths, "/console/sessions/"+string(s)+"/"+act)
	}
	for _, path := range paths {
		for name, change := range map[string]func(*http.Request){
			"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"old browser": func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "http://evil.example")
			},
			"no origin": func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "null")
			},
		} {
			if a := b.post(path, url.Values{"text": {"x"}, "prompt": {"x"}}, change); a.status != http.StatusForbidden {
				t.Fatalf("%s %s: %d", path, name, a.status)
			}
		}
	}
	list, err := w.plane.Sessions(t.Context(), control.ListSessions{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
}

func TestWithout_keys_a_host_name_is_refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for host, want := range map[string]int{"evil.example": 403, "evil.example:80": 403, "localhost:1": 200, "127.0.0.1": 200, "[::1]:7": 200, "x.localhost": 200, "localhost.evil": 403} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", host, rec.Code, want)
		}
	}
}

func TestA_key_lets_in_until_it_is_revoked(t *testing.T) {
	t.Parallel()
	k := someKeys()
	w := newWorld(t, k)
	s := w.create("hello")
	page := "/console/sessions/" + string(s)
	b := w.browser()
	a := b.get(page)
	a.want(t, 200, "API key")
	if a.path != "/console/login?next="+url.QueryEscape(page) {
		t.Fatalf("led to %s", a.path)
	}
	b.post("/console/login", url.Values{"key": {"wrong"}, "next": {page}}).want(t, 401, "not known here")
	b.post("/console/login", url.Values{"key": {""}, "next": {page}}).want(t, 401, "paste a key")
	a = b.post("/console/login", url.Values{"key": {" writes\n"}, "next": {page}})
	a.want(t, 200, "bert", "write", "hello")
	if a.path != page {
		t.Fatalf("led to %s", a.path)
	}
	for _, c := range b.Jar.Cookies(nil) {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, "writes") || len(c.Value) < 40 {
			t.Fatalf("the cookie is %+v", c)
		}
	}
	k.revoke("writes")
	b.get(page).want(t, 200, "API key")
	a = b.post(page+"/inputs", url.Values{"text": {"x"}}, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	a.want(t, 401, `"code":"unidentified"`)
	b.post("/console/login", url.Values{"key": {"reads"}, "next": {"//evil.example/"}}).want(t, 200, "anna")
	b.post("/console/logout", nil).want(t, 200, "API key")
	b.get("/").want(t, 200, "API key")
}

func TestWhat_a_reader_may_not_do_is_not_offered_and_refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, someKeys())
	s := w.create("")
	w.talk(s, "hello")
	page := "/console/sessions/" + string(s)
	b := w.browser()
	b.post("/console/login", url.Values{"key": {"reads"}})
	for _, p := range []string{"/", page} {
		a := b.get(p)
		a.want(t, 200, "Your key may look")
		if strings.Contains(a.body, "<textarea") || strings.Contains(a.body, "Interrupt") || strings.Contains(a.body, "Archive…") {
			t.Fatalf("%s offers what a reader may not do:\n%s", p, a.body)
		}
	}
	b.post(page+"/inputs", url.Values{"text": {"x"}}).want(t, 403, "Not allowed")
	b.post(page+"/interrupt", url.Values{"run": {"x"}}).want(t, 403)
	b.post(page+"/archive", nil).want(t, 403)
	b.get(page+"/archive").want(t, 403)
	b.post("/console/sessions", url.Values{"prompt": {"x"}}).want(t, 403)
}

func TestWhere_one_is_led_after_signing_in_is_a_page_of_ours(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{"": "/", "/": "/", "//evil.example": "/", "https://evil.example/console/sessions/": "/", "/\\evil.example": "/",
		"javascript:alert(1)": "/", "/console/sessions/x?before=3": "/console/sessions/x?before=3", "/console/logout": "/", "/console/sessions/\r\nx": "/", "///console/sessions/x": "/"} {
		if got := ours(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestWho_is_signed_in_is_bounded_and_expires(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	g := newGuests(func() time.Time { return now })
	first, other := g.add("k"), g.add("other")
	for n := range maxPerKey {
		now = now.Add(time.Second)
		g.add("k")
		if _, ok := g.token(first); ok != (n < maxPerKey-1) {
			t.Fatalf("after %d more: %v", n+1, ok)
		}
	}
	if _, ok := g.token(other); !ok {
		t.Fatal("many of one key have put out another")
	}
	for n := range maxGuests + 10 {
		g.add(fmt.Sprint(n))
	}
	if len(g.in) > maxGuests {
		t.Fatalf("%d are in", len(g.in))
	}
	last := g.add("x")
	now = now.Add(stay)
	if _, ok := g.token(last); ok {
		t.Fatal("a cookie is good for ever")
	}
}

func TestHow_a_run_failed_is_told_until_another_begins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("")
	page := "/console/sessions/" + string(s)
	w.talk(s, "fail, please")
	b.get(page).want(t, 200, "The last run failed (llm): ", "the model does not want to", "waits for a reply", `class="state over">consumed`)
	w.talk(s, "hello")
	if strings.Contains(b.get(page).body, "The last run failed") {
		t.Fatal("an old failure is told for ever")
	}
	after := regexp.MustCompile(`data-after="([^"]*)"`).FindStringSubmatch(b.get(page).body)[1]
	next, stop := b.follow(page+"/events?after="+after, "")
	defer stop()
	w.talk(s, "fail again")
	told := []string{}
	for len(told) < 2 {
		name, _, data := next()
		if name == "end" {
			t.Fatal("the stream ended")
		}
		if name == "failure" {
			told = append(told, data["text"].(string))
		}
	}
	if told[0] != "" || !strings.Contains(told[1], "does not want to") {
		t.Fatalf("told %q", told)
	}
}

func TestErrors_are_pages_in_words_and_objects_for_the_script(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	absent := "/console/sessions/" + id.New()
	for _, p := range []string{absent, absent + "/log", absent + "/archive", absent + "/state", "/console/sessions/nonsense", "/console/sessions/last", "/nowhere", "/console/static/x.js"} {
		b.get(p).want(t, 404, "Not found", "All sessions")
	}
	b.post(absent+"/inputs", url.Values{"text": {"x"}}, func(r *http.Request) { r.Header.Set("Accept", "application/json") }).want(t, 404, `"code":"not_found"`)
	s := string(w.create(""))
	b.get("/console/sessions/"+s+"/log?after=99999").want(t, 400, "ahead of the latest")
	b.get("/console/sessions/"+s+"/log?after=x").want(t, 400)
	b.get("/?from=-1").want(t, 400)
	b.post("/console/sessions/"+s+"/inputs", url.Values{"text": {" "}}).want(t, 400, "says nothing", "<textarea")
	b.post("/console/sessions/"+s+"/inputs", url.Values{"text": {"keep me"}, "lane": {"fast"}}).want(t, 400, "no lane", "keep me")
	b.post("/console/sessions/"+s+"/inputs", url.Values{"text": {strings.Repeat("x", control.MaxContent+1)}}).want(t, 400)
	b.post("/console/sessions", url.Values{"prompt": {"keep me"}, "model": {"unknown"}}).want(t, 404, "no model unknown", "keep me")
	b.post("/console/sessions", url.Values{"tools": {"all of them"}}).want(t, 400, "no such choice")
	b.post("/console/login", url.Values{"key": {strings.Repeat("x", 100_000)}}).want(t, 400, "more than can be taken")
	b.post("/console/sessions/"+s+"/interrupt", url.Values{"run": {"old"}}).want(t, 200, "over already")
	b.post("/console/sessions/"+s+"/interrupt", nil).want(t, 409)
	b.post("/console/sessions/"+s+"/archive", nil).want(t, 200, "was archived")
	b.post("/console/sessions/"+s+"/inputs", url.Values{"text": {"x"}}).want(t, 409)
}

func TestA_long_transcript_and_a_long_list_are_paged_and_found(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	for n := range listPage + 3 {
		w.create("", func(c *control.CreateSession) { c.Profile.Labels = map[string]string{"n": fmt.Sprint(n)} })
	}
	s := w.create("")
	for n := range rowsPage/2 + 5 {
		w.talk(s, fmt.Sprintf("number %d.", n))
	}
	a := b.get("/")
	a.want(t, 200, "Older")
	b.get("/?from=50").want(t, 200, "Newer")
	if got := strings.Count(b.get("/?q=n%3D7").body, `<td class="title">`); got != 1 {
		t.Fatalf("a label finds %d sessions", got)
	}
	b.get("/?q=NUMBER+0").want(t, 200, "number 0.")
	b.get("/?q=nothing+like+it").want(t, 200, "No session fits")
	page := "/console/sessions/" + string(s)
	a = b.get(page)
	a.want(t, 200, "Earlier messages", fmt.Sprintf("number %d.", rowsPage/2+4))
	if strings.Contains(a.body, "number 3.") {
		t.Fatal("a page holds all of a long transcript")
	}
	before := regexp.MustCompile(`\?before=(\d+)`).FindStringSubmatch(a.body)[1]
	b.get(page+"?before="+before).want(t, 200, "number 3.", "Go to the latest")
	if strings.Contains(b.get(page+"?before=1").body, `class="row user"`) {
		t.Fatal("before the first message there is one")
	}
}

// follow reads a session's events as a browser does.
func (b *browser) follow(path, last string) (next func() (name, at string, data map[string]any), stop func()) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.at+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	a, err := b.Do(req)
	if err != nil || a.StatusCode != 200 {
		b.Fatalf("follow: %v %v", a, err)
	}
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	return func() (name, at string, data map[string]any) {
		b.Helper()
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				at = value
			case "event":
				name = value
			case "data":
				if err := json.Unmarshal([]byte(value), &data); err != nil {
					b.Fatal(err)
				}
			case "":
				if data != nil {
					return name, at, data
				}
				if strings.HasPrefix(value, "alive") {
					return "alive", "", nil
				}
			}
		}
		return "end", "", nil
	}, func() { cancel(); _ = a.Body.Close() }
}

func TestA_reader_is_told_everything_once_and_goes_on_from_where_he_was(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("")
	w.talk(s, "before")
	page := "/console/sessions/" + string(s)
	after := regexp.MustCompile(`data-after="([^"]*)"`).FindStringSubmatch(b.get(page).body)[1]
	next, stop := b.follow(page+"/events?after="+after, "")
	if name, _, _ := next(); name != "state" {
		t.Fatalf("the first word is %q", name)
	}
	w.say(s, "slow, please")
	w.piece("one ")
	w.piece("two ")
	text, last := "", after
	for !strings.Contains(text, "one two ") {
		name, at, data := next()
		if name == "end" {
			t.Fatal("the stream ended")
		}
		if name == "delta" {
			if data["middle"] == true {
				t.Fatal("a reader who saw the beginning is told that he did not")
			}
			text += data["text"].(string)
		}
		if at != "" {
			last = at
		}
	}
	stop()
	w.piece("three")
	w.piece("")
	w.talk(s, "look")
	keys := map[string]int{}
	next, stop = b.follow(page+"/events?after="+after, last)
	defer stop()
	done := 0
	for done < 1 {
		name, _, data := next()
		switch name {
		case "end":
			t.Fatal("the stream ended")
		case "part":
			keys[data["key"].(string)]++
			if strings.Contains(data["html"].(string), "<script") {
				t.Fatalf("markup: %v", data["html"])
			}
		case "state":
			if data["word"] == "idle" && keys["row-8-0"] > 0 {
				done++
			}
		}
	}
	for _, k := range []string{"row-4-0", "row-5-0", "row-6-0", "row-7-0", "row-7-1", "row-8-0"} {
		if keys[k] < 1 {
			t.Errorf("%s was not told: %v", k, keys)
		}
	}
	if keys["row-2-0"] > 0 {
		t.Errorf("what was known is told again: %v", keys)
	}
}

func TestA_reader_far_behind_or_ahead_is_told_to_take_a_new_page(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	b := w.browser()
	s := w.create("")
	next, stop := b.follow("/console/sessions/"+string(s)+"/events", "99999.3")
	defer stop()
	if name, _, _ := next(); name != "reload" {
		t.Fatalf("he is told %q", name)
	}
}

func TestA_stream_ends_when_its_key_is_revoked(t *testing.T) {
	t.Parallel()
	k := someKeys()
	w := newWorld(t, k)
	s := w.create("")
	b := w.browser()
	b.post("/console/login", url.Values{"key": {"reads"}})
	next, stop := b.follow("/console/sessions/"+string(s)+"/events", "")
	defer stop()
	for name := ""; name != "alive"; name, _, _ = next() {
		if name == "end" {
			t.Fatal("the stream ended")
		}
	}
	k.revoke("reads")
	for name := ""; name != "end"; name, _, _ = next() {
		continue
	}
}

// beside serves the same realm by a console of its own.
func (w *world) beside(cfg Config) *browser {
	w.Helper()
	cfg.Door = &control.Door{Realm: "kitchen", Open: func(context.Context, string) (*control.Plane, error) { return w.plane, nil }}
	srv := httptest.NewServer(New(cfg))
	w.Cleanup(srv.Close)
	b := w.browser()
	b.at = srv.URL
	return b
}

func TestMore_readers_than_may_be_are_asked_to_come_later(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := "/console/sessions/" + string(w.create(""))
	b := w.beside(Config{Streams: 1})
	next, stop := b.follow(page+"/events", "")
	next()
	a := b.get(page + "/events")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	stop()
	for range 20 { // who leaves makes room, however often
		for until := time.Now().Add(patience); b.knock(page+"/events") != http.StatusOK; {
			if time.Now().After(until) {
				t.Fatal("a reader who left still takes a place")
			}
		}
	}
}

func TestA_reader_who_takes_nothing_is_let_go_and_hinders_nobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	s := w.create("")
	page := "/console/sessions/" + string(s)
	b := w.beside(Config{Streams: 2, Patience: 100 * time.Millisecond})
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", page); err != nil {
		t.Fatal(err)
	}
	next, stop := b.follow(page+"/events", "")
	defer stop()
	if name, _, _ := next(); name != "state" {
		t.Fatalf("the first word is %q", name)
	}
	text := strings.Repeat("far more than he takes ", 4000)
	seen := 0
	for n := 0; ; n++ {
		w.talk(s, text)
		for was := seen; seen < was+2; {
			name, _, data := next()
			if name == "end" {
				t.Fatal("the other reader is hindered")
			}
			if name == "part" && data["in"] == "transcript" {
				seen++
			}
		}
		switch status := b.knock(page + "/events"); {
		case status == http.StatusOK: // the place of the first is free
			return
		case status != http.StatusServiceUnavailable || n > 400:
			t.Fatalf("after %d turns: %d", n, status)
		}
	}
}

// knock asks for a stream, and leaves.
func (b *browser) knock(path string) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.at+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	a, err := b.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	_ = a.Body.Close()
	return a.StatusCode
}

func TestAnother_tenants_session_is_not_there(t *testing.T) {
	t.Parallel()
	ours, theirs := newWorld(t, nil), newWorld(t, nil)
	k := someKeys()
	k.known["other"] = control.Grant{Key: "carl", Realm: "garden", Level: control.Admin}
	k.known["lost"] = control.Grant{Key: "dora", Realm: "lost", Level: control.Admin}
	planes := map[string]*control.Plane{"kitchen": ours.plane, "garden": theirs.plane}
	srv := httptest.NewServer(New(Config{Door: &control.Door{Keys: k, Open: func(_ context.Context, realm string) (*control.Plane, error) {
		if p := planes[realm]; p != nil {
			return p, nil
		}
		return nil, fmt.Errorf("open /secret/path of realm %s", realm)
	}}}))
	defer srv.Close()
	b := ours.browser()
	b.at = srv.URL
	s, absent := string(ours.create("")), id.New()
	b.post("/console/login", url.Values{"key": {"other"}}).want(t, 200, "carl", "There are no sessions yet")
	for _, what := range []string{"", "/log", "/events", "/state", "/rows/1/0", "/archive"} {
		theirs, none := b.get("/console/sessions/"+s+what), b.get("/console/sessions/"+absent+what)
		if theirs.status != 404 || theirs.body != none.body {
			t.Errorf("%s: %d, and it is told apart from one that never was", what, theirs.status)
		}
	}
	for _, act := range []string{"inputs", "interrupt", "cancel", "archive"} {
		b.post("/console/sessions/"+s+"/"+act, url.Values{"text": {"x"}, "run": {"x"}}).want(t, 404)
	}
	a := b.post("/console/login", url.Values{"key": {"lost"}})
	a.want(t, 500, "Something went wrong here")
	if strings.Contains(a.body, "secret") {
		t.Fatal("what nobody foresaw is told in detail")
	}
}

func FuzzWhere_one_is_led(f *testing.F) {
	for _, s := range []string{"/", "//x", "/console/sessions/x", "/console/sessions/../../x", "/console/sessions/%0d%0ax", "\\/x", "http:/console/sessions/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := ours(next)
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n") {
			t.Fatalf("%q leads to %q", next, got)
		}
	})
}

func FuzzProse_loses_nothing(f *testing.F) {
	for _, s := range []string{nasty, "```\nx\n```", "a `b` `` c", "```go\n", "\x00\xff`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := prose(text, "", len(text)+1)
		letters := func(s string) string {
			return strings.Join(strings.Fields(strings.ReplaceAll(s, "`", " ")), "")
		}
		shown := ""
		for _, p := range v.Pieces {
			if p.Code {
				shown += p.Lang + p.Text
				continue
			}
			for _, s := range p.Spans {
				shown += s.Text
			}
		}
		if want := letters(text); len(want) < 20 && letters(shown) != want {
			t.Fatalf("%q is shown as %q", text, shown)
		}
		if v.More != 0 {
			t.Fatalf("%d bytes are said to be missing", v.More)
		}
	})
}

func TestProse_is_cut_at_fences_and_loses_nothing(t *testing.T) {
	t.Parallel()
	v := prose("a `b` c\n```go\nx := 1\n```\nd ``` e\n```\nnever closed", "", 1000)
	if len(v.Pieces) != 4 || !v.Pieces[1].Code || v.Pieces[1].Lang != "go" || v.Pieces[1].Text != "x := 1" || v.Pieces[2].Text != "d ``` e" || !v.Pieces[3].Code || v.Pieces[3].Text != "never closed" {
		t.Fatalf("%+v", v.Pieces)
	}
	for _, s := range []string{"", "`", "``", "a`b", "`a\nb`", "`a`", "x`a`y`b`z", "```", "``a``"} {
		joined := ""
		for _, p := range spans(s) {
			if p.Code {
				joined += "`" + p.Text + "`"
			} else {
				joined += p.Text
			}
		}
		if joined != s {
			t.Errorf("%q becomes %q", s, joined)
		}
	}
	if v := prose(strings.Repeat("é", 100), "/raw", 21); v.More != 180 || v.Raw != "/raw" {
		t.Fatalf("%+v", v)
	}
}

func TestA_form_that_does_not_come_holds_nothing_for_long(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(New(Config{Door: &control.Door{Keys: someKeys()}, Forms: 20 * time.Millisecond}))
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /console/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nkey=")
	if _, err := io.ReadAll(conn); err != nil { // an answer, and the end
		t.Error(err)
	}
}
