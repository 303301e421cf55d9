package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Tokens of one reply, and the pause between two: 50 a second, as a fast model does.
const (
	tokenCount = 250
	tokenPause = 20 * time.Millisecond
)

// tokens times streamed tokens from the model's write to a subscriber's read, both in this process, with 1 and with 100 subscribers.
func tokens(b *bed) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	model := &http.Server{Handler: http.HandlerFunc(speak), ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- model.Serve(listener) }()
	defer func() { _ = model.Close(); <-done }()
	s, err := startServe(b, filepath.Join(b.dir, "tokens"), "RKAT_TEST_CLIENT=", "OPENAI_API_KEY=k", "OPENAI_BASE_URL=http://"+listener.Addr().String()+"/v1")
	if err != nil {
		return err
	}
	defer s.stop()
	for _, subscribers := range []int{1, 100} {
		id, err := s.deferred("openai/m")
		if err != nil {
			return err
		}
		took, err := s.watch(id, subscribers)
		if err != nil {
			return err
		}
		row(fmt.Sprintf("a token from the model to a subscriber, %d subscriber(s)", subscribers), took)
	}
	return nil
}

func (s *server) deferred(model string) (string, error) {
	data, err := s.do(http.MethodPost, "/sessions", fmt.Sprintf(`{"prompt":"","model":%q,"initial_turn":"deferred"}`, model))
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"session_id"`
	}
	err = json.Unmarshal(data, &made)
	return made.ID, err
}

// speak answers as a model whose every token says when it was written.
func speak(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(tokenPause)
	defer tick.Stop()
	for range tokenCount {
		<-tick.C
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"@%d \"}}]}\n\n", time.Now().UnixNano())
		if out.Flush() != nil {
			return
		}
	}
	fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// watch lets so many subscribers read one reply, and returns how late its tokens came.
func (s *server) watch(id string, subscribers int) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var errs []error
	var ready, wg sync.WaitGroup
	ready.Add(subscribers)
	for range subscribers {
		wg.Go(func() {
			took, err := s.listen(id, ready.Done)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, took...), append(errs, err)
		})
	}
	ready.Wait()
	_, err := s.do(http.MethodPost, "/sessions/"+id+"/inputs", `{"prompt":"go"}`)
	if err != nil {
		return nil, err
	}
	wg.Wait()
	if want := subscribers * tokenCount; len(all) != want {
		errs = append(errs, fmt.Errorf("%d tokens came, and %d were written", len(all), want))
	}
	return all, errors.Join(errs...)
}

func (s *server) listen(id string, ready func()) ([]time.Duration, error) {
	var once sync.Once
	defer func() { once.Do(ready) }()
	resp, err := s.client.Get(s.url + "/sessions/" + id + "/events")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var took []time.Duration
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	for lines.Scan() {
		line := lines.Text()
		if line == "event: session_loaded" {
			once.Do(ready)
		}
		if line == "event: run_completed" || line == "event: run_failed" {
			return took, nil
		}
		_, after, is := strings.Cut(line, `"delta":"@`)
		if !is {
			continue
		}
		at, _, _ := strings.Cut(after, " ")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(time.Unix(0, n)))
	}
	return took, errors.Join(errors.New("the stream ended early"), lines.Err())
}
