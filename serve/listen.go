package serve

import (
	"context"
	"fmt"
	"net"
	"strings"

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
