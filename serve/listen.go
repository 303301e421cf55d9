package serve

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

func invalid(format string, args ...any) error {
	return &control.Error{Code: fault.Invalid, Message: fmt.Sprintf(format, args...)}
}

// listen binds an address, unless others would reach it who need no key.
func listen(ctx context.Context, what, addr string, keys, remote bool) (net.Listener, error) {
	addr = strings.TrimPrefix(addr, "tcp://")
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, invalid("%q is no address for %s: write host:port, such as 127.0.0.1:8080", addr, what)
	}
	own, err := loopback(ctx, host)
	switch {
	case err != nil:
		return nil, err
	case own:
	case !remote:
		return nil, invalid("%s on %s can be reached from other machines: add --allow-remote if that is meant", what, addr)
	case !keys:
		return nil, invalid("%s on %s can be reached from other machines, and nobody needs a key: make one with 'rkat keys create' first", what, addr)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &control.Error{Code: fault.Unavailable, Message: fmt.Sprintf("%s cannot listen on %s: %v", what, addr, err)}
	}
	return l, nil
}

// loopback reports whether only this machine reaches a host: all addresses of its name are of it.
func loopback(ctx context.Context, host string) (bool, error) {
	if host == "" {
		return false, nil // all addresses
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback(), nil
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false, invalid("the name %s cannot be resolved: %v", host, err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return false, nil
		}
	}
	return len(ips) > 0, nil
}

// bounded lets only so many connections be open; others wait until one is closed.
type bounded struct {
	net.Listener
	places chan struct{}
}

// Accept takes a connection, and then waits for a place for it: so a listener that was closed is noticed at once.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	b.places <- struct{}{}
	return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (p *placed) Close() error {
	err := p.Conn.Close()
	p.leave()
	return err
}

// counted tells how many connections are open: with 1 for each that comes, and -1 when it has been closed.
type counted struct {
	net.Listener
	count func(float64)
}

// Accept takes a connection and counts it.
func (c *counted) Accept() (net.Conn, error) {
	nc, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.count(1)
	return &placed{Conn: nc, leave: sync.OnceFunc(func() { c.count(-1) })}, nil
}
