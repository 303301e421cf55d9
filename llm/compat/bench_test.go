package compat_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/llmtest"
)

// BenchmarkStream reads a reply of a thousand chunks without a network.
func BenchmarkStream(b *testing.B) {
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word%d \"},\"finish_reason\":null}]}\n\n", i)
	}
	body.WriteString(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
	data := []byte(body.String())
	a := &answering{}
	m, err := compat.New(compat.Config{HTTPClient: &http.Client{Transport: a}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		a.body = bytes.NewReader(data)
		if _, err := llm.Collect(m.Stream(b.Context(), llmtest.Ask("hi")), nil); err != nil {
			b.Fatal(err)
		}
	}
}
