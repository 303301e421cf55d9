package serve

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// bounded lets only so many connections be open. One more takes the place of the connection that has been quiet for longest: whoever says nothing, or
// says it slowly, does not keep out those who have something to say. If none is quiet, it waits until one is closed.
type bounded struct {
	net.Listener
	most int

	mu    sync.Mutex
	open  int
	quiet *list.List    // of *placed: nobody is at work for them
	room  chan struct{} // closed when a place is free, or may be had; nil: nobody waits
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, most: most, quiet: list.New()}
}

// Accept takes a connection, and then finds a place for it: so a listener that was closed is noticed at once.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := &placed{Conn: c, of: b}
	p.leave = sync.OnceFunc(func() { b.left(p) })
	for !b.place(p) {
	}
	return p, nil
}

// place gives a connection a place, or makes one free or waits for it; then it is to be asked again.
func (b *bounded) place(p *placed) bool {
	b.mu.Lock()
	if b.open < b.most {
		b.open++
		p.at = b.quiet.PushBack(p)
		b.mu.Unlock()
		return true
	}
	if first := b.quiet.Front(); first != nil {
		b.mu.Unlock()
		_ = first.Value.(*placed).Close() // it is of no more use, however that ends
		return false
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	room := b.room
	b.mu.Unlock()
	<-room
	return false
}

func (b *bounded) left(p *placed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if p.at != nil {
		b.quiet.Remove(p.at)
		p.at = nil
	}
	p.gone = true
	b.freed()
}

func (b *bounded) freed() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// now says whether a connection is quiet from now on.
func (b *bounded) now(p *placed, quiet bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.gone || quiet == (p.at != nil):
	case quiet:
		p.at = b.quiet.PushBack(p)
		b.freed()
	default:
		b.quiet.Remove(p.at)
		p.at = nil
	}
}

// state is what the server says of a connection: one is quiet before its first request and between two.
func (b *bounded) state(c net.Conn, s http.ConnState) {
	if p, ok := c.(*placed); ok && (s == http.StateActive || s == http.StateIdle) {
		b.now(p, s == http.StateIdle)
	}
}

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	of    *bounded
	leave func()
	at    *list.Element // among those that are quiet; nil: it is not. Under of.mu, as gone is
	gone  bool
}

// Close closes the connection.
func (p *placed) Close() error {
	err := p.Conn.Close()
	p.leave()
	return err
}

// connKey finds the connection in the context of its requests.
type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// bodyTimeout is how long a body may take to come, where a handler does not say otherwise.
const bodyTimeout = 30 * time.Second

// bound gives a request's body a time to be there. While it comes, its connection is quiet: it takes no place from those who ask for something.
func bound(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	ctl := http.NewResponseController(w)
	_ = ctl.SetReadDeadline(time.Now().Add(bodyTimeout)) // a connection that knows no deadlines is a test's
	b := &body{ReadCloser: r.Body, ctl: ctl}
	if p, ok := r.Context().Value(connKey{}).(*placed); ok {
		b.conn = p
		p.of.now(p, true)
	}
	r.Body = b
}

// body is one that comes in its time.
type body struct {
	io.ReadCloser
	ctl  *http.ResponseController
	conn *placed
}

// Read reads. Once all is there the deadline is lifted: it would end the request itself, whose connection is watched while its handler works.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.ctl.SetReadDeadline(time.Time{})
		if b.conn != nil {
			b.conn.of.now(b.conn, false)
			b.conn = nil
		}
	}
	return n, err
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
	return &one{Conn: nc, leave: sync.OnceFunc(func() { c.count(-1) })}, nil
}

// one is a connection that is counted.
type one struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (o *one) Close() error {
	err := o.Conn.Close()
	o.leave()
	return err
}
