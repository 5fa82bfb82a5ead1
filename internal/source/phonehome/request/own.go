package request

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/json"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
)

const (
	maxPorts  = 64
	maxPlaces = 256 // hosts times paths of one registration
	maxHost   = 253
	maxPath   = 256
	maxWeight = 256
	maxErrors = 20
)

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	hostPattern = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	pathPattern = regexp.MustCompile(`^/[!-~]*$`)
)

// Own is the body of a PUT, as our own form has it.
type Own struct {
	Address         string `json:"address"`
	LeaseSeconds    *int64 `json:"leaseSeconds"`
	IntervalSeconds *int64 `json:"intervalSeconds"`
	Ports           []Port `json:"ports"`
}

// Port is one of its ports.
type Port struct {
	Port       *int64   `json:"port"`
	Protocol   string   `json:"protocol"`
	Hosts      []string `json:"hosts"`
	Paths      []string `json:"paths"`
	TargetPort *int64   `json:"targetPort"`
	SendProxy  int64    `json:"sendProxy"`
	Weight     *int64   `json:"weight"`
	Check      *Check   `json:"check"`
}

// Check is how its endpoint is checked.
type Check struct {
	TCP  bool   `json:"tcp"`
	HTTP string `json:"http"`
}

// Problem is one thing that is wrong with a request.
type Problem struct {
	// Pointer is where, as RFC 6901 has it; "" is the whole body.
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// CheckName says why a registration cannot have this name, or "".
func CheckName(name string) string {
	if namePattern.MatchString(name) {
		return ""
	}
	return fmt.Sprintf("a registration's name has 1 to %d letters, digits, dots, dashes and underscores, a letter or digit first and last; this one is %s", maxName, show(name))
}

// DecodeOwn reads the body of a PUT: its ports, its address (the zero value where
// it has none), interval and lease.
func DecodeOwn(body []byte) (registry.Call, []Problem) {
	if len(body) > MaxBody {
		return registry.Call{}, []Problem{{"", fmt.Sprintf("the body has more than %d bytes", MaxBody)}}
	}
	var in Own
	strict, err := json.UnmarshalStrict(body, &in)
	if err != nil {
		return registry.Call{}, []Problem{{"", "the body is not the JSON object that this takes: " + brief(err)}}
	}
	d := &decoder{}
	for _, err := range strict {
		d.wrong("", "%s; see docs/phone-home.openapi.yaml for the fields there are", brief(err))
	}
	call := d.call(in)
	return call, d.problems
}

func brief(err error) string {
	text := strings.TrimPrefix(strings.ToValidUTF8(err.Error(), ""), "json: ")
	if len(text) > 3*maxShown {
		text = strings.ToValidUTF8(text[:3*maxShown], "") + "..."
	}
	return text
}

// decoder gathers what is wrong.
type decoder struct{ problems []Problem }

func (d *decoder) wrong(pointer, format string, args ...any) {
	if len(d.problems) < maxErrors {
		d.problems = append(d.problems, Problem{pointer, fmt.Sprintf(format, args...)})
	}
}

func (d *decoder) call(in Own) registry.Call {
	call := registry.Call{Lease: registry.DefaultLease}
	if in.Address != "" {
		addr, err := netip.ParseAddr(in.Address)
		if err != nil || addr.Zone() != "" {
			d.wrong("/address", "it must be an IP address without a zone, not %s; leave it out for the one that the edge sees", show(in.Address))
		}
		call.Address = addr.Unmap()
	}
	low, high := int64(registry.MinLease/time.Second), int64(registry.MaxLease/time.Second)
	if s := in.IntervalSeconds; s != nil {
		if *s < 1 || *s > high {
			d.wrong("/intervalSeconds", "it must be from 1 to %d, not %d", high, *s)
		} else {
			call.Interval = time.Duration(*s) * time.Second
			call.Lease = min(max(registry.Renewals*call.Interval, registry.MinLease), registry.MaxLease)
		}
	}
	if s := in.LeaseSeconds; s != nil {
		if *s < low || *s > high {
			d.wrong("/leaseSeconds", "it must be from %d to %d, not %d", low, high, *s)
		} else {
			call.Lease = time.Duration(*s) * time.Second
		}
	}
	switch {
	case len(in.Ports) == 0:
		d.wrong("/ports", "there must be at least one port; to take a registration back, send DELETE")
	case len(in.Ports) > maxPorts:
		d.wrong("/ports", "there may be %d ports, not %d; register the others by another name", maxPorts, len(in.Ports))
		return call
	}
	places := 0
	for i, p := range in.Ports {
		port := d.port("/ports/"+strconv.Itoa(i), p)
		for j, other := range call.Ports {
			d.overlap("/ports/"+strconv.Itoa(i), j, port, other)
		}
		places += len(port.Hosts) * max(len(port.Paths), 1)
		call.Ports = append(call.Ports, port)
	}
	if places > maxPlaces {
		d.wrong("/ports", "the hosts and paths make %d routes, and a registration may have %d; use fewer, or another name for some", places, maxPlaces)
	}
	return call
}

func (d *decoder) port(at string, in Port) registry.Port {
	out := registry.Port{Protocol: model.Protocol(in.Protocol), Target: d.number(at+"/targetPort", in.TargetPort)}
	if in.Protocol == "" {
		out.Protocol = model.TCP
	}
	switch out.Protocol {
	case model.TCP:
		out.Front = d.number(at+"/port", in.Port)
		if len(in.Hosts) > 0 {
			d.wrong(at+"/hosts", "TCP has no hosts; use the protocol http or tls, or remove them")
		}
	case model.HTTP, model.TLS:
		if in.Port != nil {
			d.wrong(at+"/port", "%s uses the edge's shared port; remove this one, or use the protocol tcp", out.Protocol)
		}
		out.Hosts = d.hosts(at, in.Hosts)
	default:
		d.wrong(at+"/protocol", "it must be tcp, http or tls, not %s", show(in.Protocol))
	}
	if out.Protocol == model.HTTP {
		out.Paths = d.paths(at, in.Paths)
	} else if len(in.Paths) > 0 {
		d.wrong(at+"/paths", "only the protocol http has paths; remove them")
	}
	d.options(at, in, &out)
	return out
}

func (d *decoder) number(at string, n *int64) uint16 {
	switch {
	case n == nil:
		d.wrong(at, "it is missing; it must be a port from 1 to 65535")
	case *n < 1 || *n > 65535:
		d.wrong(at, "it must be a port from 1 to 65535, not %d", *n)
	default:
		return uint16(*n)
	}
	return 0
}

func (d *decoder) hosts(at string, in []string) (out []string) {
	if len(in) == 0 {
		d.wrong(at+"/hosts", "there must be at least one host")
	}
	for i, host := range in {
		lower := strings.ToLower(host)
		if _, err := netip.ParseAddr(lower); err == nil || len(host) > maxHost || !hostPattern.MatchString(lower) {
			d.wrong(at+"/hosts/"+strconv.Itoa(i), "it must be a host name such as shop.example.com or *.example.com, not %s", show(host))
			continue
		}
		out = append(out, lower)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *decoder) paths(at string, in []string) (out []string) {
	if len(in) == 0 {
		return []string{"/"}
	}
	for i, given := range in {
		path := given
		if path != "/" {
			path = strings.TrimSuffix(path, "/")
		}
		bad := len(path) > maxPath || !pathPattern.MatchString(path) || strings.ContainsAny(path, "?#")
		for _, part := range []string{"//", "/./", "/../"} {
			bad = bad || strings.Contains(path+"/", part) && path != "/"
		}
		if bad {
			d.wrong(at+"/paths/"+strconv.Itoa(i), "it must be a path as requests carry it, such as /shop, of at most %d bytes, not %s", maxPath, show(given))
			continue
		}
		out = append(out, path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *decoder) options(at string, in Port, out *registry.Port) {
	if in.SendProxy < 0 || in.SendProxy > 2 {
		d.wrong(at+"/sendProxy", "it must be 0, 1 or 2, the version of the PROXY protocol, not %d", in.SendProxy)
	} else {
		out.SendProxy = int(in.SendProxy)
	}
	if w := in.Weight; w != nil {
		if *w < 1 || *w > maxWeight {
			d.wrong(at+"/weight", "it must be from 1 to %d, not %d", maxWeight, *w)
		} else if *w > 1 {
			out.Weight = int(*w)
		}
	}
	c := in.Check
	if c == nil || c.HTTP == "" {
		return
	}
	switch {
	case c.TCP:
		d.wrong(at+"/check", "a check is tcp or http; remove one")
	case len(c.HTTP) > maxPath || !pathPattern.MatchString(c.HTTP):
		d.wrong(at+"/check/http", "it must be a path such as /healthz, of at most %d bytes, not %s", maxPath, show(c.HTTP))
	default:
		out.CheckPath = c.HTTP
	}
}

// overlap tells of a port that asks for what an earlier one has.
func (d *decoder) overlap(at string, j int, p, other registry.Port) {
	if p.Protocol != other.Protocol || p.Front != other.Front {
		return
	}
	same := p.Protocol == model.TCP && p.Front != 0
	for _, host := range p.Hosts {
		if !slices.Contains(other.Hosts, host) {
			continue
		}
		same = same || p.Protocol == model.TLS || slices.ContainsFunc(p.Paths, func(path string) bool { return slices.Contains(other.Paths, path) })
	}
	if same {
		d.wrong(at, "it asks for the same as /ports/%d; one of them is enough", j)
	}
}
