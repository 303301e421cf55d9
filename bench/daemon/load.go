package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// acks times submits until they are acknowledged, which is durable, and reads of a session, by 1 and by 64 clients.
//
// Each client has a key of its own, as callers far away do: what one address may ask without one is bounded.
func acks(b *bed) error {
	state := filepath.Join(b.dir, "acks")
	keys := make([]string, 64)
	for n := range keys {
		out, err := command(b, "rkat", state, "keys", "create", "--json", "--realm", "bench", "--level", "write", "--name", fmt.Sprint("client-", n)).Output()
		if err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		var made struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(out, &made); err != nil {
			return err
		}
		keys[n] = made.Token
	}
	s, err := startServe(b, state)
	if err != nil {
		return err
	}
	defer s.stop()
	const each = 300
	for _, clients := range []int{1, 64} {
		sessions := make([]string, clients)
		key := map[string]string{}
		for n := range sessions {
			as := s.as(keys[n])
			if sessions[n], err = as.session("m"); err != nil {
				return err
			}
			key[sessions[n]] = keys[n]
		}
		per := each
		if clients == 1 {
			per *= 4
		}
		for _, kind := range []struct {
			name string
			do   func(session string) error
		}{
			{"a submit until its ack, runs going on beside it", func(id string) error {
				_, err := s.as(key[id]).do(http.MethodPost, "/sessions/"+id+"/inputs", `{"prompt":"hello"}`)
				return err
			}},
			{"a read of a session", func(id string) error { _, err := s.as(key[id]).get("/sessions/" + id); return err }},
		} {
			took, err := together(sessions, per, kind.do)
			if err != nil {
				return err
			}
			row(fmt.Sprintf("%s, %d client(s)", kind.name, clients), took)
		}
	}
	return nil
}

// together lets one client for each session do a thing so many times, all at once.
func together(sessions []string, times int, do func(string) error) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var errs []error
	var wg sync.WaitGroup
	for _, id := range sessions {
		wg.Go(func() {
			var took []time.Duration
			for n := range times + 5 {
				began := time.Now()
				if err := do(id); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				if n >= 5 {
					took = append(took, time.Since(began))
				}
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}

// turns times whole turns through JSON-RPC on standard input and output.
func turns(b *bed) error {
	p, err := startRPC(b, filepath.Join(b.dir, "turns"))
	if err != nil {
		return err
	}
	defer p.stop()
	made, err := p.call("session/create", `{"prompt":"hello","model":"m"}`)
	if err != nil {
		return err
	}
	var s struct {
		ID string `json:"session_id"`
	}
	if err := json.Unmarshal(made, &s); err != nil {
		return err
	}
	var took []time.Duration
	for n := range 1005 {
		began := time.Now()
		if _, err := p.call("turn/start", fmt.Sprintf(`{"session_id":%q,"prompt":"hello"}`, s.ID)); err != nil {
			return err
		}
		if n >= 5 {
			took = append(took, time.Since(began))
		}
	}
	row("turn/start through JSON-RPC until its answer, no tools", took)
	size, err := residentKB(p.cmd.Process.Pid)
	fmt.Printf("  resident after 1,000 turns: %.1f MB\n", float64(size)/1e3)
	return err
}

// catchUp times a reader that was away for 10,000 events.
func catchUp(b *bed) error {
	s, err := startServe(b, filepath.Join(b.dir, "catchup"))
	if err != nil {
		return err
	}
	defer s.stop()
	id, err := s.session("m")
	if err != nil {
		return err
	}
	last := uint64(0)
	for last < 10_000 {
		if _, err := s.do(http.MethodPost, "/sessions/"+id+"/messages", fmt.Sprintf(`{"session_id":%q,"prompt":"hello"}`, id)); err != nil {
			return err
		}
		data, err := s.get("/sessions/" + id + "/detail")
		if err != nil {
			return err
		}
		var at struct {
			Cursor uint64 `json:"last_cursor"`
		}
		if err := json.Unmarshal(data, &at); err != nil {
			return err
		}
		last = at.Cursor
	}
	var took []time.Duration
	for range 10 {
		began := time.Now()
		if err := s.readTo(id, last); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	row(fmt.Sprintf("a reader reconnects and catches up on %d events", last), took)
	return nil
}

// readTo reads the events of a session from the first to the one at a cursor.
func (s *server) readTo(id string, cursor uint64) error {
	req, err := http.NewRequest(http.MethodGet, s.url+"/sessions/"+id+"/events", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", "0")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			n, err := strconv.ParseUint(at, 10, 64)
			if err != nil {
				return err
			}
			if n >= cursor {
				return nil
			}
		}
	}
	return errors.Join(errors.New("the stream ended early"), lines.Err())
}
