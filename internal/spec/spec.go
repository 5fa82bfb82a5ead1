// Package spec is the file that an edge reads: its types, strict decoding,
// defaults and validation. It is pure: Parse takes bytes and returns a value, or
// everything that is wrong with them at once, each with its place.
package spec

import (
	"net/netip"
	"time"
)

// The identity of the file.
const (
	APIVersion = "landfall.dev/v1alpha1"
	Kind       = "Edge"
)

// Edge is what one edge should be. Parse has filled in every default except Name.
type Edge struct {
	// Name of the edge; empty means the machine's host name, which Parse does not
	// know.
	Name string `json:"name"`
	// StateDir is where the edge keeps what must outlive it; absolute.
	StateDir string `json:"stateDir"`
	// VIPs in the order of the file, at least one; the first is the default.
	VIPs []VIP `json:"vips"`
	// HTTP is where Ingress and HTTP routes are served, HTTPS where TLS is passed
	// through by name.
	HTTP  Front `json:"http"`
	HTTPS Front `json:"https"`
	// DefaultBackend is "<source>/<name>" of a static service that exists and
	// speaks HTTP, or empty.
	DefaultBackend string `json:"defaultBackend,omitempty"`
	// Sources in order of precedence; each has exactly one kind.
	Sources []Source `json:"sources,omitempty"`
	Guard   Guard    `json:"guard"`
	HAProxy HAProxy  `json:"haproxy"`
	Admin   Admin    `json:"admin"`
}

// VIP is a name for addresses that the edge answers for.
type VIP struct {
	Name string `json:"name"`
	// Addresses in the order of the file; none means every address of the machine,
	// which only a VIP that is alone may be.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Front is a port that clients connect to.
type Front struct {
	Port uint16 `json:"port"` // 0 turns it off
}

// Source is something that asks for services to be served. One of Kubernetes,
// Manifests and PhoneHome is set; if none is, the source is static and Services
// are its own.
type Source struct {
	Name       string      `json:"name"`
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"`
	Manifests  *Manifests  `json:"manifests,omitempty"`
	PhoneHome  *PhoneHome  `json:"phoneHome,omitempty"`
	Services   []Service   `json:"services,omitempty"`
}

// Static reports whether the source is a list of services in the file itself.
func (s Source) Static() bool {
	return s.Kubernetes == nil && s.Manifests == nil && s.PhoneHome == nil
}

// Kubernetes is a cluster whose API is watched.
type Kubernetes struct {
	// Kubeconfig is an absolute path; empty means the edge runs in the cluster.
	Kubeconfig string `json:"kubeconfig"`
	Objects
}

// Manifests is a folder of Kubernetes objects.
type Manifests struct {
	Path string `json:"path"` // absolute
	Objects
}

// Objects is how the Kubernetes objects of a source are read, wherever they lie.
type Objects struct {
	Expose Expose `json:"expose"`
	// Unclassed also takes LoadBalancer Services without a class.
	Unclassed bool  `json:"unclassed"`
	Reach     Reach `json:"reach"`
	// Probe is how nodes are judged; nil means by their Ready condition alone.
	Probe *Probe `json:"probe"`
	// AllowLoopback lets endpoints be loopback addresses of the edge.
	AllowLoopback bool `json:"allowLoopback"`
}

// Expose says which Services of type NodePort are exposed.
type Expose string

// The choices of Expose.
const (
	ExposeMarked    Expose = "marked"    // those with the annotation landfall.dev/expose
	ExposeNodePorts Expose = "nodePorts" // all of them
)

// Reach is how an edge gets to what stands behind a Service.
type Reach string

// The choices of Reach.
const (
	ReachNodes Reach = "nodes" // InternalIP of the nodes, and the node port
	ReachPods  Reach = "pods"  // addresses of the pods
)

// Probe is a GET that must answer 200 on every node.
type Probe struct {
	Port uint16 `json:"port"`
	Path string `json:"path"`
}

// Service is a static service: something outside Kubernetes. It has Hosts (and
// is HTTP), or a Port (and is TCP), or is the default backend (and is HTTP).
type Service struct {
	Name string `json:"name"`
	// Hosts are lower case, exact or "*.example.com".
	Hosts []string `json:"hosts,omitempty"`
	// Paths are prefixes by path element; set if Hosts are. None but "/" ends in "/".
	Paths []string `json:"paths,omitempty"`
	Port  uint16   `json:"port,omitempty"`
	// Endpoints in the order of the file, at least one; IPv4 is never mapped into IPv6.
	Endpoints []netip.AddrPort `json:"endpoints"`
	Check     Check            `json:"check"`
	Balance   string           `json:"balance"`
}

// Check is how an endpoint is checked.
type Check struct {
	// HTTP is the path to GET; empty means that a TCP connection is enough.
	HTTP string `json:"http,omitempty"`
}

// Guard says when a removal is held back: when a source of Kubernetes objects asks
// all at once for more than Share percent of what is served of it no more, and
// that is at least AtLeast.
type Guard struct {
	Share   int `json:"share"` // 1 to 100; with 100 nothing is ever held back
	AtLeast int `json:"atLeast"`
	// Confirm is for how long the source must ask for the same until it goes by
	// itself.
	Confirm Duration `json:"confirm"`
}

// Duration is a time.Duration that is written as the file spells it.
type Duration struct{ time.Duration }

// MarshalText spells it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// HAProxy is how the engine is run.
type HAProxy struct {
	Binary string `json:"binary"` // an absolute path, or a name to look up in PATH
	// Extra are absolute paths of the operator's own configuration files.
	Extra []string `json:"extra,omitempty"`
	// SpareBackends is how many plain HTTP backends can come before a reload.
	SpareBackends int `json:"spareBackends"`
}

// Admin is where the edge itself can be asked.
type Admin struct {
	Socket string `json:"socket"` // absolute, fit for a Unix socket
	// Listen is "<address>:<port>" for health, metrics and status, the address an
	// IP or empty for every one; empty turns it off.
	Listen string `json:"listen"`
}
