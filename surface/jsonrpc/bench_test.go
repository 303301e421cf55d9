package jsonrpc

import (
	"fmt"
	"testing"
)

// A turn through a connection, against a model that answers at once and a store in memory; and the same without a connection is bench's affair.
func BenchmarkTurn(b *testing.B) {
	w := newWorld(b)
	p := w.connect()
	s := p.create(-1, "hello")
	n := 0
	for b.Loop() {
		n++
		p.call(n, "turn/start", fmt.Sprintf(`{"session_id":%q,"prompt":"hello"}`, s))
	}
}

// A request that reads next to nothing: what the protocol itself costs.
func BenchmarkRequest(b *testing.B) {
	p := newWorld(b).connect()
	n := 0
	for b.Loop() {
		n++
		p.call(n, "skills/list", `{}`)
	}
}
