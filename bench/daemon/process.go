package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	ids int
}

// stop ends it as an operator would, and kills it if that takes long.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait() // how it ended is not what is measured
}

func command(b *bed, name, state string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.dir, name), args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "HOME="+b.dir, "RKAT_STATE_DIR="+state, "RKAT_NO_PROBE=1", "RKAT_TEST_CLIENT=1")
	return cmd
}

func startRPC(b *bed, state string) (*process, error) {
	cmd := command(b, "rkat-rpc", state, "--realm", "bench", "--state-root", state)
	cmd.Env = append(cmd.Env, "RUST_LOG=error")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}, nil
}

// call sends a request and reads until its answer: notifications in between are passed over.
func (p *process) call(method, params string) (json.RawMessage, error) {
	p.ids++
	if _, err := fmt.Fprintf(p.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", p.ids, method, params); err != nil {
		return nil, err
	}
	for {
		line, err := p.out.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		var m struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
			Method string          `json:"method"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		switch {
		case m.Method != "" || m.ID != p.ids:
		case m.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, m.Error)
		default:
			return m.Result, nil
		}
	}
}

// server is rkat serve.
type server struct {
	process
	url    string
	key    string // empty: none is shown
	client *http.Client
}

// as returns the server as the owner of a key has it.
func (s *server) as(key string) *server {
	c := *s
	c.key = key
	return &c
}

var address = regexp.MustCompile(`http://[0-9.]+:[0-9]+`)

func startServe(b *bed, state string, env ...string) (*server, error) {
	cmd := command(b, "rkat", state, "serve", "--http", "127.0.0.1:0", "--realm", "bench", "--log-level", "error")
	cmd.Env = append(cmd.Env, env...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{process: process{cmd: cmd}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	said := bufio.NewReader(errs)
	for s.url == "" {
		line, err := said.ReadString('\n')
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("rkat serve said no address: %w", err)
		}
		s.url = address.FindString(line)
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // ends with the process
	return s, nil
}

func (s *server) get(path string) ([]byte, error) { return s.do(http.MethodGet, path, "") }

func (s *server) do(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(data))
	}
	return data, err
}

// session makes one that has run once.
func (s *server) session(model string) (string, error) {
	data, err := s.do(http.MethodPost, "/sessions", fmt.Sprintf(`{"prompt":"hello","model":%q}`, model))
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"session_id"`
	}
	err = json.Unmarshal(data, &made)
	return made.ID, err
}

func residentKB(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, errors.New("no resident size in /proc")
}
