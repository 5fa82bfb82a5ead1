// Package model is the vocabulary of Landfall: what should be served, in the
// shape of the Gateway API and in the words of no source and no engine.
//
// It is data only. Every value is immutable once it has been handed on: a turn
// that changes nothing about an object hands on the same pointer as the turn
// before, so that building and comparing cost what changed.
package model

import (
	"net/netip"
	"time"
)

// State is everything that should be served, or is. Each slice is sorted by Name
// and holds no name twice.
type State struct {
	Listeners []*Listener `json:"listeners"`
	Routes    []*Route    `json:"routes"`
	Backends  []*Backend  `json:"backends"`
	Probes    []*Probe    `json:"probes"`
}

// Fragment is what one source asks for. Parts are sorted by Origin.Key, Backends
// and Probes by Name.
type Fragment struct {
	Source   string     `json:"source"`
	Parts    []*Part    `json:"parts,omitempty"`
	Backends []*Backend `json:"backends,omitempty"`
	Probes   []*Probe   `json:"probes,omitempty"`
	// Findings are those that belong to no Part: about a file, a node, or the
	// endpoints of a backend, which change more often than parts do.
	Findings []Finding `json:"findings,omitempty"`
}

// Part is what one object of a source asks for: its claims on ports, hosts and
// paths. Backends are kept apart from it, because endpoints change a hundred
// times as often as claims.
type Part struct {
	Origin    Origin      `json:"origin"`
	Listeners []*Listener `json:"listeners,omitempty"`
	Routes    []*Route    `json:"routes,omitempty"`
	Findings  []Finding   `json:"findings,omitempty"`
	// Report is set when the object wants to be told where it is served.
	Report bool `json:"report,omitempty"`
}

// Origin is the object of a source that asked.
type Origin struct {
	Source    string `json:"source"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Created is when the object was made; zero means unknown, which counts as
	// younger than any known time.
	Created time.Time `json:"created,omitzero"`
}

// Key identifies the object: "<source>/<kind>/<namespace>/<name>".
func (o Origin) Key() string {
	return o.Source + "/" + o.Kind + "/" + o.Namespace + "/" + o.Name
}

// String is the object as a person would name it: "web/shop".
func (o Origin) String() string {
	switch {
	case o.Name == "":
		return o.Source
	case o.Namespace == "":
		return o.Name
	default:
		return o.Namespace + "/" + o.Name
	}
}

// Older reports whether o wins over p within one source: the older object first,
// then namespace/name, then kind.
func (o Origin) Older(p Origin) bool {
	if !o.Created.Equal(p.Created) {
		if o.Created.IsZero() || p.Created.IsZero() {
			return p.Created.IsZero()
		}
		return o.Created.Before(p.Created)
	}
	if o.Namespace != p.Namespace {
		return o.Namespace < p.Namespace
	}
	if o.Name != p.Name {
		return o.Name < p.Name
	}
	return o.Kind < p.Kind
}

// VIP is a named set of addresses that the edge answers for.
type VIP struct {
	Name string `json:"name"`
	// Addresses that clients use. With Any they are the machine's own, for
	// reporting only, and listeners bind every address.
	Addresses []netip.Addr `json:"addresses"`
	Any       bool         `json:"any,omitempty"`
}

// Protocol is what a listener or backend speaks.
type Protocol string

// The protocols of listeners (TCP, TLS, HTTP) and backends (all but TLS).
const (
	TCP   Protocol = "tcp"
	TLS   Protocol = "tls"   // passed through unread, by the name in its first message
	HTTP  Protocol = "http"  // HTTP/1.1 in clear
	HTTPS Protocol = "https" // HTTP over TLS, the certificate is not verified
	H2C   Protocol = "h2c"   // HTTP/2 in clear, prior knowledge (RFC 9113 section 3.3)
)

// Listener is a port and protocol on a VIP.
type Listener struct {
	// Name is "<source>/<namespace>/<name>/<port>" for a port that an object
	// asked for, "<vip>/http" and "<vip>/tls" for the shared ones.
	Name   string `json:"name"`
	Origin Origin `json:"origin"`
	// VIP names the addresses; empty in a Fragment means the first one.
	VIP      string   `json:"vip"`
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol"`
	// Addresses to bind, set by desired; empty means every address.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// SourceRanges may connect; empty means everybody.
	SourceRanges []netip.Prefix `json:"sourceRanges,omitempty"`
}

// Route is a match on a listener, and where it goes.
type Route struct {
	// Name is the listener's for a TCP listener, whose only route it is, else
	// "<source>/<namespace>/<name>/<host or *><path>", with "=" before an exact path,
	// and "<source>/<namespace>/<name>/tls:<host>" for TLS passed through.
	Name   string `json:"name"`
	Origin Origin `json:"origin"`
	// Listener names a Listener. In a Fragment, empty means the shared listener of
	// VIP for Protocol.
	Listener string `json:"listener"`
	VIP      string `json:"vip,omitempty"`
	// Protocol is TLS on a shared listener that passes TLS through to TCP backends,
	// by host alone; else empty.
	Protocol Protocol `json:"protocol,omitempty"`
	Match    Match    `json:"match,omitzero"`
	Rank     Rank     `json:"rank,omitempty"`
	// Backends share the traffic by weight. Empty answers 503: the object claims
	// the match, yet what it refers to is missing.
	Backends []WeightedBackend `json:"backends,omitempty"`
	Limit    Limit             `json:"limit,omitzero"`
}

// Match says which requests a route takes. The zero value takes all of them.
type Match struct {
	// Host is lower case, without port or trailing dot; "*.example.com" takes
	// exactly one more label; empty takes any.
	Host string `json:"host,omitempty"`
	// Path starts with "/"; a prefix counts by path element, so "/foo" takes
	// "/foo" and "/foo/bar", not "/foobar".
	Path  string `json:"path,omitempty"`
	Exact bool   `json:"exact,omitempty"`
}

// Rank decides between routes of the same listener, host and path, before any
// precedence of their objects does.
type Rank int

// The ranks, strongest first.
const (
	Explicit     Rank = iota // a rule that a person wrote
	DefaultRoute             // the default backend of an object
	LastResort               // the default backend of the edge's file
)

// WeightedBackend is one of the backends that share a route's traffic.
type WeightedBackend struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
}

// Backend is a set of endpoints that can answer for each other.
type Backend struct {
	// Name is "<source>/<namespace>/<name>/<port>", with "/http" behind it when it
	// speaks HTTP: the same port may be served both ways.
	Name     string   `json:"name"`
	Origin   Origin   `json:"origin"`
	Protocol Protocol `json:"protocol"`
	// Balance is one of Balances; empty means round robin.
	Balance string `json:"balance,omitempty"`
	// Affinity keeps a client address on one endpoint for so long after its last
	// connection; 0 turns it off.
	Affinity time.Duration `json:"affinity,omitempty"`
	// SendProxy is the version of the PROXY protocol spoken to endpoints: 0, 1 or 2.
	SendProxy int `json:"sendProxy,omitempty"`
	// Check is how each endpoint is checked by itself; nil leaves it to the
	// endpoints' probes, or to nothing.
	Check     *Check     `json:"check,omitempty"`
	Endpoints []Endpoint `json:"endpoints,omitempty"` // sorted by Address
}

// Balances are the ways to choose an endpoint.
var Balances = []string{"roundrobin", "leastconn", "random", "source"}

// Check is a health check of one endpoint.
type Check struct {
	// HTTP is the path to GET, which must answer 2xx or 3xx; empty means that a
	// TCP connection is enough.
	HTTP string `json:"http,omitempty"`
	// Port to check in place of the endpoint's own; 0 means its own.
	Port uint16 `json:"port,omitempty"`
}

// Endpoint is an address and port that answers.
type Endpoint struct {
	Address netip.AddrPort `json:"address"`
	// Weight is 1 to 256; 0 means 1.
	Weight int `json:"weight,omitempty"`
	// Draining gets no new connection while those it has go on.
	Draining bool `json:"draining,omitempty"`
	// Probe names the Probe that it is judged by; empty means none.
	Probe string `json:"probe,omitempty"`
	// Target is what stands behind it, for people: a node, a pod.
	Target string `json:"target,omitempty"`
}

// Probe is how a node's health is judged, shared by the endpoints on it.
type Probe struct {
	Name    string     `json:"name"` // "<source>/<node>"
	Origin  Origin     `json:"origin"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"`
	Path    string     `json:"path"` // GET must answer 200
	// Assumed holds it up whatever it answers: it has not been asked yet, the port
	// has never answered, or every node of the source would go at once. Set by
	// desired.
	Assumed bool `json:"assumed,omitempty"`
}

// ProbeHealth is what is known of a probe.
type ProbeHealth struct {
	Answered bool // it has been up at least once
	Up       bool
}

// Held is a port of this machine that is held by something that is not ours.
type Held struct {
	Address netip.Addr `json:"address"` // unspecified: every address
	Port    uint16     `json:"port"`
	Owner   string     `json:"owner"` // "haproxy (pid 812)", "/etc/landfall/own.cfg line 12"
	// Operator: the operator's own configuration of the engine binds it, and so
	// keeps it, also when a listener of ours was there first.
	Operator bool `json:"operator,omitempty"`
}

// Finding is what became of a request that could not be met as it was written.
// It is a value, not an error: an error is a machine that failed.
type Finding struct {
	Origin Origin `json:"origin"`
	// Field is the place: "spec.ports[1].protocol", "shop.yaml:12".
	Field string `json:"field,omitempty"`
	// Reason is one CamelCase word a program can branch on.
	Reason string `json:"reason"`
	// Message says what is wrong and what to do about it.
	Message string `json:"message"`
	// Accepted says what is served all the same; empty means nothing of it.
	Accepted string `json:"accepted,omitempty"`
}

// Outcome is where an object is served, for its status.
type Outcome struct {
	Origin Origin `json:"origin"`
	// Addresses of the VIP; empty when nothing of the object is served.
	Addresses []netip.Addr  `json:"addresses,omitempty"`
	Ports     []PortOutcome `json:"ports,omitempty"`
}

// PortOutcome is what became of one front port.
type PortOutcome struct {
	Port uint16 `json:"port"`
	// Error is a CamelCase word fit for status.loadBalancer.ingress[].ports[].error;
	// empty means served.
	Error string `json:"error,omitempty"`
}
