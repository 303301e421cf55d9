//go:build !without_eino

package main

import (
	"context"

	"github.com/cloudwego/eino-ext/components/model/openai"
	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/components/tool/utils"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"
)

// einoSubject is Eino's agent with its own Chat Completions client, one for all sessions. Eino keeps no conversation: the adapter does.
type einoSubject struct{ runner *adk.Runner }

func openEino(ctx context.Context, url, _ string) (subject, error) {
	model, err := openai.NewChatModel(ctx, &openai.ChatModelConfig{APIKey: "none", BaseURL: url + "/v1", Model: "instant", HTTPClient: newHTTP()})
	if err != nil {
		return nil, err
	}
	nothing, err := utils.InferTool(toolName, toolDoes, func(context.Context, struct{}) (string, error) { return callTool() })
	if err != nil {
		return nil, err
	}
	agent, err := adk.NewChatModelAgent(ctx, &adk.ChatModelAgentConfig{Name: "peer", Description: "peer", Instruction: system, Model: model,
		ToolsConfig: adk.ToolsConfig{ToolsNodeConfig: compose.ToolsNodeConfig{Tools: []tool.BaseTool{nothing}}}})
	if err != nil {
		return nil, err
	}
	return einoSubject{adk.NewRunner(ctx, adk.RunnerConfig{Agent: agent, EnableStreaming: true})}, nil
}

func (e einoSubject) session(context.Context) (session, error) {
	return &einoSession{runner: e.runner}, nil
}

func (einoSubject) close() error { return nil }

type einoSession struct {
	runner *adk.Runner
	said   []adk.Message
}

func (s *einoSession) turn(ctx context.Context, prompt string) error {
	s.said = append(s.said, schema.UserMessage(prompt))
	events := s.runner.Run(ctx, s.said)
	text := ""
	for {
		event, ok := events.Next()
		if !ok {
			return answered(text)
		}
		if event.Err != nil {
			return event.Err
		}
		if event.Output == nil || event.Output.MessageOutput == nil {
			continue
		}
		m, err := event.Output.MessageOutput.GetMessage()
		if err != nil {
			return err
		}
		s.said = append(s.said, m)
		text = m.Content
	}
}
