package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
)

func TestHelp_fits_a_screen(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"-h"}} {
		p := newProcess(t)
		if code := p.run(args...); code != 0 {
			t.Errorf("%q: exit code %d", args, code)
		}
		fits(t, p.out.String())
	}
}

// fits fails unless the text fits a terminal of 24 lines and 80 columns.
func fits(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 24 || len(lines) < 5 {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

func TestThe_model_is_chosen_in_a_fixed_order(t *testing.T) {
	t.Parallel()
	local := []config.Server{{Provider: config.Provider{Name: "ollama", Kind: config.Compat, BaseURL: "http://127.0.0.1:1/v1"}, Models: []string{"llama", "qwen"}}}
	for _, c := range []struct {
		name    string
		env     map[string]string
		args    []string
		local   []config.Server
		listed  []string
		want    string
		provide string // the provider that must be known when the realm is opened
	}{
		{"the flag", map[string]string{"RKAT_MODEL": "b", "OPENAI_API_KEY": "k"}, []string{"-m", "a"}, local, nil, "a", "openai"},
		{"then RKAT_MODEL", map[string]string{"RKAT_MODEL": "b", "OPENAI_API_KEY": "k"}, nil, local, nil, "b", "openai"},
		{"then the default of Anthropic", map[string]string{"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, nil, local, nil, "anthropic/best", "anthropic"},
		{"then the default of OpenAI", map[string]string{"OPENAI_API_KEY": "k"}, nil, local, nil, "openai/best", "openai"},
		{"or the first of another server", map[string]string{"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, nil, local, []string{"x", "y"}, "openai/x", "openai"},
		{"then the first of a local server", nil, nil, local, nil, "ollama/llama", "ollama"},
		{"a local server by its name", map[string]string{"RKAT_MODEL": "ollama/qwen"}, nil, local, nil, "ollama/qwen", "ollama"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			for k, v := range c.env {
				p.env[k] = v
			}
			p.app.FindServers = func(context.Context) []config.Server { return c.local }
			p.app.ListModels = func(context.Context, config.Provider) ([]string, error) { return c.listed, nil }
			var opened config.Config
			open := p.app.Open
			p.app.Open = func(ctx context.Context, cfg config.Config) (Runtime, error) { opened = cfg; return open(ctx, cfg) }
			p.start(append([]string{"run", "x"}, c.args...)...)
			if code := p.complete("ok"); code != 0 {
				t.Fatalf("exit code %d: %s", code, p.err.String())
			}
			if got := p.plane.created[0].Profile.Model; got != c.want {
				t.Errorf("model %q, want %q", got, c.want)
			}
			if _, ok := opened.Provider(c.provide); !ok {
				t.Errorf("provider %s is not in %+v", c.provide, opened.Providers)
			}
		})
	}
}

func TestWith_nothing_configured_one_screen_says_what_to_set(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	if code := p.run("run", "hello"); code != 2 {
		t.Errorf("exit code %d", code)
	}
	fits(t, p.err.String())
	says(t, p.err.String(), "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "--model offline", "rkat demo", "Ollama")
	if p.out.Len() > 0 {
		t.Errorf("stdout: %q", p.out.String())
	}
}

func TestNo_server_is_looked_for_where_that_is_forbidden(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_NO_PROBE"] = "1"
	p.app.FindServers = func(context.Context) []config.Server { t.Error("looked"); return nil }
	for _, args := range [][]string{{"run", "x"}, {"models"}, {"doctor"}, {"resume"}, {"run", "-m", "ollama/x", "--tools", "bad", "x"}} {
		p.run(args...)
	}
}

func TestA_server_that_does_not_name_its_models_is_told_of(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["OPENAI_BASE_URL"] = "http://127.0.0.1:1/v1"
	if code := p.run("run", "hello"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "http://127.0.0.1:1/v1 (OPENAI_BASE_URL)", "connection refused", "--model openai/NAME")
}

func TestA_realm_that_cannot_be_opened_is_explained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		says []string
	}{
		{fault.New(fault.Corrupt, "store is corrupt: no database"), []string{"store is corrupt", "Nothing was changed", "RKAT_STATE_DIR"}},
		{fault.New(fault.Corrupt, "store was written by a newer version"), []string{"Use the rkat that wrote it"}},
		{fault.New(fault.Storage, "no space left for the store"), []string{"Free some space"}},
		{fault.New(fault.Storage, "store is not writable"), []string{"RKAT_STATE_DIR"}},
		{fault.New(fault.OwnedElsewhere, "wake: acquire: session 019a8c2e-41f0-7000-8000-000000000001 is in use by process 12 until soon"),
			[]string{"Error: session 019a8c2e-41f0 is in use by process 12. Another rkat"}},
		{errors.New("odd"), []string{"odd. This is a defect"}},
	} {
		p := newProcess(t)
		p.app.Open = func(context.Context, config.Config) (Runtime, error) { return Runtime{}, c.err }
		if code := p.run("run", "-m", "offline", "--json", "x"); code != 1 {
			t.Errorf("%v: exit code %d", c.err, code)
		}
		says(t, p.err.String(), c.says...)
		var got struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(p.out.Bytes(), &got); err != nil || got.Error.Code != fault.CodeOf(c.err).String() || got.Error.Message == "" {
			t.Errorf("%v: JSON %q, %v", c.err, p.out.String(), err)
		}
	}
}

func TestSessions_are_listed_and_shown(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	p.plane.sessions = []control.Session{{ID: theSession, Phase: "attached", Messages: 3, Model: "offline", Title: "a \x1b[31mtitle", Cursor: 2}, {ID: "019a8c2e-41f0-7000-8000-00000000000f", Unfinished: true}}
	if code := p.run("sessions"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "019a8c2e-41f0  idle", "a ␛[31mtitle", "unfinished")
	p.out.Reset()
	p.run("sessions", "--json", "--all")
	var list struct{ Sessions []listed }
	if err := json.Unmarshal(p.out.Bytes(), &list); err != nil || len(list.Sessions) != 2 || list.Sessions[0].Ref != "r:"+string(theSession) {
		t.Errorf("%v: %s", err, p.out.String())
	}
	p.out.Reset()
	p.run("sessions", "show")
	says(t, p.out.String(), "── user\nhello\n", "── assistant (offline)\nhi ␛[2J\n", "── result of list\nx\n", "… 28 lines more (--full shows all)\n")
	p.out.Reset()
	p.run("sessions", "show", "--effects", "last")
	says(t, p.out.String(), "3.0       run_tool     shell               once        1        open")
	p.out.Reset()
	p.start("sessions", "show", "--events", "--json", "last")
	p.plane.events <- event.Event{Cursor: 1, Payload: event.TurnStarted{Number: 4}}
	p.plane.events <- event.Event{Payload: event.TextDelta{Delta: "not durable"}}
	p.plane.events <- event.Event{Cursor: 2, Payload: event.RunCompleted{Result: "r"}}
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	var one struct {
		Messages []struct{ Role string }
		Events   []struct {
			Cursor  int
			Type    string
			Payload map[string]any
		}
	}
	if err := json.Unmarshal(p.out.Bytes(), &one); err != nil || len(one.Messages) != 3 || len(one.Events) != 2 || one.Events[0].Type != "turn_started" || one.Events[0].Payload["turn_number"] != 4.0 {
		t.Errorf("%v: %s", err, p.out.String())
	}
}

func TestSessions_are_ended_by_name_alone(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	p.plane.sessions = []control.Session{{ID: theSession, Phase: "idle"}}
	if code := p.run("sessions", "archive"); code != ExitUsage {
		t.Errorf("without a name: exit code %d: %s", code, p.out.String())
	}
	for command, phase := range map[string]string{"archive": "archived", "destroy": "destroyed"} {
		p.out.Reset()
		if code := p.run("sessions", command, "019a8c2e"); code != 0 {
			t.Errorf("%s: exit code %d: %s", command, code, p.err.String())
		}
		says(t, p.out.String(), "019a8c2e-41f0 is "+phase)
	}
}

func TestOne_bad_realm_does_not_hide_the_others(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	for _, realm := range []string{"bad", "good"} {
		p.env["RKAT_REALM"] = realm
		makeRealm(t, p)
	}
	p.plane.sessions = []control.Session{{ID: theSession}}
	open := p.app.Open
	p.app.Open = func(ctx context.Context, c config.Config) (Runtime, error) {
		if c.Realm == "bad" {
			return Runtime{}, fault.New(fault.Corrupt, "store is corrupt")
		}
		return open(ctx, c)
	}
	if code := p.run("sessions", "--all"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, p.out.String(), "019a8c2e-41f0")
	says(t, p.err.String(), "realm bad", "store is corrupt")
}

func TestDoctor_finds_what_is_wrong_and_says_what_to_do(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["OPENAI_API_KEY"] = "secret-key"
	p.plane.sessions = []control.Session{{ID: theSession, Unfinished: true}}
	if code := p.run("doctor"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "ok  state folder", "ok  sessions       1 session, 1 unfinished", "set up by OPENAI_API_KEY")
	if strings.Contains(p.out.String(), "secret") {
		t.Error("a key is shown")
	}
	p.out.Reset()
	p.app.Open = func(context.Context, config.Config) (Runtime, error) {
		return Runtime{}, fault.New(fault.Corrupt, "store is corrupt")
	}
	if code := p.run("doctor", "--json"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	var got struct {
		OK       bool
		Findings []control.Finding
	}
	if err := json.Unmarshal(p.out.Bytes(), &got); err != nil || got.OK || len(got.Findings) < 4 {
		t.Errorf("%v: %s", err, p.out.String())
	}
}

func TestVersion_and_models_tell_what_they_are(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.app.Open = func(context.Context, config.Config) (Runtime, error) { t.Error("opened"); return Runtime{}, nil }
	delete(p.env, "RKAT_STATE_DIR")
	p.run("version")
	says(t, p.out.String(), "rkat 1.2.3 (abcdef) go")
	p.out.Reset()
	p.run("version", "--json")
	says(t, p.out.String(), `"version": "1.2.3"`)
	p.out.Reset()
	p.env["RKAT_STATE_DIR"] = t.TempDir()
	p.run("models")
	says(t, p.out.String(), "anthropic/best", "default of anthropic")
	p.out.Reset()
	p.run("models", "--json")
	says(t, p.out.String(), `"name": "openai/best"`)
}

func TestDoctor_names_damaged_rows_and_repairs_only_when_told_to(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	damage := control.Checkup{Findings: []control.Finding{{Name: "session", Session: theSession, Detail: "1 damaged rows", Advice: "Do something",
		Rows: []control.DamagedRow{{Row: "event 3", Digest: "abcd", Reason: "unexpected\x1b[31m end"}}}}}
	p.app.Examine = func(context.Context, string) (control.Checkup, error) { return damage, nil }
	p.app.Repair = func(context.Context, string) (control.Checkup, error) {
		t.Error("repaired")
		return control.Checkup{}, nil
	}
	if code := p.run("doctor"); code != 1 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "--  session        "+string(theSession)+": 1 damaged rows", "event 3: unexpected", "sha256 abcd", "Do something")
	if strings.Contains(p.out.String(), "\x1b") {
		t.Error("a terminal is told what to do")
	}
	p.out.Reset()
	p.app.Repair = func(context.Context, string) (control.Checkup, error) {
		done := control.Checkup{OK: true, Backup: "/realm/backup-1", Findings: slices.Clone(damage.Findings)}
		done.Findings[0].OK, done.Findings[0].Done = true, "1 rows taken out"
		return done, nil
	}
	if code := p.run("doctor", "--repair"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "Done: 1 rows taken out", "Everything as it was: /realm/backup-1")
	p.out.Reset()
	if code := p.run("doctor", "--repair", "--json"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), `"backup": "/realm/backup-1"`, `"row": "event 3"`, `"ok": true`)
	p.out.Reset()
	p.app.Open = func(context.Context, config.Config) (Runtime, error) { t.Error("opened"); return Runtime{}, nil }
	p.app.Repair = func(context.Context, string) (control.Checkup, error) {
		return control.Checkup{Findings: []control.Finding{{Name: "log", Detail: "something is lost"}}}, nil
	}
	if code := p.run("doctor", "--repair"); code != 1 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "--  log            something is lost", "Nothing was changed.")
}
