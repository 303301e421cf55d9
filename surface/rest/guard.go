package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// call is one request that was let in.
type call struct {
	h     *handler
	w     *recorder
	r     *http.Request
	plane *control.Plane
	who   string // whose limits count: realm and key, or the address
	body  []byte
}

// ctx ends when the client has left.
func (c *call) ctx() context.Context { return c.r.Context() }

// serve takes a request through the guards, and calls its handler.
func (h *handler) serve(w *recorder, r *http.Request, rt route) {
	w.route = rt.method + " " + rt.pattern
	c := &call{h: h, w: w, r: r}
	release, err := h.admit(c, rt)
	defer release()
	if err == nil && rt.stream && r.Method == http.MethodHead {
		w.Header().Set("Allow", http.MethodGet)
		err = errMethod
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	rt.handle(c)
}

// admit finds out who calls, and reads what he sends. What it returns must be called when the request is done with.
func (h *handler) admit(c *call, rt route) (release func(), err error) {
	release = func() {}
	if err := h.origin.Check(c.r); err != nil {
		return release, errCrossSite
	}
	if err := h.identify(c, rt); err != nil {
		return release, err
	}
	if !h.limits.allow(c.who) {
		return release, errRate
	}
	return h.read(c, rt)
}

// identify lets the caller in by the door. Who it is for is known from then on.
func (h *handler) identify(c *call, rt route) error {
	remote := address(c.r)
	c.who = "address " + remote
	if rt.public {
		return nil
	}
	p, err := h.Door.Enter(c.r.Context(), token(c.r))
	if err != nil {
		// A good key is looked at however many bad ones came from the same address, which many may share; a bad one is not always answered.
		if fault.CodeOf(err) == fault.Unidentified && !h.limits.allow("unknown "+remote) {
			return errRate
		}
		return err
	}
	c.plane = p
	caller := p.Caller()
	if caller.Key == "" {
		err = h.addressed(c.r)
	} else {
		c.w.key = caller.Key
		c.who = "key " + p.Realm + "/" + caller.Key
	}
	// The plane holds the levels. Asked here as well, a key that may not do a thing is told so before anything is looked up for it.
	if err == nil && caller.Level != control.Owner && caller.Level < rt.level {
		err = &control.Error{Code: fault.Forbidden, Message: fmt.Sprintf("the key may not do this: it is for %s, and %s is needed", caller.Level, rt.level)}
	}
	return err
}

// still finds out whether the caller's key is as good as it was, for what lasts. That it cannot be found out now ends nothing.
func (c *call) still(ctx context.Context) error {
	p, err := c.h.Door.Enter(ctx, token(c.r))
	switch {
	case fault.CodeOf(err) == fault.Unidentified && ctx.Err() == nil:
		return err
	case err == nil && p.Realm != c.plane.Realm:
		return errElsewhere
	}
	return nil
}

// addressed refuses a request that a page sent which reached this machine under a name of its own.
func (h *handler) addressed(r *http.Request) error {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if name == "localhost" {
		return nil
	}
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		return nil
	}
	for _, known := range h.Hosts {
		if strings.EqualFold(strings.Trim(known, "[]"), name) {
			return nil
		}
	}
	return errStranger
}

// token is the key that was shown; empty: none.
func token(r *http.Request) string {
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return r.Header.Get("X-API-Key")
}

// address is the caller's, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// maxDepth is how deep a body may be nested. It is far beyond what any request needs.
const maxDepth = 128

var (
	errDeep  = &control.Error{Code: fault.Invalid, Message: "the body is nested too deeply"}
	errUTF8  = &control.Error{Code: fault.Invalid, Message: "the body is not UTF-8"}
	errMedia = &statusError{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", fault: fault.Invalid,
		message: "the body has to be JSON: say Content-Type: application/json"}
	errSlow = &statusError{status: http.StatusRequestTimeout, code: "REQUEST_TIMEOUT", fault: fault.Invalid, message: "the body did not come in time"}
)

func (h *handler) tooLarge() error {
	return &statusError{status: http.StatusRequestEntityTooLarge, code: "PAYLOAD_TOO_LARGE", fault: fault.Invalid,
		message: "the body is larger than this server takes", details: maximum{h.MaxBody}}
}

// maximum says how many bytes a body may have.
type maximum struct {
	Bytes int64 `json:"max_bytes"`
}

// read takes the body in, whole and within bounds of size, and of what all requests together may hold. Its time began with the request.
func (h *handler) read(c *call, rt route) (release func(), err error) {
	held := int64(0)
	release = func() { h.bodies.give(held) }
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return release, nil
	}
	if c.r.ContentLength > h.MaxBody {
		c.w.Header().Set("Connection", "close")
		return release, h.tooLarge()
	}
	body := http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, h.MaxBody)
	for {
		if len(c.body) == cap(c.body) {
			more := int64(max(4<<10, cap(c.body)))
			if !h.bodies.take(more) {
				c.w.Header().Set("Connection", "close")
				return release, errFull
			}
			held += more
			c.body = append(make([]byte, 0, cap(c.body)+int(more)), c.body...)
		}
		n, err := body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			c.w.Header().Set("Connection", "close")
			return release, h.unread(err)
		}
	}
	// Without this the deadline would also end the request itself, whose connection is watched while its handler works.
	if err := http.NewResponseController(c.w.ResponseWriter).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return release, err
	}
	return release, sane(c.r, c.body, rt)
}

// unread is the error of a body that did not come whole.
func (h *handler) unread(err error) error {
	var large *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &large):
		return h.tooLarge()
	case errors.As(err, &timeout) && timeout.Timeout():
		return errSlow
	}
	return &control.Error{Code: fault.Invalid, Message: "the body broke off"}
}

// sane refuses bodies that are not worth decoding.
func sane(r *http.Request, body []byte, rt route) error {
	if len(body) == 0 || rt.in == nil {
		return nil
	}
	if t := r.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return errMedia
		}
	}
	if !utf8.Valid(body) {
		return errUTF8
	}
	depth, quoted, escaped := 0, false, false
	for _, b := range body {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return errDeep
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}
