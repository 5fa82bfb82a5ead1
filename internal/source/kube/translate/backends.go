package translate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/annotation"
	"github.com/landfall-edge/landfall/internal/source/kube/endpoints"
	"github.com/landfall-edge/landfall/internal/source/kube/ingress"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
	"github.com/landfall-edge/landfall/internal/source/kube/service"
)

func (t *Translator) reach() endpoints.Options {
	opt := endpoints.Options{Source: t.opt.Source, Pods: t.opt.Reach == Pods, AllowLoopback: t.opt.AllowLoopback}
	if p := t.opt.Probe; p != nil && !opt.Pods {
		opt.Probe = endpoints.Probe{Port: p.Port, Path: cmp.Or(p.Path, "/")}
	}
	return opt
}

// judgeNodes judges the nodes, which under Pods nobody asks for.
func (t *Translator) judgeNodes() endpoints.Nodes {
	if t.opt.Reach == Pods {
		return endpoints.Nodes{}
	}
	return endpoints.Judge(slices.Collect(maps.Values(t.nodes)), t.reach())
}

func (t *Translator) buildBackends() {
	for key := range t.dirty.backends.take() {
		s := t.services[key]
		if s == nil {
			continue
		}
		built, findings := t.backendsOf(key, s)
		names := make([]string, 0, len(built))
		for _, b := range built {
			names = append(names, b.Name)
			t.backends.put(b.Name, keepBackend(t.backends.get(b.Name), b))
		}
		for _, name := range s.backends {
			if !slices.Contains(names, name) {
				t.backends.put(name, nil)
			}
		}
		s.backends = names
		if !slices.Equal(t.found[key], findings) {
			t.found[key] = findings
			t.dirty.findings = true
		}
		if len(findings) == 0 {
			delete(t.found, key)
		}
		if s.empty() {
			delete(t.services, key)
		}
	}
}

// backendsOf builds the backends of one Service: a TCP one for each port that it
// is exposed at, an HTTP one for each that an Ingress refers to.
func (t *Translator) backendsOf(key object.Key, s *serviceState) ([]*model.Backend, []model.Finding) {
	refs := s.refs(key)
	if s.object == nil || len(s.ports)+len(refs) == 0 {
		return nil, nil
	}
	origin := object.Origin(t.opt.Source, object.Service, key, s.object)
	f := object.NewFindings(origin)
	b := builder{
		svc: endpoints.Service{Key: key, Object: s.object, Slices: sortedSlices(s.slices), Legacy: s.legacy},
		opt: t.reach(), nodes: t.nodeView.Nodes, origin: origin, findings: f,
	}
	own := annotation.ReadPolicy(s.object.Annotations, nil)
	var built []*model.Backend
	for _, port := range s.ports {
		built = append(built, b.build(service.BackendName(t.opt.Source, key, port), model.TCP, port, own))
	}
	var lost []model.Finding
	if len(refs) > 0 {
		var merged annotation.Policy
		merged, lost = t.mergePolicies(key, own, s)
		for _, port := range refs {
			name := ingress.BackendName(t.opt.Source, ingress.Ref{Service: key, Port: port})
			built = append(built, b.build(name, ingress.Protocol(s.object, port, f), port, merged))
		}
	}
	return built, compact(append(f.List(), lost...))
}

// refs are the ports that Ingresses send requests to, sorted.
func (s *serviceState) refs(key object.Key) []int32 {
	var ports []int32
	for _, ing := range s.referrers {
		for _, r := range ing.result.Refs {
			if r.Service == key {
				ports = append(ports, r.Port)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// builder builds the backends of one Service.
type builder struct {
	svc      endpoints.Service
	opt      endpoints.Options
	nodes    []endpoints.Node
	origin   model.Origin
	findings *object.Findings
}

func (b *builder) build(name string, protocol model.Protocol, port int32, policy annotation.Policy) *model.Backend {
	out := &model.Backend{
		Name: name, Origin: b.origin, Protocol: protocol,
		Balance: policy.Balance, SendProxy: policy.Proxy, Affinity: service.Affinity(b.svc.Object),
	}
	if p := object.TCPPort(b.svc.Object, port); p != nil {
		out.Endpoints, out.Check = endpoints.Build(b.svc, p, b.nodes, b.opt, b.findings)
	}
	return out
}

// mergePolicies adds to what a Service says of itself what Ingresses say for it,
// the oldest first; who is not heard gets a finding.
func (t *Translator) mergePolicies(key object.Key, own annotation.Policy, s *serviceState) (annotation.Policy, []model.Finding) {
	var asking []*ingressState
	for _, ing := range s.referrers {
		sends := slices.ContainsFunc(ing.result.Refs, func(r ingress.Ref) bool { return r.Service == key })
		if sends && ing.result.Asks() != (ingress.Ask{}) {
			asking = append(asking, ing)
		}
	}
	slices.SortFunc(asking, func(a, b *ingressState) int {
		if a.result.Part.Origin.Older(b.result.Part.Origin) {
			return -1
		}
		return 1
	})
	balanceBy, proxyBy := "the Service itself", "the Service itself"
	var lost []model.Finding
	for _, ing := range asking {
		p, by := ing.result.Policy, "the older Ingress "+ing.key.String()
		f := object.NewFindings(ing.result.Part.Origin)
		switch {
		case p.Balance == "" || p.Balance == own.Balance:
		case own.Balance == "":
			own.Balance, balanceBy = p.Balance, by
		default:
			noteLost(f, annotation.Balance, key, own.Balance, balanceBy)
		}
		switch {
		case !p.ProxySet || own.ProxySet && p.Proxy == own.Proxy:
		case !own.ProxySet:
			own.Proxy, own.ProxySet, proxyBy = p.Proxy, true, by
		default:
			noteLost(f, annotation.ProxyProtocol, key, proxyText(own.Proxy), proxyBy)
		}
		lost = append(lost, f.List()...)
	}
	return own, lost
}

func noteLost(f *object.Findings, name string, key object.Key, value, by string) {
	f.Add(object.AnnotationField(name), "AnnotationConflict", "everything, with "+value, fmt.Sprintf(
		"Service %s is served with %s: %s, from %s; to settle it, write the annotation on the Service", key, name, value, by))
}

func proxyText(version int) string {
	if version == 0 {
		return "false"
	}
	return fmt.Sprintf("v%d", version)
}

// sortedSlices are the slices of a Service by name.
func sortedSlices(m map[string]*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	list := make([]*discoveryv1.EndpointSlice, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[name])
	}
	return list
}
