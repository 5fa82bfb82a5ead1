// Package engine is the contract of what makes a State real, and the suite that
// every engine passes (enginetest).
package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/plan"
)

// Engine makes a State real. Its law: after Apply(want) without error, Observe
// returns want.
type Engine interface {
	// Observe returns what is served now. It asks the machine only when what the
	// engine remembers may no longer hold (at the start, after a failure, after
	// Distrust), and is cheap otherwise.
	Observe(ctx context.Context) (model.State, error)
	// Apply makes want real; p is the difference to what Observe returned. It
	// returns when clients see the change. A *RefusedError names the objects
	// whose configuration the engine does not accept; nothing is changed then.
	Apply(ctx context.Context, want model.State, p plan.Plan) (Applied, error)
}

// Way is how a change was made.
type Way string

// The ways, cheapest first.
const (
	Nothing Way = "nothing" // nothing differed
	Runtime Way = "runtime" // without a new configuration being loaded
	Reload  Way = "reload"  // hitless
	Start   Way = "start"   // the engine was not running
)

// Applied is what Apply did.
type Applied struct {
	Way Way `json:"way"`
	// Cause says why Runtime was not enough, in words for people.
	Cause string        `json:"cause,omitempty"`
	Took  time.Duration `json:"took"`
}

// RefusedError is returned by Apply when the engine does not accept what was
// rendered for some objects. Everything else could be served without them.
type RefusedError struct {
	Objects []Refused
}

// Refused is one object that the engine does not accept.
type Refused struct {
	Name    string // of a Listener, Route, Backend or Probe
	Message string // the engine's own words
	Cause   error  // what lies behind it, where a caller branches; may be nil
}

// Unwrap gives the causes.
func (e *RefusedError) Unwrap() []error {
	var causes []error
	for _, o := range e.Objects {
		if o.Cause != nil {
			causes = append(causes, o.Cause)
		}
	}
	return causes
}

func (e *RefusedError) Error() string {
	if len(e.Objects) == 0 {
		return "configuration refused"
	}
	return "configuration of " + e.Objects[0].Name + " refused: " + e.Objects[0].Message
}

// Monitor is an Engine that knows how what it serves is doing.
type Monitor interface {
	// Run watches until ctx ends and calls changed when Health would show
	// something new or the engine itself died.
	Run(ctx context.Context, changed func()) error
	// Health of the probes by name, from memory.
	Health() map[string]model.ProbeHealth
	// Stats asks the engine, for people and metrics.
	Stats(ctx context.Context, depth Depth) (Stats, error)
}

// Depth is how much Stats asks for. An engine pays for each thing that it counts.
type Depth int

// The depths: listeners and backends, or their endpoints too.
const (
	Brief Depth = iota
	Whole
)

// Stats is how an engine is doing.
type Stats struct {
	Name    string `json:"name"` // "haproxy"
	Version string `json:"version"`
	// Reloads since the engine was started.
	Reloads int `json:"reloads"`
	// Spares are backends kept for new ones to take without a reload, and FreeSpares
	// those that nobody has taken.
	Spares     int `json:"spares"`
	FreeSpares int `json:"freeSpares"`
	// NodeSlots are probes kept for new nodes in the same way, over all paths.
	NodeSlots     int `json:"nodeSlots"`
	FreeNodeSlots int `json:"freeNodeSlots"`
	// Workers that live, the newest first, which is the one that counts.
	Workers []Worker `json:"workers"`
	// MaxConnections is how many it takes at a time.
	MaxConnections int `json:"maxConnections"`
	// Backends and Listeners by name.
	Backends  map[string]BackendStats  `json:"-"`
	Listeners map[string]ListenerStats `json:"-"`
}

// Counters tell what went through a listener, a backend or an endpoint. All but
// Sessions count since the worker started, and begin at 0 with the next one.
type Counters struct {
	Sessions       int64 `json:"sessions"`                 // now: connections of a listener and of TCP, requests in flight otherwise
	Requests       int64 `json:"requests"`                 // HTTP requests; connections of TCP
	Errors5xx      int64 `json:"errors5xx,omitempty"`      // answers of 500 to 599, the engine's own among them
	FailedConnects int64 `json:"failedConnects,omitempty"` // tries to connect to an endpoint; a listener has none
	Retries        int64 `json:"retries,omitempty"`        // of tries to connect
	BytesIn        int64 `json:"bytesIn,omitempty"`        // from clients
	BytesOut       int64 `json:"bytesOut,omitempty"`       // to clients
}

// ListenerStats is how one listener is doing.
type ListenerStats struct {
	Open bool `json:"open"`
	Counters
}

// BackendStats is how one backend is doing.
type BackendStats struct {
	// Active is how many endpoints take new requests.
	Active int `json:"active"`
	Counters
	// Endpoints by address; of a Brief answer there are none.
	Endpoints map[netip.AddrPort]EndpointStats `json:"endpoints"`
}

// Worker is one process of an engine; an old one only finishes its connections.
type Worker struct {
	PID         int  `json:"pid"`
	Old         bool `json:"old,omitempty"`
	Connections int  `json:"connections"`
}

// EndpointStats is how one endpoint is doing.
type EndpointStats struct {
	// Health is "up", "down", "drain" or "unchecked".
	Health string `json:"health"`
	Counters
}

// Finder is an Engine that has findings of its own, about no object of a source.
type Finder interface {
	Findings() []model.Finding
}

// Unsettled is an Engine that may have to act although the State is the same: its
// own settings changed, or what it drives came up without them.
type Unsettled interface {
	// Unsettled says why Apply should be called; empty means it need not be. It is
	// asked after Observe.
	Unsettled() string
}

// Rememberer is an Engine that knows what was applied last, also while what it
// drives does not run.
type Rememberer interface {
	// Remembered is what was applied last, empty if nothing is known of it.
	Remembered() model.State
}

// Metrician is an Engine with metrics of its own.
type Metrician interface {
	// Metrics in Prometheus' text format (version 0.0.4).
	Metrics(ctx context.Context) ([]byte, error)
}

// PortFinder is an Engine that can tell which ports others hold on this machine.
type PortFinder interface {
	// Held returns, of these listeners' ports, those that something other than
	// this engine's own listeners holds, with its owner.
	Held(ctx context.Context, listeners []*model.Listener) ([]model.Held, error)
}

// Stopper is an Engine that can be ended together with what it serves.
type Stopper interface {
	// Stop ends the engine's processes. With drain, listeners close at once and
	// requests in flight are finished first, until ctx ends.
	Stop(ctx context.Context, drain bool) error
	// Cleanup removes what the engine left on the machine, outside and inside its
	// folders. The engine must be stopped.
	Cleanup(ctx context.Context) error
}
