package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// toolservers implements executor.Toolservers.
type toolservers struct{ hold }

func (t toolservers) step(ctx context.Context, ev toolserver.Event) (answer, error) {
	a, err := t.tell(ctx, ev.Kind.String()+" in", machine.Servers{Event: ev})
	return a, about(ev.Server, err)
}

func (t toolservers) just(ctx context.Context, ev toolserver.Event) error {
	_, err := t.step(ctx, ev)
	return err
}

func (t toolservers) Add(ctx context.Context, server, config string) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.StageAdd, Server: server, Config: config})
}

func (t toolservers) Remove(ctx context.Context, server string) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.StageRemove, Server: server})
}

func (t toolservers) Reload(ctx context.Context, server string) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.StageReload, Server: server})
}

func (t toolservers) SetTimeout(ctx context.Context, d time.Duration) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.SetTimeout, Timeout: d})
}

func (t toolservers) SetRetries(ctx context.Context, n int) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.SetRetries, Retries: n})
}

func (t toolservers) Connected(ctx context.Context, c executor.ToolserverConnect) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.PendingSucceeded, Server: c.Server, Task: c.Task, Lineage: c.Lineage})
}

func (t toolservers) ConnectFailed(ctx context.Context, c executor.ToolserverConnect, failure string) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.PendingFailed, Server: c.Server, Task: c.Task, Lineage: c.Lineage, Error: failure})
}

func (t toolservers) Lost(ctx context.Context, server string, generation uint64, failure string) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.Lost, Server: server, Generation: generation, Error: failure})
}

func (t toolservers) Relisted(ctx context.Context, server string, generation uint64) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.Relisted, Server: server, Generation: generation})
}

func (t toolservers) Aligned(ctx context.Context, epoch uint64) error {
	return t.just(ctx, toolserver.Event{Kind: toolserver.SnapshotAligned, Epoch: epoch})
}

func (t toolservers) CallStarted(ctx context.Context, server string) (uint64, error) {
	a, err := t.step(ctx, toolserver.Event{Kind: toolserver.CallStarted, Server: server})
	if err != nil {
		return 0, err
	}
	return a.state.Servers.Get(server).Generation, nil
}

func (t toolservers) CallFinished(ctx context.Context, server string, generation uint64) error {
	return t.over(ctx, "call_finished in", machine.Servers{Event: toolserver.Event{Kind: toolserver.CallFinished, Server: server, Generation: generation}})
}

// known is what is committed of the servers.
func (h hold) servers(ctx context.Context, command string) (toolserver.State, error) {
	_, st, err := h.look(ctx, command)
	if err != nil || st.Servers == nil {
		return toolserver.State{}, err
	}
	return *st.Servers, nil
}

func (t toolservers) List(ctx context.Context) ([]executor.Toolserver, error) {
	s, err := t.servers(ctx, "list the tool servers of")
	var out []executor.Toolserver
	for name := range s.Servers.All() {
		v := s.Get(string(name))
		one := executor.Toolserver{Name: string(name), Base: v.Base.String(), Config: v.Config, Generation: v.Generation, Connecting: v.Pending.Task}
		if v.Staged.Op != toolserver.None {
			one.Staged = v.Staged.Op.String()
		}
		for conn, l := range s.Transient.Calls.All() {
			if conn.Server == one.Name {
				one.Calls += l.Running
			}
		}
		out = append(out, one)
	}
	return out, err
}

func (t toolservers) Owed(ctx context.Context) ([]executor.ToolserverConnect, error) {
	s, err := t.servers(ctx, "read the connects of")
	var out []executor.ToolserverConnect
	for _, c := range toolserver.Owed(s) {
		out = append(out, executor.ToolserverConnect{Server: c.Server, Operation: c.Op.String(), Task: c.Task, Lineage: c.Lineage, Config: c.Config})
	}
	return out, err
}

func (t toolservers) Wanted(ctx context.Context, server string) ([]uint64, error) {
	s, err := t.servers(ctx, "read the connections of")
	if err != nil {
		return nil, err
	}
	return toolserver.Wanted(s, server), nil
}

func (t toolservers) Changed(ctx context.Context, epoch uint64) (uint64, error) {
	return t.until(ctx, "wait for the tool servers of", func(st machine.State) (uint64, bool) {
		if st.Servers == nil {
			return 0, false
		}
		return st.Servers.Epoch, st.Servers.Epoch > epoch
	})
}

// mcpStatus implements executor.MCPStatus.
type mcpStatus struct{ hold }

func (m mcpStatus) All(ctx context.Context) ([]executor.ServerStatus, error) {
	s, err := m.servers(ctx, "read the tool servers of")
	var out []executor.ServerStatus
	for name := range s.Servers.All() {
		if st, ok := toolserver.StatusOf(s, string(name)); ok {
			out = append(out, executor.ServerStatus{Server: string(name), Health: st.Health.String(), Usable: st.Usable, Error: st.Error})
		}
	}
	return out, err
}

func (m mcpStatus) Connecting(ctx context.Context) ([]string, error) {
	s, err := m.servers(ctx, "read the tool servers of")
	return slices.Clip(toolserver.Connecting(s)), err
}
