package serve

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/internal/metrics"
)

// Measures counts what a daemon does.
type Measures struct {
	set      metrics.Set
	requests metrics.Vec
	took     metrics.Vec
	inFlight *metrics.Series
	rpc      metrics.Vec
	// connected counts JSON-RPC connections over TCP.
	connected *metrics.Series
	runs      metrics.Vec
	inputs    *metrics.Series
	tools     metrics.Vec
	tokens    metrics.Vec
}

// NewMeasures makes measures of a process of this version.
func NewMeasures(version, commit string, realms func() int) *Measures {
	m := &Measures{}
	s := &m.set
	s.Gauge("rkat_build_info", "What runs here.", "version", "commit", "go").With(version, commit, runtime.Version()).Set(1)
	m.requests = s.Counter("rkat_http_requests_total", "HTTP requests that were answered.", "route", "status")
	m.took = s.Histogram("rkat_http_request_seconds", "How long they took; streams as long as they were open.",
		[]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300}, "route")
	m.inFlight = s.Gauge("rkat_http_requests_in_flight", "HTTP requests that are being answered, streams included.").With()
	m.rpc = s.Counter("rkat_rpc_requests_total", "JSON-RPC requests that were answered, by method and code of the error; 0: none.", "method", "code")
	m.connected = s.Gauge("rkat_rpc_connections", "JSON-RPC connections over TCP that are open.").With()
	s.GaugeFunc("rkat_realms_open", "Realms that are open.", func() float64 { return float64(realms()) })
	m.inputs = s.Counter("rkat_inputs_accepted_total", "Inputs that became durable.").With()
	m.runs = s.Counter("rkat_runs_total", "Runs by what became of them: started, completed, failed.", "event")
	m.tools = s.Counter("rkat_tool_calls_total", "Tool calls that were answered.", "outcome")
	m.tokens = s.Counter("rkat_tokens_total", "Tokens of completed runs, as providers count them.", "kind")
	began := time.Now()
	s.GaugeFunc("process_start_time_seconds", "When the process began.", func() float64 { return float64(began.Unix()) })
	mem := &memory{}
	s.GaugeFunc("process_resident_memory_bytes", "Memory the process has in use.", func() float64 { return resident() })
	s.GaugeFunc("go_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) })
	s.GaugeFunc("go_memstats_heap_alloc_bytes", "Bytes of the heap in use.", func() float64 { return float64(mem.look().HeapAlloc) })
	s.CounterFunc("go_gc_cycles_total", "Collections of garbage.", func() float64 { return float64(mem.look().NumGC) })
	return m
}

// memory is looked at no more than once a second: that stops the world.
type memory struct {
	mu    sync.Mutex
	at    time.Time
	stats runtime.MemStats
}

func (m *memory) look() runtime.MemStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.at) > time.Second {
		runtime.ReadMemStats(&m.stats)
		m.at = now
	}
	return m.stats
}

// resident is how much memory the process has in use; not a number where the system does not say.
func resident() float64 {
	data, err := os.ReadFile("/proc/self/statm")
	var size, pages float64
	if err == nil {
		_, err = fmt.Sscan(string(data), &size, &pages)
	}
	if err != nil {
		return math.NaN()
	}
	return pages * float64(os.Getpagesize())
}

// Request counts an HTTP request that is over.
func (m *Measures) Request(route string, status int, took time.Duration) {
	m.requests.With(route, strconv.Itoa(status)).Inc()
	m.took.With(route).Observe(took.Seconds())
}

// Call counts a JSON-RPC request that was carried out, by the code of its error; 0: none.
func (m *Measures) Call(method string, code int) { m.rpc.With(method, strconv.Itoa(code)).Inc() }

// Event counts what was told to clients.
func (m *Measures) Event(e event.Event) {
	switch p := e.Payload.(type) {
	case event.InputAccepted:
		m.inputs.Inc()
	case event.RunStarted:
		m.runs.With("started").Inc()
	case event.RunCompleted:
		m.runs.With("completed").Inc()
		m.tokens.With("input").Add(float64(p.Usage.Input))
		m.tokens.With("output").Add(float64(p.Usage.Output))
	case event.RunFailed:
		m.runs.With("failed").Inc()
	case event.ToolExecutionCompleted:
		outcome := "ok"
		if p.IsError {
			outcome = "error"
		}
		m.tools.With(outcome).Inc()
	}
}
