// Package client talks to the server of a realm far away, over its REST surface: sessions, inputs, events, settings.
//
// A Client survives its server. What can be done twice without harm is tried again while the server is away, for Config.Patience; that is all of it,
// since each submit carries an idempotency key. A stream of events is taken up again at its cursor, so that a reader misses no durable event when the
// connection breaks or the server begins anew.
//
// Its key goes nowhere but to the server: redirects are not followed, and a key is not sent in the clear to another machine unless that is allowed.
// The package knows wire and words alone, so that a program that uses it links no runtime.
package client

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// Config says which server, and as whom.
type Config struct {
	URL string // http or https; a path is put in front of each route
	Key string // API key; empty: the server wants none
	// HTTP carries the requests out; nil: a client of its own. Its timeout must be 0, since a stream lasts; its redirects are not used.
	HTTP *http.Client
	// Patience is how long what can be done twice is tried again while the server is away or busy; 0: DefaultPatience; negative: not at all.
	Patience time.Duration
	// Plain lets the key go over http to another machine, where everybody on the way can read it.
	Plain bool
	// Lost is told whenever a stream of events breaks, with the reason, and whenever it is there again, with nil; nil: nobody is. It is called by
	// whoever reads the events, and must return soon.
	Lost func(err error)
}

// DefaultPatience is how long a server may be away: long enough for it to be started anew.
const DefaultPatience = 30 * time.Second

// Client talks to one server. All methods may be called concurrently. Errors are *Error, unless ctx ended.
type Client struct {
	base     *url.URL
	key      string
	http     *http.Client
	patience time.Duration
	lost     func(error)
	reached  atomic.Bool // the server has answered before: it is one
}

// New makes a client. It asks nothing of the server yet. Errors have code invalid.
func New(c Config) (*Client, error) {
	base, err := address(c.URL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, invalid("the API key holds a space, a line break or a letter that keys do not have: it was not copied as it is")
	}
	if c.Key != "" && base.Scheme == "http" && !here(base.Hostname()) && !c.Plain {
		return nil, invalid(fmt.Sprintf("an API key is not sent to %s over http, where everybody on the way can read it: use https, or a tunnel to this machine", base.Host))
	}
	hc := &http.Client{Transport: http.DefaultTransport}
	if c.HTTP != nil {
		copied := *c.HTTP
		hc = &copied
	}
	if hc.Timeout != 0 {
		return nil, invalid("the HTTP client has a timeout, which would cut streams off")
	}
	// A redirect would carry the key to somebody nobody named, and turn a POST into a GET.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	return &Client{base: base, key: c.Key, http: hc, patience: c.Patience, lost: c.Lost}, nil
}

// URL is the server's address, as it may be shown.
func (c *Client) URL() string { return c.base.String() }

// address reads the URL of a server.
func address(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil: // its text repeats the URL, which may hold a password
		return nil, invalid("the server's URL cannot be read: use http://HOST:PORT or https://HOST")
	case u.User != nil:
		return nil, invalid("the server's URL holds a name or a password: give the API key by itself")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, invalid(fmt.Sprintf("%q is no URL of a server: use http://HOST:PORT or https://HOST", s))
	case u.RawQuery != "", u.Fragment != "":
		return nil, invalid("the server's URL ends with its path: leave out what follows ? or #")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// here reports whether a host is this machine.
func here(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func invalid(message string) *Error {
	return &Error{Op: "reach a server", Code: fault.Invalid, Message: message}
}
