package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// answerWait is how long the server may take to answer, beside what it is asked to wait.
	answerWait = 30 * time.Second
	// maxAnswer bounds an answer, in bytes: the longest transcript that is worth reading in one piece.
	maxAnswer = 256 << 20
	// maxProblem is how much of an error is read.
	maxProblem = 64 << 10

	firstDelay = 100 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// call is one request, which may take several attempts.
type call struct {
	op     string // what is attempted, for errors
	method string
	path   []string // segments, which are escaped
	query  url.Values
	body   any           // nil: none
	key    string        // idempotency key; empty: none
	again  bool          // done twice it is as if it were done once
	wait   time.Duration // how long the server is asked to hold its answer back
}

// do carries a call out and decodes the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, k call, out any) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return fmt.Errorf("%s: encode the request: %w", k.op, err)
		}
	}
	until := time.Now().Add(c.patience)
	for attempt := 0; ; attempt++ {
		known := c.reached.Load()
		err := c.attempt(ctx, k, body, out)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", k.op, context.Cause(ctx))
		}
		var e *Error
		if !errors.As(err, &e) || !retriable(k, e, known) {
			return err
		}
		delay := max(backoff(attempt), e.RetryAfter)
		if time.Now().Add(delay).After(until) {
			return err
		}
		if err := pause(ctx, delay); err != nil {
			return fmt.Errorf("%s: %w", k.op, err)
		}
	}
}

// retriable reports whether another attempt may do better. A server that never answered is not waited for: the address is wrong more often than it is
// being started.
func retriable(k call, e *Error, known bool) bool {
	switch e.Status {
	case 0:
		return errors.Is(e, ErrUnreachable) && known && (k.again || !dialed(e.Err))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return k.again
	}
	return false
}

// backoff is how long to wait before another attempt: growing, and not the same for all clients of a server that comes back.
func backoff(attempt int) time.Duration {
	d := min(firstDelay<<min(attempt, 10), lastDelay)
	return d/2 + rand.N(d/2)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// attempt carries a call out once.
func (c *Client) attempt(ctx context.Context, k call, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait+k.wait)
	defer cancel()
	resp, err := c.send(ctx, k, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxProblem)) // so that the connection can be used again
		if err != nil {
			return unreachable(k, err, true)
		}
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return unreachable(k, err, true)
	case len(data) > maxAnswer:
		return &Error{Op: k.op, Status: resp.StatusCode, Message: fmt.Sprintf("the answer is longer than %d MiB", maxAnswer>>20)}
	}
	if err := json.Unmarshal(data, out); err != nil {
		return &Error{Op: k.op, Status: resp.StatusCode, Message: "the answer is not what this client knows; is it the server of another product or version?", Err: err}
	}
	return nil
}

// send sends a request and returns the answer if it is a success. Its body must be closed then.
func (c *Client) send(ctx context.Context, k call, body []byte) (*http.Response, error) {
	u := *c.base
	u.Path, u.RawPath = c.base.Path, c.base.EscapedPath()
	for _, s := range k.path {
		u.Path += "/" + s
		u.RawPath += "/" + url.PathEscape(s)
	}
	u.RawQuery = k.query.Encode()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), r)
	if err != nil {
		return nil, fmt.Errorf("%s: make the request: %w", k.op, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		req.Header.Set("Idempotency-Key", k.key)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(k, err, dialed(err))
	}
	c.reached.Store(true)
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil && len(data) == 0 {
		return nil, unreachable(k, err, true)
	}
	return nil, c.hidden(refused(k, resp, data))
}

// hidden takes the key out of what a server says: one that repeats what it was shown does not make us tell others.
func (c *Client) hidden(e *Error) *Error {
	if c.key != "" {
		e.Message = strings.ReplaceAll(e.Message, c.key, "…")
	}
	return e
}
