package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
)

// Settings are what a configuration depends on besides the State.
type Settings struct {
	Features   Features
	Dir        string // state: generations, maps, lists
	RunDir     string // sockets
	OpenFiles  int    // the hard limit of open files that HAProxy will have
	IPv6       bool   // whether the machine has IPv6
	Syslog     bool   // whether /dev/log is there
	User       string // that workers run as; empty keeps ours
	UserChosen bool   // the operator's files say so, ours must not
	OKPort     uint16 // on 127.0.0.1: answers 200 to everything, for assumed probes
	Spares     int    // plain backends for new ones to take at run time
	Generation string
}

// Names of our own sections. A name from the model always has a ":" in it.
const (
	nobody       = "landfall-nobody"    // answers 503: a route without backends
	notFound     = "landfall-not-found" // answers 404: no route
	okFrontend   = "landfall-ok"
	metricsFront = "landfall-metrics"
	probesPrefix = "landfall-probes:"
	peersSection = "landfall-peers"
	frontPrefix  = "landfall-front:" // a listener may have a backend's name
)

// StickTableSize bounds the client addresses that one backend's affinity
// remembers; the least recently seen goes first.
const StickTableSize = 100_000

func portString(p uint16) string { return strconv.Itoa(int(p)) }

// renderer turns objects into sections and servers.
type renderer struct {
	settings Settings
	probes   map[string]*model.Probe
	// slots are what probes are called at run time; in files none is called so.
	slots map[string]string
}

func newRenderer(s Settings, probes []*model.Probe) renderer {
	return renderer{settings: s, probes: probesByName(probes)}
}

// frontend is what HAProxy calls a listener. From 3.2 on it warns of a frontend and
// a backend with one name, and 3.3 refuses them.
func frontend(name string) string { return frontPrefix + encode(name) }

// comment names an object so that it cannot leave its comment line.
func comment(o model.Origin) string {
	text := o.Kind + " " + o.String() + " of source " + o.Source
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// renderGlobal is everything that does not depend on any object.
func renderGlobal(s Settings, fixed int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by Landfall, which overwrites it. Your own configuration goes into the")
	line("# files named under haproxy.extra in the edge's file.")
	line("global")
	line("  description landfall:%s", s.Generation)
	line("  stats socket %s mode 600 level admin expose-fd listeners", s.socket(statsSocket))
	line("  stats timeout 1m")
	line("  ulimit-n %d", s.OpenFiles)
	most := maxConnections(s.OpenFiles, fixed)
	line("  maxconn %d", most)
	line("  set-var proc.clients int(%d)", clientConnections(most))
	line("  hard-stop-after 1h")
	line("  mworker-max-reloads 50")
	line("  tune.ssl.default-dh-param 2048")
	if s.User != "" && !s.UserChosen {
		line("  user %s", s.User)
		line("  group %s", s.User)
	}
	line("  log %s local0 notice", s.socket(logSocket))
	if s.Syslog {
		line("  log /dev/log local0 notice")
	}
	b.WriteString(defaults)
	line("peers %s", peersSection)
	line("  bind unix@%s mode 600%s", s.socket(peersSocket), s.owner())
	line("  server landfall")
	line("")
	b.WriteString(renderLimits())
	b.WriteString(renderOpen())
	line("")
	line("frontend %s from landfall-http", okFrontend)
	line("  bind 127.0.0.1:%d", s.OKPort)
	line("  http-request return status 200")
	line("")
	if s.Features.Prometheus {
		line("frontend %s from landfall-http", metricsFront)
		line("  bind unix@%s mode 600", s.socket(metricsSocket))
		line("  http-request use-service prometheus-exporter")
		line("")
	}
	line("backend %s from landfall-http", nobody)
	line("")
	line("backend %s from landfall-http", notFound)
	line("  http-request return status 404 content-type text/plain string \"no route for this host and path\\n\"")
	return b.String()
}

// owner lets workers, and nobody else, connect to a socket that is bound before
// they become another user.
func (s Settings) owner() string {
	if s.User == "" {
		return ""
	}
	return " user " + s.User
}

// The timeouts are documented in docs/user/limits.md. idle-close-on-response is
// what makes reloads hitless for kept-alive connections (manual section 4.2).
const defaults = `
defaults landfall-tcp
  mode tcp
  option clitcpka
  option srvtcpka
  option redispatch 1
  retries 3
  timeout connect 3s
  timeout check 1s
  timeout queue 10s
  timeout client 1h
  timeout server 1h
  timeout client-fin 30s
  timeout server-fin 30s

defaults landfall-http
  mode http
  option idle-close-on-response
  option redispatch 1
  option http-keep-alive
  http-reuse safe
  retries 3
  timeout connect 3s
  timeout check 1s
  timeout queue 10s
  timeout http-request 10s
  timeout http-keep-alive 1m
  timeout client 1m
  timeout server 1m
  timeout client-fin 30s
  timeout tunnel 1h

`

// maxConnections leaves room for what is open without any client: listeners,
// probes and HAProxy's own files. Each connection has two sides.
func maxConnections(openFiles, fixed int) int {
	n := (openFiles - fixed - 256) / 2
	return max(n-n%100, 100)
}

// fixedFiles counts the files that a state keeps open without any client.
func fixedFiles(s model.State) int {
	n := len(s.Probes)
	for _, l := range s.Listeners {
		n += max(2, len(l.Addresses)) + 1
	}
	for _, b := range s.Backends {
		if b.Check != nil {
			n += len(b.Endpoints)
		}
	}
	return n
}

// listenerFile is the file of a listener. Whose route is the oldest on a shared
// port may change; that is in a comment.
func (r renderer) listenerFile(l *model.Listener, route *model.Route) string {
	return "# " + comment(l.Origin) + "\n" + r.listener(l, route)
}

// listener is the frontend of a listener; route is the only one of a TCP listener,
// nil when it has none.
func (r renderer) listener(l *model.Listener, route *model.Route) string {
	s := r.settings
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	name := frontend(l.Name)
	if l.Protocol == model.HTTP {
		line("frontend %s from landfall-http", name)
	} else {
		line("frontend %s from landfall-tcp", name)
	}
	for _, a := range bindAddresses(s, l) {
		line("  bind %s", a)
	}
	if len(l.SourceRanges) > 0 {
		line("  tcp-request connection reject unless { src -f %s }%s", s.list(l), s.orPredecessor(l))
	}
	b.WriteString(shed(l.Protocol == model.HTTP))
	if l.Protocol == model.HTTP {
		b.WriteString(s.fromPredecessor(l))
		rule, successor := s.toSuccessor(l)
		b.WriteString(httpRules(s.mapPath(l.Name, exactMap), s.mapPath(l.Name, prefixMap), l.Port, rule))
		b.WriteString(successor)
		return b.String()
	}
	if l.Protocol == model.TLS {
		b.WriteString(tlsRules(s.mapPath(l.Name, exactMap)))
		return b.String()
	}
	if route == nil || len(route.Backends) == 0 {
		line("  tcp-request connection reject")
		return b.String()
	}
	b.WriteString(tcpLimit(route))
	line("  default_backend %s", routeTarget(route))
	return b.String()
}

func bindAddresses(s Settings, l *model.Listener) []string {
	if len(l.Addresses) == 0 {
		all := []string{"0.0.0.0:" + portString(l.Port)}
		if s.IPv6 {
			all = append(all, "[::]:"+portString(l.Port)+" v6only")
		}
		return all
	}
	addrs := make([]string, 0, len(l.Addresses))
	for _, a := range l.Addresses {
		addrs = append(addrs, netip.AddrPortFrom(a, l.Port).String())
	}
	return addrs
}

// httpRules route a request: exact host, then wildcard host, then any host, and
// within each the exact path before the longest prefix. Headers that tell who
// the client is are ours alone. first is the rule that goes before all that.
//
// Each rule costs every request, and a pattern such as "-m sub" a hash of what it
// looks at: hence few rules, and "field" to look for a character.
func httpRules(exact, prefix string, port uint16, first string) string {
	// A "/" in Host would let a client write another route's key; and no name is as
	// long as this.
	const rules = `  option forwardfor
  http-request del-header forwarded -m sub
  http-request add-header X-Forwarded-Proto http
  http-request set-var(txn.host) req.fhdr(host),host_only,lower,rtrim(.)
  http-request deny deny_status 400 if { var(txn.host),field(2,/) -m found } || { var(txn.host),length gt 300 }
  http-request set-var(txn.path) path
`
	var b strings.Builder
	b.WriteString(rules)
	if port != 80 { // which X-Forwarded-Proto says by itself
		fmt.Fprintf(&b, "  http-request add-header X-Forwarded-Port %d\n", port)
	}
	found := ""
	for _, key := range []struct{ whole, element string }{
		{"var(txn.host),concat(,txn.path)", "var(txn.host),concat(,txn.path,/)"},
		{"var(txn.host),regsub(^[^.]+,),concat(,txn.path)", "var(txn.host),regsub(^[^.]+,),concat(,txn.path,/)"},
		{"path", "path,concat(/)"},
	} {
		fmt.Fprintf(&b, "  http-request set-var(txn.be) %s,map_str(%s)%s\n", key.whole, exact, found)
		found = " if !{ var(txn.be) -m found }"
		fmt.Fprintf(&b, "  http-request set-var(txn.be) %s,map_beg(%s)%s\n", key.element, prefix, found)
	}
	b.WriteString(limitRules("http-request", tooMany))
	b.WriteString(first)
	b.WriteString("  use_backend %[var(txn.be),field(1,|)]\n")
	fmt.Fprintf(&b, "  default_backend %s\n", notFound)
	return b.String()
}

// tlsRules route a connection by the name in its ClientHello, exact before wildcard,
// without taking part in its TLS. Who sends no name, another or no TLS is cut off.
// HAProxy waits for the whole name: a ClientHello may come in pieces.
func tlsRules(exact string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  tcp-request "+format+"\n", args...) }
	line("inspect-delay 5s")
	line("content reject unless { req.ssl_hello_type 1 } { req.ssl_sni -m found }")
	line("content set-var(txn.host) req.ssl_sni,lower,rtrim(.)")
	line("content set-var(txn.be) var(txn.host),map_str(%s)", exact)
	line("content set-var(txn.be) var(txn.host),regsub(^[^.]+,),map_str(%s) if !{ var(txn.be) -m found }", exact)
	line("content reject if !{ var(txn.be) -m found } || { var(txn.be),field(1,|) %s }", nobody)
	b.WriteString(limitRules("tcp-request content", "reject"))
	b.WriteString("  use_backend %[var(txn.be),field(1,|)]\n")
	return b.String()
}

// backend is the whole section of a backend.
func (r renderer) backend(b *model.Backend) string {
	var w strings.Builder
	w.WriteString("# " + comment(b.Origin) + "\n" + backendSection(encode(b.Name), b))
	for _, e := range b.Endpoints {
		w.WriteString(r.serverLine(b, e))
	}
	return w.String()
}

// backendSection is everything of a backend but its servers.
func backendSection(name string, b *model.Backend) string {
	var w strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	mode := "landfall-http"
	if b.Protocol == model.TCP {
		mode = "landfall-tcp"
	}
	line("backend %s from %s", name, mode)
	balance := b.Balance
	if !slices.Contains(model.Balances, balance) {
		balance = model.Balances[0]
	}
	line("  balance %s", balance)
	if balance == "source" {
		line("  hash-type consistent") // servers can be added at run time to no other
	}
	if b.Affinity > 0 {
		line("  stick-table type ipv6 size %d expire %ds peers %s", StickTableSize, int(b.Affinity/time.Second), peersSection)
		line("  stick on src")
	}
	if b.Check != nil {
		line("  log global")
		if b.Check.HTTP != "" {
			line("  option httpchk GET %s", quote(b.Check.HTTP))
			line("  http-check expect status 200-399")
		}
	}
	return w.String()
}

func (r renderer) serverLine(b *model.Backend, e model.Endpoint) string {
	line := "  server " + serverName(e.Address) + " " + serverAddress(e.Address) + " " + r.serverArgs(b, e)
	if e.Draining {
		line += " disabled"
	}
	return line + "\n"
}

// serverArgs are the keywords of a server, the same in the file and in "add
// server". Dynamic servers inherit nothing from default-server, so all is said.
func (r renderer) serverArgs(b *model.Backend, e model.Endpoint) string {
	args := "weight " + strconv.Itoa(max(e.Weight, 1))
	switch b.Protocol {
	case model.HTTPS:
		args += " ssl verify none sni req.hdr(host),host_only"
	case model.H2C:
		args += " proto h2"
	}
	switch b.SendProxy {
	case 1:
		args += " send-proxy"
	case 2:
		args += " send-proxy-v2"
	}
	switch {
	case b.Check != nil:
		args += " check inter 2s fastinter 500ms downinter 1s rise 2 fall 2"
		if b.Check.Port != 0 {
			args += " port " + portString(b.Check.Port)
		}
	case e.Probe != "":
		args += " track " + r.track(e.Probe)
	}
	return args
}

// quote makes one argument of any text (manual section 2.2 of the configuration):
// strong quotes take everything but themselves.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
