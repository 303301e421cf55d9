package wire

import (
	"encoding/json"

	"github.com/meerkat-go/meerkat/id"
)

// Initialized answers initialize.
type Initialized struct {
	Server   ServerInfo `json:"server_info"`
	Contract string     `json:"contract_version"`
	Methods  []string   `json:"methods"`
}

// ServerInfo names the server.
type ServerInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Registered answers tools/register.
type Registered struct {
	Registered int `json:"registered"`
}

// ConfigEnvelope is the settings document with what is known about it.
type ConfigEnvelope struct {
	Config     json.RawMessage `json:"config"`
	Generation uint64          `json:"generation"`
	Realm      string          `json:"realm_id,omitempty"`
	Instance   string          `json:"instance_id,omitempty"`
	Backend    string          `json:"backend,omitempty"`
	Paths      *Paths          `json:"resolved_paths,omitempty"`
}

// Paths are where a realm keeps what it has.
type Paths struct {
	Root     string `json:"root"`
	Manifest string `json:"manifest_path"`
	Config   string `json:"config_path"`
	Sessions string `json:"sessions_sqlite_path"`
	JSONL    string `json:"sessions_jsonl_dir"`
}

// ModelsCatalog lists the models that are known by name.
type ModelsCatalog struct {
	Version   ContractVersion  `json:"contract_version"`
	Providers []ProviderModels `json:"providers"`
}

// ProviderModels are the models of one provider.
type ProviderModels struct {
	Provider string  `json:"provider"`
	Default  string  `json:"default_model_id"`
	Models   []Model `json:"models"`
}

// Model is what is known of one model.
type Model struct {
	ID        string        `json:"id"`
	Display   string        `json:"display_name"`
	Tier      string        `json:"tier"`
	Context   int           `json:"context_window,omitempty"`
	MaxOutput int           `json:"max_output_tokens,omitempty"`
	Server    string        `json:"server_id,omitempty"`
	Profile   *ModelProfile `json:"profile,omitempty"`

	// Configured is additive: it can be used now.
	Configured bool `json:"configured"`
}

// ModelProfile is what a model can do.
type ModelProfile struct {
	Family           string          `json:"model_family"`
	Temperature      bool            `json:"supports_temperature"`
	Thinking         bool            `json:"supports_thinking"`
	Reasoning        bool            `json:"supports_reasoning"`
	WebSearch        bool            `json:"supports_web_search"`
	Vision           bool            `json:"vision"`
	ImageInput       bool            `json:"image_input"`
	ImageToolResults bool            `json:"image_tool_results"`
	InlineVideo      bool            `json:"inline_video"`
	Realtime         bool            `json:"realtime"`
	ImageGeneration  bool            `json:"image_generation"`
	ParamsSchema     json.RawMessage `json:"params_schema"`
}

// Capabilities says what a server can do.
type Capabilities struct {
	Version      ContractVersion `json:"contract_version"`
	Capabilities []Capability    `json:"capabilities"`
}

// Capability is one thing that a server may be able to do.
type Capability struct {
	ID          string           `json:"id"`
	Description string           `json:"description"`
	Status      CapabilityStatus `json:"status"`
}

// CapabilityStatus says whether a capability is there. The zero value: it is.
type CapabilityStatus struct {
	Disabled     string // by which policy
	NotCompiled  string // the feature that is not built in
	NotSupported string // why the protocol cannot tell it
}

// MarshalJSON writes "Available", or an object with the one reason.
func (s CapabilityStatus) MarshalJSON() ([]byte, error) {
	one := func(kind, field, value string) ([]byte, error) {
		return json.Marshal(map[string]map[string]string{kind: {field: value}})
	}
	switch {
	case s.Disabled != "":
		return one("DisabledByPolicy", "description", s.Disabled)
	case s.NotCompiled != "":
		return one("NotCompiled", "feature", s.NotCompiled)
	case s.NotSupported != "":
		return one("NotSupportedByProtocol", "reason", s.NotSupported)
	}
	return []byte(`"Available"`), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *CapabilityStatus) UnmarshalJSON(data []byte) error {
	*s = CapabilityStatus{}
	if len(data) > 0 && data[0] == '"' {
		return nil
	}
	var in map[string]map[string]string
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	s.Disabled = in["DisabledByPolicy"]["description"]
	s.NotCompiled = in["NotCompiled"]["feature"]
	s.NotSupported = in["NotSupportedByProtocol"]["reason"]
	return nil
}

// HostInfo says what process serves, and what.
type HostInfo struct {
	Version        ContractVersion  `json:"contract_version"`
	Host           string           `json:"host_id"`
	Scope          string           `json:"host_id_scope"` // process, realm_instance
	ProcessName    string           `json:"process_name"`
	ProcessVersion string           `json:"process_version"`
	Capabilities   HostCapabilities `json:"capabilities"`
	Health         HostHealth       `json:"health"`
	Realm          HostRealm        `json:"realm"`
	Endpoints      Endpoints        `json:"endpoints"`
}

// HostRealm is the realm that is served.
type HostRealm struct {
	Realm    string `json:"realm_id,omitempty"`
	Instance string `json:"instance_id,omitempty"`
	Backend  string `json:"backend,omitempty"`
	Root     string `json:"state_root,omitempty"`
}

// Endpoints says how the server is reached.
type Endpoints struct {
	RPCTransport string   `json:"rpc_transport,omitempty"` // stdio, tcp
	RPCMethods   []string `json:"rpc_methods,omitempty"`
	RESTBase     string   `json:"rest_base_url,omitempty"`
	RESTPaths    []string `json:"rest_paths,omitempty"`
}

// HostCapabilities says which families of methods there are.
type HostCapabilities struct {
	Version  ContractVersion `json:"contract_version"`
	Features Features        `json:"features"`
}

// Features are the families of methods.
type Features struct {
	RuntimeBackedSessions bool `json:"runtime_backed_sessions"`
	Mobs                  bool `json:"mobs"`
	MCPLive               bool `json:"mcp_live"`
	Comms                 bool `json:"comms"`
	Blobs                 bool `json:"blobs"`
	SessionEvents         bool `json:"session_events"`
	SessionStreams        bool `json:"session_streams"`
	Schedules             bool `json:"schedules"`
	Skills                bool `json:"skills"`
	EventReplay           bool `json:"event_replay"`
	Artifacts             bool `json:"artifacts"`
	Approvals             bool `json:"approvals"`
	ExternalMembers       bool `json:"external_members"`
	SecureRemoteRPC       bool `json:"secure_remote_rpc"`
}

// Health statuses.
const (
	HealthOK        = "ok"
	HealthDegraded  = "degraded"
	HealthUnhealthy = "unhealthy"
)

// HostHealth says whether the server can work.
type HostHealth struct {
	Version ContractVersion   `json:"contract_version"`
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks,omitempty"`
}

// EventScope says whose events are meant.
type EventScope struct {
	Type    string     `json:"type"` // session
	Session id.Session `json:"session_id"`
}

// ScopeOf returns the scope of a session.
func ScopeOf(s id.Session) EventScope { return EventScope{Type: "session", Session: s} }

// EventCursor is a place among the durable events of a scope. Sequence 0: before the first.
type EventCursor struct {
	Scope    EventScope `json:"scope"`
	Sequence uint64     `json:"sequence"`
}

// LatestCursor answers events/latest_cursor.
type LatestCursor struct {
	Version ContractVersion `json:"contract_version"`
	Cursor  EventCursor     `json:"cursor"`
}

// EventList answers events/list_since.
type EventList struct {
	Version ContractVersion `json:"contract_version"`
	Scope   EventScope      `json:"scope"`
	From    EventCursor     `json:"from_cursor"`
	Latest  EventCursor     `json:"latest_cursor"`
	Events  []EventRow      `json:"events,omitempty"`
	More    bool            `json:"has_more"`
}

// EventRow is one durable event, bare.
type EventRow struct {
	ID        EventCursor     `json:"event_id"`
	Cursor    EventCursor     `json:"cursor"`
	Timestamp int64           `json:"timestamp_ms"`
	Source    EventScope      `json:"source"`
	Session   id.Session      `json:"session_id,omitempty"`
	Run       id.Run          `json:"run_id,omitempty"`
	Event     json.RawMessage `json:"event"`
}

// EventSnapshot answers events/snapshot.
type EventSnapshot struct {
	Version  ContractVersion `json:"contract_version"`
	Scope    EventScope      `json:"scope"`
	Cursor   EventCursor     `json:"cursor"`
	Snapshot SessionSnapshot `json:"snapshot"`
}

// SessionSnapshot is the state of a session at a cursor.
type SessionSnapshot struct {
	Type    string      `json:"type"` // session
	Session SessionInfo `json:"session"`
}
