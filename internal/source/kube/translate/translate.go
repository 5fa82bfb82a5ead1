// Package translate turns Kubernetes objects into a model.Fragment, and keeps it
// true while they change, at the cost of the change. It is pure: objects go in,
// a Fragment comes out, whoever watches them and wherever they lie.
package translate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/landfall-edge/landfall/internal/model"
	"github.com/landfall-edge/landfall/internal/source/kube/endpoints"
	"github.com/landfall-edge/landfall/internal/source/kube/ingress"
	"github.com/landfall-edge/landfall/internal/source/kube/object"
	"github.com/landfall-edge/landfall/internal/source/kube/service"
)

// Translator holds the objects of one source and what they ask for. It is not
// safe for concurrent use.
//
//   - Set and Delete keep the objects and note whose answer they may change.
//   - Fragment works out those answers again, in the order in which one leads to
//     the other: classes, services, ingresses, nodes, backends.
//   - An answer that comes out equal stays the value that it was.
type Translator struct {
	opt      Options
	services map[object.Key]*serviceState
	ingress  map[object.Key]*ingressState
	classes  map[string]*networkingv1.IngressClass
	nodes    map[string]*corev1.Node
	// owner is the Service that an EndpointSlice names.
	owner    map[object.Key]object.Key
	misnamed map[string]model.Finding
	// found is what is wrong with the backends of each Service.
	found map[object.Key][]model.Finding

	classView ingress.Classes
	nodeView  endpoints.Nodes

	dirty    dirty
	parts    sorted[model.Part]
	backends sorted[model.Backend]
	probes   sorted[model.Probe]
	findings []model.Finding
	// nodeless is whether the findings say that there are no nodes.
	nodeless bool
}

// serviceState is a Service and everything that hangs on it. It exists as long as
// anything names it, the Service itself or not.
type serviceState struct {
	object *corev1.Service // nil if there is none
	slices map[string]*discoveryv1.EndpointSlice
	legacy *corev1.Endpoints //nolint:staticcheck // folders of manifests still hold them
	// referrers are the Ingresses that name it.
	referrers map[object.Key]*ingressState

	ports    []int32  // served by TCP
	backends []string // names, as last built
}

// empty reports whether nothing is known of the Service any more.
func (s *serviceState) empty() bool {
	return s.object == nil && len(s.slices) == 0 && s.legacy == nil && len(s.referrers) == 0 &&
		len(s.backends) == 0
}

// ingressState is an Ingress and what it asks for.
type ingressState struct {
	key    object.Key
	object *networkingv1.Ingress
	result ingress.Result
}

type keys map[object.Key]bool

// take empties a set. It makes a new one, as to clear one that was large once
// would cost its size for ever.
func (k *keys) take() keys {
	taken := *k
	*k = make(keys)
	return taken
}

// dirty is what must be worked out again.
type dirty struct {
	services  keys // the Service itself
	ingresses keys
	backends  keys // by Service
	classes   bool
	nodes     bool
	findings  bool
}

// New returns a Translator that holds no objects yet.
func New(opt Options) *Translator {
	return &Translator{
		opt:      opt,
		services: make(map[object.Key]*serviceState),
		ingress:  make(map[object.Key]*ingressState),
		classes:  make(map[string]*networkingv1.IngressClass),
		nodes:    make(map[string]*corev1.Node),
		owner:    make(map[object.Key]object.Key),
		misnamed: make(map[string]model.Finding),
		found:    make(map[object.Key][]model.Finding),
		dirty:    dirty{services: make(keys), ingresses: make(keys), backends: make(keys)},
	}
}

// Fragment is what the objects ask for now. What did not change since the last
// call is the same pointer as then, and what it returned stays as it was.
func (t *Translator) Fragment() model.Fragment {
	t.readClasses()
	t.readServices()
	t.readIngresses()
	t.readNodes()
	t.buildBackends()
	t.collectFindings()
	return model.Fragment{
		Source:   t.opt.Source,
		Parts:    t.parts.slice(),
		Backends: t.backends.slice(),
		Probes:   t.probes.slice(),
		Findings: t.findings,
	}
}

func (t *Translator) readClasses() {
	if !t.dirty.classes {
		return
	}
	t.dirty.classes = false
	view := ingress.ReadClasses(t.classes)
	if view.Equal(t.classView) {
		return
	}
	t.classView = view
	for key := range t.ingress {
		t.dirty.ingresses[key] = true
	}
}

func (t *Translator) readServices() {
	opt := service.Options{
		Source:       t.opt.Source,
		AllNodePorts: t.opt.Expose == NodePorts,
		Unclassed:    t.opt.Unclassed,
		Pods:         t.opt.Reach == Pods,
	}
	for key := range t.dirty.services.take() {
		var result service.Result
		state := t.services[key]
		if state != nil && state.object != nil {
			result = service.Translate(state.object, opt)
		}
		if state != nil {
			state.ports = result.Ports
		}
		t.putPart(object.Service, key, result.Part)
		t.dirty.backends[key] = true
	}
}

func (t *Translator) readIngresses() {
	opt := ingress.Options{
		Source: t.opt.Source, Pods: t.opt.Reach == Pods, Classes: t.classView,
		Service: func(key object.Key) *corev1.Service {
			if s := t.services[key]; s != nil {
				return s.object
			}
			return nil
		},
	}
	for key := range t.dirty.ingresses.take() {
		state := t.ingress[key]
		if state == nil {
			continue
		}
		var result ingress.Result
		if state.object != nil {
			result = ingress.Translate(state.object, opt)
		} else {
			delete(t.ingress, key)
		}
		t.putPart(object.Ingress, key, result.Part)
		t.refer(state, result)
	}
}

// refer takes over what an Ingress refers to now. Only the Services for which that
// makes a difference are built again: an Ingress may name hundreds.
func (t *Translator) refer(state *ingressState, result ingress.Result) {
	before := state.result
	state.result = result
	for _, key := range missing(before.Services, result.Services) {
		delete(t.state(key).referrers, state.key)
		t.dirty.backends[key] = true
	}
	for _, key := range missing(result.Services, before.Services) {
		s := t.state(key)
		if s.referrers == nil {
			s.referrers = make(map[object.Key]*ingressState)
		}
		s.referrers[state.key] = state
		t.dirty.backends[key] = true
	}
	for _, r := range append(missing(before.Refs, result.Refs), missing(result.Refs, before.Refs)...) {
		t.dirty.backends[r.Service] = true
	}
	if before.Asks() != result.Asks() {
		for _, key := range result.Services {
			t.dirty.backends[key] = true
		}
	}
}

// missing are the elements of a that b does not have.
func missing[T comparable](a, b []T) []T {
	have := make(map[T]bool, len(b))
	for _, v := range b {
		have[v] = true
	}
	var out []T
	for _, v := range a {
		if !have[v] {
			out = append(out, v)
		}
	}
	return out
}

// putPart replaces the part of an object, nil for none.
func (t *Translator) putPart(kind string, key object.Key, part *model.Part) {
	name := model.Origin{Source: t.opt.Source, Kind: kind, Namespace: key.Namespace, Name: key.Name}.Key()
	t.parts.put(name, keepPart(t.parts.get(name), part))
}

func (t *Translator) readNodes() {
	if !t.dirty.nodes {
		return
	}
	t.dirty.nodes = false
	view := t.judgeNodes()
	for _, p := range t.nodeView.Probes {
		t.probes.put(p.Name, nil)
	}
	for i, p := range view.Probes {
		view.Probes[i] = keepProbe(t.nodeView.Probes, p)
		t.probes.put(p.Name, view.Probes[i])
	}
	if !slices.Equal(view.Nodes, t.nodeView.Nodes) {
		for key := range t.services {
			t.dirty.backends[key] = true
		}
	}
	if !slices.Equal(view.Findings, t.nodeView.Findings) {
		t.dirty.findings = true
	}
	t.nodeView = view
}
