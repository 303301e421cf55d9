package jsonrpc

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/wire/wiretest"
)

// The conversations in testdata are played and recorded: lines that begin with → are sent, those with ← are what came. A digit before the arrow is
// another client.
//
//	… text       read up to a line that holds the text
//	≈ a ; b      read until both were in a line; answers may have come in any order, and stand last
//	! hold M     requests of method M are not begun
//	! release    now they are
//	! restart    the realm is closed and opened again; all clients connect anew
//
// Ids are numbered as they appear: $S1 is the first session, $R a run, $I an input, $T a stream. Times are 0.
func TestConversations_go_as_they_are_written_down(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			s := &stage{world: newWorld(t), peers: map[string]*peer{}, names: map[string]string{}, methods: map[string]string{}}
			s.hold()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("so far:\n%s", s.out.String())
				}
			})
			for line := range strings.Lines(string(text)) {
				s.play(strings.TrimSuffix(line, "\n"))
			}
			s.release()
			golden.Equal(t, f, []byte(s.out.String()))
		})
	}
}

// stage is where a conversation is played.
type stage struct {
	*world
	peers   map[string]*peer
	names   map[string]string // of ids
	counts  map[string]int
	methods map[string]string // of requests that were sent, by client and id
	out     strings.Builder

	mu   sync.Mutex
	held map[string]bool
	gate chan struct{}
}

func (s *stage) hold() {
	s.held, s.gate, s.counts = map[string]bool{}, make(chan struct{}), map[string]int{}
	s.started = func(ctx context.Context, method string) {
		s.mu.Lock()
		held, gate := s.held[method], s.gate
		s.mu.Unlock()
		if held {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
	}
}

func (s *stage) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.gate)
	s.held, s.gate = map[string]bool{}, make(chan struct{})
}

func (s *stage) peer(name string) *peer {
	if s.peers[name] == nil {
		s.peers[name] = s.connect()
	}
	return s.peers[name]
}

var spoken = regexp.MustCompile(`^(\d?)([→←…≈!]) ?(.*)$`)

func (s *stage) play(line string) {
	m := spoken.FindStringSubmatch(line)
	if m != nil && m[2] == "←" {
		return // it will be written again
	}
	s.out.WriteString(line + "\n")
	if m == nil {
		return
	}
	switch who, rest := m[1], m[3]; m[2] {
	case "→":
		rest = s.meant(rest)
		var q struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if json.Unmarshal([]byte(rest), &q) == nil && q.Method != "" {
			s.methods[who+string(q.ID)] = q.Method
		}
		s.peer(who).send(rest)
	case "…":
		before, last := s.peer(who).until(s.meant(rest))
		s.record(who, append(before, last))
	case "≈":
		s.record(who, s.all(who, strings.Split(s.meant(rest), " ; ")))
	case "!":
		s.direct(rest)
	}
}

// all reads until each text was in a line.
func (s *stage) all(who string, wanted []string) []string {
	var lines []string
	for len(wanted) > 0 {
		line := s.peer(who).next()
		lines = append(lines, line)
		wanted = slices.DeleteFunc(wanted, func(w string) bool { return strings.Contains(line, w) })
	}
	answer := func(l string) string {
		if strings.HasPrefix(l, `{"jsonrpc":"2.0","id":`) {
			return l[:strings.IndexByte(l, '}')]
		}
		return ""
	}
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(answer(a), answer(b)) })
	return lines
}

func (s *stage) direct(what string) {
	verb, arg, _ := strings.Cut(what, " ")
	switch verb {
	case "hold":
		s.mu.Lock()
		s.held[arg] = true
		s.mu.Unlock()
	case "release":
		s.release()
	case "restart":
		for _, p := range s.peers {
			p.stop()
			err := <-p.over
			p.over <- err
			if err != nil {
				s.Error(err)
			}
		}
		s.peers = map[string]*peer{}
		s.down()
		s.open()
	default:
		s.Fatalf("nobody knows how to %q", what)
	}
}

func (s *stage) record(who string, lines []string) {
	for _, l := range lines {
		s.check(who, l)
		fmt.Fprintf(&s.out, "%s← %s\n", who, s.told(l))
	}
}

const uuidForm = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

var (
	named  = regexp.MustCompile(`"([a-z_]+)":\[?"(?:[a-z]+:)?(` + uuidForm + `)"`)
	anyID  = regexp.MustCompile(uuidForm)
	number = regexp.MustCompile(`"(timestamp_ms|created_at|updated_at|duration_ms)":\d+`)
	moment = regexp.MustCompile(`"created_at":"[^"]+"`)
	letter = map[string]string{"session_id": "$S", "source_session_id": "$S", "input_id": "$I", "existing_id": "$I", "inputs": "$I", "run_id": "$R", "stream_id": "$T"}
)

// told puts names in place of ids.
func (s *stage) told(line string) string {
	for _, m := range named.FindAllStringSubmatch(line, -1) {
		l := letter[m[1]]
		if l != "" && s.names[m[2]] == "" {
			s.counts[l]++
			s.names[m[2]] = fmt.Sprintf("%s%d", l, s.counts[l])
		}
	}
	line = anyID.ReplaceAllStringFunc(line, func(u string) string { return cmp.Or(s.names[u], "$E") })
	return moment.ReplaceAllString(number.ReplaceAllString(line, `"$1":0`), `"created_at":"T"`)
}

// meant puts ids in place of names.
func (s *stage) meant(line string) string {
	for uuid, name := range s.names {
		line = strings.ReplaceAll(line, name+`"`, uuid+`"`)
	}
	return line
}

// shapes are the contract's shapes of results.
var shapes = map[string]string{"session/create": "run_result", "turn/start": "run_result", "session/read": "session_info", "session/history": "session_history",
	"session/fork_at": "fork_result", "session/fork_replace": "fork_result", "session/external_event": "accept_result", "config/get": "config_envelope",
	"config/set": "config_envelope", "config/patch": "config_envelope", "capabilities/get": "capabilities", "models/catalog": "models_catalog",
	"runtime/host_info": "host_info", "runtime/capabilities": "host_capabilities", "runtime/health": "host_health", "session/stream_open": "stream_opened",
	"session/stream_close": "stream_closed"}

// check holds a line against the contract.
func (s *stage) check(who, line string) {
	s.Helper()
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Result json.RawMessage `json:"result"`
		Params struct {
			Event json.RawMessage `json:"event"`
		} `json:"params"`
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		s.Fatalf("%s: %v", line, err)
	}
	fits := func(shape string, data json.RawMessage) {
		s.Helper()
		if err := wiretest.Fits(shape, data); err != nil {
			s.Errorf("it breaks the contract's %s:\n%s\n%v", shape, data, err)
		}
		if at, err := wiretest.Nulls(data); err != nil || len(at) > 0 {
			s.Errorf("null at %v: %s", at, data)
		}
	}
	switch m.Method {
	case "session/event":
		fits("event", m.Params.Event)
		fits("envelope", m.Params.Event)
	case "session/stream_event":
		fits("envelope", m.Params.Event)
	}
	if m.Result == nil || m.Method != "" {
		return
	}
	shape := shapes[s.methods[who+string(m.ID)]]
	if shape == "run_result" && !strings.Contains(string(m.Result), `"text"`) {
		return // a session that is to run later
	}
	if shape != "" {
		fits(shape, m.Result)
	}
	if s.methods[who+string(m.ID)] == "session/list" {
		var list struct{ Sessions []json.RawMessage }
		if err := json.Unmarshal(m.Result, &list); err != nil {
			s.Error(err)
		}
		for _, one := range list.Sessions {
			fits("session_summary", one)
		}
	}
}
