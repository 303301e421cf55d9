package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/internal/files"
)

func set(t *testing.T, d *Document, doc string) uint64 {
	t.Helper()
	_, n, err := d.Set(t.Context(), json.RawMessage(doc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func get(t *testing.T, d *Document) (map[string]any, uint64) {
	t.Helper()
	data, n, err := d.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out, n
}

func TestSettings_are_read_written_and_merged_under_a_generation(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	if doc, n := get(t, d); n != 0 || doc["max_tokens"] != float64(DefaultMaxTokens) {
		t.Errorf("a realm without settings has %v of generation %d", doc, n)
	}
	if n := set(t, d, `{"max_tokens":100,"agent":{"model":"m","gone":null},"theirs":{"x":[1,2.5,"y",{"z":true}]}}`); n != 1 {
		t.Error(n)
	}
	zero := uint64(0)
	_, _, err := d.Patch(t.Context(), json.RawMessage(`{"max_tokens":1}`), &zero)
	if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "Generation conflict: expected 0, current 1") {
		t.Error(err)
	}
	one := uint64(1)
	if _, n, err := d.Patch(t.Context(), json.RawMessage(`{"max_tokens":200,"agent":{"model":null,"max_turns":3}}`), &one); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	doc, n := get(t, d)
	want := map[string]any{"max_tokens": 200.0, "agent": map[string]any{"max_turns": 3.0},
		"theirs": map[string]any{"x": []any{1.0, 2.5, "y", map[string]any{"z": true}}}}
	if diff := cmp.Diff(want, doc); diff != "" || n != 2 {
		t.Error(n, diff)
	}
	again := &Document{Dir: d.Dir}
	if doc, n := get(t, again); cmp.Diff(want, doc) != "" || n != 2 {
		t.Errorf("another process reads %v of %d", doc, n)
	}
}

func TestWhat_is_edited_by_hand_is_of_another_generation(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	set(t, d, `{"max_tokens":100}`)
	if v, err := d.View(t.Context()); err != nil || v.MaxOutput != 100 {
		t.Fatal(v, err)
	}
	path := filepath.Join(d.Dir, documentFile)
	if err := os.WriteFile(path, []byte("max_tokens = 4321\nday = 2026-01-02\n[agent]\nmodel = 'x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc, n := get(t, d)
	if n != 2 || doc["max_tokens"] != 4321.0 || doc["day"] != "2026-01-02" {
		t.Error(n, doc)
	}
	if v, err := d.View(t.Context()); err != nil || v.Model != "x" || v.MaxOutput != 4321 {
		t.Error(v, err)
	}
	two := uint64(2)
	if _, n, err := d.Patch(t.Context(), json.RawMessage(`{"agent":{"model":"y"}}`), &two); n != 3 || err != nil {
		t.Error(n, err)
	}
	if err := os.WriteFile(path, []byte("max_tokens = \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
}

func TestSettings_that_do_not_hold_are_refused_by_their_path_and_change_nothing(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	set(t, d, `{"max_tokens":100}`)
	for doc, says := range map[string]string{
		`[]`:                                   "not a JSON object",
		`{} {}`:                                "follows",
		`{"max_tokens":0}`:                     "max_tokens is to be above 0",
		`{"max_tokens":"many"}`:                "max_tokens is to be a whole number",
		`{"max_tokens":1.5}`:                   "max_tokens",
		`{"limits":{"max_sessions":0}}`:        "limits.max_sessions",
		`{"agent":7}`:                          "agent is to be a table",
		`{"agent":{"model":3}}`:                "agent.model",
		`{"retry":{"initial_delay":"soon"}}`:   "retry.initial_delay",
		`{"rest":{"port":70000}}`:              "rest.port",
		`{"tools":{"shell_enabled":"yes"}}`:    "tools.shell_enabled",
		`{"x":1e999}`:                          "x is to be a number",
		`{"self_hosted":{"servers":{"a":{}}}}`: "self_hosted.servers.a.base_url",
		`{"self_hosted":{"models":{"m":{"server":"nope"}}}}`:                                    "self_hosted.models.m.server",
		`{"self_hosted":{"servers":{"a":{"base_url":"http://h","api_style":"responses"}}}}`:     "api_style",
		`{"self_hosted":{"servers":{"a":{"base_url":"http://h","bearer_token":"[redacted]"}}}}`: "bearer_token",
	} {
		_, _, err := d.Set(t.Context(), json.RawMessage(doc), nil)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", doc, err)
		}
	}
	if doc, n := get(t, d); n != 1 || doc["max_tokens"] != 100.0 {
		t.Error(doc, n)
	}
}

func TestSecrets_are_kept_and_not_shown(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir(), Env: func(name string) string { return "from " + name }}
	set(t, d, `{"self_hosted":{"servers":{"a":{"base_url":"http://h:1/v1/","bearer_token":"s3cret"},"b":{"base_url":"http://h","bearer_token_env":"B_KEY"}},
		"models":{"m":{"server":"a","remote_model":"org/m","context_window":9}}},"list":[{"api_key":"hush"}]}`)
	data, _, err := d.Get(t.Context())
	if err != nil || strings.Contains(string(data), "s3cret") || strings.Contains(string(data), "hush") || strings.Count(string(data), Redacted) != 2 {
		t.Errorf("%s %v", data, err)
	}
	if _, _, err := d.Set(t.Context(), data, nil); err != nil { // what was read is written back
		t.Fatal(err)
	}
	v, err := d.View(t.Context())
	if err != nil || v.Servers["a"].Key != "s3cret" || v.Servers["a"].BaseURL != "http://h:1/v1" || v.Servers["b"].Key != "from B_KEY" || v.Servers["b"].BaseURL != "http://h/v1" {
		t.Errorf("%+v %v", v, err)
	}
	if diff := cmp.Diff([]SelfHosted{{Alias: "m", Server: "a", Remote: "org/m", Context: 9}}, v.Models); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(d.Dir, documentFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestSecrets_are_known_by_the_end_of_their_name_and_addresses_shown_without_theirs(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	const doc = `{"x":{"apiKey":"s1","db_password":"s2","Authorization":"s3","webhook-secret":"s4","tokens":["plain"],"auth_token":["s5"],
		"url":"https://me:s6@host/path?q=1","max_tokens":5,"bearer_token_env":"NAME","note":"[redacted] is a word"}}`
	set(t, d, doc)
	data, _, err := d.Get(t.Context())
	for _, s := range []string{"s1", "s2", "s3", "s4", "s5", "s6"} {
		if strings.Contains(string(data), `"`+s) || strings.Contains(string(data), s+"@") {
			t.Errorf("%s is shown: %s", s, data)
		}
	}
	for _, s := range []string{"plain", "NAME", "host/path?q=1", "is a word"} {
		if !strings.Contains(string(data), s) {
			t.Errorf("%s is hidden: %s", s, data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Set(t.Context(), data, nil); err != nil { // what was read is written back
		t.Fatal(err)
	}
	c, err := d.read()
	x, _ := c.doc["x"].(map[string]any)
	if err != nil || x["url"] != "https://me:s6@host/path?q=1" || x["apiKey"] != "s1" || !cmp.Equal(x["auth_token"], []any{"s5"}) {
		t.Errorf("%v %v", x, err)
	}
	if _, _, err := d.Patch(t.Context(), json.RawMessage(`{"x":{"url":"https://[redacted]@elsewhere"}}`), nil); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a password goes to another address: %v", err)
	}
}

func TestWho_reads_while_settings_are_written_reads_what_is_written(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	set(t, d, `{"max_tokens":1}`)
	unlock, err := files.Lock(t.Context(), filepath.Join(d.Dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("max_tokens = 2\n")
	if err := d.writeState(documentState{2, sum(text)}); err != nil { // the first half of a write
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if doc, n, err := d.Get(ctx); err == nil {
		t.Errorf("half of a write is read: %s of %d", doc, n)
	}
	if err := errors.Join(files.Replace(filepath.Join(d.Dir, documentFile), text), unlock()); err != nil {
		t.Fatal(err)
	}
	if doc, n := get(t, d); n != 2 || doc["max_tokens"] != 2.0 {
		t.Errorf("%v of %d", doc, n)
	}
}

func TestA_change_that_looks_like_none_counts(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	set(t, d, `{"max_tokens":5}`)
	path := filepath.Join(d.Dir, documentFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := d.View(t.Context()); err != nil || v.MaxOutput != 5 {
		t.Fatal(v, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// In place, as long as before, and within the same tick of the clock.
	if err := errors.Join(os.WriteFile(path, []byte(strings.Replace(string(data), "5", "7", 1)), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if v, err := d.View(t.Context()); err != nil || v.MaxOutput != 7 {
		t.Error(v.MaxOutput, err)
	}
}

func TestSettings_of_strangers_name_no_variables_of_this_process(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir(), NoEnv: true}
	const doc = `{"self_hosted":{"servers":{"a":{"base_url":"http://h:1","bearer_token_env":"ANTHROPIC_API_KEY"}}}}`
	if _, _, err := d.Set(t.Context(), json.RawMessage(doc), nil); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "self_hosted.servers.a.bearer_token_env") {
		t.Error(err)
	}
	set(t, &Document{Dir: d.Dir}, doc)
	if v, err := d.View(t.Context()); err == nil {
		t.Errorf("%+v", v)
	}
}

func TestWhat_settings_mean(t *testing.T) {
	t.Parallel()
	d := &Document{Dir: t.TempDir()}
	if v, err := d.View(t.Context()); err != nil || v.MaxOutput != DefaultMaxTokens {
		t.Fatal(v, err)
	}
	set(t, d, `{"max_tokens":5,"agent":{"max_tokens_per_turn":9,"structured_output_retries":0,"provider_params":{"a":1}},"retry":{"max_retries":0,"max_delay":1500},
		"budget":{"max_duration":"2m"},"tools":{"shell_enabled":true}}`)
	v, err := d.View(t.Context())
	if err != nil || v.MaxOutput != 9 || v.SchemaRetries != -1 || v.Retry.Max != -1 || v.Retry.Cap != 1500*time.Millisecond || v.Budget.Duration != 2*time.Minute ||
		!v.Shell || string(v.Params) != `{"a":1}` {
		t.Errorf("%+v %v", v, err)
	}
	same, err := d.View(t.Context())
	if err != nil || same != v {
		t.Error("a file that has not changed is read once", err)
	}
}

func TestTwo_writers_lose_nothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			d := &Document{Dir: dir} // as if of another process
			if _, _, err := d.Patch(t.Context(), json.RawMessage(fmt.Sprintf(`{"k%d":%d}`, n, n)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if doc, n := get(t, &Document{Dir: dir}); n != 20 || len(doc) != 21 {
		t.Error(n, doc)
	}
}

func TestSettings_that_cannot_be_written_are_as_they_were(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Log("nothing is forbidden to root: a folder that is not there stands in")
	}
	d := &Document{Dir: filepath.Join(t.TempDir(), "not", "there")}
	if _, _, err := d.Set(t.Context(), json.RawMessage(`{}`), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzSettings(f *testing.F) {
	for _, seed := range []string{`{}`, `{"max_tokens":1}`, `{"a":{"b":[null,1e3,{"token":"x"}]}}`, `{"agent":{"provider_params":{"x":[]}}}`} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, doc, patch string) {
		d := &Document{Dir: t.TempDir()}
		if _, _, err := d.Set(t.Context(), json.RawMessage(doc), nil); err != nil {
			return
		}
		if _, _, err := d.Patch(t.Context(), json.RawMessage(patch), nil); err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		if _, _, err := d.Get(t.Context()); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
		if _, err := d.View(t.Context()); err != nil {
			t.Errorf("what was written does not hold: %v", err)
		}
	})
}
