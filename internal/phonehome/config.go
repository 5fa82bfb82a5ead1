// Package phonehome is the agent beside a workload that tells edges where it is:
// "this port of yours, to that port of the machine I run on". Each edge is told on
// its own, again and again before its lease ends, and at the end that it is over.
//
// What a function without ctx decides (what to ask, what an answer means, when to
// ask again) is pure; agent.go and call.go do what it says.
package phonehome

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of what one agent announces. An edge has limits of its own, and says so.
const (
	maxEdges    = 16
	maxPorts    = 64
	minInterval = time.Second
	maxInterval = 12 * time.Hour
	minLease    = 10 * time.Second
	maxLease    = 24 * time.Hour

	// The old form has no leases, and takes any name.
	maxOldInterval = 7 * 24 * time.Hour
	maxOldName     = 252

	// DefaultInterval is how often an edge is told when nobody says.
	DefaultInterval = 30 * time.Second
)

// Settings are what flags and the environment say, as text.
type Settings struct {
	Edges    []string // URLs
	Name     string
	Ports    []string // as ParsePort reads them
	Address  string
	Interval string // seconds, a duration or "once"
	Lease    time.Duration

	sendProxy string // of the environment: whatever it is, the old form hands it on
}

// WithEnvironment fills what the flags left open from the environment names of
// containers that speak the old form, and from HOST_IP, which the downward API of
// Kubernetes sets.
func (s Settings) WithEnvironment(env func(string) string) (Settings, error) {
	fill := func(text *string, name string) {
		if *text == "" {
			*text = env(name)
		}
	}
	fill(&s.Name, "NAME")
	fill(&s.Address, "HOST_IP")
	fill(&s.Interval, "REPEAT_INTERVAL")
	if webhook := env("WEBHOOK"); len(s.Edges) == 0 && webhook != "" {
		s.Edges = []string{webhook}
	}
	front, back := env("FRONTEND_PORT"), env("BACKEND_PORT")
	if len(s.Ports) > 0 || front == "" && back == "" {
		return s, nil
	}
	if front == "" || back == "" {
		return s, errors.New("FRONTEND_PORT and BACKEND_PORT: set both, or use --port")
	}
	s.Ports, s.sendProxy = []string{front + "=" + back}, env("SEND_PROXY")
	return s, nil
}

// Config is what is told, to whom and how often. It is made by Settings.Config.
type Config struct {
	Edges    []Edge
	Name     string
	Ports    []Port
	Address  netip.Addr    // not valid: the address that the edge sees
	Interval time.Duration // 0: once
	Lease    time.Duration
}

// Edge is where to call.
type Edge struct {
	URL string // without a slash at its end
	Old bool   // it takes the form of POST /hooks/...
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// Config checks the settings. Its errors say what to write instead.
func (s Settings) Config() (Config, error) {
	var c Config
	var err error
	if c.Edges, err = parseEdges(s.Edges); err != nil {
		return Config{}, err
	}
	old := !slices.ContainsFunc(c.Edges, func(e Edge) bool { return !e.Old })
	c.Name = s.Name
	if old && len(c.Name) > maxOldName || !old && !nameForm.MatchString(c.Name) {
		return Config{}, fmt.Errorf("--name %q: want up to 63 letters, digits, dots and dashes, for example shop (or set NAME)", cut(c.Name))
	}
	if c.Ports, err = parsePorts(s.Ports); err != nil {
		return Config{}, err
	}
	if s.sendProxy != "" {
		c.Ports[0].sendProxy = s.sendProxy
		if c.Ports[0].SendProxy, err = parseSendProxy(s.sendProxy); err != nil {
			c.Ports[0].SendProxy = 1 // as an edge reads it
		}
	}
	if c.Address, err = parseAddress(s.Address); err != nil {
		return Config{}, err
	}
	if c.Interval, c.Lease, err = parseTimes(s.Interval, s.Lease, old); err != nil {
		return Config{}, err
	}
	return c, c.checkOld()
}

// checkOld finds what the old form has no words for.
func (c Config) checkOld() error {
	old := slices.IndexFunc(c.Edges, func(e Edge) bool { return e.Old })
	if old < 0 {
		return nil
	}
	for _, p := range c.Ports {
		if p.Protocol != "tcp" {
			return fmt.Errorf("--port %s: the form of %s knows TCP ports only; use a URL without /hooks/ for that edge", p, c.Edges[old].URL)
		}
	}
	return nil
}

func parseEdges(texts []string) ([]Edge, error) {
	const example = "for example https://edge.example.com:9443"
	if len(texts) == 0 {
		return nil, errors.New("no edge to tell: give --edge, " + example + ", or set WEBHOOK")
	}
	if len(texts) > maxEdges {
		return nil, fmt.Errorf("--edge: %d edges, want at most %d", len(texts), maxEdges)
	}
	var edges []Edge
	for _, text := range texts {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return nil, fmt.Errorf("--edge %q: want a URL, %s", cut(text), example)
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("--edge %s://%s: want no user, query or fragment in the URL, %s", u.Scheme, u.Host, example)
		}
		edge := Edge{URL: strings.TrimRight(u.String(), "/"), Old: strings.Contains(u.Path, "/hooks/")}
		if !slices.Contains(edges, edge) {
			edges = append(edges, edge)
		}
	}
	return edges, nil
}

func parseAddress(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	switch {
	case err != nil || address.Zone() != "":
		return netip.Addr{}, fmt.Errorf("--address %q: want an IP address, for example 203.0.113.7, or nothing for the one that the edge sees", cut(text))
	case address.IsUnspecified(), address.IsMulticast(), address.IsLinkLocalUnicast():
		return netip.Addr{}, fmt.Errorf("--address %s: an edge cannot reach that; want the address of this machine, or nothing for the one that the edge sees", address)
	}
	return address.Unmap(), nil
}

// parseTimes reads the interval, of which "once" is 0, and the lease.
func parseTimes(text string, lease time.Duration, old bool) (time.Duration, time.Duration, error) {
	if lease != 0 && (lease < minLease || lease > maxLease) {
		return 0, 0, fmt.Errorf("--lease %s: want %s to %s", lease, minLease, maxLease)
	}
	if text == "once" {
		if lease == 0 {
			lease = maxLease // nobody renews it
		}
		return 0, lease, nil
	}
	interval, err := parseInterval(text)
	if err != nil {
		return 0, 0, err
	}
	longest := maxInterval
	if old {
		longest = maxOldInterval
	}
	if interval < minInterval || interval > longest {
		return 0, 0, fmt.Errorf("--interval %s: want %s to %s, or once", interval, minInterval, longest)
	}
	switch {
	case old:
		lease = max(lease, 3*interval)
	case lease == 0:
		lease = min(max(3*interval, minLease), maxLease)
	case lease <= interval:
		return 0, 0, fmt.Errorf("--lease %s: want more than the interval of %s, or each lease ends before it is renewed", lease, interval)
	}
	return interval, lease, nil
}

func parseInterval(text string) (time.Duration, error) {
	if text == "" {
		return DefaultInterval, nil
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	interval, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("--interval %q: want seconds, a duration as 30s, or once", cut(text))
	}
	return interval, nil
}

// cut bounds a text that is quoted in an error.
func cut(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
