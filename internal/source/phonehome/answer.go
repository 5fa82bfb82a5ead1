package phonehome

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/phonehome/registry"
	"github.com/landfall-edge/landfall/internal/source/phonehome/request"
)

// identity is what GET /v1/whoami answers.
type identity struct {
	Client  string     `json:"client"`
	Address netip.Addr `json:"address"`
}

// answered is a registration as it is told to its client.
type answered struct {
	Client       string         `json:"client"`
	Name         string         `json:"name"`
	Address      netip.Addr     `json:"address"`
	State        registry.State `json:"state"`
	Expires      *time.Time     `json:"expires,omitempty"` // nil: never
	LeaseSeconds int64          `json:"leaseSeconds,omitempty"`
	Ports        []answeredPort `json:"ports"`
}

type answeredPort struct {
	Port       uint16         `json:"port,omitempty"`
	Protocol   model.Protocol `json:"protocol"`
	Hosts      []string       `json:"hosts,omitempty"`
	Paths      []string       `json:"paths,omitempty"`
	TargetPort uint16         `json:"targetPort"`
	Served     bool           `json:"served"`
	Reason     string         `json:"reason,omitempty"`
	Message    string         `json:"message,omitempty"`
}

type answeredList struct {
	Registrations []answered `json:"registrations"`
}

// problem is RFC 9457's.
type problem struct {
	Type   string            `json:"type"`
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail"`
	Errors []request.Problem `json:"errors,omitempty"`
}

func refuse(w http.ResponseWriter, code int, detail string, errors ...request.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	send(w, code, problem{"about:blank", http.StatusText(code), code, detail, errors})
}

func reply(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	send(w, code, value)
}

func send(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // a caller that has gone is not told
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

func pointer(i int) string { return "/ports/" + strconv.Itoa(i) }

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func quoted(s string) string { return strconv.Quote(s[:min(len(s), 20)]) }

// said is what the last turn said of one name.
type said struct {
	outcome  *model.Outcome
	findings []model.Finding
}

// Report remembers what became of the registrations, for those who ask.
func (s *Source) Report(_ context.Context, outcomes []*model.Outcome, findings []model.Finding) {
	all := make(map[objectKey]said, len(outcomes))
	for _, o := range outcomes {
		all[objectKey{o.Origin.Namespace, o.Origin.Name}] = said{outcome: o}
	}
	for _, f := range findings {
		if f.Origin.Kind != registry.Kind {
			continue
		}
		key := objectKey{f.Origin.Namespace, f.Origin.Name}
		one := all[key]
		one.findings = append(one.findings, f)
		all[key] = one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = all
}

// answer tells a registration as it is served now.
func (s *Source) answer(reg *registry.Registration) answered {
	s.mu.Lock()
	one := s.said[objectKey{reg.Client, reg.Name}]
	s.mu.Unlock()
	out := answered{
		Client: reg.Client, Name: reg.Name, Address: reg.Address, State: reg.State(s.now()),
		LeaseSeconds: int64(reg.Lease / time.Second), Ports: []answeredPort{},
	}
	if !reg.Expires.IsZero() {
		at := reg.Expires.UTC().Truncate(time.Second)
		out.Expires = &at
	}
	for _, p := range reg.Ports {
		port := answeredPort{Port: p.Front, Protocol: p.Protocol, Hosts: p.Hosts, Paths: p.Paths, TargetPort: p.Target}
		port.Served, port.Reason, port.Message = one.verdict(reg, p, s.shared(p.Protocol))
		out.Ports = append(out.Ports, port)
	}
	return out
}

// shared is the edge's port that all of a protocol is served on, if any.
func (s *Source) shared(p model.Protocol) uint16 {
	switch p {
	case model.HTTP:
		return s.cfg.HTTPPort
	case model.TLS:
		return s.cfg.HTTPSPort
	}
	return 0
}

// verdict says whether a port is served, and why not.
func (o said) verdict(reg *registry.Registration, p registry.Port, shared uint16) (served bool, reason, message string) {
	for _, f := range o.findings {
		if !concerns(f, reg, p, shared) {
			continue
		}
		return f.Reason == "PortShared", f.Reason, f.Message
	}
	if o.outcome == nil {
		return false, "Pending", "it is accepted and not live yet; ask again, or look at landfall status on the edge"
	}
	if p.Protocol == model.TCP {
		for _, port := range o.outcome.Ports {
			if port.Port == p.Front && port.Error != "" {
				return false, port.Error, "landfall status on the edge says why"
			}
		}
	}
	if len(o.outcome.Addresses) == 0 {
		return false, "NotServed", "landfall status on the edge says why"
	}
	return true, "", ""
}

// concerns reports whether a finding is about a port: about its front, a route of
// it, its endpoint or its backend.
func concerns(f model.Finding, reg *registry.Registration, p registry.Port, shared uint16) bool {
	prefix := f.Origin.Source + "/" + reg.Client + "/" + reg.Name + "/"
	switch {
	case f.Reason == "RegistrationRefused":
		return false
	case f.Field == "endpoints":
		return strings.Contains(f.Message, netip.AddrPortFrom(reg.Address, p.Target).String()+" ")
	case p.Protocol == model.TCP:
		return f.Field == fmt.Sprintf("port %d", p.Front) || f.Field == prefix+strconv.Itoa(int(p.Front)) ||
			f.Field == "" && strings.Contains(f.Message, prefix+strconv.Itoa(int(p.Front)))
	case strings.HasPrefix(f.Field, "port "): // unless it is about a TCP port of the same number
		return f.Field == fmt.Sprintf("port %d", shared) && !slices.ContainsFunc(reg.Ports, func(q registry.Port) bool {
			return q.Protocol == model.TCP && q.Front == shared
		})
	}
	return concernsHost(f, p, prefix)
}

// concernsHost reports whether a finding is about one of a port's names, or the
// backend behind it.
func concernsHost(f model.Finding, p registry.Port, prefix string) bool {
	about := func(field, name string) bool {
		return f.Field == field || f.Field == "" && strings.Contains(f.Message, prefix+name)
	}
	return slices.ContainsFunc(p.Hosts, func(host string) bool {
		if p.Protocol == model.TLS {
			return about(host, "tls:"+host)
		}
		return slices.ContainsFunc(p.Paths, func(path string) bool { return about(host+path, host+path) })
	})
}

// list answers with all registrations of a client.
func (s *Source) list(w http.ResponseWriter, c *client) {
	s.mu.Lock()
	all := s.registry.All()
	s.mu.Unlock()
	out := answeredList{[]answered{}}
	for _, reg := range all {
		if reg.Client == c.Name {
			out.Registrations = append(out.Registrations, s.answer(reg))
		}
	}
	reply(w, http.StatusOK, out)
}

// show answers with the registrations of one name.
func (s *Source) show(w http.ResponseWriter, c *client, name string) {
	s.mu.Lock()
	regs := s.registry.Of(c.Name, name)
	s.mu.Unlock()
	if len(regs) == 0 {
		refuse(w, http.StatusNotFound, "this client has nothing registered by this name")
		return
	}
	out := answeredList{[]answered{}}
	for _, reg := range regs {
		out.Registrations = append(out.Registrations, s.answer(reg))
	}
	reply(w, http.StatusOK, out)
}

// Registration is one as the status of the edge shows it.
type Registration struct {
	registry.Registration
	State registry.State
}

// Registrations are all there are, by client, name and address.
func (s *Source) Registrations() []Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var out []Registration
	for _, r := range s.registry.All() {
		out = append(out, Registration{*r, r.State(now)})
	}
	slices.SortStableFunc(out, func(a, b Registration) int { return cmp.Or(a.Key.Compare(b.Key)) })
	return out
}
