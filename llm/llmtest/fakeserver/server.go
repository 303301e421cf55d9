// Package fakeserver is a model server for tests: Anthropic Messages and Chat Completions over real HTTP, answering from a script.
//
// It serves POST …/messages, POST …/chat/completions and GET …/models. It records each request when it arrives, before it
// answers or fails to. The text {{key}} in a scripted error becomes the credential of the request, as some servers echo it.
package fakeserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
)

// Wire is a wire format.
type Wire string

// The wire formats.
const (
	Anthropic Wire = "anthropic"
	Chat      Wire = "chat"
)

// Request is one request as it arrived.
type Request struct {
	N      int         `json:"n"` // counts from 1
	At     time.Time   `json:"at"`
	Wire   Wire        `json:"wire"`
	Path   string      `json:"path"`
	Rule   int         `json:"rule"` // index of the rule that answers; -1: none
	Header http.Header `json:"-"`
	script.Conversation
	Body json.RawMessage `json:"body"`
}

// Server answers from a script. Make it with New.
type Server struct {
	// OnRequest is called with each request before it is answered, one at a time. Its error fails the request with 500, so that
	// nothing is answered that is not recorded. Set it before the server is used.
	OnRequest func(Request) error

	player *script.Player
	gone   chan int
	mu     sync.Mutex
	seen   []Request
}

var _ http.Handler = (*Server)(nil)

// New makes a server that plays rules.
func New(rules ...script.Rule) *Server {
	return &Server{player: script.NewPlayer(rules...), gone: make(chan int, 1024)}
}

// Requests returns what has arrived so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Gone tells the number of each request whose client left before its answer was complete. It holds 1024 of them; then requests wait.
func (s *Server) Gone() <-chan int { return s.gone }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/models"):
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"list","data":[{"id":"fake-1","object":"model","owned_by":"tests"}]}`)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/chat/completions"):
		s.serve(w, r, Chat, chatConversation, chatEvents)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages"):
		s.serve(w, r, Anthropic, anthropicConversation, anthropicEvents)
	default:
		http.NotFound(w, r)
	}
}

// events are a reply as it goes over the wire: what makes it up, what ends it, and the event that fails it instead.
type events struct {
	body []string
	end  []string
	fail func(script.Error) string
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, wire Wire, read func([]byte) (script.Conversation, error),
	write func(script.Conversation, script.Reply) events) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client left while it asked
	}
	conversation, err := read(body)
	if err != nil {
		http.Error(w, `{"error":{"type":"invalid_request_error","message":"the request cannot be read"}}`, http.StatusBadRequest)
		return
	}
	reply, rule := s.player.Next(conversation)
	n, err := s.record(Request{At: time.Now().UTC(), Wire: wire, Path: r.URL.Path, Rule: rule, Header: r.Header.Clone(), Conversation: conversation, Body: body})
	switch {
	case err != nil:
		reply = script.Reply{Status: http.StatusInternalServerError, Error: &script.Error{Type: "api_error", Message: "the request was not recorded: " + err.Error()}}
	case rule < 0:
		reply = script.Reply{Status: http.StatusBadRequest, Error: &script.Error{Type: "invalid_request_error",
			Message: fmt.Sprintf("no rule answers %q with %d tool results", conversation.User, conversation.ToolResults)}}
	}
	if err := answer(r.Context(), w, echo(reply, r.Header), write(conversation, reply)); err != nil {
		s.gone <- n
	}
}

// record numbers a request and keeps it.
func (s *Server) record(r Request) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.N = len(s.seen) + 1
	s.seen = append(s.seen, r)
	if s.OnRequest == nil {
		return r.N, nil
	}
	return r.N, s.OnRequest(r)
}

// echo puts the request's credential where the script asks for it.
func echo(reply script.Reply, h http.Header) script.Reply {
	key := h.Get("X-Api-Key") + strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
	reply.Body = strings.ReplaceAll(reply.Body, "{{key}}", key)
	if reply.Error != nil {
		e := *reply.Error
		e.Message = strings.ReplaceAll(e.Message, "{{key}}", key)
		reply.Error = &e
	}
	return reply
}

var errGone = errors.New("the client has left")

// answer sends a reply. Its error says that the client left before the end.
func answer(ctx context.Context, w http.ResponseWriter, reply script.Reply, ev events) error {
	if err := wait(ctx, reply.DelayMS); err != nil {
		return err
	}
	switch {
	case reply.Fault == script.Drop:
		panic(http.ErrAbortHandler)
	case reply.Fault == script.Hang:
		<-ctx.Done()
		return errGone
	case reply.Status != 0:
		refuse(w, reply)
		return nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	half := ev.body[:(len(ev.body)+1)/2]
	if reply.Fault == "" {
		return send(ctx, w, reply, append(ev.body, ev.end...))
	}
	if reply.Fault == script.NoEnd {
		return send(ctx, w, reply, ev.body)
	}
	if err := send(ctx, w, reply, half); err != nil {
		return err
	}
	switch reply.Fault {
	case script.Stall:
		<-ctx.Done()
		return errGone
	case script.Reset:
		panic(http.ErrAbortHandler)
	case script.Garbage:
		return send(ctx, w, reply, []string{"data: {\"not json\n\n"})
	case script.Fail:
		return send(ctx, w, reply, []string{ev.fail(*reply.Error)})
	case script.Long:
		return send(ctx, w, reply, []string{"data: \"" + strings.Repeat("x", 17<<20) + "\"\n\n"})
	}
	return nil // Cut
}

// refuse answers with an HTTP failure.
func refuse(w http.ResponseWriter, reply script.Reply) {
	if reply.RetryAfter != "" {
		w.Header().Set("Retry-After", reply.RetryAfter)
	}
	body := reply.Body
	if body == "" {
		e := script.Error{Type: "error", Message: "scripted failure"}
		if reply.Error != nil {
			e = *reply.Error
		}
		w.Header().Set("Content-Type", "application/json")
		body = toJSON(map[string]any{"type": "error", "error": e})
	}
	w.WriteHeader(reply.Status)
	io.WriteString(w, body)
}

// send writes events, each after its delay. A client that has left is noticed at the next of them.
func send(ctx context.Context, w http.ResponseWriter, reply script.Reply, list []string) error {
	control := http.NewResponseController(w)
	for _, e := range list {
		if err := wait(ctx, reply.ChunkDelayMS); err != nil {
			return err
		}
		if _, err := io.WriteString(w, e); err != nil {
			return err
		}
		if reply.ChunkDelayMS > 0 {
			if err := control.Flush(); err != nil {
				return err
			}
		}
	}
	return control.Flush()
}

func wait(ctx context.Context, ms int) error {
	if ms <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errGone
	}
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("fakeserver: a scripted value cannot be JSON: " + err.Error())
	}
	return string(data)
}

func callID(c script.Call) string {
	if c.ID != "" {
		return c.ID
	}
	return "call_" + strings.ReplaceAll(id.New(), "-", "")
}
