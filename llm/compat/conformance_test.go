package compat_test

import (
	"testing"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/fakeserver"
)

func TestThe_adapter_passes_the_suite(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(t *testing.T, baseURL string) llm.Model {
		m, err := compat.New(compat.Config{BaseURL: baseURL, APIKey: llmtest.Key})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, fakeserver.Chat)
}
