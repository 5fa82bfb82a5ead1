// Package ingress translates Ingress v1. It is pure.
package ingress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
)

// Options are what a translation needs beside the Ingress.
type Options struct {
	Source string
	// Pods reaches pods by their own addresses, so that no node port is needed.
	Pods    bool
	Classes Classes
	// Service returns a Service, nil if there is none.
	Service func(object.Key) *corev1.Service
}

// Result is what one Ingress asks for.
type Result struct {
	// Part is nil if the Ingress is not ours and there is nothing to say.
	Part *model.Part
	// Services are all that it names, there or not, sorted.
	Services []object.Key
	// Refs are the ports that it sends requests to, sorted.
	Refs []Ref
	// Policy is what it asks for on behalf of the Services that do not say.
	Policy annotation.Policy
}

// Ask is what an Ingress asks for on behalf of its Services, and with what right.
type Ask struct {
	Policy annotation.Policy
	Origin model.Origin
}

// Asks is zero if the Ingress asks for nothing on behalf of its Services.
func (r Result) Asks() Ask {
	if r.Part == nil || r.Policy == (annotation.Policy{}) {
		return Ask{}
	}
	return Ask{Policy: r.Policy, Origin: r.Part.Origin}
}

// Ref is a port of a Service.
type Ref struct {
	Service object.Key
	Port    int32
}

func (r Ref) compare(o Ref) int {
	return cmp.Or(r.Service.Compare(o.Service), cmp.Compare(r.Port, o.Port))
}

// mostRoutes is how many routes one Ingress can have.
const mostRoutes = 1000

// translation is one Ingress under way.
type translation struct {
	opt      Options
	key      object.Key
	origin   model.Origin
	ing      *networkingv1.Ingress
	findings *object.Findings
	vip      string
	limit    model.Limit
	routes   map[string]*model.Route // by name
	full     bool
	services map[object.Key]bool
	refs     map[Ref]bool
}

// Translate reads one Ingress.
func Translate(ing *networkingv1.Ingress, opt Options) Result {
	key := object.KeyOf(ing)
	t := &translation{
		opt: opt, key: key, origin: object.Origin(opt.Source, object.Ingress, key, ing), ing: ing,
		routes: make(map[string]*model.Route), services: make(map[object.Key]bool), refs: make(map[Ref]bool),
	}
	t.findings = object.NewFindings(t.origin)
	if !opt.Classes.claims(ing, t.findings) {
		if len(t.findings.List()) == 0 {
			return Result{}
		}
		return Result{Part: &model.Part{Origin: t.origin, Findings: t.findings.List()}}
	}
	annotation.Check(object.Ingress, ing.Annotations, t.findings)
	result := Result{Policy: annotation.ReadPolicy(ing.Annotations, t.findings)}
	vip, ok := annotation.ReadVIP(ing.Annotations, t.findings)
	t.vip, t.limit = vip, annotation.ReadLimit(ing.Annotations, t.findings)
	if ok {
		t.noteTLS()
		t.defaults(t.rules())
	}
	result.Part = &model.Part{Origin: t.origin, Report: true, Findings: t.findings.List()}
	for _, r := range t.routes {
		result.Part.Routes = append(result.Part.Routes, r)
	}
	if len(t.routes) == 0 {
		result.Part.Findings = t.findings.ListUnserved()
	}
	slices.SortFunc(result.Part.Routes, func(a, b *model.Route) int { return cmp.Compare(a.Name, b.Name) })
	for s := range t.services {
		result.Services = append(result.Services, s)
	}
	slices.SortFunc(result.Services, object.Key.Compare)
	for r := range t.refs {
		result.Refs = append(result.Refs, r)
	}
	slices.SortFunc(result.Refs, Ref.compare)
	return result
}

// noteTLS says that spec.tls is not obeyed, once however many hosts it names.
func (t *translation) noteTLS() {
	if len(t.ing.Spec.TLS) > 0 {
		t.findings.Add("spec.tls", "TLSNotYet", "its routes, over plain HTTP",
			"this version does not end TLS: what is served of this Ingress is served in clear, on the edge's HTTP port (http.port); "+
				"let the pods end TLS themselves by exposing their Service on a port of its own "+
				"(type: LoadBalancer with the annotation landfall.dev/ports: \"443:https\"), or take spec.tls away if plain HTTP is meant")
	}
}

// rules makes the routes that are written out, and returns the hosts that rules
// name, each once.
func (t *translation) rules() []string {
	var hosts []string
	seen := make(map[string]bool)
	for i := range t.ing.Spec.Rules {
		rule := &t.ing.Spec.Rules[i]
		field := fmt.Sprintf("spec.rules[%d]", i)
		host, why := cleanHost(rule.Host)
		if why != "" {
			t.findings.Add(field+".host", "BadHost", "its other rules", object.Quote(rule.Host)+" is no host: "+why)
			continue
		}
		if !seen[host] {
			seen[host] = true
			hosts = append(hosts, host)
		}
		if rule.HTTP == nil || len(rule.HTTP.Paths) == 0 {
			if t.ing.Spec.DefaultBackend == nil {
				t.findings.Add(field+".http", "NoPaths", "its other rules",
					"the rule has no paths and the Ingress no defaultBackend, so it asks for nothing; add http.paths with a path: / and a backend")
			}
			continue
		}
		for j := range rule.HTTP.Paths {
			t.path(host, &rule.HTTP.Paths[j], fmt.Sprintf("%s.http.paths[%d]", field, j))
			if t.full {
				return hosts
			}
		}
	}
	return hosts
}

// path makes the route of one path.
func (t *translation) path(host string, p *networkingv1.HTTPIngressPath, field string) {
	match, why := cleanPath(p)
	if why != "" {
		t.findings.Add(field+".path", "BadPath", "its other paths", object.Quote(p.Path)+" is not served: "+why)
		return
	}
	match.Host = host
	t.notePathType(p, match, field)
	name := t.name(match)
	if t.routes[name] != nil {
		t.findings.Add(field, "DuplicatePath", "the first of them",
			fmt.Sprintf("%s is there twice in this Ingress; take one away", name[len(t.opt.Source+"/"+t.key.String()+"/"):]))
		return
	}
	if t.room() {
		t.add(name, match, model.Explicit, t.resolve(&p.Backend, field+".backend"))
	}
}

// defaults makes the routes of the default backend: for what no path takes on the
// Ingress's own hosts, and for what nobody takes at all.
func (t *translation) defaults(hosts []string) {
	b := t.ing.Spec.DefaultBackend
	if b == nil {
		return
	}
	backends := t.resolve(b, "spec.defaultBackend")
	for _, host := range append([]string{""}, hosts...) {
		match := model.Match{Host: host, Path: "/"}
		name := t.name(match)
		if t.routes[name] == nil && t.room() {
			t.add(name, match, model.DefaultRoute, backends)
		}
	}
}

// name is the name of the route with that match.
func (t *translation) name(m model.Match) string {
	host, exact := m.Host, ""
	if host == "" {
		host = "*"
	}
	if m.Exact {
		exact = "="
	}
	return strings.Join([]string{t.opt.Source, t.key.Namespace, t.key.Name, host + exact + m.Path}, "/")
}

// room reports whether one more route fits, and says so once when none does.
func (t *translation) room() bool {
	if len(t.routes) < mostRoutes {
		return true
	}
	if !t.full {
		t.full = true
		t.findings.Add("spec.rules", "TooMany", fmt.Sprintf("the first %d paths", mostRoutes),
			fmt.Sprintf("an edge serves at most %d paths of one Ingress; split it", mostRoutes))
	}
	return false
}

func (t *translation) add(name string, match model.Match, rank model.Rank, backends []model.WeightedBackend) {
	t.routes[name] = &model.Route{Name: name, Origin: t.origin, VIP: t.vip, Match: match, Rank: rank, Backends: backends, Limit: t.limit}
}
