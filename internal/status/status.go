// Package status is what an edge says about itself: what is served, where, how
// healthy it is, what was found wrong and what changed last. It is pure: it
// turns a Snapshot and the engine's Stats into a Status, and a Status into text.
package status

import (
	"net/netip"
	"slices"
	"time"

	"github.com/landfall-edge/landfall/internal/desired"
	"github.com/landfall-edge/landfall/internal/engine"
	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source"
)

// KeptChanges is how many of the last changes are remembered.
const KeptChanges = 100

// Snapshot is what the agent knew after its last turn.
type Snapshot struct {
	Edge    string
	Started time.Time
	VIPs    []model.VIP
	Sources []source.Status
	// Output is nil before the first turn.
	Output *desired.Output
	// Engine's own findings, about no object of a source.
	Engine []model.Finding
	// Changes that went live, the newest first; KeptChanges at most.
	Changes []Change
	// Held are removals that are held back, by source.
	Held []Held
	// Waiting says why the edge is not ready; empty means it is.
	Waiting []string
}

// Findings are all there are: the engine's own, then those about objects.
func (s Snapshot) Findings() []model.Finding {
	if s.Output == nil {
		return s.Engine
	}
	return slices.Concat(s.Engine, s.Output.Findings)
}

// Status is what `landfall status -o json` prints. Names and meanings of its
// fields are a promise to programs; new ones may be added.
type Status struct {
	Edge      string          `json:"edge"`
	At        time.Time       `json:"at"`
	Started   time.Time       `json:"started"`
	Ready     bool            `json:"ready"`
	Waiting   []string        `json:"waiting"`
	VIPs      []VIP           `json:"vips"`
	Sources   []source.Status `json:"sources"`
	Listeners []Listener      `json:"listeners"`
	Routes    []Route         `json:"routes,omitzero"` // nil: not asked for
	Backends  []Backend       `json:"backends"`
	// Registrations are those of phone-home sources; nil: not asked for.
	Registrations []Registration `json:"registrations,omitzero"`
	Findings      []Finding      `json:"findings"`
	Changes       []Change       `json:"changes"`
	Held          []Held         `json:"held"`
	HAProxy       HAProxy        `json:"haproxy"`
}

// VIP is a named set of addresses.
type VIP struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Any       bool         `json:"any"` // listeners bind every address of the machine
}

// Listener is a port that is open, or should be.
type Listener struct {
	Name      string         `json:"name"`
	VIP       string         `json:"vip"`
	Addresses []netip.Addr   `json:"addresses"` // empty: every address
	Port      uint16         `json:"port"`
	Protocol  model.Protocol `json:"protocol"`
	Object    string         `json:"object"`
	// Open is what the engine says; nil when it did not answer.
	Open *bool `json:"open,omitempty"`
	engine.Counters
}

// Route is a match and where it goes.
type Route struct {
	Name     string                  `json:"name"`
	Listener string                  `json:"listener"`
	Host     string                  `json:"host,omitempty"`
	Path     string                  `json:"path,omitempty"`
	Exact    bool                    `json:"exact,omitempty"`
	Backends []model.WeightedBackend `json:"backends"`
	Object   string                  `json:"object"`
}

// Backend is a set of endpoints with their health.
type Backend struct {
	Name     string         `json:"name"`
	Protocol model.Protocol `json:"protocol"`
	Balance  string         `json:"balance"`
	Object   string         `json:"object"`
	// Up of the Total endpoints take new requests; nil when the engine did not say.
	Up    *int `json:"up,omitempty"`
	Total int  `json:"total"`
	engine.Counters
	Endpoints []Endpoint `json:"endpoints,omitzero"` // nil: not asked for
}

// Endpoint is one address that answers.
type Endpoint struct {
	Address netip.AddrPort `json:"address"`
	Target  string         `json:"target,omitempty"`
	// Health is "up", "down", "drain", "unchecked", or "unknown" when the engine
	// did not say.
	Health string `json:"health"`
	engine.Counters
}

// Registration is what a client of a phone-home source has registered at one
// address.
type Registration struct {
	Source  string     `json:"source"`
	Client  string     `json:"client"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`       // of the machine it leads to
	From    netip.Addr `json:"from,omitzero"` // the one that called last
	Ports   []string   `json:"ports"`         // "8443 -> 30843"
	State   string     `json:"state"`         // "live", "late" or "draining"
	Created time.Time  `json:"created"`
	// AgeSeconds is since Created.
	AgeSeconds float64   `json:"ageSeconds"`
	LastCall   time.Time `json:"lastCall"`
	// LeaseSeconds is how long a call counts, LeaseLeftSeconds what is left of it;
	// both are absent for one that never expires.
	LeaseSeconds     float64  `json:"leaseSeconds,omitempty"`
	LeaseLeftSeconds *float64 `json:"leaseLeftSeconds,omitempty"`
}

// Finding is what became of a request that could not be met as it was written.
type Finding struct {
	Source    string `json:"source"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Field     string `json:"field,omitempty"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Accepted  string `json:"accepted,omitempty"`
}

// Change is something that went live.
type Change struct {
	At time.Time `json:"at"`
	// Objects says what changed, in short: "web/shop: endpoint
	// 10.0.0.1:8080 added".
	Objects string `json:"objects"`
	// Cause says why it took this way.
	Cause string     `json:"cause"`
	Way   engine.Way `json:"way"`
	// MS is from the moment the change was heard of until clients saw it.
	MS float64 `json:"ms"`
}

// HAProxy is how the engine is doing.
type HAProxy struct {
	Version string          `json:"version"`
	Reloads int             `json:"reloads"`
	Workers []engine.Worker `json:"workers"`
	// MaxConnections is how many it takes at a time.
	MaxConnections int `json:"maxConnections"`
	// Spares are backends that new ones can take without a reload.
	Spares     int `json:"spares"`
	FreeSpares int `json:"freeSpares"`
	// NodeSlots are probes that new nodes can take in the same way.
	NodeSlots     int    `json:"nodeSlots"`
	FreeNodeSlots int    `json:"freeNodeSlots"`
	Error         string `json:"error,omitempty"` // it did not answer
}
